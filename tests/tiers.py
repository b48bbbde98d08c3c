"""The tests that ``make quick`` runs, to be run after each small change.

``python -m tests.tiers`` prints their paths.
"""

import sys

#: All unit tests, and the fastest tests with a database; together they reach every package.
QUICK = [
    "tests/unit",
    "tests/integration/engine/test_moves.py",
    "tests/integration/engine/test_attempts.py",
    "tests/integration/control/test_reasons.py",
    "tests/integration/control/test_bulk.py",
    "tests/integration/recovery/test_due.py",
    "tests/integration/recovery/test_repair.py",
    "tests/integration/checks/test_checks.py",
    "tests/integration/engine/test_exact_texts.py",
    "tests/integration/management/test_lookup_by_id.py",
    "tests/integration/definitions/test_launch_task.py",
    "tests/integration/engine/test_read_replica.py",
    "tests/integration/client/test_signals.py",
    "tests/integration/admin/test_tree_search.py",
    "tests/integration/views/test_status.py",
]

if __name__ == "__main__":
    sys.stdout.write(" ".join(QUICK))
