"""A real Django project around django_tasktree: the demo, and the settings of the tests."""

from testproject.celery import app as celery_app

__all__ = ["celery_app"]
