"""Replace the references in a node's arguments with other nodes' results, and the stand-ins with their values.

All results are read with one query (a few queries for thousands of nodes); rows of models are read with one query for
each model.
"""

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator
from typing import Any
from uuid import UUID

from django.db.models import Exists, F, OuterRef, Q, TextField, Value

from django_tasktree.encoding import serialization
from django_tasktree.encoding.nested import find_all, replace
from django_tasktree.encoding.placeholders import missing_part
from django_tasktree.encoding.references import Reference
from django_tasktree.encoding.stand_ins import take_out
from django_tasktree.engine.transitions import nodes
from django_tasktree.exceptions import BrokenReference
from django_tasktree.states import NODE_FAILED, NodeState

#: (kind of reference, node or run that it refers to) -> the results, in order.
_Results = dict[tuple[str, UUID], list[Any]]
#: Reads a stored value.
Loader = Callable[[str], Any]
#: The columns that are read for every kind of reference.
_COLUMNS = ("id", "task", "state", "result", "error_type", "error_message")
#: The columns that only ``outcomes`` need.
_CALL_COLUMNS = ("args", "kwargs", "label")
#: The maximum number of primary keys in one query. SQLite accepts at most 32,766 parameters.
MAX_KEYS = 10_000


class _NoResult(str):
    """The reason why a node has no result to pass on; takes the place of the result."""


def fill_in(run_id: UUID, args: Any, kwargs: Any) -> tuple[Any, Any]:
    """Return the arguments with each reference replaced by its result or results, and each stand-in by its value.

    Args:
        run_id: the run; a reference to it refers to its root nodes.
        args: the positional arguments.
        kwargs: the keyword arguments.

    Returns:
        The positional and the keyword arguments.

    Raises:
        BrokenReference: if a node has no result, or the result has no such key or position.
        RowNotFound: if a row that is passed on does not exist.
        SerializationError: if a result can't be read, or an enumeration or one of its members is unknown here.
    """
    args, kwargs = take_out(with_results(run_id, [args, kwargs]))
    return args, kwargs


def with_results(run_id: UUID, value: Any, loads: Loader = serialization.loads) -> Any:
    """Return a value with each reference replaced by its result or results; values that have stand-ins keep them.

    Args:
        run_id: the run.
        value: the value; references may be anywhere in lists, tuples and dicts.
        loads: reads a stored result.

    Raises:
        BrokenReference, SerializationError: see :func:`fill_in`.
    """
    references = list(find_all(value, Reference))
    if not references:
        return value
    results = _read(run_id, references, loads)

    def value_of(reference: Reference) -> Any:
        return _value(reference, results[reference.kind, reference.node])

    return replace(value, Reference, value_of)


def _value(reference: Reference, results: list[Any]) -> Any:
    if reference.kind == "output":
        value = results[0] if results else _NoResult(f"node {reference.node} is not in this run")
        if isinstance(value, _NoResult):
            raise BrokenReference(value)
    else:
        value = results
    try:
        return reference.pick(value)
    except (KeyError, IndexError, TypeError) as exc:
        task = nodes().filter(id=reference.node).values_list("task", flat=True).first()
        source = f"node {reference.node} ({task})" if task else f"run {reference.node}"
        reason = missing_part(reference.kind, reference.path, value)
        raise BrokenReference(f"{reference} of {source} does not exist: {reason}") from exc


def _read(run_id: UUID, references: Iterable[Reference], loads: Loader) -> _Results:
    wanted: dict[str, set[UUID]] = defaultdict(set)
    for reference in references:
        wanted[reference.kind].add(reference.node)
    rows: list[Any] = []
    for batch in _batches(wanted):
        parts = [part for kind, ids in batch.items() for part in _QUERIES[kind](run_id, ids)]
        rows += parts[0].union(*parts[1:], all=True) if len(parts) > 1 else parts[0]
    results: _Results = defaultdict(list)
    for kind, node, _position, _second, *columns in sorted(rows, key=lambda row: row[2:4]):
        results[kind, node].append(_READERS[kind](loads, *columns))
    return results


def _batches(wanted: dict[str, set[UUID]]) -> Iterator[dict[str, set[UUID]]]:
    """Split the primary keys into batches that fit SQLite's limit of parameters; nearly always there is one batch."""
    keys = [(kind, key) for kind, ids in wanted.items() for key in ids]
    for start in range(0, len(keys), MAX_KEYS):
        batch: dict[str, set[UUID]] = defaultdict(set)
        for kind, key in keys[start : start + MAX_KEYS]:
            batch[kind].add(key)
        yield batch


def _only_result(loads: Loader, node: UUID, task: str, state: str, result: str | None, *_rest: str) -> Any:
    if state != NodeState.SUCCESS:
        return _NoResult(f"node {node} ({task}) has no result to pass on: its state is {state}")
    return _result(loads, result)


def _result_of(loads: Loader, _node: UUID, _task: str, _state: str, result: str | None, *_rest: str) -> Any:
    return _result(loads, result)


def _result(loads: Loader, text: str | None) -> Any:
    return None if text is None else loads(text)


def _outcome(
    loads: Loader,
    node: UUID,
    task: str,
    state: str,
    result: str | None,
    error_type: str,
    error_message: str,
    args: str,
    kwargs: str,
    label: str | None,
) -> dict[str, Any]:
    has_error = state in NODE_FAILED or bool(error_type)
    return {
        "node": str(node),
        "label": label,
        "task": task,
        "args": replace(loads(args), Reference, str),
        "kwargs": replace(loads(kwargs), Reference, str),
        "state": state,
        "result": _result(loads, result),
        "error": {"type": error_type, "message": error_message} if has_error else None,
    }


def _rows(queryset: Any, kind: str, node: str, position: str = "position") -> Any:
    # All parts of a union must have the same columns.
    call = _CALL_COLUMNS if kind == "outcomes" else [Value("", output_field=TextField())] * len(_CALL_COLUMNS)
    return queryset.values_list(Value(kind), F(node), F(position), F("position"), *_COLUMNS, *call)


def _of_run(run_id: UUID) -> Any:
    return nodes().filter(run_id=run_id)


def _succeeded(run_id: UUID) -> Any:
    return _of_run(run_id).filter(state=NodeState.SUCCESS)


def _children(rows: Any, kind: str, run_id: UUID, ids: set[UUID]) -> list[Any]:
    """Return queries for the children of nodes, and for the root nodes if the run is among them, without gathers."""
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
    """Return queries for the results of each child's gather nodes, or the child's own result if it has none."""
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
