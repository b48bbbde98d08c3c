"""Format tables with aligned columns."""

from collections.abc import Iterator, Sequence

from rich.text import Text


def table_lines(headings: Sequence[str], rows: Sequence[Sequence[Text]], right: frozenset[int]) -> Iterator[Text]:
    """Yield the lines of a table; the columns are two spaces apart.

    Args:
        headings: one for each column.
        rows: the cells of each row.
        right: the indices of the columns that are aligned to the right.
    """
    table = [[Text(heading, "bold") for heading in headings], *rows]
    widths = [max(row[column].cell_len for row in table) for column in range(len(headings))]
    for row in table:
        cells = [_padded(cell, widths[column], column in right) for column, cell in enumerate(row)]
        line = Text("  ").join(cells)
        line.rstrip()
        yield line


def _padded(cell: Text, width: int, right: bool) -> Text:
    cell = cell.copy()
    cell.align("right" if right else "left", width)
    return cell
