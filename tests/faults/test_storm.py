"""A small storm; ``make soak`` raises a large one."""

import pytest

from tests.faults.crowd import a_generator
from tests.faults.storm.storm import a_storm, weather

pytestmark = [pytest.mark.worker, pytest.mark.django_db(transaction=True, databases="__all__")]


@pytest.mark.parametrize("stack", ["postgresql-redis", "mariadb-rabbitmq"])
def test_nothing_is_violated(app, stack, tmp_path, monkeypatch):
    with a_storm(app, a_generator(), stack, tmp_path, monkeypatch) as storm:
        violations, _ = weather(storm, 300)
        assert not violations, "\n".join(violations[:50])
