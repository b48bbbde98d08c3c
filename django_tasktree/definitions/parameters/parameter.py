"""One parameter of a definition, or of the payload of an event.

It converts its value from the text of a command line (``parse``), from JSON (``clean``) and to JSON (``to_json``). The
codecs contain what depends on the type.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, Literal

from django.db.models import Model

from django_tasktree.definitions.parameters.choice import Choice
from django_tasktree.definitions.parameters.codec import Codec, Kind, UnfitError
from django_tasktree.definitions.parameters.lists import List
from django_tasktree.definitions.parameters.row import Row
from django_tasktree.definitions.parameters.scalars import SCALARS
from django_tasktree.definitions.parameters.showing import shown
from django_tasktree.encoding.text import check_json
from django_tasktree.exceptions import InvalidParameter, InvalidText

#: What has parameters.
OwnerKind = Literal["definition", "event"]
_NONE_WORDS = frozenset({"", "none", "null"})


@dataclass(frozen=True)
class Parameter:
    """One parameter of a definition, or of the payload of an event.

    Attributes:
        name: its name in the signature.
        annotation: its type, resolved and without ``None``.
        kind: which of the supported types it is.
        owner: the name of the definition, or of the event whose payload it is part of, for messages.
        owner_kind: which of the two it is.
        optional: whether ``None`` is allowed.
        required: whether it has no default.
        default: the default in the signature.
        choices: the members of an Enum, the values of a Literal.
        item: for a list, the parameter that converts each item.
        model: the Django model of the row, which is given by its primary key.
    """

    name: str
    annotation: Any
    kind: Kind
    owner: str
    owner_kind: OwnerKind = "definition"
    optional: bool = False
    required: bool = True
    default: Any = field(default=None, hash=False)
    choices: tuple[Any, ...] = ()
    item: "Parameter | None" = None
    model: type[Model] | None = None

    def parse(self, text: str) -> Any:
        """Return the value for a text from a command line.

        Raises:
            InvalidParameter: the text does not fit.
        """
        return self._named(self.read_unnamed, text)

    def clean(self, value: Any) -> Any:
        """Return the value for a JSON value; a value of the parameter's own type is accepted too.

        Raises:
            InvalidParameter: the value does not fit.
        """
        return self._named(self.clean_unnamed, value)

    def to_json(self, value: Any) -> Any:
        """Return a value as JSON, which ``clean`` converts back."""
        return None if value is None else self._codec.to_json(value)

    def check_storable(self, value: Any) -> None:
        """Check that every supported database can store a value with the run.

        Raises:
            InvalidParameter: a text in it has characters that can't be stored.
        """
        try:
            check_json(self._in_full, self.to_json(value))
        except InvalidText as invalid:
            raise InvalidParameter(str(invalid), {self.name: str(invalid)}) from invalid

    def describe(self) -> str:
        """Return the parameter similar to its place in the signature: ``full: bool = False``."""
        default = "" if self.required else f" = {shown(self.default)}"
        return f"{self.name}: {self.label}{default}"

    @property
    def label(self) -> str:
        """The name of the type for people to read: ``date``, ``list[int] | None``, ``"low"|"high"``."""
        return f"{self._codec.label} | None" if self.optional else self._codec.label

    @property
    def names_rows(self) -> bool:
        """Whether converting a value queries the database."""
        return self.kind == "model" or (self.item is not None and self.item.names_rows)

    @cached_property
    def _codec(self) -> "Codec":
        if self.choices:
            return Choice(self.choices)
        if self.item is not None:
            return List(self.item)
        if self.model is not None:
            return Row(self.model)
        return SCALARS[self.kind]

    def _named(self, read: Callable[[Any], Any], value: Any) -> Any:
        """Call a function; turn UnfitError into InvalidParameter with the names of the parameter and its owner."""
        try:
            return read(value)
        except UnfitError as unfit:
            raise InvalidParameter(f"{self._in_full}: {unfit}", {self.name: str(unfit)}) from unfit

    @property
    def _in_full(self) -> str:
        return f"parameter {self.name!r} of {self.owner_kind} {self.owner!r}"

    def read_unnamed(self, text: str) -> Any:
        """Return the value for a text; UnfitError if it does not fit."""
        return None if self._says_none(text) else self._codec.read(text)

    def clean_unnamed(self, value: Any) -> Any:
        """Return the value for a JSON value; UnfitError if it does not fit."""
        return None if value is None and self.optional else self._codec.clean(value)

    def _says_none(self, text: str) -> bool:
        """Return whether a text means ``None``; a choice with the same spelling takes precedence."""
        if not self.optional or self.kind == "text" or text.strip().lower() not in _NONE_WORDS:
            return False
        return not (isinstance(self._codec, Choice) and self._codec.has(text))
