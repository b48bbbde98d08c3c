"""Tasks whose classes run code around the task function, as Celery's documentation allows."""

import os

from celery import Task
from celery.backends.base import DisabledBackend
from celery.result import AsyncResult

from django_tasktree import CallbackTask, run_with_callbacks, task_with_callbacks

#: The calls, in order; tests clear the list.
calls = []


class EndsInRun(CallbackTask):
    """``__call__`` ends with ``self.run``, as Celery's documentation demands."""

    abstract = True

    def __call__(self, *args, **kwargs):
        calls.append("call")
        return self.run(*args, **kwargs)


class EndsInSuper(CallbackTask):
    """``__call__`` ends with that of the base class."""

    abstract = True

    def __call__(self, *args, **kwargs):
        calls.append("call")
        return super().__call__(*args, **kwargs)


class Logging:
    """A mixin that knows nothing of trees."""

    def __call__(self, *args, **kwargs):
        calls.append("mixin")
        return super().__call__(*args, **kwargs)  # type: ignore[misc]


class Mixed(Logging, EndsInSuper):
    """Two classes with a ``__call__``."""

    abstract = True


class CallRaises(CallbackTask):
    """``__call__`` fails before the task function is reached."""

    abstract = True

    def __call__(self, *args, **kwargs):
        raise LookupError("no tenant")


class StartRaises(CallbackTask):
    """``before_start`` fails."""

    abstract = True

    def before_start(self, task_id, args, kwargs):
        raise LookupError("no tenant")


class Starts(CallbackTask):
    """``before_start`` records its arguments."""

    abstract = True

    def before_start(self, task_id, args, kwargs):
        calls.append(("start", task_id, list(args)))


def function(value):
    """Record the call and return the argument."""
    calls.append("function")
    return value


def _task(base):
    return task_with_callbacks(base=base, name=f"tests.classes.{base.__name__}")(function)


ends_in_run, ends_in_super, mixed, call_raises, start_raises, starts = map(
    _task, (EndsInRun, EndsInSuper, Mixed, CallRaises, StartRaises, Starts)
)


class Plain(Task):
    """A plain Celery class, made usable in trees."""

    name = "tests.classes.Plain"

    def __call__(self, *args, **kwargs):
        calls.append("call")
        return self.run(*args, **kwargs)

    @run_with_callbacks
    def run(self, value):
        return function(value)


@task_with_callbacks(base=EndsInRun, bind=True, max_retries=2, default_retry_delay=0)
def fails_once(self, value):
    """Retry once, with ``__call__`` around it."""
    calls.append("function")
    if self.request.retries == 0:
        raise self.retry()
    return value


@task_with_callbacks
def takes_self(self=None, other=None):
    """Take an argument named ``self``."""
    return [self, other]


class Once(CallbackTask):
    """Like celery-once with ``graceful``: a call that is already queued is not queued again."""

    abstract = True

    def apply_async(self, *args, **options):
        """Return without sending."""


class Singleton(CallbackTask):
    """Like celery-singleton: it returns the result of the message that is already queued."""

    abstract = True

    def apply_async(self, *args, **options):
        """Return another message's result."""
        return AsyncResult("00000000-0000-0000-0000-000000000001")


class AlreadyQueued(Exception):
    """The exception that celery-once raises."""


class OnceLoud(CallbackTask):
    """Like celery-once without ``graceful``."""

    abstract = True

    def apply_async(self, *args, **options):
        """Refuse to send."""
        raise AlreadyQueued(60)


class Tenant(CallbackTask):
    """Adds a header to each message, which must reach the worker."""

    abstract = True

    def apply_async(self, args=None, kwargs=None, **options):  # type: ignore[override]
        """Send the message with the header."""
        headers = {**(options.pop("headers", None) or {}), "tenant": "acme"}
        return super().apply_async(args, kwargs, headers=headers, **options)


once, singleton, once_loud = (_task(base) for base in (Once, Singleton, OnceLoud))


@task_with_callbacks(base=Tenant, bind=True, max_retries=1, default_retry_delay=0)
def tenant(self, retries=0):
    """Return the header that the class has added."""
    if self.request.retries < retries:
        raise self.retry()
    return (self.request.headers or {}).get("tenant") or getattr(self.request, "tenant", None)


@task_with_callbacks(base=Singleton, bind=True, max_retries=1, default_retry_delay=0)
def singleton_retries(self):
    """Retry once, though the class does not send the retry."""
    if self.request.retries == 0:
        raise self.retry()
    return "done"


if os.environ.get("TEST_NEW_CODE"):

    @task_with_callbacks(name="tests.only_in_new_code")
    def only_in_new_code(value):
        """A task that only workers with new code know."""
        return value


class _BrokenBackend(DisabledBackend):
    """A result backend that can't be reached."""

    def store_result(self, *args, **options):
        raise ConnectionError("the result backend is away")


class DiesEarly(CallbackTask):
    """Celery fails to store STARTED, before any code of the task runs."""

    abstract = True
    track_started = True
    ignore_result = False

    @property  # type: ignore[misc]
    def backend(self):
        """Return a backend that stores nothing."""
        return _BrokenBackend(app=self.app)


dies_early = _task(DiesEarly)
