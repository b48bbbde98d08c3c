"""The registered definitions: functions that build trees, found by name in the ``trees.py`` of each app."""

import inspect
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from difflib import get_close_matches
from functools import cached_property, update_wrapper
from typing import TYPE_CHECKING, Any, ClassVar, Generic, ParamSpec, cast, overload

from asgiref.sync import sync_to_async
from django.utils.module_loading import autodiscover_modules

from django_tasktree.exceptions import InvalidDefinition, InvalidParameter, UnknownDefinition
from django_tasktree.parameters import Parameter, parameters_of
from django_tasktree.text import NAME_LENGTH, check_storable

if TYPE_CHECKING:
    from django_tasktree.result import TreeResult
    from django_tasktree.tree import TaskTree

P = ParamSpec("P")


class _Attributes:
    """Lets ``update_wrapper`` write what a frozen dataclass would refuse."""

    def __init__(self, namespace: dict[str, Any]) -> None:
        self.__dict__ = namespace


#: What :meth:`Definition.launch` takes beside parameters.
_LAUNCH_OPTIONS = frozenset({"key", "name", "launched_by", "draft", "eta", "countdown", "deadline", "copy_of"})


@dataclass(frozen=True)
class Definition(Generic[P]):
    """A function that builds a tree, with the name it is launched by. Called, it builds the tree.

    Attributes:
        name: what the admin, the command line and code call it.
        function: takes the parameters by keyword, and returns the tree.
        description: what it is for; its first line stands alone in lists.
    """

    name: str
    function: Callable[P, Any]
    description: str = ""

    #: Django's templates call what is callable.
    do_not_call_in_templates: ClassVar[bool] = True

    def __post_init__(self) -> None:
        """Look like the function, for documentation tools and help()."""
        update_wrapper(cast("Any", _Attributes(self.__dict__)), self.function)

    def __call__(self, *args: P.args, **kwargs: P.kwargs) -> "TaskTree":
        """Build the tree. Its runs know the definition and the parameters.

        Args:
            *args: parameters, in the order of the signature.
            **kwargs: parameters by name. Values may be of the parameters' own types, or what JSON can hold.

        Raises:
            TypeError: there are too many positional arguments, or a parameter is given twice.
            InvalidParameter: parameters are missing, unknown or do not fit.
            InvalidDefinition: the function returned something else than a tree.
        """
        return self.build(**self.clean_params({**self._by_name(args), **self._once(args, kwargs)}))

    def launch(self, **given: Any) -> "TreeResult":
        """Build the tree and launch it.

        Args:
            **given: parameters, and ``key``, ``name``, ``launched_by``, ``draft``, ``eta``, ``countdown`` and
                ``deadline`` of :meth:`TaskTree.apply_async`. Where a parameter has one of these names, it is the
                parameter: call the definition, and give the option to ``apply_async``.

        Raises:
            InvalidParameter, InvalidDefinition: see :meth:`__call__`.
            KeyInUse: the key belongs to a run of another definition or other parameters.
        """
        options = {name: given[name] for name in _LAUNCH_OPTIONS & given.keys() - self._names()}
        params = {name: value for name, value in given.items() if name not in options}
        return self.build(**self.clean_params(params)).apply_async(**options)

    async def alaunch(self, **given: Any) -> "TreeResult":
        """Like :meth:`launch`, without blocking the event loop."""
        return await sync_to_async(self.launch)(**given)

    def _names(self) -> set[str]:
        return {parameter.name for parameter in self.parameters}

    def _by_name(self, args: Sequence[Any]) -> dict[str, Any]:
        names = [parameter.name for parameter in self.parameters]
        if len(args) > len(names):
            raise TypeError(f"tree {self.name!r} takes {len(names)} parameter(s), but {len(args)} were given")
        return dict(zip(names, args, strict=False))

    def _once(self, args: Sequence[Any], kwargs: Mapping[str, Any]) -> Mapping[str, Any]:
        twice = self._by_name(args).keys() & kwargs.keys()
        if twice:
            raise TypeError(f"tree {self.name!r} got the parameter {min(twice)!r} twice")
        return kwargs

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
        """Call the function, check what it returns, and write down in the tree what built it.

        Args:
            params: values of the parameters' own types.

        Raises:
            InvalidDefinition: it returned something else than a tree.
        """
        from django_tasktree.tree import TaskTree

        # Written before the function may change a list.
        written = self.params_to_json(params)
        function: Callable[..., Any] = self.function
        tree = function(**params)
        if not isinstance(tree, TaskTree):
            raise InvalidDefinition(
                f"{self.place}, which defines tree {self.name!r}, returned {tree!r} of type {type(tree).__qualname__}: "
                "it must return a django_tasktree.TaskTree"
            )
        tree.definition, tree.params = self.name, written
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

    definition: Definition[Any]
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
        self._definitions: dict[str, Definition[Any]] = {}

    def add(self, function: Callable[P, Any], name: str | None = None, description: str | None = None) -> Definition[P]:
        """Register a function.

        Args:
            function: returns a tree; or the definition that another name has made of one.
            name: the function's own with dashes by default.
            description: the function's docstring by default.

        Raises:
            InvalidDefinition: another function has the name.
            InvalidText: the name can't be stored.
        """
        if isinstance(function, Definition):
            function = function.function
        name = check_storable("the name of the definition", name or function.__name__.replace("_", "-"), NAME_LENGTH)
        definition: Definition[P] = Definition(name, function, inspect.cleandoc(description or function.__doc__ or ""))
        known = self._definitions.get(name)
        # The same place again is the same function, imported anew.
        if known is not None and known.place != definition.place:
            raise InvalidDefinition(
                f"two functions define tree {name!r}, {known.place} and {definition.place}: "
                'give one of them another name, @register_tree("…")'
            )
        self._definitions[name] = definition
        return definition

    def get(self, name: str) -> Definition[Any]:
        """Look a definition up.

        Raises:
            UnknownDefinition: there is none of this name.
        """
        if name not in self._definitions:
            near = get_close_matches(name, self._definitions, n=1)
            raise UnknownDefinition.of(name, near, any_registered=bool(self._definitions))
        return self._definitions[name]

    def all(self) -> list[Definition[Any]]:
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
def register_tree(name: Callable[P, Any], /) -> Definition[P]: ...


@overload
def register_tree(
    name: str | None = None, *, description: str | None = None
) -> Callable[[Callable[P, Any]], Definition[P]]: ...


def register_tree(name: Any = None, *, description: str | None = None) -> Any:
    """Make a definition of a function that returns a tree, so that it can be launched by name.

    ``@register_tree``, ``@register_tree("name")`` or ``@register_tree(name=…, description=…)``. The definition is
    called as the function was, and has ``launch()``; see :class:`Definition`.

    Args:
        name: the function's own with dashes by default.
        description: the function's docstring by default.

    Raises:
        InvalidDefinition: another function has the name.
    """
    if name is not None and not isinstance(name, str):
        return registry.add(name)

    def register(function: Callable[P, Any]) -> Definition[P]:
        return registry.add(function, name, description)

    return register


def get_definition(name: str) -> Definition[Any]:
    """Look a registered definition up.

    Raises:
        UnknownDefinition: there is none of this name.
    """
    return registry.get(name)


def all_definitions() -> list[Definition[Any]]:
    """List the registered definitions by name."""
    return registry.all()


def autodiscover() -> None:
    """Import the module ``trees`` of every installed app, and check every definition.

    Raises:
        InvalidDefinition: a function can't define a tree.
    """
    autodiscover_modules("trees")
    registry.validate()
