"""Which Celery tasks can be nodes of a tree, and how a registered task is found."""

import difflib
import inspect
import reprlib
from typing import Any

from celery import Task, current_app
from django.utils.module_loading import autodiscover_modules

from django_tasktree.encoding.text import short_name
from django_tasktree.exceptions import TaskNotSupported, UnknownTask

#: The task that acts on many runs or nodes, and the definition of the runs that consist of it; see ``bulk()``.
ACT_IN_BACKGROUND = "django_tasktree.act"
#: Internal tasks that can't be composed in the admin: the permissions they need depend on their arguments.
BACKGROUND_TASKS = frozenset({ACT_IN_BACKGROUND, "django_tasktree.sum_up"})
#: If several modules have a task of the name that was probably meant, suggest at most this many of them.
_MAX_SUGGESTIONS = 3


def supports_trees(task: "Task[..., Any]") -> bool:
    """Return whether a task can be a node of a tree."""
    return bool(getattr(task, "supports_trees", False))


def eligible_tasks() -> "list[Task[..., Any]]":
    """Return the project's tasks that can be nodes, sorted by name; tasks of this package are left out."""
    autodiscover_modules("tasks")
    tasks: Any = current_app.tasks
    eligible = (task for _name, task in sorted(tasks.items()) if supports_trees(task))
    return [task for task in eligible if not str(task.name).startswith("django_tasktree.")]


def find_task(task: Any) -> "Task[..., Any]":
    """Return the registered instance of a task that can be a node.

    Args:
        task: a task instance, a task class or a registered dotted name.

    Raises:
        UnknownTask: no task of that name is registered.
        TaskNotSupported: it is not a task, or does not derive from ``CallbackTask``.
    """
    if isinstance(task, str):
        instance = registered_task(task)
    elif isinstance(task, type) and issubclass(task, Task):
        instance = _instance_of(task)
    elif isinstance(task, Task):
        instance = task
    elif hasattr(task, "add_task"):
        raise TaskNotSupported(f"{task!r} is a tree or a node, not a task: add a tree with add_tree()")
    elif hasattr(task, "launch"):
        raise TaskNotSupported(
            f"{task!r} is a tree definition, not a task: call it to build the tree, and add that with add_tree() or "
            "launch it; or let the node start a run of it with add_run()"
        )
    else:
        raise TaskNotSupported(_not_a_task(task))
    if not supports_trees(instance):
        raise TaskNotSupported.of(str(instance.name))
    return instance


def registered_task(name: str) -> "Task[..., Any]":
    """Return the task with a registered name; import the modules ``tasks`` of all apps if it is not known yet.

    Raises:
        UnknownTask: no task of that name is registered.
    """
    tasks: Any = current_app.tasks
    if name not in tasks:
        # In a process that is not a worker, modules named tasks.py may not have been imported yet. (Celery's own way
        # to import them runs Django's system checks, which may query the database.)
        autodiscover_modules("tasks")
    if name not in tasks:
        raise UnknownTask.of(name, _suggestions(name, list(tasks)))
    task: Task[..., Any] = tasks[name]
    return task


def _not_a_task(given: Any) -> str:
    """Return the message for an object that is not a task, with what to pass instead."""
    instead = "pass the task itself, without calling it, and its arguments in args= or kwargs="
    owner = getattr(given, "__self__", None)
    if isinstance(owner, Task):
        return f"{owner.name}.{given.__name__} is a method of a task: {instead}"
    if inspect.isroutine(given):
        return (
            f"the function {given.__module__}.{given.__qualname__} is not a Celery task: decorate it with "
            "@django_tasktree.task_with_callbacks"
        )
    kind = type(given).__qualname__
    return f"{reprlib.repr(given)} is not a Celery task, but of type {kind}: {instead}"


def _suggestions(name: str, tasks: list[str]) -> list[str]:
    """Return the tasks that were probably meant; a name without a module is compared with the last parts of names."""
    similar = difflib.get_close_matches(name, tasks, n=1)
    if "." in name and similar:
        return similar
    by_short_name: dict[str, list[str]] = {}
    for task in sorted(tasks):
        by_short_name.setdefault(short_name(task), []).append(task)
    closest = difflib.get_close_matches(short_name(name), by_short_name, n=1)
    return by_short_name[closest[0]][:_MAX_SUGGESTIONS] if closest else similar


def _instance_of(cls: "type[Task[..., Any]]") -> "Task[..., Any]":
    cls = cls.__dict__.get("tasktree_registered", cls)
    name = cls.name if isinstance(cls.name, str) else current_app.gen_task_name(cls.__name__, cls.__module__)
    instance = registered_task(name)
    if not isinstance(instance, cls):
        raise UnknownTask(
            f"the task registered as {name!r} is not an instance of {cls!r}: register the class under another name"
        )
    return instance
