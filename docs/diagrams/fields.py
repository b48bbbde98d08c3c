"""Read the fields of the models that users may query, and what they mean, from the models."""

import ast
import inspect
from collections.abc import Iterator
from dataclasses import dataclass

from django.db import models

from django_tasktree.models import HistoryEntry, NodeAttempt, NodeRun, RunEvent, TreeRun

#: The models that are documented, by name.
MODELS: dict[str, type[models.Model]] = {
    model.__name__: model for model in (TreeRun, NodeRun, NodeAttempt, HistoryEntry, RunEvent)
}


@dataclass(frozen=True)
class Attribute:
    """An attribute of the rows of a model.

    Attributes:
        name: its name.
        type: the class of the field, or another kind of attribute.
        text: its meaning; empty if it is not documented.
    """

    name: str
    type: str
    text: str


def attributes(model: type[models.Model]) -> Iterator[Attribute]:
    """Yield the fields of a model, then the relations from other models, then the properties."""
    comments = _comments(model)
    for field in model._meta.fields:
        text = str(field.help_text) or comments.get(field.name, "")
        yield Attribute(field.name, _type(field), f"{text} {_values(field)}".strip() if text else "")
    for relation in model._meta.related_objects:
        if not relation.hidden:
            text = f"The rows of ``{relation.related_model.__name__}`` whose ``{relation.field.name}`` is this row."
            yield Attribute(relation.get_accessor_name() or "", "related manager", text)
    for name, value in vars(model).items():
        if isinstance(value, property):
            yield Attribute(name, "property", " ".join(inspect.getdoc(value).split()))  # type: ignore[union-attr]


def _type(field: models.Field) -> str:  # type: ignore[type-arg]
    model = field.related_model
    kind = f"ForeignKey to {model.__name__}" if isinstance(model, type) else field.get_internal_type()
    return f"{kind}, or NULL" if field.null else kind


def _values(field: models.Field) -> str:  # type: ignore[type-arg]
    values = ", ".join(f'``"{value}"``' for value, _ in field.flatchoices)
    return f"One of {values}." if values else ""


def _comments(model: type[models.Model]) -> dict[str, str]:
    """Return the comments that begin with ``#:`` above the attributes in the class, by name."""
    lines, _ = inspect.getsourcelines(model)
    (tree,) = ast.parse("".join(lines)).body
    assert isinstance(tree, ast.ClassDef)
    found = {}
    for statement in tree.body:
        if isinstance(statement, ast.Assign) and isinstance(statement.targets[0], ast.Name):
            found[statement.targets[0].id] = _comment_above(lines, statement.lineno - 1)
    return found


def _comment_above(lines: list[str], index: int) -> str:
    texts: list[str] = []
    while index and lines[index - 1].strip().startswith("#:"):
        index -= 1
        texts.insert(0, lines[index].strip().removeprefix("#:").strip())
    return " ".join(texts)
