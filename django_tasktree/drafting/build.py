"""From rows to a tree."""

from collections import defaultdict
from collections.abc import Sequence
from typing import Any

from django_tasktree.citizens import STEERING_TASKS
from django_tasktree.drafting.rows import InvalidDraft, NodeRow
from django_tasktree.exceptions import InvalidOption, NotACitizen, UnknownTask
from django_tasktree.nested import find_all, replace
from django_tasktree.nodes import NodeParent
from django_tasktree.references import Output, Reference
from django_tasktree.tree import TaskTree

#: What a row may be given of another one.
KINDS = ("output", "outputs", "outcomes", "subtree_outputs")


class _Named(dict[str, Any]):
    """A dict that stands for a result, so that it can be replaced in its place."""


def build(tree: TaskTree, rows: Sequence[NodeRow]) -> None:
    """Add the rows' nodes to a tree.

    Raises:
        InvalidDraft: names, parents, tasks, arguments or options do not fit; it names them all.
    """
    _Builder(tree, rows).build()


class _Builder:
    def __init__(self, tree: TaskTree, rows: Sequence[NodeRow]) -> None:
        self._rows = rows
        self._errors: dict[int, dict[str, str]] = defaultdict(dict)
        self._nodes: dict[str, NodeParent] = {"": tree}

    def build(self) -> None:
        self._check_names()
        self._raise_any()
        for position in self._parents_first():
            self._add(position)
        self._raise_any()
        # Only now is there a node for each name.
        for position, row in enumerate(self._rows):
            self._bind(position, row)
        self._raise_any()

    def _check_names(self) -> None:
        first: dict[str, int] = {}
        for position, row in enumerate(self._rows):
            if row.name in first:
                self._errors[position]["name"] = f"row {first[row.name] + 1} is called {row.name!r} too"
            first.setdefault(row.name, position)
        for position, row in enumerate(self._rows):
            if row.parent and row.parent not in first:
                self._errors[position]["parent"] = f"no row is called {row.parent!r}"

    def _parents_first(self) -> list[int]:
        """Order the rows so that parents come before their children; siblings stay in the order of the rows."""
        below: dict[str, list[int]] = defaultdict(list)
        for position, row in enumerate(self._rows):
            below[row.parent].append(position)
        found = list(below[""])
        for position in found:
            found.extend(below[self._rows[position].name])
        for position in sorted({*range(len(self._rows))} - {*found}):
            self._errors[position]["parent"] = "it stands below itself: no way leads up to a root node"
        return found

    def _add(self, position: int) -> None:
        row = self._rows[position]
        if row.task in STEERING_TASKS:
            self._errors[position]["task"] = f"{row.task} is not for drafts: select the runs or nodes in their list"
            return
        parent = self._nodes.get(row.parent)
        if parent is None:
            # Its parent is at fault, which is told there.
            return
        add = parent.gather if row.is_gather else parent.add_task
        try:
            self._nodes[row.name] = add(
                row.task, row.args, row.kwargs, run_when=row.run_when, allow_failure=row.allow_failure, **row.options
            )
        except (UnknownTask, NotACitizen) as error:
            self._errors[position]["task"] = str(error)
        except InvalidOption as error:
            self._errors[position]["run_when" if str(error).startswith("run_when=") else "options"] = str(error)
        except TypeError as error:
            self._errors[position]["args"] = str(error)

    def _bind(self, position: int, row: NodeRow) -> None:
        node: Any = self._nodes[row.name]
        for name in ("args", "kwargs"):
            value = getattr(node, name)
            if next(find_all(value, Reference), None) is not None:
                self._errors[position][name] = 'another result is named by {"$output": "its row"}'
                continue
            try:
                setattr(node, name, replace(_marked(value), _Named, self._output))
            except ValueError as error:
                self._errors[position][name] = str(error)

    def _output(self, named: _Named) -> Output:
        (kind,) = [key[1:] for key in named if key != "path"]
        name, path = named[f"${kind}"], named.get("path", [])
        if not isinstance(name, str) or name not in self._nodes:
            raise ValueError(f"${kind}: no row is called {name!r}")
        if kind == "output" and name == "":
            raise ValueError('$output: the tree itself has no result: name a row, or take "$outputs"')
        if not isinstance(path, list) or not all(isinstance(step, (str, int)) for step in path):
            raise ValueError(f'"path" is a list of keys and positions, not {path!r}')
        whole: Output = getattr(self._nodes[name], kind)
        return Output(whole.node, whole.kind, tuple(path))

    def _raise_any(self) -> None:
        if self._errors:
            raise InvalidDraft(dict(self._errors))


def _marked(value: Any) -> Any:
    """Copy a value with each dict that names a result marked."""
    if isinstance(value, dict):
        if _names_a_result(value):
            return _Named(value)
        return {key: _marked(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return type(value)(_marked(item) for item in value)
    return value


def _names_a_result(value: dict[Any, Any]) -> bool:
    keys = {key for key in value if key != "path"}
    return len(keys) == 1 and keys <= {f"${kind}" for kind in KINDS}
