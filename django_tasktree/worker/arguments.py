"""Put other nodes' results in the places of the references to them, and values in the places of their stand-ins.

In one query (a few for thousands of nodes), and one more for each model of which rows are passed on.
"""

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator
from typing import Any
from uuid import UUID

from django.db.models import Exists, F, OuterRef, Q, TextField, Value

from django_tasktree import serialization
from django_tasktree.engine.moves import nodes
from django_tasktree.exceptions import BrokenReference
from django_tasktree.nested import find_all, replace
from django_tasktree.references import Reference
from django_tasktree.stand_ins import take_out
from django_tasktree.states import NODE_FAILED, NodeState

#: (kind, node that is referred to) -> the results, in order.
_Results = dict[tuple[str, UUID], list[Any]]
#: What is read of a node: its key, its task, its state, and its result or error.
_WHAT = ("id", "task", "state", "result", "error_type", "error_message")
#: What is read for outcomes, too.
_CALL = ("args", "kwargs")
#: So many keys go into one query: SQLite takes no more than 32,766 values.
_MOST_KEYS = 10_000


class _NoResult(str):
    """Why a node has no result to pass on."""


def fill_in(run_id: UUID, args: Any, kwargs: Any) -> tuple[Any, Any]:
    """Replace each reference inside the arguments by the result, or results, and each stand-in by its value.

    Args:
        run_id: the run; a reference to it means its root nodes.
        args: positional arguments.
        kwargs: keyword arguments.

    Raises:
        BrokenReference: a node has no result, or its result no such part.
        RowNotFound: a row that is passed on does not exist.
    """
    args, kwargs = take_out([*_with_results(run_id, args, kwargs)])
    return args, kwargs


def _with_results(run_id: UUID, args: Any, kwargs: Any) -> tuple[Any, Any]:
    references = list(find_all([args, kwargs], Reference))
    if not references:
        return args, kwargs
    results = _read(run_id, references)

    def value_of(reference: Reference) -> Any:
        return _value(reference, results[reference.kind, reference.node])

    return replace(args, Reference, value_of), replace(kwargs, Reference, value_of)


def _value(reference: Reference, found: list[Any]) -> Any:
    if reference.kind == "output":
        value = found[0] if found else _NoResult(f"node {reference.node} is not in this run")
        if isinstance(value, _NoResult):
            raise BrokenReference(value)
    else:
        value = found
    try:
        return reference.pick(value)
    except (KeyError, IndexError, TypeError) as exc:
        path = "".join(f"[{step!r}]" for step in reference.path)
        task = nodes().filter(id=reference.node).values_list("task", flat=True).first()
        source = f"node {reference.node} ({task})" if task else f"run {reference.node}"
        raise BrokenReference(f"the {reference.kind} of {source} has no part {path} ({exc!r})") from exc


def _read(run_id: UUID, references: Iterable[Reference]) -> _Results:
    wanted: dict[str, set[UUID]] = defaultdict(set)
    for reference in references:
        wanted[reference.kind].add(reference.node)
    rows: list[Any] = []
    for some in _portions(wanted):
        parts = [part for kind, ids in some.items() for part in _QUERIES[kind](run_id, ids)]
        rows += parts[0].union(*parts[1:], all=True) if len(parts) > 1 else parts[0]
    results: _Results = defaultdict(list)
    for kind, node, _position, _second, *what in sorted(rows, key=lambda row: row[2:4]):
        results[kind, node].append(_READERS[kind](*what))
    return results


def _portions(wanted: dict[str, set[UUID]]) -> Iterator[dict[str, set[UUID]]]:
    """Nearly always all at once."""
    keys = [(kind, key) for kind, ids in wanted.items() for key in ids]
    for start in range(0, len(keys), _MOST_KEYS):
        some: dict[str, set[UUID]] = defaultdict(set)
        for kind, key in keys[start : start + _MOST_KEYS]:
            some[kind].add(key)
        yield some


def _only_result(node: UUID, task: str, state: str, result: str | None, *_rest: str) -> Any:
    if state != NodeState.SUCCESS:
        return _NoResult(f"node {node} ({task}) has no result to pass on: its state is {state}")
    return _result(result)


def _result_of(_node: UUID, _task: str, _state: str, result: str | None, *_rest: str) -> Any:
    return _result(result)


def _result(text: str | None) -> Any:
    return None if text is None else serialization.loads(text)


def _outcome(
    node: UUID,
    task: str,
    state: str,
    result: str | None,
    error_type: str,
    error_message: str,
    args: str,
    kwargs: str,
) -> dict[str, Any]:
    has_error = state in NODE_FAILED or bool(error_type)
    return {
        "node": str(node),
        "task": task,
        "args": replace(_result(args), Reference, str),
        "kwargs": replace(_result(kwargs), Reference, str),
        "state": state,
        "result": _result(result),
        "error": {"type": error_type, "message": error_message} if has_error else None,
    }


def _rows(queryset: Any, kind: str, node: str, position: str = "position") -> Any:
    # A union has the same columns in all of its parts.
    call = _CALL if kind == "outcomes" else [Value("", output_field=TextField())] * len(_CALL)
    return queryset.values_list(Value(kind), F(node), F(position), F("position"), *_WHAT, *call)


def _of_run(run_id: UUID) -> Any:
    return nodes().filter(run_id=run_id)


def _succeeded(run_id: UUID) -> Any:
    return _of_run(run_id).filter(state=NodeState.SUCCESS)


def _children(rows: Any, kind: str, run_id: UUID, ids: set[UUID]) -> list[Any]:
    """The children of nodes, and the root nodes where the run is among them; gather nodes left out."""
    tasks = rows.filter(is_gather=False)
    parts = []
    if ids - {run_id}:
        parts.append(_rows(tasks.filter(parent__in=ids - {run_id}), kind, "parent_id"))
    if run_id in ids:
        parts.append(_rows(tasks.filter(parent__isnull=True), kind, "run_id"))
    return parts


def _output(run_id: UUID, ids: set[UUID]) -> list[Any]:
    return [_rows(_of_run(run_id).filter(id__in=ids), "output", "id")]


def _outputs(run_id: UUID, ids: set[UUID]) -> list[Any]:
    return _children(_succeeded(run_id), "outputs", run_id, ids)


def _outcomes(run_id: UUID, ids: set[UUID]) -> list[Any]:
    return _children(_of_run(run_id), "outcomes", run_id, ids)


def _subtree_outputs(run_id: UUID, ids: set[UUID]) -> list[Any]:
    """Of each child what its gather nodes made of its subtree, or its own result where it has none."""
    has_gather = _of_run(run_id).filter(parent_id=OuterRef("id"), is_gather=True)
    parts = _children(_succeeded(run_id).filter(~Exists(has_gather)), "subtree_outputs", run_id, ids)
    gathered = _succeeded(run_id).filter(is_gather=True, parent__is_gather=False)
    if ids - {run_id}:
        upper = gathered.filter(parent__parent__in=ids - {run_id})
        parts.append(_rows(upper, "subtree_outputs", "parent__parent_id", "parent__position"))
    if run_id in ids:
        upper = gathered.filter(Q(parent__isnull=False), parent__parent__isnull=True)
        parts.append(_rows(upper, "subtree_outputs", "run_id", "parent__position"))
    return parts


_QUERIES = {"output": _output, "outputs": _outputs, "outcomes": _outcomes, "subtree_outputs": _subtree_outputs}
_READERS: dict[str, Callable[..., Any]] = {
    "output": _only_result,
    "outputs": _result_of,
    "outcomes": _outcome,
    "subtree_outputs": _result_of,
}
