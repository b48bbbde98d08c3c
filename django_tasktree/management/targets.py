"""What the commands that steer are about: runs and nodes, named by their IDs or chosen by what they are like."""

import getpass
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from django.core.management.base import CommandParser

from django_tasktree.management.display.labels import printable
from django_tasktree.management.subcommands.states import run_state_argument
from django_tasktree.management.usage import find_run_or_node, usage_error, usage_errors
from django_tasktree.models import NodeRun, TreeRun
from django_tasktree.result import NodeResult, TreeResult
from django_tasktree.states import RunState
from django_tasktree.text import check_storable


@dataclass(frozen=True, slots=True)
class Target:
    """A run or a node.

    Attributes:
        handle: takes the verbs.
        title: names it.
    """

    handle: TreeResult | NodeResult
    title: str

    @property
    def is_run(self) -> bool:
        """Whether it is a run."""
        return isinstance(self.handle, TreeResult)

    @classmethod
    def of(cls, row: TreeRun | NodeRun) -> "Target":
        """Make the target of a row."""
        handle: TreeResult | NodeResult = TreeResult(row.id) if isinstance(row, TreeRun) else NodeResult(row.id)
        name = str(row) if str(row) != str(row.id) else ""
        return cls(handle, printable(f"{name}  {row.id}".strip()))


def add_target_arguments(parser: CommandParser, *, runs: bool, nodes: bool) -> None:
    """Declare how targets are chosen.

    Args:
        parser: of the subcommand.
        runs: whether runs may be.
        nodes: whether nodes may be.
    """
    what = " or ".join(name for name, may in (("a run's", runs), ("a node's", nodes)) if may)
    parser.add_argument("id", nargs="*" if runs else "+", metavar="ID", help=f"{what} ID, or the beginning of it")
    if runs:
        states = [state.lower() for state in RunState.values]
        parser.add_argument("--state", type=run_state_argument(states), help="instead of IDs: all runs in this state")
        parser.add_argument("--name", help="instead of IDs: all runs of this name; with --state, those that are both")


def chosen(options: dict[str, Any], *, runs: bool, nodes: bool) -> list[Target]:
    """Find what was chosen.

    Raises:
        CommandError: an ID is wrong, or nothing was chosen.
    """
    wanted = {"state": options.get("state"), "name": options.get("name")}
    filters = {name: value for name, value in wanted.items() if value is not None}
    if bool(options["id"]) == bool(filters):
        raise usage_error(
            "give either IDs or --state and --name" if filters else "of what? Give IDs, or --state or --name"
        )
    if filters:
        with usage_errors():
            check_storable("--name", filters.get("name", ""))
        return [Target.of(run) for run in TreeRun.objects.filter(**filters).iterator()]
    return list(_named(options["id"], runs=runs, nodes=nodes))


def _named(typed: list[str], *, runs: bool, nodes: bool) -> Iterator[Target]:
    for text in dict.fromkeys(typed):
        row = find_run_or_node(text)
        target = Target.of(row)
        if not (runs if target.is_run else nodes):
            wanted, found = ("a node", "a run") if nodes else ("a run", "a node")
            raise usage_error(f"this needs the ID of {wanted}, but {text!r} is that of {found}")
        yield target


def whoever_types() -> str:
    """Name who uses the command line, for the history."""
    try:
        return f"{getpass.getuser()} (command line)"
    except (KeyError, OSError, ImportError):
        # A container's user may have no name.
        return "command line"
