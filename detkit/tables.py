"""Plain-text tables for stdout, at most 80 columns wide."""

from __future__ import annotations

import io
from collections.abc import Sequence

from detkit.text import printable

WIDTH = 80
MIN_TEXT_WIDTH = 8  # of a text column; the numbers are never cut, even if a line grows longer


def format_table(rows: Sequence[Sequence[str]], align: str) -> str:
    """Align the cells of a table; the text has no color codes and no final newline.

    Args:
        rows: the cells of each row, at least one row; a header is the first row.
        align: one letter per column: 'l' for text, aligned to the left and wrapped where the
            table is wider than `WIDTH`; 'L' for text such as paths, and 'r' for numbers, aligned
            to the right; neither is ever wrapped.

    Returns:
        Lines of at most `WIDTH` columns, unless unwrapped columns need more. Control characters
        in a cell are escaped.
    """
    from rich.cells import cell_len
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    cells = [[printable(cell) for cell in row] for row in rows]
    widths = [max(map(cell_len, column)) for column in zip(*cells)]
    gap = 2 if sum(widths) + 2 * (len(widths) - 1) <= WIDTH else 1
    min_width = gap * (len(widths) - 1) + sum(
        min(width, MIN_TEXT_WIDTH) if letter == "l" else width
        for width, letter in zip(widths, align))
    table = Table.grid(padding=(0, gap, 0, 0))
    for width, letter in zip(widths, align):
        if letter == "l":
            table.add_column(overflow="fold")
        else:
            table.add_column(justify="right" if letter == "r" else "left", no_wrap=True,
                             min_width=width)
    for row in cells:
        table.add_row(*map(Text, row))
    stream = io.StringIO()
    Console(file=stream, width=max(WIDTH, min_width), height=25, color_system=None,
            force_terminal=False, force_jupyter=False, legacy_windows=False).print(table)
    return "\n".join(line.rstrip() for line in stream.getvalue().splitlines())
