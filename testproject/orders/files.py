"""The CSV files below MEDIA_ROOT/orders: a directory for each day, and a report beside the files."""

import csv
import random
from collections.abc import Iterator
from datetime import date
from pathlib import Path

from django.conf import settings

COLUMNS = ["number", "customer", "total"]
#: The number of orders in a file.
_LINES = 120
#: One file in so many has a line that can't be read.
_BROKEN = 15
_CUSTOMERS = ["Ada", "Berta", "Cem", "Dilek", "Emil", "Fatma"]


def directory(day: date) -> Path:
    """Return the directory of a day."""
    return Path(settings.MEDIA_ROOT) / "orders" / day.isoformat()


def names(day: date) -> list[str]:
    """Return the names of the files of a day, sorted."""
    return sorted(path.name for path in directory(day).glob("*.csv"))


def make_samples(day: date, number: int) -> None:
    """Write sample files; the same day always has the same orders. Every fifteenth file has a line without a total."""
    # If a worker is lost meanwhile, the next attempt begins again: all files appear together.
    partial = directory(day).with_suffix(".partial")
    partial.mkdir(parents=True, exist_ok=True)
    for index in range(number):
        path = partial / f"shop-{index:03}.csv"
        choose = random.Random(f"{day} {index}")  # noqa: S311  samples are no secret
        with path.open("w", newline="", encoding="utf-8") as file:
            writer = csv.writer(file)
            writer.writerow(COLUMNS)
            for line in range(_LINES):
                total = f"{choose.randrange(100, 50_000) / 100:.2f}"
                is_broken = index % _BROKEN == _BROKEN - 1 and line == _LINES // 2
                key = f"{day:%y%m%d}-{index:03}-{line:03}"
                writer.writerow([key, choose.choice(_CUSTOMERS), "" if is_broken else total])
    partial.replace(directory(day))


def read(day: date, name: str) -> Iterator[dict[str, str]]:
    """Yield the lines of a file.

    Raises:
        ValueError: a line lacks a column; the message names the file and the line.
    """
    with (directory(day) / name).open(newline="", encoding="utf-8") as file:
        for line in (reader := csv.DictReader(file)):
            for column in COLUMNS:
                if not line.get(column):
                    raise ValueError(f"{name}, line {reader.line_num}: there is no {column}")
            yield line
