"""Compare a draft with the tree of a form, so that a form that is submitted twice changes the draft once."""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import fields
from typing import Any
from uuid import UUID

from django_tasktree.engine.transitions import nodes, runs
from django_tasktree.engine.types import NodeSpec, RunSpec

_KEY = re.compile("[0-9a-f]{32}")
_COLUMNS = [field.name for field in fields(NodeSpec)]


def is_stored(spec: RunSpec, specs: Sequence[NodeSpec]) -> bool:
    """Return whether a stored draft already has these options, nodes and result, apart from the IDs of the nodes.

    Args:
        spec: the options of the run, with the ID of the draft.
        specs: the nodes.
    """
    rules = {"name": spec.name, "on_failure": spec.on_failure, "max_active": spec.max_active, "definition": ""}
    run = runs().filter(id=spec.id, **rules).only("returns").first()
    if run is None:
        return False
    stored = nodes().filter(run_id=spec.id).order_by("id")
    return _shape(stored, run.returns) == _shape(sorted(specs, key=lambda each: each.id), spec.returns)


def _shape(rows: Iterable[Any], returns: str | None) -> list[list[str]]:
    """Return the columns of nodes and the result of the run as texts, with numbers instead of the nodes' IDs."""
    rows = list(rows)
    numbers = {row.id.hex: f"#{number}" for number, row in enumerate(rows)}
    columns = [[_numbered(getattr(row, column), numbers) for column in _COLUMNS] for row in rows]
    return [*columns, [_numbered(returns, numbers)]]


def _numbered(value: Any, numbers: Mapping[str, str]) -> str:
    text = value.hex if isinstance(value, UUID) else str(value)
    return _KEY.sub(lambda key: numbers.get(key[0], key[0]), text)
