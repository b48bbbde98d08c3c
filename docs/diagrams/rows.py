"""A diagram of the tables, and of the columns that the message of a node is made from."""

import uuid
from collections.abc import Iterator
from dataclasses import dataclass, fields
from typing import Any

from django.apps import apps
from django.db.models import Field, ForeignKey, Model

from django_tasktree.dispatch.message import HEADER, header_of
from django_tasktree.engine.types import DISPATCH_COLUMNS, Dispatch
from docs.diagrams.svg import Drawing

_SIZE, _LINE, _PAD = 10, 14, 8
_TOP = 40
#: Position and width of the box of each model, and the number of columns in which it lists its fields.
PLACES: dict[str, tuple[float, float, float, int]] = {
    "TreeRun": (4, 4, 170, 1),
    "HistoryEntry": (4, 356, 170, 1),
    "RunEvent": (4, 612, 170, 1),
    "NodeRun": (234, 4, 336, 2),
    "NodeAttempt": (630, 4, 146, 1),
    "Worker": (630, 252, 146, 1),
    "Lease": (630, 446, 146, 1),
    "NodeCounts": (630, 560, 146, 1),
}
MESSAGE = (234.0, 388.0, 336.0)


@dataclass(frozen=True)
class Part:
    """An entry of a message, and the column of a row from which it is taken."""

    entry: str
    column: str


def models() -> list[type[Model]]:
    """Return the app's models.

    Raises:
        ValueError: ``PLACES`` does not list exactly these models.
    """
    found = list(apps.get_app_config("django_tasktree").get_models())
    if {model.__name__ for model in found} != set(PLACES):
        raise ValueError(f"PLACES in {__file__} must name these models: {sorted(model.__name__ for model in found)}")
    return found


def columns(model: type[Model]) -> "list[Field[Any, Any]]":
    """Return the columns of a model."""
    return list(model._meta.concrete_fields)


def relations() -> "list[tuple[type[Model], Field[Any, Any], type[Model]]]":
    """Return the foreign keys between the app's models."""
    return [
        (model, field, field.related_model)
        for model in models()
        for field in columns(model)
        if isinstance(field, ForeignKey) and field.related_model in models()
    ]


def header() -> list[Part]:
    """Return the entries of the header of a node's message with their columns, found by building a message."""
    values: dict[str, Any] = {one.name: uuid.uuid4() for one in fields(Dispatch)}
    made = header_of(Dispatch(**values))
    column = dict(zip(values, DISPATCH_COLUMNS, strict=True))
    by_value = {text: column[name] for name, key in values.items() for text in (key, key.hex)}
    return [Part(entry, by_value[value]) for entry, value in made.items()]


def draw() -> Drawing:
    """Draw the models with their columns and relations, and a node's message."""
    description = "; ".join(
        f"{model.__name__}: {', '.join(field.attname for field in columns(model))}" for model in models()
    )
    sent = ", ".join(part.entry for part in header())
    drawing = Drawing(
        "rows", "The rows, and the header of a message", f"{description}. The header of a message: {sent}."
    )
    for model in models():
        _box(drawing, model)
    for lane, (model, field, target) in enumerate(relations()):
        _relation(drawing, lane, model, field, target)
    _message(drawing)
    return drawing


def _box(drawing: Drawing, model: type[Model]) -> None:
    x, y, width, number = PLACES[model.__name__]
    rows = _rows(model)
    drawing.box(x, y, width, _TOP + rows * _LINE)
    drawing.text(x + _PAD, y + 18, model.__name__, size=13, kind="name")
    drawing.line((x, y + 26), (x + width, y + 26))
    for index, field in enumerate(columns(model)):
        at = (x + _PAD + width / number * (index // rows), y + _TOP + 1 + _LINE * (index % rows))
        drawing.text(*at, field.attname, size=_SIZE, mono=True, kind="key" if isinstance(field, ForeignKey) else "")


def _rows(model: type[Model]) -> int:
    return -(-len(columns(model)) // PLACES[model.__name__][3])


def _relation(drawing: Drawing, lane: int, model: type[Model], field: "Field[Any, Any]", target: type[Model]) -> None:
    """Draw an arrow from a foreign key to the primary key to which it refers, in its own lane between the boxes."""
    x, y, width, _ = PLACES[model.__name__]
    target_x, target_y, target_width, _ = PLACES[target.__name__]
    row = y + _TOP - 3 + _LINE * (columns(model).index(field) % _rows(model))
    end = target_y + _TOP - 3
    gap = 181.0 + 7 * lane if min(x, target_x) < 100 or model is target else 600.0
    start_x = x if gap < x else x + width
    end_x = target_x if gap < target_x else target_x + target_width
    drawing.arrow((start_x, row), (gap, row), (gap, end), (end_x, end), kind="line relation")


def _message(drawing: Drawing) -> None:
    x, y, width = MESSAGE
    parts = header()
    own = list(of_celery())
    rows = max(len(parts), len(own))
    drawing.box(x, y, width, 62 + rows * _LINE, "box message")
    drawing.text(x + _PAD, y + 18, "The message of a node", size=13, kind="name")
    drawing.line((x, y + 26), (x + width, y + 26))
    drawing.text(x + _PAD, y + 42, "Celery's own", size=_SIZE)
    drawing.text(x + 150, y + 42, f"headers[{HEADER!r}]", size=_SIZE, mono=True)
    for column, found in ((x + _PAD, own), (x + 150, parts)):
        for index, part in enumerate(found):
            text = part.entry if part.entry == part.column else f"{part.entry} = {part.column}"
            drawing.text(column, y + 60 + index * _LINE, text, size=_SIZE, mono=True)


def of_celery() -> Iterator[Part]:
    """Return Celery's own entries, which name the task and its arguments, and the attempt."""
    yield Part("id", "task_id")
    yield Part("task", "task")
    yield Part("args", "args")
    yield Part("kwargs", "kwargs")
    yield Part("root_id", "run_id")
    yield Part("parent_id", "parent_id")
