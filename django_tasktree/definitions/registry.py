"""The registry of definitions: functions that build trees, from the module ``trees`` of each app."""

import inspect
import reprlib
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from difflib import get_close_matches
from typing import TYPE_CHECKING, Any, overload

from django.utils.module_loading import autodiscover_modules

from django_tasktree.definitions.definition import Definition
from django_tasktree.encoding.text import NAME_LENGTH, check_storable
from django_tasktree.exceptions import InvalidDefinition, UnknownDefinition
from django_tasktree.types import P

if TYPE_CHECKING:
    from django_tasktree.client.tree import TaskTree


@dataclass(eq=False)
class _Layer:
    """Some definitions by name, which replace others of the same names in the layers below.

    Attributes:
        only: whether to hide all definitions in the layers below.
    """

    definitions: dict[str, Definition[Any]]
    only: bool = False


class Registry:
    """A registry of definitions by name."""

    def __init__(self) -> None:
        #: The definitions of the project, then those of each open block of :meth:`changed`.
        self._layers: list[_Layer] = [_Layer({})]

    @property
    def _definitions(self) -> dict[str, Definition[Any]]:
        found: dict[str, Definition[Any]] = {}
        for layer in self._layers:
            found = layer.definitions if layer.only else found | layer.definitions
        return found

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
        if not all(hasattr(function, each) for each in ("__call__", "__module__", "__name__", "__qualname__")):
            raise InvalidDefinition(
                f"{reprlib.repr(function)} can't define a tree: it must be a function, made with def, "
                "that returns a tree"
            )
        name = check_storable("the name of the definition", name or function.__name__.replace("_", "-"), NAME_LENGTH)
        definition: Definition[P] = Definition(name, function, inspect.cleandoc(description or function.__doc__ or ""))
        known = self._definitions.get(name)
        # A function of the same place is the same function, whose module was imported again.
        if known is not None and known.place != definition.place:
            raise InvalidDefinition(
                f"two functions define {name!r}, {known.place} and {definition.place}: "
                'give one of them another name, @register_tree("…")'
            )
        self._layers[-1].definitions[name] = definition
        return definition

    def get(self, name: str) -> Definition[Any]:
        """Return the definition of a name.

        Raises:
            UnknownDefinition: there is no definition of this name.
        """
        known = self._definitions
        if not isinstance(name, str) or name not in known:
            near = get_close_matches(str(name), known, n=1)
            raise UnknownDefinition.of(name, near, any_registered=bool(known))
        return known[name]

    def all(self) -> list[Definition[Any]]:
        """Return all definitions, sorted by name."""
        return [definition for _, definition in sorted(self._definitions.items())]

    @contextmanager
    def changed(self, added: Iterable[Definition[Any]], *, only: bool) -> Iterator[None]:
        """Return a context manager that adds definitions temporarily.

        At its end, all definitions that were registered since are removed, too. Blocks may overlap, as in threads, or
        if they are not closed in the reverse order: each removes only its own definitions.

        Args:
            added: the definitions to add; they replace others of the same names.
            only: whether to remove all other definitions temporarily.
        """
        layer = _Layer({definition.name: definition for definition in added}, only)
        self._layers.append(layer)
        try:
            yield
        finally:
            self._layers = [each for each in self._layers if each is not layer]

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
