"""The project's Celery application; its settings are Django settings with the prefix ``CELERY_``."""

import os

from celery import Celery

from testproject import filesystem_broker

filesystem_broker.install()
os.environ.setdefault("DJANGO_SETTINGS_MODULE", "testproject.settings")

app = Celery("testproject")
app.config_from_object("django.conf:settings", namespace="CELERY")
app.autodiscover_tasks()
