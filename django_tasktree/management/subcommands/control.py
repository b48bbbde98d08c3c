"""The subcommands for actions on runs and nodes. Each shows a preview and asks for confirmation."""

import sys
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict
from functools import partial
from typing import Any
from uuid import UUID

from django.core.management.base import BaseCommand, CommandError, CommandParser
from rich.console import Console
from rich.text import Text

from django_tasktree.control.actions import ActionType, Done
from django_tasktree.control.descriptions import describe_effect
from django_tasktree.definitions.payloads import read_texts
from django_tasktree.encoding.strict_json import read_json
from django_tasktree.encoding.wait_spec import WaitSpec
from django_tasktree.exceptions import NotPossible, TaskTreeError
from django_tasktree.management.display.console import console_of, print_fitting
from django_tasktree.management.display.json import dumps
from django_tasktree.management.display.labels import printable
from django_tasktree.management.errors import usage_error
from django_tasktree.management.output_format import add_format_option
from django_tasktree.management.parameters import read_pairs
from django_tasktree.management.targets import Target, add_target_arguments, chosen, current_os_user
from django_tasktree.models import NodeRun
from django_tasktree.reporting.node_paths import paths_of

_Answers = list[tuple[Target, Done | TaskTreeError]]

#: The keyword arguments of ``add_argument`` for the options of actions, by name.
_ARGUMENTS: dict[str, dict[str, Any]] = {
    "terminate": {"action": "store_true", "help": "also stop tasks that are running (prefork pools only)"},
    "result": {"metavar": "JSON", "help": "the result of the node; by default null"},
}
#: The argument that gives a result as a dict, instead of ``--result``.
_PARAM: dict[str, Any] = {
    "metavar": "NAME=VALUE",
    "action": "append",
    "default": [],
    "help": "one value of the result, instead of --result: a field of a wait node's form, or one of its parameters",
}


class ActionCommand:
    """The subcommand of one action.

    Args:
        action: the action.
    """

    def __init__(self, action: ActionType) -> None:
        self.action = action
        self.help = action.explained
        self._kinds = {"runs": action.may_fit_run is not None, "nodes": action.may_fit_node is not None}

    def add_arguments(self, parser: CommandParser) -> None:
        """Add the arguments of the subcommand to the parser."""
        add_target_arguments(parser, **self._kinds)
        for name in self.action.options:
            parser.add_argument(f"--{name}", **_ARGUMENTS[name])
        if "result" in self.action.options:
            parser.add_argument("--param", **_PARAM)
        parser.add_argument("--dry-run", action="store_true", help="only print what would be done")
        parser.add_argument("--yes", "-y", action="store_true", help="do not ask for confirmation")
        add_format_option(parser)

    def handle(self, command: BaseCommand, options: dict[str, Any]) -> None:
        """Print a preview, ask for confirmation, and carry out the action.

        Raises:
            CommandError: the action was refused for a target (exit code 1), or the arguments are wrong.
        """
        given = self._given(options)
        targets = chosen(options, **self._kinds)
        as_json = options["format"] == "json"
        console = console_of(command, options)
        if options["dry_run"] or not options["yes"]:
            previews = self._preview(targets, given)
            if options["dry_run"] or not as_json:
                self._print_answers(console, previews, as_json=as_json, done=False)
            if options["dry_run"] or not _any(previews) or not _agreed(console):
                return _leave(previews)
        answers = self._carry_out(targets, given)
        self._print_answers(console, answers, as_json=as_json, done=True)
        return _leave(answers)

    def _given(self, options: dict[str, Any]) -> dict[str, Any]:
        given = {name: options[name] for name in self.action.options}
        if "result" in given:
            given["result"] = _result_of(options)
        return given

    def _preview(self, targets: list[Target], given: dict[str, Any]) -> _Answers:
        return [(target, _answer(partial(self._preview_one, target, given))) for target in targets]

    def _preview_one(self, target: Target, given: dict[str, Any]) -> Done:
        return Done(target.handle.preview(self.action.name, **given))

    def _carry_out(self, targets: list[Target], given: dict[str, Any]) -> _Answers:
        act = partial(self._carry_out_one, given=given)
        return [(target, _answer(partial(act, target))) for target in targets]

    def _carry_out_one(self, target: Target, given: dict[str, Any]) -> Done:
        result = given.get("result")
        if isinstance(result, _Texts):
            given = {**given, "result": result.for_node(target.handle.id)}
        return self.action.carry_out(target.handle, by=current_os_user(), **given)

    def _print_answers(self, console: Console, answers: _Answers, *, as_json: bool, done: bool) -> None:
        paths = paths_of(_nodes_in_refusals(answers))
        if as_json:
            console.print(dumps([_json(*answer, paths) for answer in answers]), soft_wrap=True)
        elif not answers:
            console.print("No runs match.")
        for target, answer in [] if as_json else answers:
            line = _refused(answer, paths) if isinstance(answer, TaskTreeError) else self._line(target, answer, done)
            print_fitting(console, line)

    def _line(self, target: Target, answer: Done, done: bool) -> Text:
        copied = [f"launched as run {answer.copy_id}"] if answer.copy_id else []
        text = ", ".join([*describe_effect(self.action.name, answer.effect), *copied])
        text = text or ("done" if done else str(self.action.explained))
        return Text.assemble(("✔ " if done else "→ ", "green" if done else "cyan"), (target.title, "bold"), ": ", text)


class _Texts(dict[str, str]):
    """The values of ``--param``, which each wait node reads with the types of its own parameters."""

    def for_node(self, node_id: UUID) -> dict[str, Any]:
        """Return the result of a node.

        Raises:
            InvalidParameter: a text does not fit the type of a parameter.
        """
        wait = NodeRun.objects.filter(id=node_id).values_list("wait", flat=True).first()
        return dict(self) if wait is None else read_texts(WaitSpec.read(wait), self)


def _result_of(options: dict[str, Any]) -> Any:
    if options["param"]:
        if options["result"] is not None:
            raise usage_error("--result and --param both give the result: use one of them")
        return _Texts(read_pairs(options["param"]))
    try:
        return read_json("null" if options["result"] is None else options["result"])
    except ValueError as exc:
        raise usage_error(f"--result: {options['result']!r} is not JSON ({exc})") from exc


def _answer(act: Callable[[], Done]) -> Done | TaskTreeError:
    try:
        return act()
    except TaskTreeError as exc:
        # Continue with the other targets.
        return exc


def _any(answers: _Answers) -> bool:
    return any(isinstance(answer, Done) for _, answer in answers)


def _agreed(console: Console) -> bool:
    if not sys.stdin.isatty():
        raise usage_error("Refusing to run non-interactively without --yes; --dry-run only prints what would be done.")
    console.print("Continue? [y/N] ", end="")
    return input().strip().lower() in ("y", "yes")


def _leave(answers: _Answers) -> None:
    refused = [answer for _, answer in answers if not isinstance(answer, Done)]
    if refused:
        raise CommandError(f"{len(refused)} of {len(answers)} refused")


def _nodes_in_refusals(answers: _Answers) -> Iterator[UUID]:
    """Yield the IDs that the texts of refusals contain."""
    for _target, answer in answers:
        if isinstance(answer, NotPossible):
            yield from (part for part in answer.parts.values() if isinstance(part, UUID))


def _refused(error: TaskTreeError, paths: Mapping[UUID, str]) -> Text:
    return Text.assemble(("✘ ", "bold red"), printable(_reason(error, paths)))


def _reason(error: TaskTreeError, paths: Mapping[UUID, str]) -> str:
    """Return the text of a refusal, with the paths of nodes beside their IDs."""
    if not isinstance(error, NotPossible) or not error.parts:
        return str(error)
    return error.text % {
        name: f"{paths[part]} ({part})" if isinstance(part, UUID) and part in paths else part
        for name, part in error.parts.items()
    }


def _json(target: Target, answer: Done | TaskTreeError, paths: Mapping[UUID, str]) -> dict[str, Any]:
    described: dict[str, Any] = {"id": str(target.handle.id), "kind": "run" if target.is_run else "node"}
    if not target.is_run:
        described["path"] = target.path
    if not isinstance(answer, Done):
        kind = "not_possible" if isinstance(answer, NotPossible) else "error"
        return {**described, "done": False, kind: _reason(answer, paths)}
    copied = {"copy": str(answer.copy_id)} if answer.copy_id else {}
    return {**described, "done": True, "nodes": asdict(answer.effect), **copied}
