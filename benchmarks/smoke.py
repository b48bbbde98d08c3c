"""Check that nodes cost no more than their limits: ``python -m benchmarks smoke``. Counts only, no times.

One process runs everything, and takes nodes without a limit of time: so the counts do not depend on how fast it is.
"""

from typing import Any

from django.db import connection
from django.test import override_settings

from benchmarks.limits import LIMITS, checked
from benchmarks.shapes import MAP, SHAPES
from benchmarks.tables import Table
from benchmarks.usage import Usage, usage_of_tree
from django_tasktree.models import NodeRun

#: No time limit ends a message's time, and nothing is sent again.
_TASKTREE = {"SHARE_MESSAGE_FOR": 100_000, "SWEEP": False}
_WORKER: dict[str, Any] = {"concurrency": 1, "tasktree": _TASKTREE}


def check() -> tuple[Table, bool]:
    """Return what nodes cost, and whether all limits are kept."""
    table = Table("What trees cost, and the limits", ["shape", "what", "measured", "limit", ""], labels=2)
    are_kept = True
    _disable_autovacuum()
    with override_settings(TASKTREE=_TASKTREE):
        for name, limits in LIMITS.items():
            for entry in checked(limits, _usage(name, limits.size)):
                verdict = "" if entry.is_kept else "not kept"
                table.add(name, entry.name, f"{entry.figure:.3f}", f"{entry.limit:.3f}", verdict)
                are_kept = are_kept and entry.is_kept
    return table, are_kept


def _usage(name: str, size: int) -> Usage:
    return usage_of_tree(MAP if name == MAP.name else SHAPES[name], size, **_WORKER)


def _disable_autovacuum() -> None:
    """Space in pages must not depend on when they are cleaned up."""
    with connection.cursor() as cursor:
        cursor.execute(f"ALTER TABLE {NodeRun._meta.db_table} SET (autovacuum_enabled = false)")
