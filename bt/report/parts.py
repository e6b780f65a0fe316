"""Cells, tables and texts of a page."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import NamedTuple
from zoneinfo import ZoneInfo

NONE = "\u2013"
"""What stands where there is no value."""


class Cell(NamedTuple):
    """A cell: its text; `tone` up, down or "" ; how strongly it is tinted, 0 to 1."""

    text: str
    tone: str = ""
    weight: float = 0.0


@dataclass(frozen=True)
class Table:
    """A table: its caption, the heads, and rows of texts or cells; the first `left` columns are texts, the others numbers. `note` stands below; a `wide` one
    needs the page's whole width."""

    caption: str
    heads: Sequence[str]
    rows: Sequence[Sequence[str | Cell]]
    left: int = 1
    note: str = ""
    wide: bool = False


def money(value: float | None, *, sign: bool = False) -> str:
    """Currency with two decimals."""
    return NONE if value is None else f"{value:+,.2f}" if sign else f"{value:,.2f}"


def price(value: float | None) -> str:
    """A price with as many decimals as it needs, at least two."""
    if value is None:
        return NONE
    text = f"{value:,.8f}".rstrip("0")
    return text + "0" * max(2 - len(text.partition(".")[2]), 0)


def percent(value: float | None, digits: int = 2, *, sign: bool = False) -> str:
    """A fraction as percent."""
    return NONE if value is None else f"{value:+.{digits}%}" if sign else f"{value:.{digits}%}"


def number(value: float | None, form: str = ",.2f") -> str:
    """A number."""
    return NONE if value is None else format(value, form)


def tone(value: float | None) -> str:
    """up of a gain, down of a loss."""
    return "" if not value else "up" if value > 0 else "down"


def gain(value: float | None) -> Cell:
    """Currency gained or lost."""
    return Cell(money(value, sign=True), tone(value))


def tinted(value: float | None, most: float, text: str) -> Cell:
    """A cell tinted by how `value` compares with the largest, `most`."""
    return Cell(text, tone(value), min(abs(value) / most, 1.0) if value and most else 0.0)


def clock(time: datetime | None, zone: ZoneInfo, form: str = "%Y-%m-%d %H:%M") -> str:
    """A time as the exchange's clock shows it."""
    return NONE if time is None else f"{time.astimezone(zone):{form}}"
