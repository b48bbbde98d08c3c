"""A definition: a function that builds a tree, with a name and typed parameters."""

import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property, update_wrapper
from operator import attrgetter
from typing import TYPE_CHECKING, Any, ClassVar, Generic, cast, overload

from asgiref.sync import sync_to_async

from django_tasktree.builder.tree import Tree
from django_tasktree.definitions.given_parameters import read_parameters
from django_tasktree.definitions.parameters import Parameter, parameters_of
from django_tasktree.exceptions import InvalidDefinition
from django_tasktree.types import P

if TYPE_CHECKING:
    from datetime import datetime, timedelta

    from django_tasktree.client.tree import TaskTree
    from django_tasktree.client.tree_result import TreeResult


class _Attributes:
    """Write access to the attributes of a frozen dataclass, for ``update_wrapper``."""

    def __init__(self, namespace: dict[str, Any]) -> None:
        self.__dict__ = namespace


#: The options that :meth:`Definition.launch` takes in addition to parameters.
_LAUNCH_OPTIONS = frozenset({"key", "name", "launched_by", "draft", "eta", "countdown", "deadline", "copy_of"})


@dataclass(frozen=True)
class Definition(Generic[P]):
    """A :term:`definition`: a function that builds a tree, registered under a name. Call it to build the tree.

    Example::

        @register_tree
        def nightly_report(day: date, parts: int = 4):
            tree = TaskTree()
            ...
            return tree

        nightly_report.launch(date.today(), parts=8, launched_by=user)

    Attributes:
        name: the name by which the admin, the command line and code launch it.
        function: the function; it takes the parameters by keyword and returns the tree.
        description: the description for users. Lists show only its first line.
    """

    name: str
    function: Callable[P, Any]
    description: str = ""

    #: Prevents Django's templates from calling a definition.
    do_not_call_in_templates: ClassVar[bool] = True

    def __post_init__(self) -> None:
        """Copy name, docstring and annotations of the function, for documentation tools and ``help()``."""
        update_wrapper(cast("Any", _Attributes(self.__dict__)), self.function)

    def __reduce_ex__(self, protocol: Any) -> Any:
        """Pickle by reference, like a function, if the definition has taken the place of its function in the module."""
        name = self.function.__qualname__
        try:
            is_found = attrgetter(name)(sys.modules[self.function.__module__]) is self
        except (KeyError, AttributeError):
            is_found = False
        return name if is_found else super().__reduce_ex__(protocol)

    def __call__(self, *args: P.args, **kwargs: P.kwargs) -> "TaskTree":
        """Build the tree. Its runs store the name of the definition and the parameters.

        Args:
            *args: parameters, in the order of the signature.
            **kwargs: parameters by name. A value has the type of the parameter, or is its JSON representation.

        Raises:
            TypeError: there are too many positional arguments, or a parameter is given twice.
            InvalidParameter: parameters are missing, unknown or have invalid values.
            InvalidDefinition: the function did not return a tree.
        """
        return self.build(**self.clean_params({**self._by_name(args), **self._once(args, kwargs)}))

    # Types can't express options among parameters: in a call with an option, type checkers do not check parameters.
    @overload
    def launch(self, *args: P.args, **kwargs: P.kwargs) -> "TreeResult": ...
    @overload
    def launch(self, *args: Any, key: str | None, **given: Any) -> "TreeResult": ...
    @overload
    def launch(self, *args: Any, name: str | None, **given: Any) -> "TreeResult": ...
    @overload
    def launch(self, *args: Any, launched_by: Any, **given: Any) -> "TreeResult": ...
    @overload
    def launch(self, *args: Any, draft: bool, **given: Any) -> "TreeResult": ...
    @overload
    def launch(self, *args: Any, eta: "datetime | None", **given: Any) -> "TreeResult": ...
    @overload
    def launch(self, *args: Any, countdown: float | None, **given: Any) -> "TreeResult": ...
    @overload
    def launch(self, *args: Any, deadline: "datetime | timedelta | None", **given: Any) -> "TreeResult": ...
    def launch(self, *args: Any, **given: Any) -> "TreeResult":
        """Build the tree and launch it.

        Args:
            *args: parameters, in the order of the signature.
            **given: parameters by name; and the options ``key``, ``name``, ``launched_by``, ``draft``, ``eta``,
                ``countdown``, ``deadline`` and ``copy_of`` of :meth:`TaskTree.apply_async`. If the definition has a
                parameter of one of these names, the value is that of the parameter. To use the option, too, call the
                definition, and pass the option to ``apply_async`` of the tree.

        Returns:
            The handle of the run.

        Raises:
            TypeError, InvalidParameter, InvalidDefinition: see :meth:`__call__`.
            KeyInUse: the key belongs to a run of another definition or other parameters.
        """
        options = {name: given[name] for name in _LAUNCH_OPTIONS & given.keys() - self._names()}
        params = {name: value for name, value in given.items() if name not in options}
        call: Callable[..., TaskTree] = self
        return call(*args, **params).apply_async(**options)

    @overload
    async def alaunch(self, *args: P.args, **kwargs: P.kwargs) -> "TreeResult": ...
    @overload
    async def alaunch(self, *args: Any, key: str | None, **given: Any) -> "TreeResult": ...
    @overload
    async def alaunch(self, *args: Any, name: str | None, **given: Any) -> "TreeResult": ...
    @overload
    async def alaunch(self, *args: Any, launched_by: Any, **given: Any) -> "TreeResult": ...
    @overload
    async def alaunch(self, *args: Any, draft: bool, **given: Any) -> "TreeResult": ...
    @overload
    async def alaunch(self, *args: Any, eta: "datetime | None", **given: Any) -> "TreeResult": ...
    @overload
    async def alaunch(self, *args: Any, countdown: float | None, **given: Any) -> "TreeResult": ...
    @overload
    async def alaunch(self, *args: Any, deadline: "datetime | timedelta | None", **given: Any) -> "TreeResult": ...
    async def alaunch(self, *args: Any, **given: Any) -> "TreeResult":
        """Like :meth:`launch`, without blocking the event loop."""
        launch: Callable[..., TreeResult] = self.launch
        return await sync_to_async(launch)(*args, **given)

    def _names(self) -> set[str]:
        return {parameter.name for parameter in self.parameters}

    def _by_name(self, args: Sequence[Any]) -> dict[str, Any]:
        names = [parameter.name for parameter in self.parameters]
        if len(args) > len(names):
            raise TypeError(f"definition {self.name!r} takes {len(names)} parameter(s), but {len(args)} were given")
        return dict(zip(names, args, strict=False))

    def _once(self, args: Sequence[Any], kwargs: Mapping[str, Any]) -> Mapping[str, Any]:
        twice = self._by_name(args).keys() & kwargs.keys()
        if twice:
            raise TypeError(f"definition {self.name!r} got the parameter {min(twice)!r} twice")
        return kwargs

    @cached_property
    def parameters(self) -> tuple[Parameter, ...]:
        """The parameters, in the order of the signature. Read on first use, because their types may be models.

        Raises:
            InvalidDefinition: the signature contains something that can't be a parameter.
        """
        return parameters_of(self.function, self.name)

    @property
    def summary(self) -> str:
        """The first line of the description."""
        return self.description.strip().partition("\n")[0].rstrip()

    @property
    def place(self) -> str:
        """The module of the function and its qualified name in it."""
        return f"{self.function.__module__}.{self.function.__qualname__}"

    def parse_params(self, pairs: Mapping[str, str]) -> dict[str, Any]:
        """Return all parameters, read from texts of a command line. Omitted ones get their defaults.

        Raises:
            InvalidParameter: parameters are missing, unknown or have invalid values; the error names all of them.
        """
        return read_parameters(self.name, self.parameters, pairs, Parameter.parse)

    def clean_params(self, values: Mapping[str, Any]) -> dict[str, Any]:
        """Return all parameters, read from JSON or values of their types. Omitted ones get their defaults.

        Raises:
            InvalidParameter: parameters are missing, unknown or have invalid values; the error names all of them.
        """
        return read_parameters(self.name, self.parameters, values, Parameter.clean)

    def params_to_json(self, params: Mapping[str, Any]) -> dict[str, Any]:
        """Return values of parameters as JSON, which :meth:`clean_params` can read."""
        return {each.name: each.to_json(params[each.name]) for each in self.parameters if each.name in params}

    def build(self, /, **params: Any) -> "TaskTree":
        """Build the tree, and store the name of the definition and the parameters in it.

        Args:
            **params: all parameters, as values of their types.

        Raises:
            InvalidDefinition: the function did not return a tree.
        """
        # Convert them before the call: the function may change a list.
        written = self.params_to_json(params)
        function: Callable[..., Any] = self.function
        tree = function(**params)
        if not isinstance(tree, Tree):
            raise InvalidDefinition(
                f"{self.place}, which defines {self.name!r}, returned {tree!r} of type {type(tree).__qualname__}: "
                "it must return a django_tasktree.TaskTree"
            )
        tree.definition, tree.params = self.name, written
        return cast("TaskTree", tree)
