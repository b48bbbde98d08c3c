"""Tools for the tests of projects: run a tree in this process, without a broker or a worker; register definitions."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from functools import wraps
from inspect import isasyncgenfunction, iscoroutinefunction, isgeneratorfunction
from typing import TYPE_CHECKING, Any, TypeVar, cast

if TYPE_CHECKING:
    from django_tasktree.client.tree import TaskTree
    from django_tasktree.client.tree_result import TreeResult
    from django_tasktree.definitions.definition import Definition

Function = TypeVar("Function", bound=Callable[..., Any])

__all__ = ["registered", "run_tree"]


def registered(*functions: Callable[..., Any], only: bool = False) -> "Registered":
    """Register definitions during a ``with`` block, or during the calls of a function that this decorates.

    The function may be a coroutine function. At the end, other definitions that were registered in the block are
    removed too.

    Args:
        functions: functions that build trees, each registered under its own name with dashes instead of underscores; or
            definitions, such as ``Definition("name", function)``. They replace definitions of the project with the same
            names.
        only: whether to hide the other definitions of the project.

    Returns:
        A context manager that returns the definitions, in the order of the functions. It can be used several times.

    Raises:
        InvalidDefinition: two of the functions have the same name, or one is not a function; raised when the block
            begins.
        TypeError: it decorates a class or a generator function, which no block could surround.
    """
    return Registered(functions, only)


class Registered(AbstractContextManager["tuple[Definition[Any], ...]"]):
    """The context manager and decorator that :func:`registered` returns."""

    def __init__(self, functions: tuple[Callable[..., Any], ...], only: bool) -> None:
        self._functions = functions
        self._only = only
        self._open: list[AbstractContextManager[tuple[Definition[Any], ...]]] = []

    def __enter__(self) -> "tuple[Definition[Any], ...]":
        block = _registered(self._functions, only=self._only)
        definitions = block.__enter__()
        self._open.append(block)
        return definitions

    def __exit__(self, *error: Any) -> None:
        self._open.pop().__exit__(*error)

    def __call__(self, function: "Function") -> "Function":
        """Return a function that calls the given one with the definitions registered."""
        if isinstance(function, type) or isgeneratorfunction(function) or isasyncgenfunction(function):
            raise TypeError(
                f"registered() can't decorate {function!r}: decorate its test functions, or use "
                "`with registered(…):` inside"
            )
        call: Any = function
        if iscoroutinefunction(function):

            @wraps(function)
            async def acall(*args: Any, **kwargs: Any) -> Any:
                with _registered(self._functions, only=self._only):
                    return await call(*args, **kwargs)

            return cast("Function", acall)

        @wraps(function)
        def call_within(*args: Any, **kwargs: Any) -> Any:
            with _registered(self._functions, only=self._only):
                return call(*args, **kwargs)

        return cast("Function", call_within)


@contextmanager
def _registered(functions: tuple[Callable[..., Any], ...], *, only: bool) -> "Iterator[tuple[Definition[Any], ...]]":
    from django_tasktree.definitions.definition import Definition
    from django_tasktree.definitions.registry import Registry, registry

    own = Registry()
    added = tuple(
        own.add(each, each.name, each.description) if isinstance(each, Definition) else own.add(each)
        for each in functions
    )
    with registry.changed(added, only=only):
        yield added


def run_tree(
    tree: "TaskTree | str", params: Mapping[str, Any] | None = None, *, key: str | None = None, launched_by: Any = None
) -> "TreeResult":
    """Launch a tree, and run its nodes, and everything that their task functions launch, in this process.

    .. code-block:: python

        result = run_tree("daily-orders", {"day": date(2030, 1, 31)})
        assert result.state == "SUCCESS"

    Rows, states and results are those that workers would write. Delays are skipped: a retry and a node with a
    ``countdown`` run at once. Inside a transaction, such as that of a ``TestCase``, callbacks that task functions pass
    to ``transaction.on_commit`` are called without a commit.

    Args:
        tree: the tree, or the name of a definition.
        params: the parameters of the definition.
        key: makes the launch idempotent: if a run with this key exists, its handle is returned.
        launched_by: the user who launches the tree.

    Returns:
        The handle of the run, which has ended. A failed node raises no exception; its row has the error.

    Raises:
        TypeError: if ``tree`` is neither a tree nor a name, or ``params`` are passed with a tree instead of a name.
        Exception: any exception of the launch; see :func:`django_tasktree.definitions.launch.launch_definition` and
            :meth:`TaskTree.apply_async`.
    """
    # pytest imports plugins, and with them this module, before Django's settings are configured.
    from django_tasktree.builder.tree import Tree
    from django_tasktree.definitions.launch import launch_definition
    from django_tasktree.dispatch import eager

    if not isinstance(tree, (str, Tree)):
        raise TypeError(f"run_tree() takes a tree or the name of a definition, not {tree!r}")
    if params is not None and not isinstance(tree, str):
        raise TypeError("params are those of a definition: pass its name instead of a tree, or leave params out")
    with eager.in_process():
        if isinstance(tree, str):
            return launch_definition(tree, params, key=key, launched_by=launched_by)
        return tree.apply_async(key=key, launched_by=launched_by)
