"""Exceptions as rows, and rows as exceptions."""

import sys
import traceback
from importlib import import_module
from typing import Any

from django.apps import apps

from django_tasktree import serialization
from django_tasktree.engine.specs import NodeError
from django_tasktree.exceptions import NodeFailed, SerializationError

#: Longer messages and tracebacks are cut in the middle, so that neither the cause nor the place is lost.
_LONGEST = 100_000


class WorkerTraceback(Exception):
    """The traceback of a failure as the worker saw it; the cause of the exception that a handle raises."""

    def __str__(self) -> str:
        return f"\n{self.args[0]}" if self.args else ""


def describe(error: BaseException) -> NodeError:
    """Write an exception down."""
    kind = type(error)
    text = "".join(traceback.format_exception(kind, error, error.__traceback__))
    return NodeError(
        type=f"{kind.__module__}.{kind.__qualname__}",
        message=_cut(_message(error)),
        args=_arguments(error),
        traceback=_cut(text),
    )


def rebuild(error: NodeError) -> Exception:
    """Make the exception that was written down, or a :class:`NodeFailed` that names it.

    The task's own exception type is used where its module has been imported here, or belongs to an installed app.
    """
    kind = _find(error.type)
    made = _make(kind, error) if kind is not None else None
    if made is None:
        made = NodeFailed(f"{error.type}: {error.message}" if error.message else error.type)
    if error.traceback:
        made.__cause__ = WorkerTraceback(error.traceback)
    return made


def _find(dotted: str) -> type[Exception] | None:
    module, _, name = dotted.rpartition(".")
    found: Any = sys.modules.get(module) or _import_from_app(module)
    found = getattr(found, name, None)
    return found if isinstance(found, type) and issubclass(found, Exception) else None


def _import_from_app(module: str) -> Any:
    """Import a module of an installed app. Nothing else: what stands in a row must not choose what code is loaded."""
    if not any(module == app.name or module.startswith(f"{app.name}.") for app in apps.get_app_configs()):
        return None
    try:
        return import_module(module)
    except ImportError:
        return None


def _make(kind: type[Exception], error: NodeError) -> Exception | None:
    args = serialization.loads(error.args) if error.args else [error.message]
    try:
        return kind(*args)
    except Exception:  # noqa: BLE001  an exception's own __init__ may want anything; then it is only named
        return None


def _message(error: BaseException) -> str:
    try:
        return str(error)
    except Exception as exc:  # noqa: BLE001  the task's exception is what matters, not its broken __str__
        return f"<{type(error).__qualname__} whose text can't be shown: {exc!r}>"


def _arguments(error: BaseException) -> str:
    try:
        text = serialization.dumps(list(error.args))
    except SerializationError:
        return ""
    return text if len(text) <= _LONGEST else ""


def _cut(text: str) -> str:
    if len(text) <= _LONGEST:
        return text
    half = _LONGEST // 2
    return f"{text[:half]}\n… {len(text) - 2 * half} characters left out …\n{text[-half:]}"
