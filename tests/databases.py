"""Route the app's models to the database that a test is about."""

from contextlib import contextmanager

_active = {"alias": "default"}


class ActiveDatabase:
    """A Django database router: all models live in the active database."""

    def db_for_read(self, model, **hints):
        return _active["alias"]

    def db_for_write(self, model, **hints):
        return _active["alias"]

    def allow_relation(self, one, other, **hints):
        return True


@contextmanager
def active(alias):
    before, _active["alias"] = _active["alias"], alias
    try:
        yield alias
    finally:
        _active["alias"] = before


def active_alias():
    """Return the alias of the database that the test is about."""
    return _active["alias"]
