"""Strategies that run unchanged in bt and in the oracle, and how their runs are compared.

A `Watcher` writes down every row it is shown. A `Dice` trades: what it does at a moment follows from its seed and the moment
alone, so that both engines ask the same of it as long as they show the same.
"""

from __future__ import annotations

import math
import random
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import date
from pathlib import Path
from typing import Any

import msgspec
import oracle as o
import polars as pl
from hypothesis import assume, reject
from hypothesis import strategies as st
from worlds import World

import bt
from bt.errors import DataError

PRICES = ("open", "high", "low", "close")


@dataclass(frozen=True, repr=False)
class Made:
    """A feature twice, ours and the oracle's; `size` is the magnitude against which a float may be off by 1e-9, 0 if exact."""

    ours: bt.Feature
    judge: Any
    size: float = 0.0

    def __repr__(self) -> str:
        f = self.ours
        return f"Made({f.kind} {f.aggregate} {f.expr if f.expr is not None else f.column} n={f.n} {f.bars=} {f.period} {f.at} {f.interval} {f.within} {f.min_sessions=} {self.size=})"

    def _repr_pretty_(self, printer: Any, _cycle: bool) -> None:
        printer.text(repr(self))


# ------------------------------------------------------------------------------------------------------------- features


def window_features(n: int, interval: str, within: str | None) -> dict[str, Made]:
    """Expressions over n bars with what they must give for the list of the last n bars."""
    close, volume = pl.col("close"), pl.col("volume")
    cases: dict[str, tuple[pl.Expr, Callable[[list[Any]], float], float]] = {
        "mean": (close.rolling_mean(n), lambda w: math.fsum(b.close for b in w) / n, 100),
        "highest": (pl.col("high").rolling_max(n), lambda w: max(b.high for b in w), 0),
        "change": (close - close.shift(n - 1), lambda w: w[-1].close - w[0].close, 100),
        "money": ((close * volume).rolling_sum(n), lambda w: math.fsum(b.close * b.volume for b in w), 1e7),
        "range": (
            pl.col("high").rolling_max(n) - pl.col("low").rolling_min(n),
            lambda w: max(b.high for b in w) - min(b.low for b in w),
            100,
        ),
    }
    return {
        name: Made(
            bt.feature(expr, n - 1, interval=interval, within=within),  # type: ignore[arg-type]
            o.window_feature(judge, n, interval=interval, within=within),
            size,
        )
        for name, (expr, judge, size) in cases.items()
    }


def exact(world: World, column: str) -> bool:
    """Whether sums of the column are whole numbers inside."""
    return world.whole_volume if column == "volume" else world.decimals is not None


intervals = st.sampled_from(("5m", "7m", "15m", "1h", "13m", "4h", "1d", "2m"))


@st.composite
def feature_pairs(draw: st.DrawFn, world: World) -> Made:
    """One random feature."""
    kind = draw(
        st.sampled_from(
            ("kernel", "recursive", "today", "prior", "window", "session", "minute", "of", "cross", "volume", "score")
        )
    )
    interval = draw(st.just("1m") | intervals)
    within = draw(st.sampled_from((None, None, "session")))
    drawn = {
        "kernel": lambda: kernel_pairs(world, interval, within),
        "recursive": lambda: recursive_pairs(interval, within),
        "today": lambda: today_pairs(world, interval),
        "prior": lambda: prior_pairs(world),
        **{k: lambda k=k: derived_pairs(world, k, interval) for k in ("of", "cross", "volume", "score")},
    }
    if kind in drawn:
        return draw(drawn[kind]())
    if kind == "window":
        made = window_features(draw(st.integers(1, 30)), interval, within)
        return made[draw(st.sampled_from(sorted(made)))]
    aggregate = draw(st.sampled_from(("avg", "max", "min", "sum", "std", "first", "last")))
    number, unit = draw(st.integers(1, 6)), draw(st.sampled_from("ddwmy"))
    of: Any = draw(st.sampled_from((*PRICES, "volume", "close*volume")))
    least = draw(st.integers(1, 3))
    sound = of != "close*volume" and exact(world, of) and aggregate != "std"
    ours = bt.trailing(aggregate, of, f"{number}{unit}", at=kind, min_sessions=least)
    judged = product if of == "close*volume" else of
    judge = o.trailing(aggregate, judged, f"{number}{unit}", at=kind, min_sessions=least)
    return Made(ours, judge, 0.0 if sound else 1e7)


@st.composite
def kernel_pairs(draw: st.DrawFn, world: World, interval: str, within: Any) -> Made:
    """A statistic of the last n bars."""
    statistic = draw(st.sampled_from(("sma", "sum", "std", "zscore", "lag", "ret", "highest", "lowest")))
    column, n = draw(st.sampled_from((*PRICES, "volume"))), draw(st.integers(2, 40))
    ours = getattr(bt, statistic)(column, n, interval=interval, within=within)
    judge = o.window(statistic, column, n, interval=interval, within=within)
    free = statistic in ("lag", "highest", "lowest") or (exact(world, column) and statistic not in ("std", "zscore"))
    return Made(ours, judge, 0.0 if free else 1e-3 if exact(world, column) else 1e4)


@st.composite
def recursive_pairs(draw: st.DrawFn, interval: str, within: Any) -> Made:
    """A feature of all bars before."""
    kind, n = draw(st.sampled_from(("ema", "atr", "rsi"))), draw(st.integers(1, 12))
    given = {"ema": ((draw(st.sampled_from((*PRICES, "volume"))), n)), "atr": (n,), "rsi": ("close", n)}[kind]
    ours, judge = (getattr(of, kind)(*given, interval=interval, within=within) for of in (bt, o))
    return Made(ours, judge, 100.0)


@st.composite
def today_pairs(draw: st.DrawFn, world: World, interval: str) -> Made:
    """A statistic of the session so far."""
    kind = draw(st.sampled_from(("vwap", "so_far", "expression", "opening")))
    column = draw(st.sampled_from((*PRICES, "volume")))
    size = 0.0 if exact(world, column) else 1e4
    if kind == "vwap":
        whole = exact(world, "close") and exact(world, "volume")
        return Made(bt.vwap(interval=interval), o.vwap(interval=interval), 0.0 if whole else 1e4)
    if kind == "opening":
        minutes = draw(st.sampled_from((1, 5, 17, 30, 200)))
        judge = o.opening_range(column, minutes, interval=interval)
        return Made(bt.opening_range(column, minutes, interval=interval), judge, size if column == "volume" else 0.0)
    aggregate = draw(st.sampled_from(("avg", "max", "min", "sum", "first", "last")))
    if kind == "expression":
        judge = o.so_far(aggregate, product, interval=interval)
        return Made(bt.so_far(aggregate, "close*volume", interval=interval), judge, 1e7)
    ours = bt.so_far(aggregate, column, interval=interval)
    return Made(ours, o.so_far(aggregate, column, interval=interval), size if aggregate in ("avg", "sum") else 0.0)


@st.composite
def prior_pairs(draw: st.DrawFn, world: World) -> Made:
    """A past session's value."""
    back = draw(st.integers(1, 3))
    text, judge = draw(
        st.sampled_from(
            (
                *((c, o.prior(c, back)) for c in (*PRICES, "volume")),
                ("close*volume", o.prior(product, back)),
                ("max(high) - min(low)", o.prior(spread, back, wrapped=True)),
            )
        )
    )
    return Made(
        bt.prior(text, back), judge, 0.0 if text in PRICES or (text == "volume" and world.whole_volume) else 1e7
    )


@st.composite
def derived_pairs(draw: st.DrawFn, world: World, kind: str, interval: str) -> Made:
    """A feature of other features, or of the session's volume."""
    if kind == "volume":
        period, least = f"{draw(st.integers(1, 6))}{draw(st.sampled_from('ddw'))}", draw(st.integers(1, 2))
        ours = bt.relative_volume(period, min_sessions=least)
        judge: Any = o.relative_volume(period, min_sessions=least)
        if draw(st.integers(0, 2)) == 0:
            symbol = draw(st.sampled_from(world.symbols))
            ours, judge = bt.of(symbol, ours), o.of(symbol, judge)
        return Made(ours, judge, 0.0 if world.whole_volume else 1.0)
    over_bars = kernel_pairs(world, interval, draw(st.sampled_from((None, "session")))) | today_pairs(world, interval)
    if kind == "of":
        inner, symbol = draw(over_bars | prior_pairs(world)), draw(st.sampled_from(world.symbols))
        within: Any = draw(st.sampled_from((None, "session")))
        return Made(bt.of(symbol, inner.ours, within=within), o.of(symbol, inner.judge, within=within), inner.size)
    if kind == "score":
        inner, other = draw(over_bars), draw(over_bars | derived_pairs(world, "of", interval))
        ours, judge = (
            bt.score(model, [inner.ours, other.ours]),
            o.score(lambda a, b: 2 * a - b, [inner.judge, other.judge]),
        )
        return Made(ours, judge, 3 * (inner.size + other.size))
    inner = draw(over_bars.filter(lambda m: m.size == 0))
    statistic = draw(st.sampled_from(("rank", "zscore", "demean")))
    return Made(getattr(bt, f"cross_{statistic}")(inner.ours), o.cross(statistic, inner.judge))


def model(table: Any) -> Any:
    return 2 * table[:, 0] - table[:, 1]


def spread(bars: list[o.Bar]) -> float:
    return max(b.high for b in bars) - min(b.low for b in bars)


def product(bar: o.Bar) -> float:
    return bar.close * bar.volume


# -------------------------------------------------------------------------------------------------------------- watching


class Watcher:
    """Writes down (time, type of row, row) of every row, in order."""

    def __init__(self, rows: Sequence[type], made: Mapping[str, Made]) -> None:
        self.row = tuple(rows)
        self._made = made
        self.seen: list[tuple[Any, str, dict[str, Any]]] = []

    def features(self) -> dict[str, Any]:
        return {name: m.ours for name, m in self._made.items()}

    def on_bar(self, row: Any, book: Any) -> None:
        self.seen.append((book.now, type(row).__name__, msgspec.structs.asdict(row)))


@st.composite
def watched(draw: st.DrawFn, world: World) -> tuple[list[type], dict[str, Made]]:
    """Row types of 1m and up to two coarser intervals, with up to four features on each."""
    made = {f"f{i}": f for i, f in enumerate(draw(st.lists(feature_pairs(world), max_size=5)))}
    labels = draw(st.lists(intervals, max_size=2, unique=True))
    kinds = [row_type(label, world, features_of(draw, made)) for label in ["1m", *labels]]
    return kinds, made


def features_of(draw: st.DrawFn, made: Mapping[str, Made]) -> list[tuple[str, Any]]:
    """Some of the features as row fields; one in four must be known before a row is shown."""
    fields: list[tuple[str, Any]] = []
    for name, m in made.items():
        if draw(st.booleans()):
            fields.append((name, float if draw(st.integers(0, 3)) == 0 else float | None))
            if m.ours.kind == "trailing" and isinstance(m.judge, o.Trailing):
                fields.append((f"{name}_sessions", int))
    return fields


def row_type(label: str, world: World, features: list[tuple[str, Any]]) -> type:
    """A row type of everything there is at an interval, and some features."""
    volume = int if world.whole_volume else float
    fields: list[tuple[str, Any]] = [("symbol", str), ("open_time", int), ("close_time", int), ("session", date)]
    fields += [*((p, float) for p in PRICES), ("volume", volume), ("minute", int), ("minutes_left", int)]
    fields += [("quality", float)]
    if label != "1m":
        fields += [("n_obs", int), ("n_expected", int), ("closed_by", str)]
    return msgspec.defstruct(f"Row{label}", [*fields, *features], bases=(bt.Row,), namespace={"interval": label})


def judge_types(rows: Sequence[type], made: Mapping[str, Made]) -> list[o.RowType]:
    """The same row types for the oracle."""
    return [o.RowType.of(r, features_judged(r, made)) for r in rows]


def features_judged(row: type, made: Mapping[str, Made]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for name in row.__annotations__:
        if name in made:
            judge = made[name].judge
            found[name] = judge.on(getattr(row, "interval", "1m")) if hasattr(judge, "on") else judge
        elif name.endswith("_sessions") and name.removesuffix("_sessions") in made:
            j = made[name.removesuffix("_sessions")].judge
            found[name] = o.trailing(j.aggregate, j.of, j.period, at=j.at, min_sessions=j.min_sessions, used=True)
    return found


# --------------------------------------------------------------------------------------------------------------- trading


@dataclass(frozen=True)
class Habits:
    """How a `Dice` trades."""

    seed: int
    busy: float
    symbols: tuple[str, ...]
    most: int = 50
    kinds: tuple[str, ...] = ("order", "target", "cancel", "exit", "exit_all")


KINDS = ("order", "target", "cancel", "exit", "exit_all", "percent", "value", "targets")


habits = st.builds(
    Habits,
    seed=st.integers(0, 2**32 - 1),
    busy=st.sampled_from((0.02, 0.1, 0.5, 1.0)),
    symbols=st.just(()),
    most=st.sampled_from((1, 3, 50)),
    kinds=st.lists(st.sampled_from(KINDS), min_size=1, max_size=5, unique=True).map(tuple),
)


@dataclass
class Lone:
    """Trades at random, the same in both engines, and writes down what it knows: of one symbol at a time, unless its habits say
    more."""

    habits: Habits
    row: tuple[type, ...]
    told: list[tuple[Any, ...]] = field(default_factory=list)
    knows: list[tuple[Any, ...]] = field(default_factory=list)

    def on_bar(self, row: Any, book: Any) -> None:
        symbols = self.habits.symbols or (row.symbol,)
        self.knows.append(
            (book.now, row.symbol, book.position(row.symbol), book.cash, book.equity, book.gross, book.net,
             round(book.buying_power, 4), book.session_pnl, [order.id for order in book.open_orders()], str([book.age(s) for s in symbols]),
             [(s, h.shares, h.value) for s, h in book.holdings.items()])
        )  # fmt: skip
        self._act((row.symbol, row.close_time, type(row).__name__), book, row.symbol)

    def on_fill(self, fill: Any, book: Any) -> None:
        self.told.append(
            (book.now, "fill", fill.order_id, fill.symbol, fill.shares, book.position(fill.symbol), book.cash)
        )
        self._act(("fill", fill.symbol, fill.order_id, fill.shares), book, fill.symbol, rarer=5)

    def on_order(self, order: Any, book: Any) -> None:
        self.told.append((book.now, "order", order.id, order.symbol, order.status, order.reason))
        if order.status != "open" and (order.symbol or self.habits.symbols):
            self._act(("order", order.symbol, order.id, order.status), book, order.symbol or None, rarer=5)

    def _act(self, moment: tuple[Any, ...], book: Any, symbol: str | None, *, rarer: float = 1) -> None:
        dice = random.Random(repr((self.habits.seed, *map(str, moment))))
        if dice.random() * rarer >= self.habits.busy:
            return
        if symbol is None or dice.random() < 0.1:
            symbol = dice.choice(self.habits.symbols or (symbol,))
        shares, most = dice.randint(-self.habits.most, self.habits.most), self.habits.most
        match dice.choice(self.habits.kinds):
            case "order":
                book.order(symbol, shares, tif=dice.choice((None, "day", "gtc")), tag=dice.choice(("", "a")))
            case "target":
                book.target(symbol, dice.choice((0, shares, most, -most)), tag=dice.choice(("", "b")))
            case "percent":
                book.target_percent(symbol, dice.choice((0, 0.1, -0.29, 0.07, 2.5, dice.random())), tag="p")
            case "value":
                book.target_value(symbol, dice.choice((0, 1000, -512.37, dice.random() * 3000)), tag="v")
            case "cancel" if dice.random() < 0.5:
                book.cancel(symbol=symbol)
            case "cancel":
                book.cancel(dice.randint(1, 20))
            case "exit":
                book.exit_at_close(symbol, minutes_before=dice.choice((0, 0, 1, 7)))
            case "exit_all":
                book.exit_at_close(minutes_before=dice.choice((0, 0, 1, 7)))


class Dice(Lone):
    """The same with every symbol at every moment."""

    def on_session_start(self, session: date, book: Any) -> None:
        self._act(("start", session), book, None)

    def on_minute(self, rows: Any, book: Any) -> None:
        dice = random.Random(repr((self.habits.seed, "minute", str(book.now))))
        if "targets" not in self.habits.kinds or dice.random() >= self.habits.busy:
            return
        most = self.habits.most
        kind = dice.choice(("shares", "percent", "value"))
        kinds = {
            "shares": lambda: dice.randint(-most, most),
            "percent": lambda: dice.choice((0.0, 0.1, -0.29, 0.07, dice.random())),
            "value": lambda: dice.choice((0, 1000, -512.37, dice.random() * 3000)),
        }
        wanted = [math.nan if dice.random() < 0.3 else float(kinds[kind]()) for _ in rows.symbol]
        book.targets(rows, **{kind: wanted}, others=dice.choice(("keep", "keep", "flat")), tag=dice.choice(("", "c")))

    def on_session_end(self, session: date, book: Any) -> None:
        self._act(("end", session), book, None)


class Alone(Lone):
    """The same as an independent strategy; `draws` are random numbers."""

    independent = True

    def __init__(self, habits: Habits, row: tuple[type, ...]) -> None:
        super().__init__(habits, row)
        self.draws: dict[tuple[Any, ...], list[float]] = {}

    def on_bar(self, row: Any, book: Any) -> None:
        if hasattr(book, "rng"):
            self.draws.setdefault((row.symbol, row.close_time, type(row).__name__), []).append(book.rng.random())
        super().on_bar(row, book)


class Trader(Watcher):
    """Watches, and trades as its `dice` do."""

    def __init__(self, rows: Sequence[type], made: Mapping[str, Made], dice: Dice) -> None:
        super().__init__(rows, made)
        self.on_fill, self.on_order = dice.on_fill, dice.on_order
        self.on_session_start, self.on_session_end = dice.on_session_start, dice.on_session_end
        self._dice = dice

    def on_bar(self, row: Any, book: Any) -> None:
        super().on_bar(row, book)
        self._dice.on_bar(row, book)


def coming(symbol: str, book: Any) -> int:
    """The signed shares of a symbol once its live orders have filled, without those that wait for a price: what signals count as held (decision 0023)."""
    held = book.position(symbol)
    for order in book.open_orders(symbol):
        if order.type == "target":
            held = order.level
        elif order.type == "market":  # it meets a margin call, or sells what left the universe
            held += order.shares - order.filled
    return int(held)


# ------------------------------------------------------------------------------------------------------------- comparing


@contextmanager
def refusals() -> Iterator[None]:
    """What looks like end-stamped data is not a case, nor are dividends that are all of the price: bt refuses them, rightly."""
    try:
        yield
    except DataError as error:
        if not any(what in str(error) for what in ("timestamps must be the start", "a dividend must be less than")):
            raise
        reject()


def replayed(world: World, folder: Path, strategy: Any, **more: Any) -> bt.Run:
    """The world replayed in memory."""
    given = {**world.span, **more}
    with refusals():
        return bt.replay(bars=folder, strategy=strategy, calendar=world.calendar, save=False, **given)


def judged(world: World, *strategies: o.Strategy, **more: Any) -> o.Result:
    """The same by the oracle."""
    backtest = o.Backtest(
        world.days, world.rows, strategies, zone=world.schedule.zone, start=world.span["start"],
        symbols=world.symbols, quotes=world.quotes, **world.neighbours, **more,
    )  # fmt: skip
    return backtest.run()


def fitting(*make: Callable[[], Any]) -> list[Any]:
    """What each makes. Amounts that do not fit units of money fit nobody's: each raises then, and the case is over."""
    made, refused = [], 0
    for one in make:
        try:
            made.append(one())
        except OverflowError:  # MoneyError is one
            refused += 1
    assert refused in (0, len(make))
    assume(not refused)
    return made


def same_value(ours: Any, theirs: Any, size: float) -> bool:
    """Equal, or for a float feature within 1e-9 of its magnitude."""
    if ours is None or theirs is None or size == 0:
        return bool(ours == theirs)
    return math.isclose(ours, theirs, rel_tol=1e-9, abs_tol=1e-9 * size)


def assert_same_rows(ours: Sequence[Any], theirs: Sequence[Any], sizes: Mapping[str, float]) -> None:
    """The rows shown, one by one and field by field."""
    for (now, kind, row), (now_, kind_, row_) in zip(ours, theirs, strict=False):
        assert (now, kind) == (now_, kind_), (row, row_)
        assert row.keys() == row_.keys()
        for name, value in row.items():
            assert same_value(value, row_[name], sizes.get(name, 0.0)), (
                now,
                kind,
                row["symbol"],
                name,
                value,
                row_[name],
            )
    assert len(ours) == len(theirs), (ours[len(theirs) :] or theirs[len(ours) :])[0]


def table(run: bt.Run, name: str) -> list[dict[str, Any]]:
    """A table of a run as dicts."""
    return list(getattr(run, name).iter_rows(named=True))


def assert_same_table(run: bt.Run, name: str, judge: Sequence[Mapping[str, Any]], columns: Sequence[str]) -> None:
    """A table equals the oracle's in these columns, row by row."""
    ours = [{c: row[c] for c in columns} for row in table(run, name)]
    theirs = [{c: row[c] for c in columns} for row in judge]
    for one, other in zip(ours, theirs, strict=False):
        apart = {c: (one[c], other[c]) for c in columns if one[c] != other[c]}
        assert not apart, (name, one, apart)
    assert len(ours) == len(theirs), (name, (ours[len(theirs) :] or theirs[len(ours) :])[0])


FILLS = (
    "session", "time", "symbol", "order_id", "side", "shares", "price", "reference_price", "slippage", "commission",
    "position_after", "bar_share", "stale_minutes", "tag",
)  # fmt: skip
ORDERS = ("session", "decided_at", "symbol", "id", "type", "shares", "level", "tif", "status", "reason", "tag")
TRADES = (
    "symbol", "side", "entry_time", "exit_time", "entry_price", "exit_price", "shares", "gross_pnl", "costs", "net_pnl",
    "return", "mae", "mfe", "minutes_held", "entry_tag", "exit_reason",
)  # fmt: skip
EQUITY = ("time", "session", "equity", "cash", "gross", "net")
POSITIONS = ("session", "symbol", "shares", "price", "value")
