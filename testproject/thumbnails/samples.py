"""Draw sample pictures, for people who have no pictures to upload: hills in changing light."""

import colorsys
import math
from pathlib import Path

from PIL import Image, ImageDraw

_SIZES = ((960, 640), (640, 960), (800, 800))
#: One sample in so many is not a picture, so that everybody sees what becomes of such a file.
_BROKEN = 6


def draw_samples(directory: Path, number: int) -> None:
    """Write sample files to a directory."""
    directory.mkdir(parents=True, exist_ok=True)
    for index in range(number):
        path = directory / f"sample-{index + 1:03}.png"
        if index % _BROKEN == _BROKEN - 1:
            path.write_text("This is not a picture.", encoding="utf-8")
        else:
            draw(index).save(path)


def draw(number: int) -> Image.Image:
    """Return a picture; the same number always gives the same picture."""
    width, height = _SIZES[number % len(_SIZES)]
    hue = number * 0.618 % 1
    picture = Image.new("RGB", (width, height))
    canvas = ImageDraw.Draw(picture)
    for y in range(height):
        canvas.line([(0, y), (width, y)], fill=_colour(hue, 0.25 + 0.35 * y / height, 0.97))
    sun = width * (0.2 + 0.6 * (number * 0.37 % 1))
    canvas.ellipse([sun - 60, height * 0.18, sun + 60, height * 0.18 + 120], fill=_colour(hue + 0.12, 0.2, 1))
    for layer in range(4):
        base = height * (0.45 + 0.14 * layer)
        crest = [(x, base + _hills(x / width, number, layer) * height * 0.09) for x in range(0, width + 8, 8)]
        canvas.polygon(
            [(0, height), *crest, (width, height)], fill=_colour(hue + 0.05, 0.45 + 0.1 * layer, 0.75 - 0.16 * layer)
        )
    return picture


def _hills(x: float, number: int, layer: int) -> float:
    return math.sin(x * (5 + 2 * layer) + number + layer) + 0.5 * math.sin(x * (13 + layer) + 2 * number)


def _colour(hue: float, saturation: float, value: float) -> tuple[int, int, int]:
    red, green, blue = colorsys.hsv_to_rgb(hue % 1, min(saturation, 1), max(value, 0))
    return int(255 * red), int(255 * green), int(255 * blue)
