"""Change settings of the Celery application for a while."""

from contextlib import contextmanager


def put(app, values):
    """Set settings; Celery 5.5 reads one under its Django name first."""
    app.conf.update(values | {f"CELERY_{name.upper()}": value for name, value in values.items()})


@contextmanager
def changed(app, **values):
    before = {name: app.conf[name] for name in values}
    put(app, values)
    try:
        yield
    finally:
        put(app, before)
