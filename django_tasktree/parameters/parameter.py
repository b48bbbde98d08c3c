"""One parameter of a tree's definition.

It reads its value from the text of a command line (``parse``) or from JSON (``clean``), and writes it as JSON
(``to_json``). What differs from type to type stands in the codecs.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from django.db.models import Model

from django_tasktree.exceptions import InvalidParameter, InvalidText
from django_tasktree.parameters.choice import Choice
from django_tasktree.parameters.codec import Codec, Kind, UnfitError
from django_tasktree.parameters.listing import List
from django_tasktree.parameters.row import Row
from django_tasktree.parameters.scalars import SCALARS
from django_tasktree.parameters.showing import shown
from django_tasktree.text import check_json

_NONE_WORDS = frozenset({"", "none", "null"})


@dataclass(frozen=True)
class Parameter:
    """One parameter of a tree's definition.

    Attributes:
        name: its name in the signature.
        annotation: its type, resolved and without ``None``.
        kind: which of the supported types that is.
        tree: the name of the definition it belongs to, for messages.
        optional: whether ``None`` is a value of it.
        required: whether it has no default.
        default: the default as it stands in the signature.
        choices: the members of an Enum, the values of a Literal.
        item: the parameter that each item of a list is read by.
        model: the Django model whose rows it names by primary key.
    """

    name: str
    annotation: Any
    kind: Kind
    tree: str
    optional: bool = False
    required: bool = True
    default: Any = field(default=None, hash=False)
    choices: tuple[Any, ...] = ()
    item: "Parameter | None" = None
    model: type[Model] | None = None

    def parse(self, text: str) -> Any:
        """Read the value from text, as a command line gives it.

        Raises:
            InvalidParameter: the text does not fit.
        """
        return self._named(self.read_unnamed, text)

    def clean(self, value: Any) -> Any:
        """Read the value from what JSON can hold; a value of the parameter's own type passes.

        Raises:
            InvalidParameter: the value does not fit.
        """
        return self._named(self.clean_unnamed, value)

    def to_json(self, value: Any) -> Any:
        """Write a value of the parameter's type as JSON; ``clean`` takes it back."""
        return None if value is None else self._codec.to_json(value)

    def check_storable(self, value: Any) -> None:
        """Make sure that every database can store a value with the run.

        Raises:
            InvalidParameter: a text in it holds what can't be stored.
        """
        try:
            check_json(f"parameter {self.name!r} of tree {self.tree!r}", self.to_json(value))
        except InvalidText as invalid:
            raise InvalidParameter(str(invalid), {self.name: str(invalid)}) from invalid

    def describe(self) -> str:
        """Show the parameter much as the signature does: ``full: bool = False``."""
        default = "" if self.required else f" = {shown(self.default)}"
        return f"{self.name}: {self.label}{default}"

    @property
    def label(self) -> str:
        """The type for people to read: ``date``, ``list[int] | None``, ``"low"|"high"``."""
        return f"{self._codec.label} | None" if self.optional else self._codec.label

    @property
    def names_rows(self) -> bool:
        """Whether reading a value asks the database."""
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
        """Put the names of the parameter and the tree before the reason why a value does not fit."""
        try:
            return read(value)
        except UnfitError as unfit:
            message = f"parameter {self.name!r} of tree {self.tree!r}: {unfit}"
            raise InvalidParameter(message, {self.name: str(unfit)}) from unfit

    def read_unnamed(self, text: str) -> Any:
        """Read from text; the error names neither parameter nor tree."""
        return None if self._says_none(text) else self._codec.read(text)

    def clean_unnamed(self, value: Any) -> Any:
        """Read from JSON; the error names neither parameter nor tree."""
        return None if value is None and self.optional else self._codec.clean(value)

    def _says_none(self, text: str) -> bool:
        """Whether a text means ``None``; a choice that is spelled like that comes first."""
        if not self.optional or self.kind == "text" or text.strip().lower() not in _NONE_WORDS:
            return False
        return not (isinstance(self._codec, Choice) and self._codec.has(text))
