"""Runs and nodes as JSON."""

import json
from typing import Any

from django.core.serializers.json import DjangoJSONEncoder

from django_tasktree.management.display.nodes import NodeRow
from django_tasktree.management.display.page import Page
from django_tasktree.management.display.summary import Summary
from django_tasktree.reporting.json import run_json


class _Encoder(DjangoJSONEncoder):
    """Encode any result of a task; values that JSON can't represent become their ``repr``."""

    def default(self, o: Any) -> Any:
        try:
            return super().default(o)
        except TypeError:
            return repr(o)


def dumps(value: Any) -> str:
    """Return a value as indented JSON."""
    return json.dumps(value, cls=_Encoder, indent=2)


def summary_json(summary: Summary) -> dict[str, Any]:
    """Return a run as a dict, with its progress, results and errors."""
    return {
        **run_json(summary.run, summary.progress),
        "result": summary.value,
        "results": [{**node_json(result.node), "result": result.value} for result in summary.results],
        "errors": [{**node_json(node), "path": summary.paths.get(node.id)} for node in summary.errors],
        "errors_left_out": max(summary.errors_left_out, 0),
    }


def page_json(page: Page) -> list[dict[str, Any]]:
    """Return the nodes of a page as a flat list of dicts, parents before children."""
    return [
        {**node_json(row), "depth": depth, "children_left_out": page.left_out.get(row.id, 0)}
        for row, depth in page.walk()
    ]


def node_json(row: NodeRow) -> dict[str, Any]:
    """Return a node as a dict; ``parent`` is the ID of its parent, ``duration`` is in seconds."""
    return {
        "id": str(row.id),
        "parent": None if row.parent_id is None else str(row.parent_id),
        "position": row.position,
        "label": row.label,
        "task": row.task,
        "call": row.call,
        "gather": row.is_gather,
        "quorum": row.quorum or None,
        "state": row.state,
        "attempts": row.attempts,
        "duration": None if row.duration is None else row.duration.total_seconds(),
        "error": row.error or None,
        "sub_run": None if row.sub_run_id is None else str(row.sub_run_id),
    }
