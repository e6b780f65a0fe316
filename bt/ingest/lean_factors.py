"""Corporate actions from LEAN's factor and map files.

A factor file has a line for each change, oldest first: the last date before it, the price factor and the split factor that prices up to that date are multiplied by,
and the raw close of that date. A map file has the last date of each ticker of a security. What lies between two lines is what the company did on the day after the
first of them; the security is the file's name.

Source: QuantConnect, LEAN, Data/equity/usa/readme.md, "Factor Files" and "Map Files"
"""

from __future__ import annotations

import csv
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from decimal import Decimal, InvalidOperation
from fractions import Fraction
from itertools import pairwise
from pathlib import Path

import polars as pl

from bt.errors import DataError, UsageError

FOREVER = date(2050, 1, 1)
"""A ticker's last date from which on it has none."""
DIGITS = 7
"""Price factors are rounded to so many decimals."""
RATIO_OFF = Fraction(1, 50_000)
"""A split's ratio may be off by this part of itself: split factors have six digits."""
SIMPLE = 100
"""The greatest denominator of a ratio that is taken for a simple one."""
MOST_DECIMALS = 6

SCHEMA: dict[str, pl.DataType] = {
    "symbol": pl.String(), "session": pl.Date(), "kind": pl.String(), "ratio": pl.Float64(), "amount": pl.Float64(), "to": pl.String(), "price": pl.Float64(),
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class _Factor:
    day: date
    price: Fraction
    split: Fraction
    close: Fraction


def lean_actions(factors: Sequence[Path], maps: Sequence[Path]) -> pl.DataFrame:
    """The actions that LEAN's files tell of: columns symbol, session (the day after the last one before it), kind, ratio, amount, to, price; by session and symbol.

    Splits and dividends are under the ticker of their day, by the security's map file where there is one; tickers in capitals. A ratio is the nearest simple fraction, an amount close x (1 - factor / next factor) the
    shortest decimal that the factors' digits leave open.

    Parameters
    ----------
    factors, maps : sequence of Path
        Files, or folders of ``*.csv``; a file may also hold many securities, with a header and a first column ``security``.

    Raises
    ------
    UsageError
        There is no such file, or none in a folder.
    DataError
        A line is none of such a file.
    """
    tickers = {security: _tickers(rows) for security, rows in _read(maps, 2).items()}
    found = [row for security, names in tickers.items() for row in _names(names)]
    for security, lines in _read(factors, 4).items():
        names = tickers.get(security, [(FOREVER, security.upper())])
        rows = sorted((_factor(*line) for line in lines), key=lambda f: f.day)
        for before, after in pairwise(rows):
            found += _changes(before, after, names)
    return pl.DataFrame(found, schema=SCHEMA, orient="row").sort("session", "symbol", "kind", maintain_order=True)


Row = tuple[str, date, str, float | None, float | None, str | None, None]


def _changes(before: _Factor, after: _Factor, names: Sequence[tuple[date, str]]) -> Iterable[Row]:
    """The split and the dividend between two lines."""
    session = before.day + timedelta(days=1)
    symbol = next((name for last, name in names if last >= session), names[-1][1])
    ratio = _simple(after.split / before.split)
    if ratio != 1:
        yield symbol, session, "split", float(ratio), None, None, None
    if before.price != after.price:
        exact = before.close / ratio * (1 - before.price / after.price)
        off = before.close / ratio * Fraction(1, 10**DIGITS) / after.price
        amount = next(
            (round(exact, d) for d in range(2, MOST_DECIMALS) if abs(round(exact, d) - exact) <= off),
            round(exact, MOST_DECIMALS),
        )
        if amount > 0:
            yield symbol, session, "dividend", None, float(amount), None, None


def _simple(ratio: Fraction) -> Fraction:
    near = ratio.limit_denominator(SIMPLE)
    return near if abs(near - ratio) <= RATIO_OFF * ratio else ratio


def _tickers(rows: Sequence[tuple[Sequence[str], str]]) -> list[tuple[date, str]]:
    """Last date and ticker, in order."""
    return sorted((_day(line[0], where), line[1].strip().upper()) for line, where in rows)


def _names(names: Sequence[tuple[date, str]]) -> Iterable[Row]:
    """Renames, and the delisting after the last ticker's last date."""
    for (last, old), (_, new) in pairwise(names):
        if old != new:
            yield old, last + timedelta(days=1), "rename", None, None, new, None
    last, ticker = names[-1]
    if last < FOREVER:
        yield ticker, last + timedelta(days=1), "delisting", None, None, None, None


def _factor(line: Sequence[str], where: str) -> _Factor:
    numbers = []
    for text in line[1:4]:
        try:
            numbers.append(Fraction(Decimal(text.strip())))
        except (InvalidOperation, ValueError, OverflowError):
            raise DataError(f"{where}: a factor must be a number, was {text!r}; mend the line") from None
    price, split, close = numbers
    if price <= 0 or split <= 0:
        raise DataError(f"{where}: a factor must be more than 0, was {float(min(price, split)):g}; mend the line")
    return _Factor(_day(line[0], where), price, split, close)


def _day(text: str, where: str) -> date:
    try:
        return date.fromisoformat(text.strip())
    except ValueError:
        raise DataError(f"{where}: a date must be as 20140606, was {text!r}; mend the line") from None


def _read(paths: Sequence[Path], columns: int) -> dict[str, list[tuple[list[str], str]]]:
    """By security the lines of its files, with where each is."""
    found: dict[str, list[tuple[list[str], str]]] = {}
    for path in paths:
        files = sorted(path.glob("*.csv")) if path.is_dir() else [path]
        if not files or not all(file.is_file() for file in files):
            raise UsageError(
                f"{path}: it must be a CSV file, or a folder of them, was not; name LEAN's factor_files and map_files"
            )
        for file in files:
            with file.open(encoding="utf-8", newline="") as text:
                lines = [(line, f"{file}, line {n}") for n, line in enumerate(csv.reader(text), 1) if line]
            many = bool(lines) and lines[0][0][0].strip() == "security"
            for line, where in lines[many:]:
                security, values = (line[0], line[1:]) if many else (file.stem, line)
                if len(values) < columns:
                    raise DataError(
                        f"{where}: it must have {columns} fields at least, was {','.join(line)!r}; mend the line"
                    )
                found.setdefault(security.lower(), []).append((values, where))
    return found
