"""Tables of figures, for a terminal and for the documentation."""

from collections.abc import Sequence
from dataclasses import dataclass, field

from rich.console import Console
from rich.table import Table as RichTable


@dataclass
class Table:
    """A table of texts.

    Attributes:
        title: what the figures are.
        headings: the headings of the columns.
        labels: the number of columns, from the left, that are texts; the others are numbers.
        rows: the cells of each row.
    """

    title: str
    headings: Sequence[str]
    labels: int = 1
    rows: list[Sequence[str]] = field(default_factory=list)

    def add(self, *cells: str) -> None:
        """Add a row."""
        self.rows.append(cells)

    def show(self, console: Console) -> None:
        """Print the table on a terminal."""
        table = RichTable(title=self.title)
        for number, heading in enumerate(self.headings):
            table.add_column(heading, justify="left" if number < self.labels else "right")
        for row in self.rows:
            table.add_row(*row)
        console.print(table)

    def as_rst(self) -> str:
        """Return the table as reStructuredText, below its title."""
        lines = [self.headings, *self.rows]
        widths = [max(len(_cell(line[column])) for line in lines) for column in range(len(self.headings))]
        rule = "  ".join("=" * width for width in widths)
        first, *others = ["  ".join(map(_padded, line, widths)).rstrip() for line in lines]
        return "\n".join([f"{self.title}:", "", rule, first, rule, *others, rule, ""])


def _cell(text: str) -> str:
    # Without text, the row would continue the one above it.
    return text or "\\"


def _padded(text: str, width: int) -> str:
    return _cell(text).ljust(width)
