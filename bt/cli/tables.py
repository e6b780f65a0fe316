"""Tables and texts for people: heads never cut, numbers to the right, nothing drawn that a pipe could not carry."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import date

from rich.console import Console
from rich.table import Table
from rich.text import Text

from bt.cli.streams import Output

UNBOUNDED = 1000
"""Columns of a pipe or file: lines are not broken there."""

SHOWN = 20
"""Rows of a long table that are shown unless all are asked for."""


def console(output: Output) -> Console:
    """A console on standard output, as wide as the terminal; a pipe gets whole lines."""
    wide = None if output.results.isatty() else UNBOUNDED
    return Console(file=output.results, width=wide, highlight=False, emoji=False, markup=False)


def facts(output: Output, lines: Sequence[tuple[str, str]], *, whole: Sequence[tuple[str, str]] = ()) -> None:
    """Names and texts in two columns; long texts go on below their own column, those of `whole` are never broken.

    `whole` comes last: commands and paths that people copy.
    """
    width = max(len(name) for name, _ in (*lines, *whole))
    table = _table()
    table.add_column(style="bold", no_wrap=True, min_width=width)
    table.add_column(overflow="fold")
    for name, text in lines:
        table.add_row(name, Text(text))
    _print(output, table)
    for name, text in whole:
        output.text(f"{name:<{width}}  {text}")


def listing(
    output: Output, title: str, heads: Sequence[str], rows: Sequence[Sequence[str]], *,
    left: int = 1, everything: bool = False,
) -> None:  # fmt: skip
    """A table under a title, the first `left` columns to the left, the others (numbers) to the right.

    Only the first `SHOWN` rows unless `everything` is asked for; a note says how many there are.
    """
    shown = rows if everything else rows[:SHOWN]
    table = _table()
    for number, head in enumerate(heads):
        table.add_column(head, justify="left" if number < left else "right", overflow="fold")
    table.show_header = True
    for row in shown:
        table.add_row(*(Text(cell) for cell in row))
    output.text("")
    output.text(title)
    _print(output, table)
    if len(shown) < len(rows):
        output.text(f"... and {len(rows) - len(shown):,} more: --all shows them, --json gives them to a program")


def _table() -> Table:
    return Table(box=None, show_header=False, pad_edge=False, padding=(0, 2, 0, 0), header_style="bold")


def _print(output: Output, table: Table) -> None:
    drawing = console(output)
    with drawing.capture() as drawn:
        drawing.print(table)
    output.text("\n".join(line.rstrip() for line in drawn.get().splitlines()))


# ------------------------------------------------------------------------------------------------------------- texts


def size(count: int) -> str:
    """Bytes in the unit that suits them."""
    value, unit = float(count), "bytes"
    for larger in ("kB", "MB", "GB", "TB"):
        if value < 1000:
            break
        value, unit = value / 1000, larger
    return f"{count:,} bytes" if unit == "bytes" else f"{value:.1f} {unit}"


def plural(count: int, one: str, many: str = "") -> str:
    """A count with its noun."""
    return f"{count:,} {one if count == 1 else many or one + 's'}"


def some(names: Sequence[str], most: int = 10) -> str:
    """The first names of a list, and how many more there are."""
    rest = len(names) - most
    return ", ".join(names[:most]) + (f" and {rest:,} more" if rest > 0 else "")


def span(first: date, last: date) -> str:
    """Two dates, or one."""
    return f"{first}" if first == last else f"{first} to {last}"


def counts(reasons: Iterable[tuple[str, int]]) -> str:
    """Counts by reason, in words."""
    return ", ".join(f"{reason} {count:,}" for reason, count in reasons)
