"""Fixtures of several files here."""

import pytest
from django.contrib.auth.models import Permission, User

from tests import simulation


@pytest.fixture
def verbs_in_turn():
    """Each verb that fits a run after those before it, a draft at first, and the run's state then."""
    return [
        ("launch", "STARTED"),
        ("pause", "PAUSED"),
        ("resume", "STARTED"),
        ("revoke", "REVOKED"),
        ("retry", "STARTED"),
    ]


@pytest.fixture
def world(app, request):
    """A broker of the file's own, and one worker."""
    with simulation.simulated(app, request.module.__name__.rpartition(".")[2]) as world:
        world.start_worker("w")
        yield world


@pytest.fixture
def staff(client):
    """Log a user in who has just these permissions of the app."""

    def log_in(*names):
        user = User.objects.create_user("staff", is_staff=True)
        user.user_permissions.set(Permission.objects.filter(codename__in=names))
        assert user.user_permissions.count() == len(names)
        client.force_login(user)
        client.user = user
        return client

    return log_in
