"""The settings of the tests with two PostgreSQL databases."""

import os

import dj_database_url

from tests import services
from tests.settings import *  # noqa: F403

_NAMES = os.environ.get("TEST_OWN_DATABASES", f"test_site_{os.getpid()},test_runs_{os.getpid()}").split(",")
_SERVER = dj_database_url.parse(services.POSTGRESQL.url)
if "TEST_OWN_DATABASES" in os.environ:
    DATABASES = {alias: {**_SERVER, "NAME": name} for alias, name in zip(("default", "runs"), _NAMES, strict=True)}
else:
    DATABASES = {
        alias: {**_SERVER, "TEST": {"NAME": name}} for alias, name in zip(("default", "runs"), _NAMES, strict=True)
    }
# The rows of tests.orders refer to runs, which are in the other database.
INSTALLED_APPS = [app for app in INSTALLED_APPS if app != "tests.orders"]  # noqa: F405
DATABASE_ROUTERS = ["tests.own_database.router.RunsApart"]
