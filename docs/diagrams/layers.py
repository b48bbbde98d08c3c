"""The diagram of the layers: each package with the first paragraph of its docstring."""

from docs.diagrams import code
from docs.diagrams.svg import WIDTH, Drawing, text_width, wrapped

_MARGIN, _GAP, _PAD = 26, 8, 7
_SIZE = 10.5


def draw() -> Drawing:
    """Draw the layers in ``setup.cfg``."""
    description = "; ".join(", ".join(layer) for layer in code.layers())
    drawing = Drawing("layers", "The layers of django_tasktree", f"From the top down: {description}.")
    y = 4.0
    for layer in code.layers():
        y = _layer(drawing, layer, y) + _GAP
    drawing.arrow((10, 6), (10, y - _GAP - 2))
    return drawing


def _layer(drawing: Drawing, layer: list[str], y: float) -> float:
    width = (WIDTH - 1 - _MARGIN - _GAP * (len(layer) - 1)) / len(layer)
    texts = [wrapped(code.purpose(name), width - 2 * _PAD, _SIZE) for name in layer]
    height = 22 + max(map(len, texts)) * _SIZE * 1.25 + 3
    if any(name in code.forbidden() for name in layer):
        height = max(height, 40)
    for index, (name, lines) in enumerate(zip(layer, texts, strict=True)):
        x = _MARGIN + index * (width + _GAP)
        drawing.box(x, y, width, height)
        drawing.text(x + _PAD, y + 16, name, size=12, kind="name", mono=True)
        drawing.lines(x + _PAD, y + 31, lines, size=_SIZE)
        _forbidden(drawing, name, x + width - _PAD, y + 16)
    return y + height


def _forbidden(drawing: Drawing, name: str, x: float, y: float) -> None:
    """Write the libraries that a package must not import into the corner of its box."""
    libraries = code.forbidden().get(name)
    if libraries is None:
        return
    text = f"must not import {', '.join(libraries)}"
    width = text_width(text, _SIZE)
    drawing.box(x - width, y - 11, width, 15, "badge")
    drawing.text(x - width / 2, y, text, size=_SIZE, anchor="middle")
