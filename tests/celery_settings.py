"""Change settings of the Celery application temporarily."""

from contextlib import contextmanager


def put(app, values):
    """Set settings, also under their Django names, which Celery 5.5 reads first."""
    app.conf.update(values | {f"CELERY_{name.upper()}": value for name, value in values.items()})


@contextmanager
def changed(app, **values):
    """Change settings, and restore them at the end."""
    before = {name: app.conf[name] for name in values}
    put(app, values)
    try:
        yield
    finally:
        put(app, before)
