"""The registered definitions: functions that build trees, found by name in the ``trees.py`` of each app."""

import inspect
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from difflib import get_close_matches
from functools import cached_property
from typing import TYPE_CHECKING, Any, TypeVar, overload

from django.utils.module_loading import autodiscover_modules

from django_tasktree.exceptions import InvalidDefinition, InvalidParameter, UnknownDefinition
from django_tasktree.parameters import Parameter, parameters_of
from django_tasktree.text import NAME_LENGTH, check_storable

if TYPE_CHECKING:
    from django_tasktree.tree import TaskTree

F = TypeVar("F", bound=Callable[..., Any])


@dataclass(frozen=True)
class Definition:
    """A function that builds a tree, with the name it is launched by.

    Attributes:
        name: what the admin, the command line and code call it.
        function: takes the parameters by keyword, and returns the tree.
        description: what it is for; its first line stands alone in lists.
    """

    name: str
    function: Callable[..., Any]
    description: str = ""

    @cached_property
    def parameters(self) -> tuple[Parameter, ...]:
        """The parameters, in the order of the signature; read late, since their types may be models.

        Raises:
            InvalidDefinition: the signature has what can't be a parameter.
        """
        return parameters_of(self.function, self.name)

    @property
    def summary(self) -> str:
        """The first line of the description."""
        return self.description.strip().partition("\n")[0].rstrip()

    @property
    def place(self) -> str:
        """Where the function stands: its module and its name there."""
        return f"{self.function.__module__}.{self.function.__qualname__}"

    def parse_params(self, pairs: Mapping[str, str]) -> dict[str, Any]:
        """Read all parameters from texts, as a command line gives them; those left out get their defaults.

        Raises:
            InvalidParameter: some are missing, unknown or do not fit; it names them all.
        """
        return self._read(pairs, Parameter.parse)

    def clean_params(self, values: Mapping[str, Any]) -> dict[str, Any]:
        """Read all parameters from JSON or values of their own types; those left out get their defaults.

        Raises:
            InvalidParameter: some are missing, unknown or do not fit; it names them all.
        """
        return self._read(values, Parameter.clean)

    def params_to_json(self, params: Mapping[str, Any]) -> dict[str, Any]:
        """Write parameters that were read as JSON; ``clean_params`` takes it back."""
        return {each.name: each.to_json(params[each.name]) for each in self.parameters if each.name in params}

    def build(self, /, **params: Any) -> "TaskTree":
        """Call the function, and check what it returns.

        Args:
            params: values of the parameters' own types.

        Raises:
            InvalidDefinition: it returned something else than a tree.
        """
        from django_tasktree.tree import TaskTree

        tree = self.function(**params)
        if not isinstance(tree, TaskTree):
            raise InvalidDefinition(
                f"{self.place}, which defines tree {self.name!r}, returned {tree!r} of type {type(tree).__qualname__}: "
                "it must return a django_tasktree.TaskTree"
            )
        return tree

    def _read(self, values: Mapping[str, Any], read: Callable[[Parameter, Any], Any]) -> dict[str, Any]:
        faults = _Faults(self)
        faults.note_unknown(values)
        params = {}
        for parameter in self.parameters:
            if parameter.required and parameter.name not in values:
                faults.note_missing(parameter.name)
                continue
            try:
                params[parameter.name] = _value(parameter, values, read)
                parameter.check_storable(params[parameter.name])
            except InvalidParameter as error:
                faults.note(error)
        faults.raise_any()
        return params


def _value(parameter: Parameter, values: Mapping[str, Any], read: Callable[[Parameter, Any], Any]) -> Any:
    """Read one parameter; a default is cleaned too, so that no two launches share a list."""
    if parameter.name in values:
        return read(parameter, values[parameter.name])
    return parameter.clean(parameter.default)


@dataclass
class _Faults:
    """All that is wrong with the parameters given, for one message."""

    definition: Definition
    errors: dict[str, str] = field(default_factory=dict)
    missing: list[str] = field(default_factory=list)
    messages: list[str] = field(default_factory=list)

    def note_unknown(self, given: Iterable[str]) -> None:
        """Note the names that the definition does not have, each with the one that was perhaps meant."""
        names = [parameter.name for parameter in self.definition.parameters]
        takes = f"it takes {', '.join(names)}" if names else "it takes none"
        for name in given:
            if name not in names:
                near = get_close_matches(name, names, n=1)
                hint = f"did you mean {near[0]!r}? {takes}" if near else takes
                self.errors[name] = f"no such parameter: {hint}"
                self.messages.append(f"tree {self.definition.name!r} has no parameter {name!r}: {hint}")

    def note_missing(self, name: str) -> None:
        """Note a parameter that has no default and was not given."""
        self.errors[name] = "required, but not given"
        self.missing.append(name)

    def note(self, error: InvalidParameter) -> None:
        """Note a value that does not fit."""
        self.errors.update(error.errors)
        self.messages.append(str(error))

    def raise_any(self) -> None:
        """Raise one exception for all, if there are any."""
        if self.errors:
            raise InvalidParameter("; ".join([*self._need(), *self.messages]), self.errors)

    def _need(self) -> list[str]:
        if not self.missing:
            return []
        noun = "parameter" if len(self.missing) == 1 else "parameters"
        return [f"tree {self.definition.name!r} needs the {noun} {', '.join(map(repr, self.missing))}"]


class Registry:
    """Definitions by name."""

    def __init__(self) -> None:
        self._definitions: dict[str, Definition] = {}

    def add(self, function: Callable[..., Any], name: str | None = None, description: str | None = None) -> Definition:
        """Register a function.

        Args:
            function: returns a tree.
            name: the function's own with dashes by default.
            description: the function's docstring by default.

        Raises:
            InvalidDefinition: another function has the name.
            InvalidText: the name can't be stored.
        """
        name = check_storable("the name of the definition", name or function.__name__.replace("_", "-"), NAME_LENGTH)
        definition = Definition(name, function, inspect.cleandoc(description or function.__doc__ or ""))
        known = self._definitions.get(name)
        # The same place again is the same function, imported anew.
        if known is not None and known.place != definition.place:
            raise InvalidDefinition(
                f"two functions define tree {name!r}, {known.place} and {definition.place}: "
                'give one of them another name, @register_tree("…")'
            )
        self._definitions[name] = definition
        return definition

    def get(self, name: str) -> Definition:
        """Look a definition up.

        Raises:
            UnknownDefinition: there is none of this name.
        """
        if name not in self._definitions:
            near = get_close_matches(name, self._definitions, n=1)
            raise UnknownDefinition.of(name, near, any_registered=bool(self._definitions))
        return self._definitions[name]

    def all(self) -> list[Definition]:
        """List the definitions by name."""
        return [definition for _, definition in sorted(self._definitions.items())]

    def validate(self) -> None:
        """Read the parameters of every definition.

        Raises:
            InvalidDefinition: a signature has what can't be a parameter.
        """
        for definition in self.all():
            _ = definition.parameters


#: What ``register_tree`` registers with.
registry = Registry()


@overload
def register_tree(name: F, /) -> F: ...


@overload
def register_tree(name: str | None = None, *, description: str | None = None) -> Callable[[F], F]: ...


def register_tree(name: F | str | None = None, *, description: str | None = None) -> F | Callable[[F], F]:
    """Register a function that returns a tree, so that it can be launched by name; the function itself stays as it is.

    ``@register_tree``, ``@register_tree("name")`` or ``@register_tree(name=…, description=…)``.

    Args:
        name: the function's own with dashes by default.
        description: the function's docstring by default.

    Raises:
        InvalidDefinition: another function has the name.
    """
    if name is not None and not isinstance(name, str):
        registry.add(name)
        return name

    def register(function: F) -> F:
        registry.add(function, name, description)
        return function

    return register


def get_definition(name: str) -> Definition:
    """Look a registered definition up.

    Raises:
        UnknownDefinition: there is none of this name.
    """
    return registry.get(name)


def all_definitions() -> list[Definition]:
    """List the registered definitions by name."""
    return registry.all()


def autodiscover() -> None:
    """Import the module ``trees`` of every installed app, and check every definition.

    Raises:
        InvalidDefinition: a function can't define a tree.
    """
    autodiscover_modules("trees")
    registry.validate()
