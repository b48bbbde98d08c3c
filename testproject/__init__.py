"""A Django project with django_tasktree: the demo, and the base of the settings for tests."""

from testproject.celery import app as celery_app

__all__ = ["celery_app"]
