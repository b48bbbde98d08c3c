"""Parameters that are rows of a Django model, given by primary key."""

from dataclasses import dataclass
from typing import Any
from uuid import UUID

from django.core.exceptions import ObjectDoesNotExist, ValidationError
from django.db.models import Model

from django_tasktree.definitions.parameters.codec import UnfitError
from django_tasktree.definitions.parameters.showing import quoted


@dataclass(frozen=True)
class Row:
    """A row of a model, given by its primary key."""

    model: type[Model]

    @property
    def label(self) -> str:
        """The name of the type, for messages and help."""
        return self.model._meta.label

    def read(self, text: str) -> Any:
        """Return the value for a text; UnfitError if it does not fit."""
        return self._fetch(text)

    def clean(self, value: Any) -> Any:
        """Return the row with a primary key; a saved row is returned unchanged."""
        if isinstance(value, self.model):
            return self._saved(value)
        if isinstance(value, bool) or not isinstance(value, (int, str, UUID)):
            raise self._not_a_key(value)
        return self._fetch(value)

    def to_json(self, value: Any) -> Any:
        """Return a value as JSON."""
        return value.pk if isinstance(value.pk, (int, str)) else str(value.pk)

    def _saved(self, row: Model) -> Model:
        if row.pk is None:
            raise UnfitError(f"the {self.label} has no primary key yet: save it first")
        return row

    def _fetch(self, key: Any) -> Model:
        try:
            row: Model = self.model._default_manager.get(pk=key)
        except ObjectDoesNotExist as error:
            raise UnfitError(f"no {self.label} has the primary key {key!r}") from error
        except (ValueError, TypeError, ValidationError) as error:
            raise self._not_a_key(key) from error
        return row

    def _not_a_key(self, value: Any) -> UnfitError:
        return UnfitError(f"{quoted(value)} can't be the primary key of any {self.label}")
