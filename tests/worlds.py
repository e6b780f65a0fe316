"""Random markets for the laws: a calendar's sessions, bars with gaps and faults, and the files they lie in.

A `World` knows its rows as the oracle's bars and its sessions as the oracle's days, and writes itself as a store. Hypothesis
draws what matters for a counterexample (calendar, sessions, shape of each symbol's day, every bad row, layout); prices and
volumes come from a seed.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import date, timedelta
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import oracle as o
import polars as pl
from hypothesis import strategies as st

from bt.model import Schedule
from bt.sessions import TimeManager

MINUTE = o.MINUTE
SYMBOLS = ("AAA", "BBB", "CCC", "DDD")
ROWS = 1500
"""About how many good rows a world has at most: the oracle is slow."""

ANCHORS = {
    "XNYS": ("2024-03-08", "2024-07-02", "2024-11-01", "2024-11-27", "2025-01-07"),
    "XHKG": ("2024-02-08", "2024-12-23", "2024-09-04"),
    "XTKS": ("2024-11-01", "2020-09-29", "2024-12-27"),
    "CMES": ("2024-03-08", "2024-11-01", "2024-11-27"),
    "CME_EQUITY": ("2013-11-27", "2021-06-24", "2024-03-08"),
    "24/7": ("2024-02-28", "2024-12-30"),
    "XLON": ("2024-03-27", "2024-10-25", "2024-12-23"),
}
"""Sessions near a DST change, a half day, a holiday, an outage or new hours."""

GRIDS = {"cent": 2, "pip": 4, "satoshi": 8, "none": None}
"""Decimals of the prices; "none" has no tick grid."""

LAYOUTS = ("day", "symbol", "one", "unsorted", "overlapping")
INSIDE = ("same", "conflict", "off_grid", "nan", "inf", "null", "zero", "negative", "inverted", "negative_volume")
OUTSIDE = ("early", "late", "at_close", "in_break", "midpoint", "night")


@cache
def times(calendar: str) -> TimeManager:
    return TimeManager(calendar)


@cache
def around(calendar: str, anchor: str) -> Schedule:
    """The sessions from about four months before to three weeks after a date."""
    day = date.fromisoformat(anchor)
    return times(calendar).schedule(day - timedelta(days=130), day + timedelta(days=21))


def oracle_days(schedule: Schedule, first: int, last: int) -> list[o.Day]:
    """Sessions `first` to `last` of a schedule as the oracle's days."""
    sessions = [schedule.session(i) for i in range(first, last + 1)]
    return [o.Day(s.name, s.segments, s.early_close) for s in sessions]


@dataclass(frozen=True, repr=False)
class World:
    """Sessions `first` to `last` of a schedule have rows; the run is from `start` on. All are numbers in `schedule`. `quotes` are bid and ask by symbol and
    start of the minute."""

    calendar: str
    schedule: Schedule
    first: int
    start: int
    last: int
    decimals: int | None
    whole_volume: bool
    layout: str
    rows: tuple[o.Bar, ...]
    quotes: Mapping[tuple[str, int], tuple[float | None, float | None]] = field(default_factory=dict)

    def __repr__(self) -> str:
        """What a counterexample needs; many rows are only counted."""
        days = [self.schedule.names[i].isoformat() for i in (self.first, self.start, self.last)]
        rows = list(map(tuple, self.rows)) if len(self.rows) < 30 else f"{len(self.rows)} of them"
        return f"World({self.calendar}, {days}, decimals={self.decimals}, {self.layout}, whole={self.whole_volume}, rows={rows})"

    def _repr_pretty_(self, printer: Any, _cycle: bool) -> None:
        printer.text(repr(self))

    @property
    def days(self) -> list[o.Day]:
        return oracle_days(self.schedule, self.first, self.last)

    @property
    def neighbours(self) -> dict[str, o.Day]:
        one = oracle_days(self.schedule, self.first - 1, self.first - 1)[0]
        other = oracle_days(self.schedule, self.last + 1, self.last + 1)[0]
        return {"before": one, "after": other}

    @property
    def played(self) -> list[o.Day]:
        return oracle_days(self.schedule, self.start, self.last)

    @property
    def symbols(self) -> list[str]:
        return sorted({r.symbol for r in self.rows})

    @property
    def span(self) -> dict[str, date]:
        """start and end of the run."""
        return {"start": self.schedule.names[self.start], "end": self.schedule.names[self.last]}

    def classified(self) -> o.Classified:
        return o.classify(self.rows, self.days, self.schedule.zone, **self.neighbours)

    def with_rows(self, rows: list[o.Bar]) -> World:
        return replace(self, rows=tuple(rows))

    def frame(self, rows: list[o.Bar]) -> pl.DataFrame:
        volume = pl.Int64 if self.whole_volume else pl.Float64
        schema = {"symbol": pl.String, "ts": pl.Int64, **dict.fromkeys(("open", "high", "low", "close"), pl.Float64)}
        frame = pl.DataFrame(rows, schema={**schema, "volume": volume}, orient="row")
        if self.quotes:
            both = [self.quotes.get((r.symbol, r.time_us), (None, None)) for r in rows]
            frame = frame.with_columns(
                pl.Series(name, [quotes[k] for quotes in both], dtype=pl.Float64)
                for k, name in enumerate(("bid", "ask"))
            )
        return frame.with_columns(pl.col("ts").cast(pl.Datetime("us", "UTC")))

    def write(self, folder: Path) -> Path:
        """The rows as Parquet files in `folder`, in the world's layout."""
        rows = sorted(self.rows, key=lambda r: (r.symbol, r.time_us))
        files: dict[str, list[o.Bar]] = {}
        for number, row in enumerate(rows):
            name = {
                "day": o.instant(row.time_us).date().isoformat(),
                "symbol": row.symbol,
                "one": "all",
                "unsorted": "all",
                "overlapping": f"part-{number % 3}",
            }[self.layout]
            files.setdefault(name, []).append(row)
        for name, mine in files.items():
            if self.layout == "unsorted":
                np.random.default_rng(7).shuffle(mine)
            self.frame(mine).write_parquet(folder / f"{name}.parquet", row_group_size=97)
        return folder


@contextmanager
def stored(world: World) -> Iterator[Path]:
    """The world as a store in a folder of its own."""
    with tempfile.TemporaryDirectory(prefix="world-") as folder:
        yield world.write(Path(folder))


# -------------------------------------------------------------------------------------------------------------- drawing


def slots_of(shape: str, minutes: int, length: int, rng: np.random.Generator) -> np.ndarray:
    """Minutes of session in which a symbol has a bar."""
    if shape == "absent":
        return np.zeros(0, np.int64)
    if shape == "few":
        return np.unique(rng.integers(0, minutes, 4))
    length = min(length, minutes)
    start = {"opening": 0, "closing": minutes - length}.get(shape, int(rng.integers(0, minutes - length + 1)))
    slots = np.arange(start, start + length)
    if shape == "gappy":
        return slots[rng.random(length) < 0.6]
    return slots


def bars_of(
    day: o.Day, symbol: str, slots: np.ndarray, *, decimals: int | None, whole: bool, rng: np.random.Generator
) -> list[o.Bar]:
    """Sound bars in some minutes of a day: small steps, so that equal values and ties are common."""
    step = 10.0**-decimals if decimals is not None else 0.0137 * np.pi
    n = len(slots)
    level = int(rng.integers(500, 2000)) * (10 ** (decimals - 2) if decimals else 1)
    walk = level + np.cumsum(rng.integers(-3, 4, n))
    ticks = np.stack([walk + rng.integers(-2, 3, n) for _ in range(4)])
    opens, closes = ticks[0], ticks[1]
    highs, lows = np.maximum(ticks.max(axis=0), 1), np.maximum(ticks.min(axis=0), 1)

    def price(tick: int) -> float:
        return round(int(tick) * step, decimals) if decimals is not None else float(tick) * step

    volumes = rng.integers(0, 500, n) if whole else rng.integers(0, 5000, n) * 0.37
    return [
        o.Bar(
            symbol, day.minutes[s], price(opens[i]), price(highs[i]), price(lows[i]), price(closes[i]),
            int(volumes[i]) if whole else float(volumes[i]),
        )
        for i, s in enumerate(slots.tolist())
    ]  # fmt: skip


def bad_row(world: World, kind: str, symbol: str, number: int, part: float) -> tuple[list[o.Bar], list[o.Bar]]:
    """Rows to add and rows to take away, for one fault in session `number` at `part` of the way through it."""
    schedule, day = world.schedule, oracle_days(world.schedule, number, number)[0]
    following = int(schedule.open[number + 1])
    mine = [r for r in world.rows if r.symbol == symbol and day.open <= r.time_us < day.close and None not in r]
    at = day.minutes[int(part * (len(day.minutes) - 1))]
    sound = mine[int(part * (len(mine) - 1))] if mine else o.Bar(symbol, at, 5.0, 5.5, 4.5, 5.0, 10)
    if kind in OUTSIDE:
        breaks = [(a[1], b[0]) for a, b in zip(day.segments, day.segments[1:], strict=False)] or [
            (day.close, following)
        ]
        when = {
            "early": day.open - (1 + int(part * 90)) * MINUTE,
            "late": day.close + (1 + int(part * 90)) * MINUTE,
            "at_close": day.close,
            "in_break": breaks[0][0] + int(part * (breaks[0][1] - breaks[0][0]) / MINUTE) * MINUTE,
            "midpoint": day.close + (following - day.close) // 2 + int(3 * part - 1) * 1_000_000,
            "night": day.close + int(part * (following - day.close) / MINUTE) * MINUTE,
        }[kind]
        return [sound._replace(time_us=when)], []
    nothing = None if world.whole_volume else float("nan")
    changes: dict[str, dict[str, float | None]] = {
        "same": {},
        "conflict": {"volume": sound.volume + 1},
        "off_grid": {"time_us": sound.time_us + 17_000_000},
        "nan": {"close": float("nan")},
        "inf": {"high": float("inf")},
        "null": {"volume": nothing} if part < 0.5 else {"open": None},
        "zero": {"low": 0.0},
        "negative": {"open": -1.0},
        "inverted": {"high": sound.low, "low": sound.high + 1},
        "negative_volume": {"volume": -1},
    }
    made = sound._replace(**changes[kind])
    replaces = kind not in ("same", "conflict") and int(part * 1000) % 2 == 0
    return [made], [sound] if replaces and mine else []


@st.composite
def worlds(draw: st.DrawFn, *, faults: bool = True, sessions: int = 4, least: int = 1, history: bool = True) -> World:
    """Any of the calendars, `least` to `sessions` sessions in a row (with `history`, perhaps one long before), 1 to 4 symbols."""
    calendar = draw(st.sampled_from(sorted(ANCHORS)))
    schedule = around(calendar, anchor := draw(st.sampled_from(ANCHORS[calendar])))
    near = next(i for i, name in enumerate(schedule.names) if name.isoformat() >= anchor)
    begin = near + draw(st.integers(-2, 1))
    length = draw(st.integers(least, sessions))
    start = begin + (draw(st.integers(0, length - 1)) if history else 0)
    far = draw(st.sampled_from((0, 0, 0, 7, 25, 60))) if history else 0
    last = begin + length - 1
    symbols = SYMBOLS[: draw(st.integers(1, 4))]
    decimals = GRIDS[draw(st.sampled_from(tuple(GRIDS)))]
    whole = draw(st.booleans())
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    shapes = st.sampled_from(("opening", "middle", "closing", "gappy", "few", "absent"))
    rows: list[o.Bar] = []
    most = ROWS // (len(symbols) * (length + 1))
    for number in [*([begin - far] if far else []), *range(begin, last + 1)]:
        day = oracle_days(schedule, number, number)[0]
        for symbol in symbols:
            slots = slots_of(draw(shapes), len(day.minutes), draw(st.integers(5, most)), rng)
            rows += bars_of(day, symbol, slots, decimals=decimals, whole=whole, rng=rng)
    layout = draw(st.sampled_from(LAYOUTS))
    world = World(calendar, schedule, begin - far, start, last, decimals, whole, layout, tuple(rows))
    if faults:
        bad = st.tuples(
            st.sampled_from(INSIDE + OUTSIDE), st.sampled_from(symbols), st.integers(begin, last), st.floats(0, 1)
        )
        for fault in draw(st.lists(bad, max_size=8)):
            more, fewer = bad_row(world, *fault)
            world = world.with_rows([r for r in world.rows if r not in fewer] + more)
    opening, closing = schedule.open[start], schedule.close[last]
    if not any(opening <= r.time_us < closing for r in world.rows):  # a run needs a bar to begin with
        day = oracle_days(schedule, start, start)[0]
        extra = bars_of(day, symbols[0], np.array([0]), decimals=decimals, whole=whole, rng=rng)
        world = world.with_rows([*world.rows, *extra])
    earliest = min(r.time_us for r in world.rows)  # an early row may lie in the session before
    return replace(world, first=min(world.first, int(np.searchsorted(schedule.open, earliest, "right")) - 1))
