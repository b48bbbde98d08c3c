"""Exceptions as rows, and rows as exceptions."""

import pickle
import traceback
from typing import Any

from billiard.exceptions import Terminated, WorkerLostError
from celery.utils.serialization import get_pickleable_exception

from django_tasktree import serialization
from django_tasktree.engine.specs import NodeError
from django_tasktree.exceptions import NodeFailed
from django_tasktree.loading import find_module
from django_tasktree.text import cut_in_the_middle, is_storable, text_of, type_name

#: Longer messages and tracebacks are cut in the middle, so that neither the cause nor the place is lost.
_LONGEST = 100_000
_MOST_FRAMES = 100
#: What Celery takes for the end of a process: it stops the whole worker, or records the task as lost or revoked.
_ENDS_OF_PROCESSES = (MemoryError, Terminated, WorkerLostError)


class WorkerTraceback(Exception):
    """The traceback of a failure as the worker saw it; the cause of the exception that a handle raises."""

    def __str__(self) -> str:
        return f"\n{self.args[0]}" if self.args else ""


class Presentable(NodeFailed):
    """Replaces an exception that Celery could not handle: it has its name, its text and nothing of its behaviour.

    Attributes:
        described: the exception that it replaces.
    """

    def __init__(self, text: str, described: NodeError | None = None) -> None:
        super().__init__(text)
        self.described = described


def describe(error: BaseException) -> NodeError:
    """Return the texts of an exception. Nothing is raised, whatever the exception's own methods do."""
    if isinstance(error, Presentable) and error.described is not None:
        return error.described
    return NodeError(
        type=type_name(type(error)),
        message=cut_in_the_middle(text_of(error), _LONGEST),
        args=_arguments(error),
        traceback=cut_in_the_middle(_traceback(error), _LONGEST),
    )


def presentable(error: BaseException) -> Exception:
    """Return an exception that can be given to Celery, its result backends and its logs.

    Args:
        error: what a task function raised.

    Returns:
        The exception itself, unless one of its methods raises, a database can't store its traceback, or it would end
        the worker's process: what is no ``Exception``, and some that are.
    """
    if isinstance(error, Exception) and not isinstance(error, _ENDS_OF_PROCESSES) and _can_be_shown(error):
        return error
    described = describe(error)
    text = f"{described.type}: {described.message}" if described.message else described.type
    return Presentable(text, described)


def _can_be_shown(error: Exception) -> bool:
    return all(map(is_storable, _texts(error) or ["\x00"]))


def _texts(error: Exception) -> list[str] | None:
    """Return the texts of an exception; None where one of its methods raises when Celery or a caller handles it."""
    try:
        # Celery makes a copy for another process, and stores the arguments.
        pickle.dumps(get_pickleable_exception(error))
        names = [type(error).__module__, type(error).__qualname__]
        texts = [str(error), repr(error), *traceback.format_exception(type(error), error, error.__traceback__)]
        is_sound = isinstance(error.args, tuple) and all(isinstance(name, str) for name in names)
    except BaseException:  # noqa: BLE001  also KeyboardInterrupt, as it comes from the exception
        return None
    return [*texts, *names] if is_sound else None


def rebuild(error: NodeError) -> Exception:
    """Make the exception that was written down, or a :class:`NodeFailed` that names it.

    The task's own exception type is used where its module has been imported here, or belongs to an installed app, and
    where none of its methods raises.
    """
    kind = _find(error.type)
    made = _make(kind, error) if kind is not None else None
    if made is None or _texts(made) is None:
        made = NodeFailed(f"{error.type}: {error.message}" if error.message else error.type)
    if error.traceback:
        made.__cause__ = WorkerTraceback(error.traceback)
    return made


def _find(dotted: str) -> type[Exception] | None:
    module, _, name = dotted.rpartition(".")
    found: Any = find_module(module)
    found = getattr(found, name, None)
    return found if isinstance(found, type) and issubclass(found, Exception) else None


def _make(kind: type[Exception], error: NodeError) -> Exception | None:
    try:
        args = serialization.loads(error.args) if error.args else [error.message]
        return kind(*args)
    except Exception:  # noqa: BLE001  its own __init__ may want anything, its arguments may be no longer readable
        return None


def _traceback(error: BaseException) -> str:
    try:
        return "".join(traceback.format_exception(type(error), error, error.__traceback__))
    except BaseException as exc:  # noqa: BLE001  also KeyboardInterrupt, as it comes from the exception
        return f"The traceback can't be formatted: {text_of(exc)}\n{_frames(error)}"


def _frames(error: BaseException) -> str:
    """Return the places alone, where the exception itself can't be formatted."""
    try:
        codes = [(frame.f_code, line) for frame, line in traceback.walk_tb(error.__traceback__)]
        lines = [f"  File {code.co_filename!r}, line {line}, in {code.co_name}" for code, line in codes]
    except BaseException as exc:  # noqa: BLE001  see above
        return text_of(exc)
    return "\n".join(lines[-_MOST_FRAMES:])


def _arguments(error: BaseException) -> str:
    try:
        text = serialization.dumps(list(error.args))
    except BaseException:  # noqa: BLE001  they may be anything, and are only needed to rebuild the exception
        return ""
    return text if len(text) <= _LONGEST else ""
