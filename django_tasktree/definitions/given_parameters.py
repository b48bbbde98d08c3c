"""Read the parameters that are given for a launch of a definition."""

import reprlib
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from difflib import get_close_matches
from typing import Any

from django_tasktree.definitions.parameters import Parameter
from django_tasktree.definitions.parameters.parameter import OwnerKind
from django_tasktree.exceptions import InvalidParameter


def read_parameters(
    owner: str,
    parameters: Sequence[Parameter],
    values: Mapping[str, Any],
    read: Callable[[Parameter, Any], Any],
    owner_kind: OwnerKind = "definition",
) -> dict[str, Any]:
    """Return the values of all parameters of a definition, or of an event. Omitted ones get their defaults.

    Args:
        owner: the name of the definition or event.
        parameters: its parameters.
        values: the given values, by the name of the parameter.
        read: converts a given value to the type of its parameter.
        owner_kind: what has the parameters.

    Raises:
        InvalidParameter: parameters are missing, unknown or have invalid values; the error names all of them.
    """
    if not isinstance(values, Mapping):
        raise InvalidParameter(
            f"the parameters of {owner_kind} {owner!r} must be a dict of values by name, not {reprlib.repr(values)}",
            {},
        )
    faults = _Faults(f"{owner_kind} {owner!r}", parameters)
    faults.note_unknown(values)
    params = {}
    for parameter in parameters:
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


def check_names(definition: str, parameters: Sequence[Parameter], values: Mapping[str, Any]) -> None:
    """Check that all parameters without a default are given, and no unknown ones.

    Args:
        definition: the name of the definition.
        parameters: its parameters.
        values: the given values, by the name of the parameter.

    Raises:
        InvalidParameter: parameters are missing or unknown; the error names all of them.
    """
    faults = _Faults(f"definition {definition!r}", parameters)
    faults.note_unknown(values)
    for parameter in parameters:
        if parameter.required and parameter.name not in values:
            faults.note_missing(parameter.name)
    faults.raise_any()


def _value(parameter: Parameter, values: Mapping[str, Any], read: Callable[[Parameter, Any], Any]) -> Any:
    """Read one parameter. A default is cleaned, too, so that no two launches share a list."""
    if parameter.name in values:
        return read(parameter, values[parameter.name])
    return parameter.clean(parameter.default)


@dataclass
class _Faults:
    """All errors in the given parameters, collected for one exception."""

    owner: str
    parameters: Sequence[Parameter]
    errors: dict[str, str] = field(default_factory=dict)
    missing: list[str] = field(default_factory=list)
    messages: list[str] = field(default_factory=list)
    meant: set[str] = field(default_factory=set)

    def note_unknown(self, given: Iterable[str]) -> None:
        """Add an error for each unknown parameter, with a similar name as a suggestion."""
        names = [parameter.name for parameter in self.parameters]
        takes = f"it takes {', '.join(names)}" if names else "it takes none"
        for name in given:
            if name not in names:
                near = get_close_matches(str(name), names, n=1)
                hint = f"did you mean {near[0]!r}?" if near else takes
                self.meant.update(near)
                self.errors[name] = f"no such parameter: {hint}"
                self.messages.append(f"{self.owner} has no parameter {name!r}: {hint}")

    def note_missing(self, name: str) -> None:
        """Add an error for a parameter that has no default and was not given."""
        self.errors[name] = "required, but not given"
        self.missing.append(name)

    def note(self, error: InvalidParameter) -> None:
        """Add an error for an invalid value."""
        self.errors.update(error.errors)
        self.messages.append(str(error))

    def raise_any(self) -> None:
        """Raise one exception for all errors, if there are any.

        Raises:
            InvalidParameter: there are errors.
        """
        if self.errors:
            raise InvalidParameter("; ".join([*self._need(), *self.messages]), self.errors)

    def _need(self) -> list[str]:
        # The error for a misspelt name already implies that the parameter is missing.
        missing = [name for name in self.missing if name not in self.meant]
        if not missing:
            return []
        noun = "parameter" if len(missing) == 1 else "parameters"
        return [f"{self.owner} needs the {noun} {', '.join(map(repr, missing))}"]
