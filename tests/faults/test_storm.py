"""A small storm; ``make soak`` runs a large one."""

import pytest

from tests.faults.crowd import seeded_random
from tests.faults.storm.storm import a_storm, run_storm

pytestmark = [pytest.mark.worker, pytest.mark.django_db(transaction=True, databases="__all__")]


@pytest.mark.parametrize("stack", ["postgresql-redis", "mariadb-rabbitmq"])
def test_a_storm_violates_no_rule(app, stack, tmp_path, monkeypatch):
    with a_storm(app, seeded_random(), stack, tmp_path, monkeypatch) as storm:
        violations, _ = run_storm(storm, 300)
        assert not violations, "\n".join(violations[:50])
