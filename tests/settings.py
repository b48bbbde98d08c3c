"""The settings of the test project with the apps of the tests and every available database."""

import json
import os

import dj_database_url

from testproject.settings import *  # noqa: F403
from testproject.settings import DATABASES as PROJECT_DATABASES
from testproject.settings import INSTALLED_APPS as PROJECT_APPS
from testproject.settings import MIDDLEWARE as PROJECT_MIDDLEWARE
from testproject.settings import VAR_DIR
from tests import services
from tests.quorum import quorum_queue
from tests.transports import transport_options

INSTALLED_APPS = [*PROJECT_APPS, "tests.sample", "tests.orders"]
# The live server of the browser tests runs for the whole session and reads the middleware once.
MIDDLEWARE = [
    *PROJECT_MIDDLEWARE,
    "tests.browser.policy.StrictPolicy",
    "tests.browser.counting.CountQueries",
]
DATABASE_ROUTERS = ["tests.databases.ActiveDatabase"]
PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]

DATABASES = {"default": {**PROJECT_DATABASES["default"]}}
if "DATABASE_URL" not in os.environ:
    # A file instead of memory, so that worker processes can use it too.
    DATABASES["default"]["TEST"] = {"NAME": str(VAR_DIR / f"test-{os.getpid()}.sqlite3")}
    for alias, service in services.DATABASES.items():
        if alias != "default" and service.missing is None:
            DATABASES[alias] = {
                **dj_database_url.parse(service.url),
                "TEST": {"NAME": f"test_tasktree_{os.getpid()}"},
            }
if "mariadb" in DATABASES:
    DATABASES["mariadb"]["OPTIONS"] = {"charset": "utf8mb4", "isolation_level": "read committed"}
    DATABASES["mariadb"]["TEST"] |= {"CHARSET": "utf8mb4"}

# From Django 6.1 on, a mailer has to be configured; the test runner replaces it.
MAILERS = {"default": {"BACKEND": "django.core.mail.backends.locmem.EmailBackend"}}
CELERY_BROKER_URL = os.environ.get("CELERY_BROKER_URL") or "memory://"
CELERY_TASK_DEFAULT_QUEUE = os.environ.get("TEST_QUEUE", "tasktree-tests")
CELERY_BROKER_TRANSPORT_OPTIONS = transport_options(CELERY_BROKER_URL, CELERY_TASK_DEFAULT_QUEUE)
if "TEST_VISIBILITY_TIMEOUT" in os.environ:
    # By default, Kombu's Redis transport rarely checks for messages that have timed out.
    CELERY_BROKER_TRANSPORT_OPTIONS |= {
        "visibility_timeout": int(os.environ["TEST_VISIBILITY_TIMEOUT"]),
        "unacked_restore_interval": 1,
        "unacked_restore_throttle": 1,
    }
if "TEST_TASKTREE" in os.environ:
    TASKTREE = json.loads(os.environ["TEST_TASKTREE"])
CELERY_ACCEPT_CONTENT = os.environ.get("TEST_ACCEPT_CONTENT", "json").split(",")
if "TEST_RESULT_BACKEND" in os.environ:
    CELERY_RESULT_BACKEND = os.environ["TEST_RESULT_BACKEND"]
if "TEST_SOFT_SHUTDOWN" in os.environ:
    CELERY_WORKER_SOFT_SHUTDOWN_TIMEOUT = float(os.environ["TEST_SOFT_SHUTDOWN"])
if "TEST_POOL" in os.environ:
    DATABASES["default"] |= {"CONN_MAX_AGE": 0, "OPTIONS": {"pool": {"min_size": 2, "max_size": 4}}}
if "TEST_POOLER" in os.environ:
    # A pooler assigns another session to each transaction.
    DATABASES["default"] |= {"DISABLE_SERVER_SIDE_CURSORS": True}
if "TEST_PREPARE_THRESHOLD" in os.environ:
    # The server binds the values of statements, and prepares those that are executed more often; empty: none.
    threshold = os.environ["TEST_PREPARE_THRESHOLD"]
    for database in DATABASES.values():
        if database["ENGINE"] == "django.db.backends.postgresql":
            database["OPTIONS"] = {
                **database.get("OPTIONS", {}),
                "server_side_binding": True,
                "prepare_threshold": int(threshold) if threshold else None,
            }
if "TEST_QUORUM" in os.environ:
    # With quorum queues, Celery lets RabbitMQ delay messages.
    CELERY_TASK_QUEUES = [quorum_queue(CELERY_TASK_DEFAULT_QUEUE)]
if "TEST_CHILDREN" in os.environ:
    # The number of tasks after which a process of the pool is replaced.
    CELERY_WORKER_MAX_TASKS_PER_CHILD = int(os.environ["TEST_CHILDREN"])
if "TEST_TIME_ZONE" in os.environ:
    TIME_ZONE = CELERY_TIMEZONE = os.environ["TEST_TIME_ZONE"]
    USE_TZ = os.environ["TEST_USE_TZ"] == "1"
    CELERY_ENABLE_UTC = os.environ["TEST_ENABLE_UTC"] == "1"
