"""Corporate actions from a table: looked at whole before the run, and then those of its symbols by session.

`open_actions` finds the table and refuses a bad row; `Actions` are what the run's sessions have of it.
"""

from __future__ import annotations

import os
from collections.abc import Container, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from fractions import Fraction
from functools import cached_property
from typing import Any

import numpy as np
import polars as pl

from bt.errors import DataError
from bt.model import ACTION_KINDS, UNIT, Action, DataSpec, Schedule
from bt.prepare.given import Refusal, days_of, found_table, number_of, read_table, text_of
from bt.store import ACTIONS, Store

VALUE_OF: Mapping[str, tuple[str, str]] = {
    "split": ("ratio", 'more than 0, as 7 or 0.125 or "3:2"'),
    "dividend": ("amount", "more than 0"),
    "rename": ("to", "another symbol"),
}  # fmt: skip
"""By kind the column that it must have a value in, and what that must be."""

COLUMNS = ("symbol", "session", "kind")
OPTIONAL = ("ratio", "amount", "to", "price")
SIMPLE = 10_000
"""A ratio that is a double is taken for the fraction with at most this denominator that is that double."""

EXTREME = 100_000
"""More shares for one, or for one share, no split gives; prices up to 920,000 stay what money can count."""


@dataclass(frozen=True)
class OpenedActions:
    """A table that has been looked at: where it is from, what it is known by, its rows (sorted by session, as text where a number must be exact)."""

    source: str
    hash: str
    rows: pl.DataFrame

    def of(self, symbols: Sequence[str], schedule: Schedule) -> Actions:
        """The actions of some symbols in the sessions of a schedule.

        Raises
        ------
        DataError
            A symbol becomes two things at once.
        """
        code = {symbol: number for number, symbol in enumerate(symbols)}
        mine = self.rows.filter(pl.col("symbol").is_in(list(symbols)))
        mine = mine.filter(pl.col("session") >= schedule.names[0])  # there is nothing before for others to concern
        names = np.array(schedule.names, dtype="datetime64[D]")
        numbers = np.searchsorted(names, mine["session"].to_numpy())
        found = []
        gone: set[tuple[int, str]] = set()
        for number, row in zip(numbers.tolist(), mine.iter_rows(named=True), strict=True):
            symbol, kind = row["symbol"], row["kind"]
            if number >= len(names):
                continue
            if kind in ("rename", "delisting") and (number, symbol) in gone:
                raise DataError(
                    f"{self.source}: {symbol} must be renamed or delisted once before the session {schedule.names[number]}, was more often; "
                    "leave all but one of these rows out"
                )
            if kind in ("rename", "delisting"):
                gone.add((number, symbol))
            if kind != "rename" or row["to"] in code:  # one whose new symbol the data has not is as none
                found.append(_action(row, number, code))
        return Actions(tuple(sorted(found, key=_turn)))

    def check_names(self, symbols: Container[str], every: Container[str], days: tuple[date, date]) -> None:
        """Refuse a run over some `symbols` of `every` one of the data, if one of them becomes another that it lacks between the two days.

        Raises
        ------
        DataError
        """
        renames = self.rows.filter((pl.col("kind") == "rename") & pl.col("session").is_between(*days))
        for old, new, day in renames.select("symbol", "to", "session").iter_rows():
            if old in symbols and new in every and new not in symbols:
                raise DataError(
                    f"{self.source}: {new} must be one of the run's symbols, was not, and {old} becomes it on {day}; add it to data.symbols"
                )

    def renamed(self, symbols: Iterable[str]) -> set[str]:
        """The symbols that some had before, one after another."""
        known, before = set(symbols), set[str]()
        pairs = self.rows.filter(pl.col("kind") == "rename").select("symbol", "to").rows()
        while more := {old for old, new in pairs if new in known or new in before} - known - before:
            before |= more
        return before


@dataclass(frozen=True)
class Actions:
    """The actions of a run's symbols, by session and in the order in which they are applied."""

    every: tuple[Action, ...] = ()

    @cached_property
    def by_session(self) -> Mapping[int, tuple[Action, ...]]:
        """By session number."""
        found: dict[int, list[Action]] = {}
        for action in self.every:
            found.setdefault(action.session, []).append(action)
        return {number: tuple(some) for number, some in found.items()}

    def counted(self, first: int, last: int, symbols: int) -> dict[str, int]:
        """How many there are by kind in the sessions `first` to `last`, of codes below `symbols`."""
        kinds = [a.kind for a in self.every if first <= a.session <= last and a.code < symbols]
        return {kind: kinds.count(kind) for kind in ACTION_KINDS}

    def renamed(self, first: int, last: int, symbols: int) -> dict[int, dict[int, int]]:
        """By session from `first` to `last`, what codes below `symbols` become."""
        found: dict[int, dict[int, int]] = {}
        for action in self.every:
            if (
                action.kind == "rename"
                and first <= action.session <= last
                and action.code < symbols
                and 0 <= action.to < symbols
            ):
                found.setdefault(action.session, {})[action.code] = action.to
        return found

    def at(self, session: int) -> tuple[Action, ...]:
        """Those that are applied at the open of a session."""
        return self.by_session.get(session, ())


def open_actions(data: DataSpec) -> OpenedActions | None:
    """The table that `data` names, or the store's own; None where there is none.

    Raises
    ------
    DataError
        It cannot be read, or a row of it cannot be.
    """
    found = found_table(data.actions, data.bars, ACTIONS, "data.actions")
    return None if found is None else OpenedActions(found.source, found.hash, _checked(found.rows, found.source))


def read_actions(path: str) -> OpenedActions:
    """The table in a Parquet or CSV file.

    Raises
    ------
    DataError
        It cannot be read, or a row of it cannot be.
    """
    content, frame = read_table(path, "data.actions")
    return OpenedActions(path, content, _checked(frame, path))


def given_actions(table: pl.DataFrame | str | os.PathLike[str], source: str) -> OpenedActions:
    """A table that is handed over, or in a file; `source` is what messages call one that is handed over.

    Raises
    ------
    DataError
        It cannot be read, or a row of it cannot be.
    """
    if isinstance(table, pl.DataFrame):
        return OpenedActions(source, "", _checked(table, source))
    return read_actions(os.fspath(table))


def former_names(opened: OpenedActions | None, store: Store, adjust: str) -> set[str]:
    """The symbols of the data that the store's had before, whose bars are the past of theirs."""
    return set() if opened is None or adjust == "none" else opened.renamed(store.symbols) & store.every


def _checked(frame: pl.DataFrame, source: str) -> pl.DataFrame:
    """The table with all its columns, numbers as text, every row of which can be applied."""
    for column in COLUMNS:
        if column not in frame.columns:
            raise DataError(
                f"{source}: column {column!r} must be there, was missing among {', '.join(frame.columns)}; a table of corporate "
                f"actions has {', '.join((*COLUMNS, *OPTIONAL))}"
            )
    made = frame.select(
        *(text_of(frame, c) for c in ("symbol", "kind")),
        days_of(frame["session"], source),
        *(text_of(frame, c) if c in frame.columns else pl.lit(None, pl.String).alias(c) for c in OPTIONAL),
    ).with_row_index("row", offset=1)
    bad = Refusal(source, made)
    for column in ("symbol", "session", "kind"):
        bad.where(pl.col(column).is_null(), column, "there")
    bad.where(~pl.col("kind").is_in(ACTION_KINDS), "kind", f"one of {', '.join(ACTION_KINDS)}")
    for kind, (column, what) in VALUE_OF.items():
        bad.where((pl.col("kind") == kind) & pl.col(column).is_null(), column, f"{what} for a {kind}")
    bad.where((pl.col("kind") == "rename") & (pl.col("to") == pl.col("symbol")), "to", "another symbol")
    for column, kind, parse in (
        ("ratio", "split", ratio_of),
        ("amount", "dividend", _positive),
        ("price", "delisting", _price),
    ):
        rows = made.filter((pl.col("kind") == kind) & pl.col(column).is_not_null())
        for row, text in rows.select("row", column).iter_rows():
            if parse(text) is None:
                what = "0 or more" if column == "price" else VALUE_OF[kind][1]
                bad.refuse(row, column, what, text)
    _check_ratios(made, bad)
    once = made.filter(pl.col("kind") != "dividend")
    for keys, column in ((("symbol", "session", "kind"), "kind"), (("to", "session"), "to")):
        some = once if column == "kind" else once.filter(pl.col("kind") == "rename")
        for row, value in some.filter(~pl.struct(keys).is_first_distinct()).select("row", column).iter_rows():
            bad.refuse(row, column, "given once for a session", value)
    gone = made.filter(pl.col("kind").is_in(["rename", "delisting"]))
    for row, value in (
        gone.filter(~pl.struct("symbol", "session").is_first_distinct()).select("row", "kind").iter_rows()
    ):
        bad.refuse(row, "kind", "one of rename and delisting for a session", value)
    return made.drop("row").sort("session", maintain_order=True)


def _check_ratios(rows: pl.DataFrame, bad: Refusal) -> None:
    """Refuse splits that are none, and those that arithmetic in int64 cannot follow back."""
    total: dict[str, Fraction] = {}
    for row, symbol, text in rows.filter(pl.col("kind") == "split").select("row", "symbol", "ratio").iter_rows():
        ratio = ratio_of(text) or Fraction(1)
        if not Fraction(1, EXTREME) <= ratio <= EXTREME:
            bad.refuse(row, "ratio", f"from 1:{EXTREME} to {EXTREME}:1", text)
        total[symbol] = total.get(symbol, Fraction(1)) * ratio
        if max(total[symbol].numerator, total[symbol].denominator) >= 2**63:
            bad.refuse(row, "ratio", f'a simple fraction, as "1:7", for all of {symbol} are multiplied', text)


def ratio_of(text: str) -> Fraction | None:
    """A ratio as written, ``7``, ``0.125`` or ``3:2``; None where it is none. A double is the simplest fraction that it may stand for: 0.3333333333333333 is 1/3."""
    parts = text.replace("/", ":").split(":")
    numbers = [_positive(part) for part in parts]
    if len(parts) > 2 or any(n is None for n in numbers):
        return None
    if len(parts) == 2:
        return numbers[0] / numbers[1]  # type: ignore[operator]
    (exact,) = numbers
    assert exact is not None
    simple = exact.limit_denominator(SIMPLE)
    return simple if simple > 0 and float(simple) == float(exact) else exact


def _positive(text: str) -> Fraction | None:
    value = number_of(text)
    return value if value is not None and value > 0 else None


def _price(text: str) -> Fraction | None:
    value = number_of(text)
    return value if value is not None and value >= 0 else None


def _action(row: Mapping[str, Any], number: int, code: Mapping[str, int]) -> Action:
    """A row that has been checked, for a session."""
    kind = row["kind"]
    price = None if kind != "delisting" or row["price"] is None else round(number_of(row["price"]) * UNIT)  # type: ignore[operator]
    return Action(
        number, code[row["symbol"]], kind,
        ratio=ratio_of(row["ratio"]) or Fraction(1) if kind == "split" else Fraction(1),
        amount=number_of(row["amount"]) or Fraction(0) if kind == "dividend" else Fraction(0),
        to=code.get(row["to"], -1) if kind == "rename" else -1,
        price=price,
    )  # fmt: skip


def _turn(action: Action) -> tuple[int, int, int]:
    """The order in which actions are applied."""
    return action.session, ACTION_KINDS.index(action.kind), action.code
