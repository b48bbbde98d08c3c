"""Ask runs and nodes for something: each verb is a subcommand, with a preview and a question before it acts."""

import json
import sys
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser
from rich.console import Console
from rich.text import Text

from django_tasktree.effect_texts import effect_texts
from django_tasktree.engine.specs import Effect
from django_tasktree.exceptions import NotPossible, TaskTreeError
from django_tasktree.management.display.console import console_of
from django_tasktree.management.display.json_output import dumps
from django_tasktree.management.targets import Target, add_target_arguments, chosen, whoever_types
from django_tasktree.management.usage import usage_error
from django_tasktree.verbs import Verb

_Answers = list[tuple[Target, Effect | TaskTreeError]]


class Steer:
    """The subcommand of one verb.

    Args:
        verb: what is asked.
    """

    def __init__(self, verb: Verb) -> None:
        self.verb = verb
        self.help = verb.explained
        self._kinds = {"runs": verb.may_fit_run is not None, "nodes": verb.may_fit_node is not None}

    def add_arguments(self, parser: CommandParser) -> None:
        """Declare the options."""
        add_target_arguments(parser, **self._kinds)
        if "terminate" in self.verb.options:
            parser.add_argument("--terminate", action="store_true", help="also stop tasks that run (prefork pools)")
        if "result" in self.verb.options:
            parser.add_argument("--result", metavar="JSON", default="null", help="the result it should have had")
        parser.add_argument("--dry-run", action="store_true", help="only say what it would do")
        parser.add_argument("--yes", "-y", action="store_true", help="do it without asking")
        parser.add_argument("--format", choices=["text", "json"], default="text")

    def handle(self, command: BaseCommand, options: dict[str, Any]) -> None:
        """Say what it would do, ask, and do it; exit code 1 where something was refused."""
        given = self._given(options)
        targets = chosen(options, **self._kinds)
        as_json = options["format"] == "json"
        console = console_of(command, options)
        if options["dry_run"] or not options["yes"]:
            previews = self._preview(targets, given)
            if options["dry_run"] or not as_json:
                self._tell(console, previews, as_json=as_json, done=False)
            if options["dry_run"] or not _any(previews) or not _agreed(console):
                return _leave(previews)
        answers = self._ask(targets, given)
        self._tell(console, answers, as_json=as_json, done=True)
        return _leave(answers)

    def _given(self, options: dict[str, Any]) -> dict[str, Any]:
        given = {name: options[name] for name in self.verb.options}
        if "result" in given:
            try:
                given["result"] = json.loads(given["result"])
            except (ValueError, RecursionError) as exc:
                raise usage_error(f"--result: {options['result']!r} is not JSON ({exc})") from exc
        return given

    def _preview(self, targets: list[Target], given: dict[str, Any]) -> _Answers:
        return [(target, _answer(lambda t=target: self.verb.preview(t.handle, **given))) for target in targets]

    def _ask(self, targets: list[Target], given: dict[str, Any]) -> _Answers:
        by = whoever_types()
        return [(target, _answer(lambda t=target: self.verb.ask(t.handle, by=by, **given))) for target in targets]

    def _tell(self, console: Console, answers: _Answers, *, as_json: bool, done: bool) -> None:
        if as_json:
            console.print(dumps([_json(*answer) for answer in answers]), soft_wrap=True)
        elif not answers:
            console.print("There are no such runs.")
        for target, answer in [] if as_json else answers:
            console.print(_line(self.verb, target, answer, done=done), soft_wrap=True)


def _answer(ask: Any) -> Effect | TaskTreeError:
    try:
        effect: Effect = ask()
    except TaskTreeError as exc:
        # Others are done all the same; this one is told.
        return exc
    return effect


def _any(answers: _Answers) -> bool:
    return any(isinstance(answer, Effect) for _, answer in answers)


def _agreed(console: Console) -> bool:
    if not sys.stdin.isatty():
        raise usage_error("nobody is there to be asked: --yes does it, --dry-run only says what it would do")
    console.print("Go on? [y/N] ", end="")
    return input().strip().lower() in ("y", "yes")


def _leave(answers: _Answers) -> None:
    refused = [answer for _, answer in answers if not isinstance(answer, Effect)]
    if refused:
        raise CommandError(f"{len(refused)} of {len(answers)} could not be done")


def _line(verb: Verb, target: Target, answer: Effect | TaskTreeError, *, done: bool) -> Text:
    if not isinstance(answer, Effect):
        return Text.assemble(("✘ ", "bold red"), str(answer))
    told = ", ".join(effect_texts(answer)) or ("done" if done else str(verb.explained))
    return Text.assemble(("✔ " if done else "→ ", "green" if done else "cyan"), (target.title, "bold"), ": ", told)


def _json(target: Target, answer: Effect | TaskTreeError) -> dict[str, Any]:
    described: dict[str, Any] = {"id": str(target.handle.id), "kind": "run" if target.is_run else "node"}
    if not isinstance(answer, Effect):
        kind = "not_possible" if isinstance(answer, NotPossible) else "error"
        return {**described, "done": False, kind: str(answer)}
    numbers = {name: getattr(answer, name) for name in answer.__dataclass_fields__}
    return {**described, "done": True, "nodes": numbers}
