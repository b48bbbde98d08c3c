"""The functions that define trees, as far as their source tells what they do."""

import ast
import inspect
import textwrap
from collections.abc import Callable, Iterator
from typing import Any

from celery import Task
from django.core.checks import CheckMessage
from django.core.checks import Warning as Warned

from django_tasktree.citizens import is_citizen
from django_tasktree.registry import all_definitions

#: Methods whose first argument is a task.
_ADDING = frozenset({"add_task", "gather", "push"})
#: Methods of a task that make a signature of it.
_SIGNING = frozenset({"s", "si", "signature", "subtask"})


def definitions_use_citizens() -> Iterator[CheckMessage]:
    """W006: a definition adds a task that can't take part in a tree."""
    for definition in all_definitions():
        for name in sorted(_strangers(definition.function)):
            yield Warned(
                f"The tree {definition.name!r} ({definition.place}) adds the task {name!r}, which can't take part in a "
                "tree.",
                hint="Decorate it with @task_with_callbacks, or give its decorator base=CallbackTask: docs/tasks.rst.",
                id="django_tasktree.W006",
            )


def _strangers(function: Callable[..., Any]) -> set[str]:
    """The names of tasks that a function adds and that are no citizens."""
    try:
        tree = ast.parse(textwrap.dedent(inspect.getsource(function)))
    except (OSError, TypeError, SyntaxError):
        # Typed into a shell, or made by code: there is nothing to read.
        return set()
    found = (_named(argument, function) for argument in _tasks_added(tree))
    return {str(task.name) for task in found if isinstance(task, Task) and not is_citizen(task)}


def _tasks_added(tree: ast.AST) -> Iterator[ast.expr]:
    for call in ast.walk(tree):
        if isinstance(call, ast.Call) and isinstance(call.func, ast.Attribute):
            yield from (_unsigned(argument) for argument in call.args[:1] if call.func.attr in _ADDING)


def _unsigned(argument: ast.expr) -> ast.expr:
    """Take the task out of ``task.s(…)``."""
    if isinstance(argument, ast.Call) and isinstance(argument.func, ast.Attribute) and argument.func.attr in _SIGNING:
        return argument.func.value
    return argument


def _named(argument: ast.expr, function: Callable[..., Any]) -> Any:
    """Find what a name, or a name in a module, stands for; None where that is known only when the function runs."""
    if isinstance(argument, ast.Name):
        return getattr(inspect.unwrap(function), "__globals__", {}).get(argument.id)
    if isinstance(argument, ast.Attribute):
        module = _named(argument.value, function)
        return vars(module).get(argument.attr) if inspect.ismodule(module) else None
    return None
