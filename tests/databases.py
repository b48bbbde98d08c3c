"""Route all models to the database under test."""

from contextlib import contextmanager

_active = {"alias": "default"}


class ActiveDatabase:
    """A Django database router: all models are in the active database."""

    def db_for_read(self, model, **hints):
        return _active["alias"]

    def db_for_write(self, model, **hints):
        return _active["alias"]

    def allow_relation(self, one, other, **hints):
        return True


@contextmanager
def active(alias):
    """Make a database the active one."""
    before, _active["alias"] = _active["alias"], alias
    try:
        yield alias
    finally:
        _active["alias"] = before


def active_alias():
    """Return the alias of the database under test."""
    return _active["alias"]
