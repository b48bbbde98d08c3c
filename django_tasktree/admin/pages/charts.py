"""Small charts as inline SVG, without scripts or inline styles."""

from typing import Any

from django.utils.formats import date_format
from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString

from django_tasktree.encoding import times
from django_tasktree.reporting.numbers import number_text
from django_tasktree.reporting.statistics import Hour

_WIDTH, _HEIGHT, _TOP, _FOOT = 480, 130, 10, 18
#: Space for a character of a label, in units of the drawing: enough for the larger font on narrow screens.
_CHARACTER = 9
#: The states in a column, from the bottom.
_STATES = ("SUCCESS", "SKIPPED", "REVOKED", "FAILURE")
#: The interval between labels, in hours.
_LABELLED = 6


def hours_chart(hours: list[Hour], label: str, labels: dict[str, Any]) -> SafeString:
    """Return a chart with a stacked column for each hour, in the colours of the states.

    Args:
        hours: the columns.
        label: the description of the chart for screen readers.
        labels: state -> its translated name.
    """
    most = _round_up(max((hour.total for hour in hours), default=0))
    left = _CHARACTER * len(number_text(most)) + 12
    step = (_WIDTH - left) / max(len(hours), 1)
    columns = format_html_join(
        "", "{}", ((_column(hour, left + index * step, step, most, labels),) for index, hour in enumerate(hours))
    )
    return format_html(
        '<svg class="tasktree-drawing tasktree-chart" viewBox="0 0 {} {}" role="img" aria-label="{}">{}{}{}</svg>',
        _WIDTH,
        _HEIGHT,
        label,
        _grid(most, left),
        columns,
        _times(hours, step, left),
    )


def _column(hour: Hour, x: float, step: float, most: int, labels: dict[str, Any]) -> SafeString:
    parts, y = [], float(_HEIGHT - _FOOT)
    for state in _STATES:
        height = _length(hour.by_state.get(state, 0), most)
        if height:
            y -= height
            parts.append((state.lower(), f"{x + 1:.1f}", f"{y:.1f}", f"{step - 2:.1f}", f"{height:.1f}"))
    counts = [f"{labels[state]} {number_text(n)}" for state, n in hour.by_state.items()]
    title = f"{_clock(hour)}: {', '.join(counts) or 0}"
    rects = format_html_join("", '<rect class="tasktree-fill-{}" x="{}" y="{}" width="{}" height="{}"></rect>', parts)
    # The tooltip works on the whole height, even of empty columns.
    area = (f"{x:.1f}", _TOP, f"{step:.1f}", _HEIGHT - _FOOT - _TOP)
    return format_html(
        '<g><title>{}</title><rect class="tasktree-chart-area" x="{}" y="{}" width="{}" height="{}"></rect>{}</g>',
        title,
        *area,
        rects,
    )


def _grid(most: int, left: int) -> SafeString:
    lines = [
        (left, f"{y:.1f}", _WIDTH, f"{y:.1f}", left - 5, f"{y + 4:.1f}", number_text(value))
        for value in (0, most)
        for y in [_HEIGHT - _FOOT - _length(value, most)]
    ]
    return format_html_join(
        "",
        '<line class="tasktree-tick" x1="{}" y1="{}" x2="{}" y2="{}"></line>'
        '<text class="tasktree-tick-label" x="{}" y="{}" text-anchor="end">{}</text>',
        lines,
    )


def _times(hours: list[Hour], step: float, left: int) -> SafeString:
    labelled = [(index, hour) for index, hour in enumerate(hours) if times.local(hour.start).hour % _LABELLED == 0]
    return format_html_join(
        "",
        '<text class="tasktree-tick-label" x="{}" y="{}" text-anchor="middle">{}</text>',
        ((f"{left + index * step:.1f}", _HEIGHT - 4, _clock(hour)) for index, hour in labelled),
    )


def _clock(hour: Hour) -> str:
    return str(date_format(times.local(hour.start), "H:i"))


def _length(value: int, most: int) -> float:
    return (_HEIGHT - _FOOT - _TOP) * value / most


def _round_up(number: int) -> int:
    """Return the smallest of 1, 2, 5, 10, 20, 50, … that is not less than a number."""
    power = int("1" + "0" * (len(str(number)) - 1))
    return next(factor * power for factor in (1, 2, 5, 10) if factor * power >= number)
