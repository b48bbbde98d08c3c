"""Fixtures that several packages of integration tests use."""

import pytest
from django.contrib.auth.models import Permission, User

from tests import simulation


@pytest.fixture
def actions_in_sequence():
    """Return actions that are possible one after the other, from a draft on, each with the state that it leads to."""
    return [
        ("launch", "STARTED"),
        ("pause", "PAUSED"),
        ("resume", "STARTED"),
        ("revoke", "REVOKED"),
        ("retry", "STARTED"),
    ]


@pytest.fixture
def world(app, request):
    """Yield a simulated broker, which only this file uses, with one worker."""
    with simulation.simulated(app, request.module.__name__.rpartition(".")[2]) as world:
        world.start_worker("w")
        yield world


@pytest.fixture
def staff(client):
    """Return a function that logs in a staff user who has only the given permissions of the app."""

    def log_in(*names):
        user = User.objects.create_user("staff", is_staff=True)
        user.user_permissions.set(Permission.objects.filter(codename__in=names))
        assert user.user_permissions.count() == len(names)
        client.force_login(user)
        client.user = user
        return client

    return log_in
