"""The targets of actions on the command line: runs and nodes, selected by ID, or runs by state and name."""

import getpass
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from django.core.management.base import CommandParser

from django_tasktree.client.node_result import NodeResult
from django_tasktree.client.tree_result import TreeResult
from django_tasktree.encoding.text import check_storable
from django_tasktree.management.display.labels import printable
from django_tasktree.management.errors import usage_error, usage_errors
from django_tasktree.management.lookup_by_id import find_by_path, find_run_or_node, is_path
from django_tasktree.management.run_states import run_state_argument
from django_tasktree.models import NodeRun, TreeRun
from django_tasktree.reporting.node_paths import paths_of
from django_tasktree.states import RunState


@dataclass(frozen=True, slots=True)
class Target:
    """A run or a node on which a subcommand acts.

    Attributes:
        handle: the handle, which has the actions as methods.
        name: the name of a run, or of a node, for output; empty if a run has none.
        path: the path of a node; None if it has none, and for runs.
    """

    handle: TreeResult | NodeResult
    name: str
    path: str | None = None

    @property
    def is_run(self) -> bool:
        """Whether the target is a run."""
        return isinstance(self.handle, TreeResult)

    @property
    def title(self) -> str:
        """The name and the ID, for output."""
        return printable(f"{self.name}  {self.handle.id}".strip())

    @classmethod
    def of(cls, row: TreeRun | NodeRun, path: str | None = None) -> "Target":
        """Return the target for a row.

        Args:
            row: the run or the node.
            path: the path of the node, if it has one.
        """
        if isinstance(row, TreeRun):
            return cls(TreeResult(row.id), row.name)
        return cls(NodeResult(row.id), path or row.title, path)


def add_target_arguments(parser: CommandParser, *, runs: bool, nodes: bool) -> None:
    """Add the arguments that select targets to the parser of a subcommand.

    Args:
        parser: the parser of the subcommand.
        runs: whether targets can be runs.
        nodes: whether targets can be nodes.
    """
    what = " or ".join(name for name, may in (("a run's", runs), ("a node's", nodes)) if may)
    text = f"{what} ID, or the beginning of it"
    if nodes:
        text += "; after it, paths of nodes below, such as load/3, or /cafe if a label alone looks like an ID"
    parser.add_argument("id", nargs="*" if runs else "+", metavar="ID", help=text)
    if runs:
        states = [state.lower() for state in RunState.values]
        parser.add_argument("--state", type=run_state_argument(states), help="instead of IDs: all runs in this state")
        parser.add_argument("--name", help="instead of IDs: all runs of this name; with --state, those that are both")


def chosen(options: dict[str, Any], *, runs: bool, nodes: bool) -> list[Target]:
    """Return the targets that the arguments select.

    Args:
        options: the parsed arguments.
        runs: whether targets can be runs.
        nodes: whether targets can be nodes.

    Raises:
        CommandError: an ID is wrong or of the wrong kind, or the arguments select nothing, or by ID and filter at once.
    """
    wanted = {"state": options.get("state"), "name": options.get("name")}
    filters = {name: value for name, value in wanted.items() if value is not None}
    if bool(options["id"]) == bool(filters):
        raise usage_error(
            "give either IDs or --state and --name" if filters else "no target: give IDs, or --state or --name"
        )
    if filters:
        with usage_errors():
            check_storable("--name", filters.get("name", ""))
        return [Target.of(run) for run in TreeRun.objects.filter(**filters).iterator()]
    return list(_named(options["id"], runs=runs, nodes=nodes))


def _named(typed: list[str], *, runs: bool, nodes: bool) -> Iterator[Target]:
    found = {row.id: (text, row) for text, row in _rows(typed)}
    paths = paths_of(key for key, (_, row) in found.items() if isinstance(row, NodeRun))
    for text, row in found.values():
        target = Target.of(row, paths.get(row.id))
        if not (runs if target.is_run else nodes):
            raise usage_error(_WRONG_KIND[target.is_run].format(text))
        yield target


def _rows(typed: list[str]) -> Iterator[tuple[str, TreeRun | NodeRun]]:
    """Yield what each text names: an ID alone a run or a node; an ID with paths after it, the nodes at these paths."""
    above: TreeRun | NodeRun | None = None
    for number, text in enumerate(typed):
        if is_path(text, after_id=above is not None):
            if above is None:
                raise usage_error(
                    f"{text!r} is not an ID or the beginning of one; if it is the path of a node, give its run's ID "
                    "before it: `manage.py tasktree list` shows the IDs of runs"
                )
            yield text, find_by_path(above, text)
            continue
        above = find_run_or_node(text, may_be_path=above is not None)
        if not any(is_path(each, after_id=True) for each in typed[number + 1 : number + 2]):
            yield text, above


#: The error for an ID of the wrong kind, by whether it is that of a run.
_WRONG_KIND = {
    True: "this needs the ID of a node, but {0!r} is that of a run: `manage.py tasktree show {0} --ids` lists them",
    False: "this needs the ID of a run, but {0!r} is that of a node",
}


def current_os_user() -> str:
    """Return the name of the operating system's user, for the history."""
    try:
        return f"{getpass.getuser()} (command line)"
    except (KeyError, OSError, ImportError):
        # The user of a container may have no name.
        return "command line"
