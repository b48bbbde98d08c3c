"""The registry of definitions: functions that build trees, from the module ``trees`` of each app."""

import inspect
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from difflib import get_close_matches
from typing import TYPE_CHECKING, Any, overload

from django.utils.module_loading import autodiscover_modules

from django_tasktree.definitions.definition import Definition
from django_tasktree.encoding.text import NAME_LENGTH, check_storable
from django_tasktree.exceptions import InvalidDefinition, UnknownDefinition
from django_tasktree.types import P

if TYPE_CHECKING:
    from django_tasktree.client.tree import TaskTree


class Registry:
    """A registry of definitions by name."""

    def __init__(self) -> None:
        self._definitions: dict[str, Definition[Any]] = {}

    def add(self, function: Callable[P, Any], name: str | None = None, description: str | None = None) -> Definition[P]:
        """Register a function.

        Args:
            function: a function that returns a tree; or a definition, to register its function under another name.
            name: the name; by default that of the function, with dashes instead of underscores.
            description: the description; by default the docstring of the function.

        Raises:
            InvalidDefinition: another function has this name.
            InvalidText: the name can't be stored.
        """
        if isinstance(function, Definition):
            function = function.function
        name = check_storable("the name of the definition", name or function.__name__.replace("_", "-"), NAME_LENGTH)
        definition: Definition[P] = Definition(name, function, inspect.cleandoc(description or function.__doc__ or ""))
        known = self._definitions.get(name)
        # A function of the same place is the same function, whose module was imported again.
        if known is not None and known.place != definition.place:
            raise InvalidDefinition(
                f"two functions define tree {name!r}, {known.place} and {definition.place}: "
                'give one of them another name, @register_tree("…")'
            )
        self._definitions[name] = definition
        return definition

    def get(self, name: str) -> Definition[Any]:
        """Return the definition of a name.

        Raises:
            UnknownDefinition: there is no definition of this name.
        """
        if name not in self._definitions:
            near = get_close_matches(name, self._definitions, n=1)
            raise UnknownDefinition.of(name, near, any_registered=bool(self._definitions))
        return self._definitions[name]

    def all(self) -> list[Definition[Any]]:
        """Return all definitions, sorted by name."""
        return [definition for _, definition in sorted(self._definitions.items())]

    @contextmanager
    def changed(self, added: Iterable[Definition[Any]], *, only: bool) -> Iterator[None]:
        """Return a context manager that adds definitions temporarily.

        At its end, all definitions that were registered since are removed, too.

        Args:
            added: the definitions to add; they replace others of the same names.
            only: whether to remove all other definitions temporarily.
        """
        before = self._definitions
        self._definitions = ({} if only else before) | {definition.name: definition for definition in added}
        try:
            yield
        finally:
            self._definitions = before

    def validate(self) -> None:
        """Check the signature of every definition.

        Raises:
            InvalidDefinition: a signature contains something that can't be a parameter.
        """
        for definition in self.all():
            _ = definition.parameters


#: The registry that ``register_tree`` uses.
registry = Registry()


@overload
def register_tree(name: "Callable[P, TaskTree]", /) -> Definition[P]: ...


@overload
def register_tree(
    name: str | None = None, *, description: str | None = None
) -> "Callable[[Callable[P, TaskTree]], Definition[P]]": ...


def register_tree(name: Any = None, *, description: str | None = None) -> Any:
    """Register a function that returns a tree as a :term:`definition`, so that it can be launched by name.

    Use it as ``@register_tree``, ``@register_tree("name")`` or ``@register_tree(name=…, description=…)``. The
    definition is called like the function, and has the method ``launch()``; see :class:`Definition`.

    Args:
        name: the name; by default that of the function, with dashes instead of underscores.
        description: the description; by default the docstring of the function.

    Raises:
        InvalidDefinition: another function has this name.
        InvalidText: the name can't be stored.
    """
    if name is not None and not isinstance(name, str):
        return registry.add(name)

    def register(function: Callable[P, Any]) -> Definition[P]:
        return registry.add(function, name, description)

    return register


def get_definition(name: str) -> Definition[Any]:
    """Return the registered definition of a name.

    Raises:
        UnknownDefinition: there is no definition of this name.
    """
    return registry.get(name)


def all_definitions() -> list[Definition[Any]]:
    """Return all registered definitions, sorted by name."""
    return registry.all()


def autodiscover() -> None:
    """Import the module ``trees`` of every installed app, and check the signature of every definition.

    Raises:
        InvalidDefinition: a signature contains something that can't be a parameter, or two functions have one name.
    """
    autodiscover_modules("trees")
    registry.validate()
