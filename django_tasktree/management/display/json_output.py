"""Runs and nodes as JSON."""

import json
from typing import Any

from django.core.serializers.json import DjangoJSONEncoder

from django_tasktree.management.display.page import Page
from django_tasktree.management.display.rows import NodeRow
from django_tasktree.management.display.summary import Summary
from django_tasktree.run_json import run_json


class _Encoder(DjangoJSONEncoder):
    """Writes whatever a task returned: what JSON has no form for as its ``repr``."""

    def default(self, o: Any) -> Any:
        try:
            return super().default(o)
        except TypeError:
            return repr(o)


def dumps(value: Any) -> str:
    """Write a value."""
    return json.dumps(value, cls=_Encoder, indent=2)


def summary_json(summary: Summary) -> dict[str, Any]:
    """Describe a run with its results and errors."""
    return {
        **run_json(summary.run, summary.progress),
        "results": [{**node_json(each.node), "result": each.value} for each in summary.results],
        "errors": [node_json(node) for node in summary.errors],
        "errors_left_out": max(summary.errors_left_out, 0),
    }


def page_json(page: Page) -> list[dict[str, Any]]:
    """Describe the nodes of a page as a flat list, parents before children; ``parent`` says where each belongs."""
    return [
        {**node_json(row), "depth": depth, "children_left_out": page.left_out.get(row.id, 0)}
        for row, depth in page.walk()
    ]


def node_json(row: NodeRow) -> dict[str, Any]:
    """Describe one node."""
    return {
        "id": str(row.id),
        "parent": None if row.parent_id is None else str(row.parent_id),
        "position": row.position,
        "task": row.task,
        "call": row.label,
        "gather": row.is_gather,
        "state": row.state,
        "attempts": row.attempts,
        "duration": None if row.duration is None else row.duration.total_seconds(),
        "error": row.error or None,
    }
