"""Conversions between exceptions and the texts that a row stores."""

import pickle
import traceback
from types import TracebackType
from typing import Any

from billiard.exceptions import Terminated, WorkerLostError
from celery.utils.serialization import get_pickleable_exception

from django_tasktree.encoding import serialization
from django_tasktree.encoding.loading import find_module
from django_tasktree.encoding.node_error import NodeError
from django_tasktree.encoding.text import cut_in_the_middle, is_storable, text_of, type_name
from django_tasktree.exceptions import NodeFailed

#: The modules that call task functions.
_CALLERS = ("django_tasktree.client.task", "django_tasktree.worker.")
#: The maximum number of characters of messages and tracebacks. Longer ones are cut in the middle, because the beginning
#: and the end name the cause and the place.
_MAX_LENGTH = 100_000
_MAX_FRAMES = 100
#: Exceptions that Celery interprets as the end of a process: it stops the worker, or records the task as lost or
#: revoked.
_ENDS_OF_PROCESSES = (MemoryError, Terminated, WorkerLostError)


class WorkerTraceback(Exception):
    """The traceback of a failure in the worker; the ``__cause__`` of the exception that a handle raises."""

    def __str__(self) -> str:
        return f"\n{self.args[0]}" if self.args else ""


class Presentable(NodeFailed):
    """Replaces an exception that Celery could not handle; its text has the exception's type and message.

    Args:
        text: the type and message of the exception that it replaces.
        described: the exception that it replaces, as texts; None in a copy of another process.

    Attributes:
        described: as above.
    """

    def __init__(self, text: str, described: NodeError | None = None) -> None:
        super().__init__(text)
        self.described = described


def describe(error: BaseException) -> NodeError:
    """Return the texts of an exception. Raise nothing, whatever the exception's own methods do.

    Args:
        error: the exception; of a :class:`Presentable`, the exception that it replaces is described.
    """
    if isinstance(error, Presentable) and error.described is not None:
        return error.described
    return NodeError(
        type=type_name(type(error)),
        message=cut_in_the_middle(text_of(error), _MAX_LENGTH),
        args=_arguments(error),
        traceback=cut_in_the_middle(_traceback(error), _MAX_LENGTH),
    )


def presentable(error: BaseException) -> Exception:
    """Return an exception that can be passed to Celery, its result backends and its logs.

    Args:
        error: the exception that a task function raised.

    Returns:
        The exception itself; or a :class:`Presentable` if one of its methods raises, if a database can't store its
        traceback, or if it would end the worker's process, as each ``BaseException`` does that is no ``Exception``, and
        some exceptions do.
    """
    if isinstance(error, Exception) and not isinstance(error, _ENDS_OF_PROCESSES) and _can_be_shown(error):
        return error
    described = describe(error)
    text = f"{described.type}: {described.message}" if described.message else described.type
    return Presentable(text, described)


def _can_be_shown(error: Exception) -> bool:
    return all(map(is_storable, _texts(error) or ["\x00"]))


def _texts(error: Exception) -> list[str] | None:
    """Return the texts of an exception; None if one of the methods raises that Celery or a caller will call."""
    try:
        # Celery pickles a copy for another process, and stores the arguments.
        pickle.dumps(get_pickleable_exception(error))
        names = [type(error).__module__, type(error).__qualname__]
        texts = [str(error), repr(error), *traceback.format_exception(type(error), error, error.__traceback__)]
        is_sound = isinstance(error.args, tuple) and all(isinstance(name, str) for name in names)
    except BaseException:  # noqa: BLE001  the exception's methods may raise anything, also KeyboardInterrupt
        return None
    return [*texts, *names] if is_sound else None


def rebuild(error: NodeError) -> Exception:
    """Return the stored exception, or a :class:`NodeFailed` with its type and message.

    The original type is used if its module has been imported in this process or belongs to an installed app, and if
    none of the exception's methods raises.

    Args:
        error: the texts that a row stores.

    Returns:
        The exception; its ``__cause__`` is a :class:`WorkerTraceback` if a traceback is stored.
    """
    kind = _find(error.type)
    exception = _create(kind, error) if kind is not None else None
    if exception is None or _texts(exception) is None:
        exception = NodeFailed(f"{error.type}: {error.message}" if error.message else error.type)
    if error.traceback:
        exception.__cause__ = WorkerTraceback(error.traceback)
    return exception


def _find(dotted: str) -> type[Exception] | None:
    module_name, _, name = dotted.rpartition(".")
    module: Any = find_module(module_name)
    kind: Any = getattr(module, name, None)
    return kind if isinstance(kind, type) and issubclass(kind, Exception) else None


def _create(kind: type[Exception], error: NodeError) -> Exception | None:
    try:
        args = serialization.loads(error.args) if error.args else [error.message]
        return kind(*args)
    except Exception:  # noqa: BLE001  __init__ may require other arguments, or the stored ones can't be read any more
        return None


def _traceback(error: BaseException) -> str:
    try:
        return "".join(traceback.format_exception(type(error), error, _without_callers(error.__traceback__)))
    except BaseException as exc:  # noqa: BLE001  the exception's methods may raise anything, also KeyboardInterrupt
        return f"The traceback can't be formatted: {text_of(exc)}\n{_frames(error)}"


def _without_callers(first: TracebackType | None) -> TracebackType | None:
    """Return a traceback without the frames that called the task function; all frames if there are no others."""
    entry = first
    while entry is not None and str(entry.tb_frame.f_globals.get("__name__")).startswith(_CALLERS):
        entry = entry.tb_next
    return entry or first


def _frames(error: BaseException) -> str:
    """Return the lines of a traceback without the exception itself, which can't be formatted."""
    try:
        codes = [(frame.f_code, line) for frame, line in traceback.walk_tb(error.__traceback__)]
        lines = [f"  File {code.co_filename!r}, line {line}, in {code.co_name}" for code, line in codes]
    except BaseException as exc:  # noqa: BLE001  see above
        return text_of(exc)
    return "\n".join(lines[-_MAX_FRAMES:])


def _arguments(error: BaseException) -> str:
    try:
        text = serialization.dumps(list(error.args))
    except BaseException:  # noqa: BLE001  the arguments may be anything, and are only needed to rebuild the exception
        return ""
    return text if len(text) <= _MAX_LENGTH else ""
