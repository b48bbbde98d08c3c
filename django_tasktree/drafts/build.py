"""Convert rows to a tree."""

from collections import defaultdict
from collections.abc import Sequence
from typing import Any

from django_tasktree.builder.eligibility import BACKGROUND_TASKS
from django_tasktree.builder.nodes import NodeParent
from django_tasktree.client.tree import TaskTree
from django_tasktree.drafts.rows import InvalidDraft, NodeRow
from django_tasktree.encoding.nested import holds, replace
from django_tasktree.encoding.references import Output, Reference
from django_tasktree.exceptions import InvalidOption, InvalidText, TaskNotSupported, UnknownTask

#: The kinds of results that a row may take from another row.
KINDS = ("output", "outputs", "outcomes", "subtree_outputs")

_FORGED = 'to use the result of another row, write {"$output": "name of the row"}'


class _Named(dict[str, Any]):
    """A dict that refers to a result, and is replaced by the reference."""


def build(tree: TaskTree, rows: Sequence[NodeRow], returned: tuple[Any, ...] = ()) -> None:
    """Add the nodes of rows to a tree.

    Args:
        tree: the tree; it is changed.
        rows: the rows.
        returned: the result of the tree, in the form of the rows' arguments: one value, or none.

    Raises:
        InvalidDraft: if names, parents, tasks, arguments or options are invalid; it lists all errors.
    """
    builder = _Builder(tree, rows)
    builder.build()
    for result in returned:
        tree.returns(builder.bound_result(result))


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
        # References need the nodes of all rows.
        for position, row in enumerate(self._rows):
            self._bind(position, row)
        self._raise_any()

    def bound_result(self, result: Any) -> Any:
        """Return the result of the tree, with outputs of the nodes that were added."""
        if holds(result, Reference):
            raise InvalidDraft({}, _FORGED)
        try:
            return replace(_marked(result), _Named, self._output)
        except ValueError as error:
            raise InvalidDraft({}, str(error)) from error

    def _check_names(self) -> None:
        first: dict[str, int] = {}
        for position, row in enumerate(self._rows):
            if row.name in first:
                self._errors[position]["name"] = f"row {first[row.name] + 1} has the name {row.name!r} too"
            first.setdefault(row.name, position)
        for position, row in enumerate(self._rows):
            if row.parent and row.parent not in first:
                self._errors[position]["parent"] = f"no row has the name {row.parent!r}"

    def _parents_first(self) -> list[int]:
        """Return the positions of the rows, parents before their children and siblings in the order of the rows."""
        below: dict[str, list[int]] = defaultdict(list)
        for position, row in enumerate(self._rows):
            below[row.parent].append(position)
        ordered = list(below[""])
        for position in ordered:
            ordered.extend(below[self._rows[position].name])
        for position in sorted({*range(len(self._rows))} - {*ordered}):
            self._errors[position]["parent"] = "it is below itself: its ancestors do not lead to a root node"
        return ordered

    def _add(self, position: int) -> None:
        row = self._rows[position]
        if row.task in BACKGROUND_TASKS:
            self._errors[position]["task"] = f"{row.task} is not for drafts: select the runs or nodes in their list"
            return
        parent = self._nodes.get(row.parent)
        if parent is None:
            # The parent is invalid, and its own row has the error.
            return
        add = parent.gather if row.is_gather else parent.add_task
        try:
            rules: dict[str, Any] = {"run_when": row.run_when, "allow_failure": row.allow_failure}
            rules["label"] = row.label or None
            self._nodes[row.name] = add(row.task, row.args, row.kwargs, **rules, **row.options)
        except (UnknownTask, TaskNotSupported) as error:
            self._errors[position]["task"] = str(error)
        except (InvalidOption, InvalidText) as error:
            self._errors[position][_field_of(error)] = str(error)
        except TypeError as error:
            self._errors[position]["args"] = str(error)

    def _bind(self, position: int, row: NodeRow) -> None:
        node: Any = self._nodes[row.name]
        for name in ("args", "kwargs"):
            value = getattr(node, name)
            if holds(value, Reference):
                self._errors[position][name] = _FORGED
                continue
            try:
                setattr(node, name, replace(_marked(value), _Named, self._output))
            except ValueError as error:
                self._errors[position][name] = str(error)

    def _output(self, named: _Named) -> Output:
        (kind,) = [key[1:] for key in named if key != "path"]
        name, path = named[f"${kind}"], named.get("path", [])
        if not isinstance(name, str) or name not in self._nodes:
            raise ValueError(f"${kind}: no row has the name {name!r}")
        if kind == "output" and name == "":
            raise ValueError('$output: the tree itself has no result: name a row, or use "$outputs"')
        if not isinstance(path, list) or not all(isinstance(step, (str, int)) for step in path):
            raise ValueError(f'"path" must be a list of keys and positions, not {path!r}')
        output: Output = getattr(self._nodes[name], kind)
        for step in path:
            output = output[step]
        return output

    def _raise_any(self) -> None:
        if self._errors:
            raise InvalidDraft(dict(self._errors))


def _field_of(error: Exception) -> str:
    """Return the attribute of a row that an error is about."""
    name = str(error).partition("=")[0]
    return name if name in ("label", "run_when") else "options"


def _marked(value: Any) -> Any:
    """Return a copy of a value in which each dict that refers to a result is a :class:`_Named`."""
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
