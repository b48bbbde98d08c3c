"""``manage.py run_tasktree``: launch a registered tree and follow it."""

import os
from contextlib import ExitStack
from typing import Any

from celery import current_app
from django.core.management.base import CommandError, CommandParser

from django_tasktree.exceptions import WaitTimeout
from django_tasktree.launching import params_from_text
from django_tasktree.management.arguments import comma_separated, positive_int, seconds
from django_tasktree.management.base import TreeCommand
from django_tasktree.management.definitions import definition_lines
from django_tasktree.management.following import follow, why_nothing_starts
from django_tasktree.management.outcome import INTERRUPTED, Outcome
from django_tasktree.management.params import read_json, read_pairs
from django_tasktree.management.usage import usage_error, usage_errors
from django_tasktree.models import TreeRun
from django_tasktree.registry import all_definitions, get_definition
from django_tasktree.result import TreeResult
from django_tasktree.text import NAME_LENGTH, check_storable
from django_tasktree.tree import TaskTree
from django_tasktree.worker.embedded import EmbeddedWorker, WorkerDied, embedded_worker


class Command(TreeCommand):
    """Launches a tree by name, shows it until it ends, and tells by the exit code how it ended."""

    help = (
        "Launch a registered tree of tasks and follow it. Exit code 0: it succeeded; 1: it failed, or had not ended "
        "in time; 2: wrong usage; 130: Ctrl-C, the run goes on."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        """Declare the options."""
        parser.add_argument("name", nargs="?", help="what @register_tree calls the tree")
        parser.add_argument("--list", action="store_true", help="list the registered trees and their parameters")
        parser.add_argument("--param", action="append", default=[], metavar="NAME=VALUE", help="may be repeated")
        parser.add_argument("--params-json", metavar="JSON", help="parameters as a JSON object; --param comes first")
        parser.add_argument("--key", help="launch at most once: the same key gives the run that exists")
        parser.add_argument("--no-wait", action="store_true", help="print the run's ID and leave")
        parser.add_argument("--timeout", type=seconds, metavar="S", help="stop following after so many seconds")
        parser.add_argument("--format", choices=["text", "json"], default="text")
        worker = parser.add_argument_group("a worker in this process")
        worker.add_argument("--worker", action="store_true", help="run the tree here, with no other worker")
        worker.add_argument("--concurrency", type=positive_int, default=1, metavar="N", help="with so many threads")
        worker.add_argument("--queues", type=comma_separated, metavar="A,B", help="consume from these queues")

    def handle(self, *_args: Any, **options: Any) -> None:
        """Launch and follow."""
        if options["list"]:
            for line in definition_lines(all_definitions()):
                self.stdout.write(line)
            return
        if not options["name"]:
            raise usage_error("which tree? Give its name, or --list to see those that are registered")
        if options["no_wait"] and options["worker"]:
            raise usage_error("--no-wait and --worker exclude each other: the worker would leave with the command")
        with usage_errors():
            pairs, params = read_pairs(options["param"]), read_json(options["params_json"])
            if options["key"] is not None:
                check_storable("--key", options["key"], NAME_LENGTH)
            definition = get_definition(options["name"])
            cleaned = params_from_text(definition, pairs, params)
            with self.errors_of_definition(definition):
                tree = definition.build(**cleaned)
        # Nothing is started for a run that can't be stored.
        TreeRun.objects.exists()
        self._run(tree, options)

    def _run(self, tree: TaskTree, options: dict[str, Any]) -> None:
        outcome = Outcome(self, options)
        try:
            with ExitStack() as stack:
                # Before the launch: where no worker can be started, nothing is to be left behind.
                worker = stack.enter_context(self._worker(options)) if self._needs_worker(options) else None
                result = self._launch(tree, options["key"], outcome)
                if not options["no_wait"]:
                    stack.callback(self._say_stopping, worker, outcome)
                    self._follow(result, worker, options, outcome)
        except WorkerDied as exc:
            raise CommandError(str(exc)) from exc
        except KeyboardInterrupt:
            # The second one, while the worker stops: its threads would hold an orderly exit up.
            self.stdout.flush()
            os._exit(INTERRUPTED)
        outcome.leave()

    def _launch(self, tree: TaskTree, key: str | None, outcome: Outcome) -> TreeResult:
        existing = key is not None and TreeRun.objects.filter(key=key).exists()
        result = tree.apply_async(key=key)
        outcome.launched(result.run, existing=existing)
        return result

    def _follow(
        self, result: TreeResult, worker: EmbeddedWorker | None, options: dict[str, Any], outcome: Outcome
    ) -> None:
        hint = None if worker is not None or current_app.conf.task_always_eager else why_nothing_starts
        check = (lambda: None) if worker is None else worker.raise_if_dead
        try:
            run = follow(outcome.view(result.id), timeout=options["timeout"], hint=hint, check=check)
        except WaitTimeout as exc:
            outcome.timed_out(exc)
        except KeyboardInterrupt:
            outcome.detached()
        else:
            outcome.ended(run)

    def _needs_worker(self, options: dict[str, Any]) -> bool:
        return bool(options["worker"]) and not current_app.conf.task_always_eager

    def _worker(self, options: dict[str, Any]) -> Any:
        threads = options["concurrency"]
        app: Any = current_app
        pool = "threads" if threads > 1 else "solo"
        return embedded_worker(app._get_current_object(), pool=pool, concurrency=threads, queues=options["queues"])

    def _say_stopping(self, worker: EmbeddedWorker | None, outcome: Outcome) -> None:
        if worker is not None and outcome.is_detached:
            outcome.note("Stopping the worker once the task that runs has ended; Ctrl-C again leaves at once.")
