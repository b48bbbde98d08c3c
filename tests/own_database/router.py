"""The router that docs/installation.rst shows."""


class RunsApart:
    """Keep the rows of django-tasktree in a separate database."""

    def db_for_read(self, model, **hints):
        return "runs" if model._meta.app_label == "django_tasktree" else None

    db_for_write = db_for_read

    def allow_migrate(self, db, app_label, **hints):
        return (db == "runs") == (app_label == "django_tasktree")
