"""The gallery's strategies again, independently: signals from raw bars in plain Python, orders through the oracle's book.

Nothing here uses a feature of bt or of the oracle. Prices and volumes are whole numbers of 1e-8 and are divided once, so a value
that bt has exactly is had exactly here too; the others are as near as floats are. A judge is shown raw rows only, and keeps its own
record of every bar: those of earlier sessions are told it before a session starts.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from fractions import Fraction
from functools import lru_cache
from typing import Any

import oracle as o

SCALE = 10**8


@lru_cache(maxsize=1 << 20)
def whole(value: float) -> int:
    """A price or a volume in units of 1e-8, from its decimals as written."""
    return int(Decimal(repr(value)).scaleb(8))


RAW = o.RowType(("symbol", "minute", "minutes_left", "open", "high", "low", "close", "volume"))


@dataclass
class Past:
    """The raw bars of every day, as classified, and the days in order."""

    days: Sequence[o.Day]
    bars: Mapping[date, Mapping[str, Sequence[o.Bar]]]

    def before(self, session: date) -> list[o.Day]:
        return [d for d in self.days if d.name < session]


class Judge:
    """Keeps every bar it is told: `today` by symbol, and what `told` makes of them."""

    timers: tuple[o.Timer, ...] = ()

    def __init__(self, past: Past) -> None:
        self.past = past
        self.known: set[date] = set()
        self.session: Any = None
        self.today: dict[str, list[o.Bar]] = {}
        self.minutes = 0

    def on_session_start(self, session: date, book: Any) -> None:
        for day in self.past.before(session):
            if day.name not in self.known:
                self.begin(day)
                for _, symbol, bar in sorted(
                    (b.time_us, s, b) for s, bars in self.past.bars[day.name].items() for b in bars
                ):
                    self.note(symbol, day.minute_of[bar.time_us], bar)
        self.begin(next(d for d in self.past.days if d.name == session))
        self.start(book)

    def begin(self, day: o.Day) -> None:
        self.known.add(day.name)
        self.session, self.today, self.minutes = day, {}, len(day.minutes)

    def on_bar(self, row: Any, book: Any) -> None:
        self.note(row.symbol, row.minute, row)
        self.decide(row, book)

    def note(self, symbol: str, minute: int, bar: Any) -> None:
        self.today.setdefault(symbol, []).append(bar)

    def start(self, book: Any) -> None: ...
    def decide(self, row: Any, book: Any) -> None: ...


# --------------------------------------------------------------------------------------------------------- rows style


class OpeningRange(Judge):
    """The extremes of minutes 0 to 29; the first close beyond them, from the 30th minute on, up to half an hour before the end."""

    def __init__(self, past: Past, *, minutes: int = 30, value: float = 10_000.0) -> None:
        super().__init__(past)
        self.first, self.value = minutes, value
        self.range: dict[str, tuple[float, float]] = {}
        self.gone: set[str] = set()

    def begin(self, day: o.Day) -> None:
        super().begin(day)
        self.range, self.gone = {}, set()

    def note(self, symbol: str, minute: int, bar: Any) -> None:
        if minute < self.first:
            high, low = self.range.get(symbol, (bar.high, bar.low))
            self.range[symbol] = max(high, bar.high), min(low, bar.low)

    def start(self, book: Any) -> None:
        book.exit_at_close()

    def decide(self, row: Any, book: Any) -> None:
        if row.symbol not in self.range or row.minute + 1 < self.first or row.symbol in self.gone:
            return
        high, low = self.range[row.symbol]
        if row.minutes_left < 30 or low <= row.close <= high:
            return
        self.gone.add(row.symbol)
        book.target_value(row.symbol, self.value if row.close > high else -self.value, tag="breakout")


class OvernightGap(Judge):
    """Daily values of the calendar's session before, from its bars; nothing is known where it has none."""

    def __init__(self, past: Past, *, gap: float = 0.005, value: float = 10_000.0, minutes: int = 15) -> None:
        super().__init__(past)
        self.gap, self.value, self.first = gap, value, minutes
        self.yesterday: dict[str, tuple[float, float]] = {}

    def start(self, book: Any) -> None:
        bars = self.past.bars[self.past.before(self.session.name)[-1].name]
        self.yesterday = {s: (mine[-1].close, max(b.high for b in mine)) for s, mine in bars.items()}

    def decide(self, row: Any, book: Any) -> None:
        if row.symbol not in self.yesterday:
            return
        (close, high), opened = self.yesterday[row.symbol], self.today[row.symbol][0].open
        if row.close <= close:
            book.target(row.symbol, 0, tag="closed")
        elif (
            row.minute < self.first
            and opened > high
            and opened > close * (1 + self.gap)
            and book.position(row.symbol) == 0
        ):
            book.target_value(row.symbol, -self.value, tag="gap")
            book.exit_at_close(row.symbol)


class VwapDeviation(Judge):
    """VWAP from whole sums of the session; means of the closes of quarter hours that are over by the clock."""

    def __init__(self, past: Past, *, below: float = 0.002, value: float = 10_000.0) -> None:
        super().__init__(past)
        self.below, self.value = below, value
        self.sums: dict[str, tuple[int, int]] = {}
        self.closes: dict[str, list[int]] = defaultdict(list)
        self.open_bin: dict[str, tuple[int, int]] = {}

    def begin(self, day: o.Day) -> None:
        for symbol in list(self.open_bin):
            self.finish(symbol)
        super().begin(day)
        self.sums = {}

    def finish(self, symbol: str) -> None:
        self.closes[symbol].append(self.open_bin.pop(symbol)[1])

    def note(self, symbol: str, minute: int, bar: Any) -> None:
        money, volume = self.sums.get(symbol, (0, 0))
        prices = whole(bar.high) + whole(bar.low) + whole(bar.close)
        self.sums[symbol] = money + prices * whole(bar.volume), volume + whole(bar.volume)
        if symbol in self.open_bin and self.open_bin[symbol][0] != minute // 15:
            self.finish(symbol)
        self.open_bin[symbol] = minute // 15, whole(bar.close)
        if minute + 1 == min(15 * (minute // 15 + 1), self.minutes):
            self.finish(symbol)

    def start(self, book: Any) -> None:
        book.exit_at_close()

    def decide(self, row: Any, book: Any) -> None:
        money, volume = self.sums[row.symbol]
        closes = self.closes[row.symbol]
        if volume == 0 or len(closes) < 26:
            return
        fair = money / (3 * SCALE * volume)
        if row.close >= fair:
            book.target(row.symbol, 0, tag="at the vwap")
            return
        rising = sum(closes[-4:]) * 26 > sum(closes[-26:]) * 4
        weak = row.close < fair * (1 - self.below)
        if weak and rising and row.minutes_left >= 30 and book.position(row.symbol) == 0:
            book.target_value(row.symbol, self.value, tag="below")


# ------------------------------------------------------------------------------------------------ cross-section style


class MeanReversion(Judge):
    """Returns of the session's last 15 bars, standardized over the symbols that have a bar now."""

    timers = (o.Timer("rebalance", every="15m", start="open+30m", end="close-5m"), o.Timer("flatten", at="close-5m"))

    def __init__(self, past: Past, *, bars: int = 15, gross: float = 0.9, most: float = 3.0) -> None:
        super().__init__(past)
        self.bars, self.gross, self.most = bars, gross, most

    def rebalance(self, rows: Any, book: Any) -> None:
        moves = {}
        for symbol, fresh in zip(rows.symbol, rows.fresh, strict=True):
            bars = self.today.get(symbol, ())
            if fresh and len(bars) > self.bars:
                now, then = whole(bars[-1].close), whole(bars[-1 - self.bars].close)
                moves[symbol] = (now - then) / then
        scores = {s: max(-self.most, min(self.most, z)) for s, z in standardized(moves).items()}
        mean = math.fsum(scores.values()) / len(scores) if scores else 0.0
        weights = [mean - scores[s] if s in scores else 0.0 for s in rows.symbol]
        total = math.fsum(map(abs, weights))
        book.targets(rows, percent=[self.gross * w / total if total else 0.0 for w in weights])

    def flatten(self, rows: Any, book: Any) -> None:
        book.targets(rows, shares=[0] * len(rows))


def standardized(values: Mapping[str, float]) -> dict[str, float]:
    """Distance from the mean in standard deviations of the whole population; nothing where all are equal."""
    n = len(values)
    mean = math.fsum(values.values()) / n if n else 0.0
    deviation = math.sqrt(math.fsum((v - mean) ** 2 for v in values.values()) / n) if n else 0.0
    if len(set(values.values())) < 2:
        return {}
    return {s: (v - mean) / deviation for s, v in values.items()}


class Pairs(Judge):
    """Least squares by hand over the closes of the sessions that both legs have among the last twenty."""

    timers = (o.Timer("trade", every="1m", start="open+1m", end="close-15m"),)

    def __init__(self, past: Past, *, first: str, second: str, entry: float = 1.5, value: float = 50_000.0) -> None:
        super().__init__(past)
        self.first, self.second, self.entry, self.value = first, second, entry, value
        self.fit: tuple[float, float, float] | None = None

    def start(self, book: Any) -> None:
        both = []
        for day in self.past.before(self.session.name)[-20:]:
            bars = self.past.bars[day.name]
            if self.first in bars and self.second in bars:
                both.append((math.log(bars[self.first][-1].close), math.log(bars[self.second][-1].close)))
        self.fit = least_squares(both) if len(both) >= 10 else None

    def trade(self, rows: Any, book: Any) -> None:
        a, b = rows.symbol.index(self.first), rows.symbol.index(self.second)
        if self.fit is None or not (rows.fresh[a] and rows.fresh[b]):
            return
        ratio, level, width = self.fit
        spread = (math.log(rows.close[a]) - ratio * math.log(rows.close[b]) - level) / width
        pair = rows.take([a, b])
        held = book.position(self.first)
        if held * spread > 0:
            book.targets(pair, shares=[0, 0], tag="mean")
        elif held == 0 and book.position(self.second) == 0 and abs(spread) > self.entry:
            side = math.copysign(self.value, spread)
            book.targets(pair, value=[-side, side * ratio], tag="spread")
            book.exit_at_close()


def least_squares(points: Sequence[tuple[float, float]]) -> tuple[float, float, float]:
    """Slope and intercept of y on x for points (y, x), and the root of the mean squared residual."""
    n = len(points)
    my, mx = (math.fsum(p[k] for p in points) / n for k in (0, 1))
    slope = math.fsum((y - my) * (x - mx) for y, x in points) / math.fsum((x - mx) ** 2 for _, x in points)
    level = my - slope * mx
    return slope, level, math.sqrt(math.fsum((y - slope * x - level) ** 2 for y, x in points) / n)


class LinearModel(Judge):
    """Returns over 5 and 60 bars and the stretch from the mean of 30, across sessions; their weighted sum."""

    timers = (o.Timer("trade", every="15m", start="open+30m", end="close-15m"),)

    def __init__(self, past: Past, *, weights: Sequence[float], value: float = 5_000.0, least: float = 0.0001) -> None:
        super().__init__(past)
        self.weights, self.value, self.least = weights, value, least
        self.closes: dict[str, list[int]] = defaultdict(list)

    def note(self, symbol: str, minute: int, bar: Any) -> None:
        self.closes[symbol].append(whole(bar.close))

    def edge(self, symbol: str) -> float | None:
        closes = self.closes[symbol]
        if len(closes) < 61:
            return None
        last = closes[-30:]
        total = sum(last)
        spread = sum((30 * c - total) ** 2 for c in last)  # 900 x 29 times the variance
        if spread == 0:
            return None
        stretch = (30 * closes[-1] - total) / 30 / math.sqrt(spread / (900 * 29))
        short, long = ((closes[-1] - closes[-1 - n]) / closes[-1 - n] for n in (5, 60))
        constant, *slopes = self.weights
        return sum(w * x for w, x in zip(slopes, (short, long, stretch), strict=True)) + constant

    def trade(self, rows: Any, book: Any) -> None:
        wanted = []
        for symbol, fresh in zip(rows.symbol, rows.fresh, strict=True):
            edge = self.edge(symbol) if fresh else None
            expected = edge is not None and abs(edge) > self.least
            wanted.append(math.copysign(self.value, edge) if expected and edge is not None else 0.0)
        book.targets(rows, value=wanted)
        book.exit_at_close()


class LiquidMomentum(Judge):
    """Members by mean dollar volume of the sessions among the last ten that have bars; ranks of the last 60 bars among them."""

    timers = (o.Timer("rotate", every="30m", start="open+90m", end="close-5m"), o.Timer("flatten", at="close-5m"))

    def __init__(self, past: Past, *, best: float = 0.9, top: int = 100) -> None:
        super().__init__(past)
        self.best, self.top, self.leavers = best, top, "hold"
        self.found: dict[date, list[str]] = {}

    def members(self, _history: Any, day: o.Day, symbols: Sequence[str]) -> list[str]:
        """A day's universe, the most liquid first: the oracle asks for it too."""
        if day.name not in self.found:
            self.found[day.name] = self.ranked(self.past.before(day.name))
        return self.found[day.name]

    def decided(self, _days: Sequence[o.Day], day: o.Day) -> o.Day:
        """Members are those of the day: the oracle asks whose terms they are decided in."""
        return day

    def ranked(self, days: Sequence[o.Day]) -> list[str]:
        if not days:
            return []
        money: dict[str, list[int]] = defaultdict(list)
        for day in days[-10:]:
            for symbol, bars in self.past.bars[day.name].items():
                money[symbol].append(sum(whole(b.close) * whole(b.volume) for b in bars))
        last = self.past.bars[days[-1].name]
        ranked = sorted(
            (-Fraction(sum(m), len(m)), symbol)
            for symbol, m in money.items()
            if symbol in last and last[symbol][-1].close > 5
        )
        return [symbol for _, symbol in ranked[: self.top]]

    def rotate(self, rows: Any, book: Any) -> None:
        members = set(self.found[self.session.name])
        moves = {}
        for symbol, fresh in zip(rows.symbol, rows.fresh, strict=True):
            bars = self.today.get(symbol, ())
            if symbol in members and fresh and len(bars) > 60:
                moves[symbol] = (whole(bars[-1].close) - whole(bars[-61].close)) / whole(bars[-61].close)
        best = {s for s, rank in ranks(moves).items() if rank >= self.best}
        book.targets(rows, percent=[0.95 / len(best) if s in best else 0.0 for s in rows.symbol])

    def flatten(self, rows: Any, book: Any) -> None:
        book.targets(rows, shares=[0] * len(rows))


def ranks(values: Mapping[str, float]) -> dict[str, float]:
    """From 0 for the lowest to 1 for the highest; equal values share their mean rank."""
    if len(values) == 1:
        return dict.fromkeys(values, 0.5)
    order = sorted(values.values())
    below = {v: order.index(v) for v in set(order)}
    equal = {v: order.count(v) for v in set(order)}
    return {s: (below[v] + (equal[v] - 1) / 2) / (len(order) - 1) for s, v in values.items()}
