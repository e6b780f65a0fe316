"""Tables of candles: a few bars by hand, orders given at minutes, and what became of each order, in one line of text.

A case is played by the oracle and by bt. Minutes are minutes of session; the sessions are
New York's of 2 July 2024 and 5 July 2024, or with ``half=True`` of 3 July (it closes after 210 minutes) and 5 July.

* Bars: ``"0 100 | 1 100 103 97 101 x50"`` is a minute with its open, high, low and close (or one price for all) and its volume (1000 unless given);
  ``-1`` is the session's last minute, ``||`` the next session, ``B:1 100`` a bar of the symbol B (else A).
* Orders: ``{0: [order(10, limit=98)]}``, given in on_bar of minute 0 of the first session; other moments are ``"start"`` and ``"end"``, ``"2/5"`` (second session,
  minute 5), ``"2/start"``, and ``"fill 1"`` (in on_fill of order 1).
* Expected: ``"limit filled 10@98 in 1 | stop_loss cancelled oco"``, one entry an order, by id: its type, status and reason, then its fills with the
  minute at whose start they are stamped (the close of the first session is minute 390, or 210); ``~`` marks a fill of an ambiguous bar.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from fractions import Fraction
from functools import cache
from pathlib import Path
from typing import Any

import oracle as o
import polars as pl
from action_worlds import table_of
from worlds import around, oracle_days

import bt

Call = tuple[str, tuple[Any, ...], dict[str, Any]]

WHOLE, HALF, NEXT = date(2024, 7, 2), date(2024, 7, 3), date(2024, 7, 5)


def order(shares: int, *, symbol: str = "A", **more: Any) -> Call:
    return ("order", (symbol, shares), more)


def target(shares: int, *, symbol: str = "A", **more: Any) -> Call:
    return ("target", (symbol, shares), more)


def replace(id: int, **more: Any) -> Call:
    return ("replace", (id,), more)


def cancel(id: int) -> Call:
    return ("cancel", (id,), {})


def exit_at_close(*, symbol: str = "A", **more: Any) -> Call:
    return ("exit_at_close", (symbol,), more)


@dataclass(frozen=True)
class Case:
    """One table of candles. `cells` are those of docs/fills.md that it answers, as (row, column), `shown` is the id of the order they are about, 0
    for all of them. `split` new shares are given for an old one before the second session."""

    name: str
    bars: str
    given: Mapping[int | str, Sequence[Call]]
    expected: str
    settings: Mapping[str, Any] = field(default_factory=dict)
    half: bool = False
    cells: tuple[tuple[str, str], ...] = ()
    shown: int = 0
    cash: float = 1_000_000.0
    leverage: float = 1.0
    split: int = 1

    @property
    def actions(self) -> list[o.Action]:
        """The shares of A are split before the second session, `split` for 1."""
        return [o.Action("A", self.days[1].name, "split", Fraction(self.split))] if self.split != 1 else []

    @property
    def days(self) -> list[o.Day]:
        return sessions(half=self.half)

    @property
    def told(self) -> str:
        """What came of it, as docs/fills.md says it: of the order that is shown without its type."""
        entries = self.expected.split(" | ")
        return entries[self.shown - 1].split(" ", 1)[1] if self.shown else "; ".join(entries)

    @property
    def shown_bars(self) -> str:
        """The bars as docs/fills.md has them."""
        return self.bars.replace("||", "; next session:").replace(" ;", ";").replace(" | ", "; ")


@cache
def sessions(*, half: bool) -> list[o.Day]:
    """The two sessions of a case."""
    schedule = around("XNYS", "2024-07-02")
    names = list(schedule.names)
    first = names.index(HALF if half else WHOLE)
    days = oracle_days(schedule, first, names.index(NEXT))
    return [days[0], days[-1]]


def candles(text: str, days: Sequence[o.Day]) -> list[o.Bar]:
    """The bars of a text."""
    made = []
    for day, part in zip(days, text.split("||"), strict=False):
        for line in part.split("|"):
            if not line.strip():
                continue
            head, *rest = line.split()
            symbol, _, minute = head.rpartition(":")
            volume = int(rest.pop()[1:]) if rest[-1].startswith("x") else 1000
            prices = [float(p) for p in rest] * (4 if len(rest) == 1 else 1)
            made.append(o.Bar(symbol or "A", day.minutes[int(minute)], *prices, volume))
    return made


class Candle(bt.Row):
    symbol: str
    session: date
    minute: int


class Scripted:
    """Gives its orders at their moments."""

    row = Candle

    def __init__(self, given: Mapping[int | str, Sequence[Call]], days: Sequence[date]) -> None:
        self.given = {str(moment): list(calls) for moment, calls in given.items()}
        self.days = list(days)

    def _act(self, moment: str, session: date, book: Any) -> None:
        number = self.days.index(session) + 1
        for key in (f"{number}/{moment}", *([moment] if number == 1 else [])):
            for name, positional, more in self.given.get(key, []):
                getattr(book, name)(*positional, **more)

    def on_session_start(self, session: date, book: Any) -> None:
        self._act("start", session, book)

    def on_session_end(self, session: date, book: Any) -> None:
        self._act("end", session, book)

    def on_bar(self, row: Candle, book: Any) -> None:
        if row.symbol == "A":
            self._act(str(row.minute), row.session, book)

    def on_fill(self, fill: Any, book: Any) -> None:
        self._act(f"fill {fill.order_id}", book.session, book)


Tables = tuple[Sequence[Mapping[str, Any]], Sequence[Mapping[str, Any]]]
"""Orders and fills of a run, a mapping a row."""


def oracle_run(case: Case) -> o.Result:
    """A case as the oracle plays it."""
    days = case.days
    strategy = Scripted(case.given, [d.name for d in days])
    return o.Backtest(
        days, candles(case.bars, days), [o.Strategy("s", strategy, [o.RowType.of(Candle)])], zone="America/New_York",
        execution=o.Execution(**case.settings), account=o.Account(case.cash, case.leverage), actions=case.actions,
    ).run()  # fmt: skip


def by_oracle(case: Case) -> Tables:
    result = oracle_run(case)
    return result.orders, result.fills


def by_engine(case: Case) -> Tables:
    """The same by bt, over bars in memory and a calendar of the case's two sessions."""
    days = case.days
    with tempfile.TemporaryDirectory(prefix="candles-") as folder:
        return _by_engine(case, _calendar(days, Path(folder) / "calendar.parquet"))


def _calendar(days: Sequence[o.Day], path: Path) -> Path:
    """The sessions as a calendar file."""
    rows = [
        (day.name, number, *segment, day.early_close) for day in days for number, segment in enumerate(day.segments)
    ]
    aware = pl.Datetime("us", "UTC")
    frame = pl.DataFrame(
        rows,
        orient="row",
        schema={"session": pl.Date, "segment": pl.Int32, "open": aware, "close": aware, "early_close": pl.Boolean},
    )
    frame.with_columns(pl.col("open", "close").dt.convert_time_zone("America/New_York")).write_parquet(path)
    return path


def _by_engine(case: Case, calendar: Path) -> Tables:
    days = case.days
    rows = pl.DataFrame(
        candles(case.bars, days), orient="row",
        schema={"symbol": pl.String, "ts": pl.Int64, **dict.fromkeys(("open", "high", "low", "close"), pl.Float64), "volume": pl.Int64},
    ).with_columns(pl.col("ts").cast(pl.Datetime("us", "UTC")))  # fmt: skip
    run = bt.replay(
        bars=rows, calendar=str(calendar), start=days[0].name, end=days[-1].name, save=False,
        strategy=Scripted(case.given, [d.name for d in days]),
        execution=dict(case.settings), account={"cash": case.cash, "leverage": case.leverage}, actions=table_of(case.actions),
    )  # fmt: skip
    return run.orders.to_dicts(), run.fills.to_dicts()


JUDGES: dict[str, Callable[[Case], Tables]] = {"oracle": by_oracle, "engine": by_engine}


def summary(case: Case, tables: Tables) -> str:
    """What became of each order, as `Case.expected` has it."""
    orders, fills = tables
    when = {o.instant(t): f"{m}" for m, t in enumerate(case.days[0].minutes)} | {
        o.instant(t): f"2/{m}" for m, t in enumerate(case.days[1].minutes)
    }
    for number, day in zip(("", "2/"), case.days, strict=True):
        when[o.instant(day.close)] = f"{number}{len(day.minutes)}"
    entries = []
    for row in sorted(orders, key=lambda r: r["id"]):
        entry = " ".join(word for word in (row["type"], row["status"], row["reason"]) if word)
        own = [f for f in fills if f["order_id"] == row["id"]]
        told = [f"{f['shares']}@{f['price']:g} in {when[f['time']]}{'~' * f['ambiguous']}" for f in own]
        entries.append(f"{entry} {', '.join(told)}".strip())
    return " | ".join(entries)
