"""``make soak``: a storm of 10,000 nodes on two stacks, with a report of the faults.

Not collected by default: ``pytest tests/faults/soak.py -s``. ``SOAK_NODES`` sets the number of nodes; ``TEST_SEED``
repeats a storm.
"""

import os
import sys

import pytest

from tests.faults.crowd import seeded_random
from tests.faults.storm.storm import a_storm, run_storm

pytestmark = [
    pytest.mark.worker,
    pytest.mark.timeout(0),
    pytest.mark.django_db(transaction=True, databases="__all__"),
]
NODES = int(os.environ.get("SOAK_NODES", "10000"))


@pytest.mark.parametrize("stack", ["postgresql-redis", "mariadb-rabbitmq"])
def test_soak(app, stack, tmp_path, monkeypatch):
    with a_storm(app, seeded_random(), stack, tmp_path, monkeypatch) as storm:
        violations, seconds = run_storm(storm, NODES)
        sys.stdout.write(f"\n{stack}: {seconds / 60:.1f} minutes, {len(violations)} violations\n")
        for name, number in sorted(storm.report().items()):
            sys.stdout.write(f"{number:>8,}  {name}\n")
        assert not violations, "\n".join(violations[:50])
