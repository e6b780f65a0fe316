"""Strategies with timers, the same for bt and for the oracle: when they are called, what they are shown, what they trade."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import oracle as o
from hypothesis import strategies as st
from watchers import Dice, Habits

import bt

CONSTANTS = ("session", "minute", "minutes_left", "open_time", "close_time", "local_time", "interval")


@dataclass(frozen=True)
class Clockwork:
    """One method's timer, for both: ``Clockwork("tick", every="15m")`` or ``Clockwork("tick", at="10:00")``."""

    method: str
    at: str = ""
    every: str = ""
    start: str = ""
    end: str = "close"

    def decorate(self, method: Callable[..., Any]) -> Callable[..., Any]:
        mark = bt.at(self.at) if self.at else bt.every(self.every, start=self.start, end=self.end)
        return mark(method)

    @property
    def judge(self) -> o.Timer:
        return o.Timer(self.method, self.at, self.every, self.start, self.end)


class Keeper:
    """Writes down whatever it is shown or told, and trades as its `dice` do. `made` subclasses have the callbacks."""

    clock: Sequence[Clockwork] = ()

    def __init__(self, dice: Dice | None = None) -> None:
        self.seen: list[Any] = []
        self.dice = dice
        if dice is not None:
            self.on_fill, self.on_order, self.on_session_start = dice.on_fill, dice.on_order, dice.on_session_start

    def note(self, kind: str, rows: Any, book: Any) -> None:
        declared = row_fields(self)
        same = {name: getattr(rows, name) for name in declared if name in CONSTANTS}
        fields = {
            name: list(map(float, getattr(rows, name))) for name in declared if name not in (*CONSTANTS, "symbol")
        }
        held = [list(map(int, rows.code)), list(map(bool, rows.fresh)), list(map(int, rows.position))]
        age = list(map(float, rows.age))
        marks = [float("nan") if (p := book.price(s)) is None else p for s in rows.symbol]
        told = [book.now, book.session, book.cash, book.equity, book.gross, book.net, marks]
        self.seen.append([kind, list(rows.symbol), *held, age, list(same.items()), list(fields.items()), told])
        if self.dice is not None:
            self.dice._act((kind, book.now), book, None)

    def judged(self) -> Mapping[str, Any]:
        return {"mean": o.sma("close", 4), "usual": o.trailing("max", "volume", "3d", at="minute")}

    def features(self) -> Mapping[str, bt.Feature]:
        return {"mean": bt.sma("close", 4), "usual": bt.trailing("max", "volume", "3d", at="minute")}


def row_fields(keeper: Keeper) -> list[str]:
    """The fields of its finest row type."""
    row = getattr(keeper, "row", ())
    first = row[0] if isinstance(row, tuple) and row else row
    return list(first.__annotations__) if first else []


def keeper(clock: Sequence[Clockwork], row: Any = (), callbacks: Sequence[str] = ()) -> type[Keeper]:
    """A class with these timers and, of on_bar and on_minute, these callbacks."""

    def on_bar(self: Keeper, row: Any, book: Any) -> None:
        self.seen.append(["bar", row.symbol, book.now, type(row).__name__])
        if self.dice is not None:
            self.dice._act((row.symbol, book.now, type(row).__name__), book, row.symbol)

    def on_minute(self: Keeper, rows: Any, book: Any) -> None:
        self.note("minute", rows, book)

    def timer(name: str) -> Callable[..., Any]:
        def method(self: Keeper, rows: Any, book: Any) -> None:
            self.note(name, rows, book)

        method.__name__ = name
        return method

    known = {"on_bar": on_bar, "on_minute": on_minute, "idle": lambda _self, _rows, _book: None}
    members: dict[str, Any] = {name.replace("idle", "on_minute"): known[name] for name in callbacks}
    for work in reversed(clock):  # the nearest to the method is the last of them
        members.setdefault(work.method, timer(work.method))
        work.decorate(members[work.method])
    members = {**{w.method: members[w.method] for w in clock}, **members}
    return type("Timed", (Keeper,), {**members, "clock": tuple(clock), **({"row": row} if row else {})})


def judge_of(made: Keeper, name: str = "strategy") -> o.Strategy:
    """The same for the oracle."""
    row = getattr(made, "row", ())
    rows = row if isinstance(row, tuple) else (row,)
    judged = made.judged()
    types = [o.RowType.of(r, {k: v for k, v in judged.items() if k in r.__annotations__}) for r in rows]
    order = list(dict.fromkeys(w.method for w in made.clock))
    timers = sorted((w.judge for w in made.clock), key=lambda t: order.index(t.method))
    return o.Strategy(name, made, types, timers=timers)


# -------------------------------------------------------------------------------------------------------------- drawing

moments = st.sampled_from(
    ("open", "close", "open+1m", "open+30m", "open+7m", "open+3h", "close-1m", "close-5m", "close-2h", "10:00", "12:00", "13:00", "12:30", "09:31", "17:00", "00:00", "08:15")
)  # fmt: skip
periods = st.sampled_from(("1m", "7m", "15m", "30m", "1h", "97m"))


def comes_after(work: Clockwork) -> bool:
    """Whether a timer's end may come after its start: what begins as it ends, or later, is refused."""
    start, end = work.start or f"open+{work.every}", work.end
    if ":" in start and ":" in end:
        return start < end < "17:00"  # where Chicago's sessions begin, and others have none
    if start[:4] != end[:4]:  # open, clos, or a time of day: which is first is the session's to say
        return True
    return minutes_from(start) < minutes_from(end)


def minutes_from(moment: str) -> int:
    """The 30 of "open+30m", the -120 of "close-2h"."""
    number = moment.removeprefix("open").removeprefix("close")
    return int(number[:-1]) * (60 if number.endswith("h") else 1) if number else 0


works = st.builds(Clockwork, st.sampled_from(("tick", "tock")), at=moments) | st.builds(
    Clockwork,
    st.sampled_from(("tick", "tock")),
    every=periods,
    start=st.just("") | moments,
    end=st.just("close") | moments,
).filter(comes_after)
clocks = st.lists(works, min_size=1, max_size=3)


def dice(how: Habits, symbols: Sequence[str]) -> Dice:
    """Trades from the cross-section: any of `symbols` at any moment."""
    return Dice(replace(how, symbols=tuple(symbols)), ())
