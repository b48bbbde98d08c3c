"""Draw inline SVG. It inherits the colour of the page's text, so it works on light and dark pages."""

import math
import textwrap
from collections.abc import Iterator
from html import escape

#: The width of a diagram in pixels: that of the page's text. A wider one would be scaled down.
WIDTH = 780
#: The mean width of a character, relative to the size of the font; an estimate for proportional fonts.
_PROPORTIONAL, _MONOSPACED = 0.52, 0.61
_HEAD = 7

Point = tuple[float, float]


def text_width(text: str, size: float, *, mono: bool = False) -> float:
    """Return the estimated width of a text in pixels."""
    return len(text) * size * (_MONOSPACED if mono else _PROPORTIONAL)


def wrapped(text: str, width: float, size: float) -> list[str]:
    """Split a text into lines of at most this width in pixels."""
    return textwrap.wrap(text, int(width / size / _PROPORTIONAL))


class Drawing:
    """A diagram.

    All coordinates and sizes are in pixels; the origin is the top left corner.

    Args:
        name: a name that is unique on the page, for the IDs of elements.
        title: the title for screen readers.
        description: a full description for screen readers.
    """

    def __init__(self, name: str, title: str, description: str) -> None:
        self._name = name
        self._title = title
        self._description = description
        self._parts: list[str] = []
        self._bottom = 0.0

    def box(self, x: float, y: float, width: float, height: float, kind: str = "box") -> None:
        """Draw a rectangle. ``kind`` is its class in the style sheet."""
        self._reach(x, y)
        self._reach(x + width, y + height)
        self._add("rect", x=x, y=y, width=width, height=height, rx=4, class_=kind)

    def text(
        self,
        x: float,
        y: float,
        text: str,
        *,
        size: float = 12,
        anchor: str = "start",
        kind: str = "",
        mono: bool = False,
    ) -> None:
        """Write a line of text. ``y`` is the position of its baseline.

        Raises:
            ValueError: the text does not fit into the diagram.
        """
        width = text_width(text, size, mono=mono)
        left = {"start": x, "middle": x - width / 2, "end": x - width}[anchor]
        if left < 0 or left + width > WIDTH:
            raise ValueError(f"{text!r} does not fit into the picture {self._name!r}: make it shorter, or wrap it")
        self._reach(x, y + size / 3)
        classes = f"{kind} mono".strip() if mono else kind
        self._add("text", text, x=x, y=y, font_size=size, text_anchor=anchor, class_=classes)

    def lines(self, x: float, y: float, lines: list[str], *, size: float = 11, anchor: str = "start") -> float:
        """Write lines of text below each other, and return the baseline of the next line."""
        for line in lines:
            self.text(x, y, line, size=size, anchor=anchor)
            y += size * 1.25
        return y

    def line(self, start: Point, end: Point, kind: str = "line") -> None:
        """Draw a straight line without an arrowhead."""
        self._reach(*end)
        self._add("path", d=f"M{_at(start)} L{_at(end)}", class_=kind)

    def arrow(self, start: Point, *others: Point, kind: str = "line", curved: bool = False) -> None:
        """Draw an arrow.

        Args:
            start: the first point.
            *others: the other points of the line; for a curve, two control points and the end.
            kind: the class in the style sheet.
            curved: whether to draw a cubic Bézier curve instead of straight lines.
        """
        for point in (start, *others):
            self._reach(*point)
        *_, before, (x, y) = (start, *others)
        angle = math.atan2(y - before[1], x - before[0])
        # The line ends inside the arrowhead.
        neck = (x - _HEAD * 0.8 * math.cos(angle), y - _HEAD * 0.8 * math.sin(angle))
        points = [*others[:-1], neck]
        curve = "C" + " ".join(map(_at, points)) if curved else " ".join(f"L{_at(point)}" for point in points)
        self._add("path", d=f"M{_at(start)} {curve}", class_=kind)
        wings = [(x - _HEAD * math.cos(angle + turn), y - _HEAD * math.sin(angle + turn)) for turn in (-0.45, 0.45)]
        self._add("path", d=f"M{_at((x, y))} L{_at(wings[0])} L{_at(wings[1])} Z", class_=f"{kind} head")

    def svg(self) -> str:
        """Return the diagram as HTML."""
        return "\n".join(self._lines())

    def _lines(self) -> Iterator[str]:
        height = math.ceil(self._bottom) + 8
        yield f'<div class="diagram"><svg role="img" viewBox="0 0 {WIDTH} {height}" xmlns="http://www.w3.org/2000/svg"'
        yield f' aria-labelledby="{self._name}-title" aria-describedby="{self._name}-text">'
        yield f'<title id="{self._name}-title">{escape(self._title)}</title>'
        yield f'<desc id="{self._name}-text">{escape(self._description)}</desc>'
        yield from self._parts
        yield "</svg></div>"

    def _reach(self, x: float, y: float) -> None:
        if not 0 <= x <= WIDTH or y < 0:
            raise ValueError(f"({x:.0f}, {y:.0f}) is outside of the picture {self._name!r}, which is {WIDTH} wide")
        self._bottom = max(self._bottom, y)

    def _add(self, tag: str, text: str = "", **attributes: object) -> None:
        written = "".join(
            f' {name.rstrip("_").replace("_", "-")}="{_number(value)}"'
            for name, value in attributes.items()
            if value != ""
        )
        self._parts.append(f"<{tag}{written}>{escape(text)}</{tag}>" if text else f"<{tag}{written}/>")


def _number(value: object) -> str:
    return f"{value:.1f}".removesuffix(".0") if isinstance(value, float) else escape(str(value))


def _at(point: Point) -> str:
    return f"{_number(float(point[0]))} {_number(float(point[1]))}"
