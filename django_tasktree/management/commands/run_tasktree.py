"""``manage.py run_tasktree``: launch a definition and follow the run."""

import os
from collections.abc import Sequence
from contextlib import ExitStack
from typing import Any, NoReturn

from celery import current_app
from django.core.management.base import CommandError, CommandParser

from django_tasktree.client.tree import TaskTree
from django_tasktree.client.tree_result import TreeResult
from django_tasktree.definitions.launch import params_from_text
from django_tasktree.definitions.registry import all_definitions, get_definition
from django_tasktree.encoding.text import NAME_LENGTH, check_storable
from django_tasktree.exceptions import WaitTimeout
from django_tasktree.management.arguments import comma_separated, positive_int, seconds
from django_tasktree.management.base import TreeCommand
from django_tasktree.management.display.definitions import definition_lines, definitions_json
from django_tasktree.management.display.json import dumps
from django_tasktree.management.errors import unrecognized, usage_error, usage_errors
from django_tasktree.management.follow import follow, why_nothing_starts
from django_tasktree.management.output_format import add_format_option
from django_tasktree.management.parameters import read_json, read_pairs
from django_tasktree.management.run_report import INTERRUPTED, RunReport
from django_tasktree.models import TreeRun
from django_tasktree.worker.embedded import EmbeddedWorker, WorkerDied, embedded_worker

#: With ``--worker``: how long a running task may continue after ``--timeout`` has expired, in seconds.
GRACE = 10


class Command(TreeCommand):
    """Launch a definition, show the progress of the run, and exit with a code that says how it ended."""

    help = (
        "Launch a definition and follow the run until it ends. Exit codes: 0: it succeeded; 1: it failed, had not "
        "ended in time, or the worker did not start; 2: wrong usage; 130: Ctrl-C, the run continues."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        """Declare the options."""
        parser.add_argument("name", nargs="?", help="the name of the definition")
        parser.add_argument("--list", action="store_true", help="list all definitions and their parameters")
        parser.add_argument(
            "--param",
            action="append",
            default=[],
            metavar="NAME=VALUE",
            help="a parameter of the definition; may be repeated",
        )
        parser.add_argument(
            "--params-json", metavar="JSON", help="parameters as a JSON object; --param takes precedence"
        )
        parser.add_argument("--key", help="launch at most once: if a run with this key exists, follow that run")
        parser.add_argument("--no-wait", action="store_true", help="print the run's ID and exit")
        parser.add_argument("--timeout", type=seconds, metavar="S", help="stop following after S seconds; exit code 1")
        add_format_option(parser)
        worker = parser.add_argument_group("a worker in this process")
        worker.add_argument(
            "--worker", action="store_true", help="run the tree in this process, without another worker"
        )
        worker.add_argument(
            "--concurrency", type=positive_int, default=1, metavar="N", help="number of threads; default: 1"
        )
        worker.add_argument("--queues", type=comma_separated, metavar="A,B", help="consume only from these queues")

    def run_from_argv(self, argv: list[str]) -> None:
        """Explain how to pass parameters if an unknown option has the name of one; argparse would only reject it."""
        self._called_from_command_line = True
        parser = self.create_parser(argv[0], argv[1])
        options, rest = parser.parse_known_args(argv[2:])
        if rest:
            parser.error(_param_hint(options.name, rest) or unrecognized(parser, rest))
        super().run_from_argv(argv)

    def handle(self, *_args: Any, **options: Any) -> None:
        """Launch the tree and follow the run."""
        if options["list"]:
            if options["format"] == "json":
                self.stdout.write(dumps(definitions_json(all_definitions())))
                return
            for line in definition_lines(all_definitions()):
                self.stdout.write(line)
            return
        if not options["name"]:
            raise usage_error("the name of the definition is missing: give it, or use --list to see all definitions")
        if options["no_wait"] and options["worker"]:
            raise usage_error("--no-wait and --worker exclude each other: the worker would stop with the command")
        with usage_errors():
            pairs, params = read_pairs(options["param"]), read_json(options["params_json"])
            if options["key"] is not None:
                check_storable("--key", options["key"], NAME_LENGTH)
            definition = get_definition(options["name"])
            cleaned = params_from_text(definition, pairs, params)
            with self.errors_of_definition(definition):
                tree = definition.build(**cleaned)
        # Query the tables before a worker starts: it fails here if they do not exist.
        TreeRun.objects.exists()
        self._run(tree, options)

    def _run(self, tree: TaskTree, options: dict[str, Any]) -> None:
        report = RunReport(self, options)
        try:
            with ExitStack() as stack:
                # Before the launch: if the worker can't start, no run may be left behind.
                worker = stack.enter_context(self._worker(options)) if self._needs_worker(options) else None
                result = self._launch(tree, options["key"], report)
                if not options["no_wait"]:
                    stack.callback(self._note_stopping, worker, report)
                    self._follow(result, worker, options, report)
        except WorkerDied as exc:
            raise CommandError(str(exc)) from exc
        except KeyboardInterrupt:
            # The second Ctrl-C, while the worker stops.
            self._exit_at_once(INTERRUPTED)
        report.leave()

    def _launch(self, tree: TaskTree, key: str | None, report: RunReport) -> TreeResult:
        existing = key is not None and TreeRun.objects.filter(key=key).exists()
        result = tree.apply_async(key=key)
        report.launched(result.run, existing=existing)
        return result

    def _follow(
        self, result: TreeResult, worker: EmbeddedWorker | None, options: dict[str, Any], report: RunReport
    ) -> None:
        hint = None if worker is not None or current_app.conf.task_always_eager else why_nothing_starts
        check = (lambda: None) if worker is None else worker.raise_if_dead
        try:
            run = follow(report.view(result.id), timeout=options["timeout"], hint=hint, check=check)
        except WaitTimeout as exc:
            report.timed_out(exc)
            if worker is not None:
                self._stop_in_time(worker, report)
        except KeyboardInterrupt:
            report.detached()
        else:
            report.ended(run)

    def _needs_worker(self, options: dict[str, Any]) -> bool:
        return bool(options["worker"]) and not current_app.conf.task_always_eager

    def _worker(self, options: dict[str, Any]) -> Any:
        threads = options["concurrency"]
        app: Any = current_app
        pool = "threads" if threads > 1 else "solo"
        return embedded_worker(app._get_current_object(), pool=pool, concurrency=threads, queues=options["queues"])

    def _stop_in_time(self, worker: EmbeddedWorker, report: RunReport) -> None:
        """Stop the worker; exit at once if a task is still running after the grace period."""
        worker.stop(timeout=GRACE)
        if worker.alive:
            report.note(
                f"A task was still running {GRACE} s later and is killed: its attempt is lost. "
                "Another worker will repeat or fail it, depending on its option on_worker_lost."
            )
            self._exit_at_once(report.exit_code)

    def _exit_at_once(self, exit_code: int) -> NoReturn:
        """End the process without waiting for threads of the worker, as a normal exit would."""
        self.stdout.flush()
        self.stderr.flush()
        os._exit(exit_code)

    def _note_stopping(self, worker: EmbeddedWorker | None, report: RunReport) -> None:
        if worker is not None and worker.alive and report.is_detached:
            report.note("The worker stops when the running task has ended. Press Ctrl-C again to exit at once.")


def _param_hint(name: str | None, rest: Sequence[str]) -> str:
    """Return the message for unknown options that are parameters of the definition; empty if none of them is."""
    names = {
        parameter.name
        for definition in all_definitions()
        if definition.name == name
        for parameter in definition.parameters
    }
    pairs = [word.lstrip("-").partition("=") for word in rest if word.startswith("--")]
    given = [(option.replace("-", "_"), value or "…") for option, _, value in pairs]
    hints = [f"--param {option}={value}" for option, value in given if option in names]
    return f"unrecognized arguments: {' '.join(rest)}: pass parameters as {' '.join(hints)}" if hints else ""
