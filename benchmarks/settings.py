"""The test project's settings with PostgreSQL, Redis and a queue for the benchmarks alone."""

import json
import os

from testproject.settings import *  # noqa: F403
from testproject.settings import INSTALLED_APPS as PROJECT_APPS

DEBUG = False
INSTALLED_APPS = [*PROJECT_APPS, "benchmarks"]
CELERY_BROKER_URL = os.environ["CELERY_BROKER_URL"]
CELERY_BROKER_TRANSPORT_OPTIONS = {}
CELERY_TASK_DEFAULT_QUEUE = os.environ["BENCH_QUEUE"]
CELERY_RESULT_EXTENDED = False
#: The settings of one worker, see benchmarks/environment.py.
TASKTREE = json.loads(os.environ.get("BENCH_TASKTREE", "{}"))
