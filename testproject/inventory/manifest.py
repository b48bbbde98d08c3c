"""Write the manifest of an inventory from the rows of its run."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, TextIO
from uuid import UUID

from django_tasktree.encoding.serialization import loads
from django_tasktree.models import NodeRun
from django_tasktree.states import NodeState

#: The number of rows that are in memory at a time.
_CHUNK = 100


def write(target: Path, run_id: UUID, task: str, totals: dict[str, Any]) -> None:
    """Write the manifest of a run; the file gets its final name when it is complete.

    Args:
        target: the file; its directory is created if it does not exist.
        run_id: the run.
        task: the name of the task that returned the listings of directories.
        totals: the totals, for the beginning of the file.
    """
    target.parent.mkdir(parents=True, exist_ok=True)
    partial = target.with_name(f"{target.name}.{run_id}.partial")
    with partial.open("w", encoding="ascii") as file:
        _write(file, totals, _directories(run_id, task))
    partial.replace(target)


def _write(file: TextIO, totals: dict[str, Any], directories: Iterator[dict[str, Any]]) -> None:
    """Write one directory per line, so that two manifests can be compared with ``diff``."""
    file.write(f'{{"totals": {json.dumps(totals)},\n"directories": [')
    for number, directory in enumerate(directories):
        file.write(f"{',' if number else ''}\n{json.dumps(directory)}")
    file.write("\n]}\n")


def _directories(run_id: UUID, task: str) -> Iterator[dict[str, Any]]:
    nodes = NodeRun.objects.filter(run_id=run_id, task=task, state=NodeState.SUCCESS).order_by("id")
    for text in nodes.values_list("result", flat=True).iterator(chunk_size=_CHUNK):
        result = loads(str(text))
        files = [{"name": name, "size": size, "sha256": digest} for name, size, digest in result["listing"]["files"]]
        unreadable = [{"name": name, "reason": reason} for name, reason in result["listing"]["unreadable"]]
        yield {"path": result["path"], "files": files, "unreadable": unreadable}
