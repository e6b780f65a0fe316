"""The columns style: signals give what the same rules in `on_bar` give, whatever market and account; what cannot mean anything is refused."""

from __future__ import annotations

import math
from dataclasses import dataclass
from datetime import date, datetime, time
from pathlib import Path
from typing import Any

import oracle as o
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st
from polars.testing import assert_frame_equal
from small import THURSDAY, TUESDAY, WEDNESDAY, at, bars, play, store
from test_laws import TABLES, accounts, everything, executions, gates, law
from test_universe_laws import universes
from watchers import EQUITY, FILLS, ORDERS, POSITIONS, TRADES, assert_same_table, coming, judged, replayed
from worlds import World, stored, worlds

import bt
from bt.engine.signalling import SAID
from bt.errors import DataError, FeatureError, StrategyError, StrategyRaised
from bt.execution import layout, signalling
from bt.prepare.decided import Decider
from bt.prepare.rowwise import is_rowwise
from bt.strategy import declare

# ------------------------------------------------------------------------------------------- the same rules, written twice


class Seen(bt.Row):
    symbol: str
    session: date
    minute: int
    close: float


@dataclass(frozen=True)
class Rules:
    """Decisions that follow from a bar's minute and close, and from whether the close rose since the bar before in the session."""

    style: str
    factors: tuple[int, int]
    kinds: int
    sparse: int
    fixed: bool
    keys: tuple[str, ...]

    def number(self, minute: Any, tick: Any) -> Any:
        """0 to kinds - 1."""
        return (minute * self.factors[0] + tick * self.factors[1]) % self.kinds

    def booleans(self, number: Any, rose: Any) -> dict[str, Any]:
        return {
            "entry": number % 3 == 0,
            "exit": (number % 4 == 1) & rose,
            "short": (number % 5 == 2) & rose,
            "cover": number % 3 == 1,
        }


rules = st.builds(
    Rules,
    style=st.sampled_from(("target", "target_percent", "entries", "entries")),
    factors=st.tuples(st.integers(1, 50), st.integers(0, 50)),
    kinds=st.integers(2, 40),
    sparse=st.sampled_from((1, 1, 3)),
    fixed=st.booleans(),
    keys=st.sampled_from((("entry", "exit"), ("short", "cover"), ("entry", "exit", "short", "cover"), ("entry",))),
)


class ByColumns:
    """The rules as signals."""

    def __init__(self, rules: Rules) -> None:
        self.rules = rules

    def signals(self) -> dict[str, Any]:
        how, close = self.rules, pl.col("close")
        number = how.number(pl.col("minute"), (close * 1000).floor().cast(pl.Int64))
        known = number % how.sparse == 0
        if how.style == "target":
            return {"target": pl.when(known).then(number * 3 - how.kinds)}
        if how.style == "target_percent":
            return {"target_percent": pl.when(known).then((number - how.kinds // 2) * 0.013)}
        booleans = how.booleans(number, (close > close.shift(1)).fill_null(value=False))
        return {k: pl.when(known).then(booleans[k]) for k in how.keys} | {"shares": 7 if how.fixed else number % 20 + 1}


class ByRows:
    """The rules in on_bar."""

    row = Seen

    def __init__(self, rules: Rules) -> None:
        self.rules = rules
        self.before: dict[str, tuple[date, float]] = {}

    def on_bar(self, row: Seen, book: Any) -> None:
        how, (day, before) = self.rules, self.before.get(row.symbol, (None, 0.0))
        rose = day == row.session and row.close > before
        self.before[row.symbol] = row.session, row.close
        number = how.number(row.minute, math.floor(row.close * 1000))
        if number % how.sparse:
            return
        if how.style == "target":
            book.target(row.symbol, number * 3 - how.kinds)
        elif how.style == "target_percent":
            book.target_percent(row.symbol, (number - how.kinds // 2) * 0.013)
        else:
            self.enter_or_exit(row.symbol, number, rose, book)

    def enter_or_exit(self, symbol: str, number: int, rose: bool, book: Any) -> None:
        said = {k: v for k, v in self.rules.booleans(number, rose).items() if k in self.rules.keys}
        held, shares = coming(symbol, book), 7 if self.rules.fixed else number % 20 + 1
        if held == 0 and said.get("entry") and not said.get("short"):
            book.target(symbol, shares)
        elif held == 0 and said.get("short") and not said.get("entry"):
            book.target(symbol, -shares)
        elif (held > 0 and said.get("exit")) or (held < 0 and said.get("cover")):
            book.target(symbol, 0)


class LoneColumns(ByColumns):
    independent = True


class LoneRows(ByRows):
    independent = True


class WarmColumns(ByColumns):
    warm_up = "2d"


class WarmRows(ByRows):
    warm_up = "2d"


@law(40)
@given(worlds(sessions=3), rules, executions, accounts, gates)
def test_signals_are_the_rows_of_the_oracle(
    world: World, how: Rules, execution: dict[str, Any], account: dict[str, Any], gate: dict[str, Any]
) -> None:
    with stored(world) as folder:
        run = replayed(world, folder, ByColumns(how), execution=execution, account=account, quality=gate)
    result = judged(
        world, o.Strategy("strategy", ByRows(how), [o.RowType.of(Seen)]),
        execution=o.Execution(**execution), account=o.Account(**account), gate=o.Gate(**gate),
    )  # fmt: skip
    assert_same_table(run, "fills", result.fills, FILLS)
    assert_same_table(run, "orders", result.orders, ORDERS)
    assert_same_table(run, "trades", result.trades, TRADES)
    assert_same_table(run, "positions", result.positions, POSITIONS)
    assert_same_table(run, "equity", result.equity, EQUITY)
    assert run.summary["iterations"] == result.iterations


PAIRS = ((ByColumns, ByRows), (LoneColumns, LoneRows), (WarmColumns, WarmRows))


@law(25)
@given(st.data(), worlds(), rules, executions, accounts, st.sampled_from(PAIRS))
def test_signals_are_on_bar_with_a_universe_alone_and_warming_up(
    data: st.DataObject, world: World, how: Rules, execution: dict[str, Any], account: dict[str, Any], pair: Any
) -> None:
    universe = data.draw(universes(world)).ours if data.draw(st.booleans()) else None
    more = {"execution": execution, "account": account} | ({"universe": universe} if universe else {})
    with stored(world) as folder:
        runs = [replayed(world, folder, None, strategies=[{"name": "s", "use": made(how)}], **more) for made in pair]
    for name in TABLES:
        assert_frame_equal(getattr(runs[0], name), getattr(runs[1], name), check_exact=True)


@law(25)
@given(worlds(sessions=3), st.lists(rules, min_size=2, max_size=3), executions, accounts, st.booleans())
def test_signals_and_rows_beside_each_other(
    world: World, hows: list[Rules], execution: dict[str, Any], account: dict[str, Any], shared: bool
) -> None:
    """The first is always of columns, the others of rows, or each of the other style."""
    more = {"execution": execution, "account": {**account, "shared": shared}}
    runs = []
    with stored(world) as folder:
        for kinds in ((ByColumns, ByRows, ByRows), (ByRows, ByColumns, ByColumns)):
            entries = [{"name": n, "use": made(how)} for n, made, how in zip("bca", kinds, hows, strict=False)]
            runs.append(everything(replayed(world, folder, None, strategies=entries, **more)))
    for name in TABLES:
        assert_frame_equal(runs[0][name], runs[1][name], check_exact=True)


@law(15)
@given(worlds(), rules, executions)
def test_cutting_the_work_does_not_change_what_signals_say(world: World, how: Rules, execution: dict[str, Any]) -> None:
    runs = []
    with stored(world) as folder:
        for days, threads in ((1, 1), (2, 2), (5, 2), (30, 1)):
            more = {"prefetch_days": days, "engine": {"threads": threads}, "execution": execution}
            runs.append(everything(replayed(world, folder, ByColumns(how), **more)))
    for other in runs[1:]:
        for name in TABLES:
            assert_frame_equal(other[name], runs[0][name], check_exact=True)


# ------------------------------------------------------------------------------------------------------------ by hand


class Said:
    """Whatever signals it is given."""

    def __init__(self, given: Any, **features: bt.Feature) -> None:
        self.given, self.made = given, features

    def features(self) -> dict[str, bt.Feature]:
        return self.made

    def signals(self) -> Any:
        return self.given


LINE = [10.0, 11.0, 12.0, None, 13.0, 12.0, 11.0, 10.0]


def played(tmp_path: Path, given: Any, features: dict[str, bt.Feature] | None = None, **settings: Any) -> bt.Run:
    """Signals over AAA's line and BBB's, upside down and without a gap."""
    where = store(tmp_path, bars("AAA", LINE), bars("BBB", [30.0 - (p or 12.5) for p in LINE]))
    return play(where, Said(given, **(features or {})), **settings)


def fills(run: bt.Run) -> list[tuple[str, int, int]]:
    """(symbol, minute, shares) of every fill."""
    minutes = (pl.col("time") - at(0)).dt.total_minutes()
    return run.fills.select("symbol", minutes, "shares").rows()


def test_a_target_is_a_level_and_null_or_nan_no_decision(tmp_path: Path) -> None:
    level = (
        pl.when(pl.col("minute") == 1)
        .then(5.0)
        .when(pl.col("minute") == 5)
        .then(float("nan"))
        .when(pl.col("minute") == 6)
        .then(-2.0)
    )
    run = played(tmp_path, {"target": level})
    assert fills(run) == [("AAA", 2, 5), ("BBB", 2, 5), ("AAA", 7, -7), ("BBB", 7, -7)]
    assert run.orders.height == 4


def test_entries_wait_until_flat_and_both_at_once_decide_nothing(tmp_path: Path) -> None:
    minute, own = pl.col("minute"), pl.col("symbol") == "AAA"
    given = {
        "entry": own & minute.is_in([0, 1, 4, 5]),
        "short": own & minute.is_in([4, 6]),
        "exit": own & minute.is_in([2, 5]),
        "cover": own & minute.is_in([2, 6]),
        "shares": minute + 1,
    }
    run = played(tmp_path, given)
    assert fills(run) == [
        ("AAA", 1, 1),
        ("AAA", 4, -1),
        ("AAA", 6, 6),
    ]  # 4: both; 5: flat, so entry; 6: long, so nothing
    assert run.orders.height == 3


@pytest.mark.parametrize(
    ("held", "said", "level"),
    [
        (0, {"entry": True, "exit": True, "shares": 3}, 3),
        (0, {"short": True, "cover": True, "shares": 3}, -3),
        (0, {"entry": True, "short": True, "shares": 3}, None),
        (0, {"entry": True, "shares": None}, None),
        (0, {"entry": True, "shares": 0}, 0),
        (0, {"exit": True, "cover": True}, None),
        (5, {"entry": True, "exit": True, "shares": 3}, 0),
        (5, {"entry": True, "short": True, "cover": True, "exit": False, "shares": 3}, None),
        (-5, {"short": True, "cover": True, "shares": 3}, 0),
        (-5, {"entry": True, "exit": True, "cover": False, "shares": 3}, None),
    ],
)
def test_what_entries_and_exits_ask_for(held: int, said: dict[str, Any], level: int | None) -> None:
    bits = sum(SAID[name] for name, so in said.items() if name in SAID and so)
    found = signalling.entered(held, bits, layout.NULL if said.get("shares") is None else said["shares"])
    assert (None if found == layout.NULL else found) == level


@pytest.mark.parametrize(
    "given",
    [{"target": pl.lit(10)}, {"entry": pl.lit(True), "shares": pl.lit(10)}],
    ids=["target", "entry"],
)
def test_what_was_refused_is_asked_for_again_at_every_bar(tmp_path: Path, given: dict[str, pl.Expr]) -> None:
    where = store(tmp_path, bars("AAA", [10.0, 11.0, 9.5, 9.0, 9.0]))
    run = play(where, Said(given), cash=96.0)
    assert run.orders.sort("id")["status"].to_list() == ["rejected", "rejected", "filled"]
    assert fills(run) == [("AAA", 3, 10)]


@pytest.mark.parametrize(
    ("first", "then", "leverage", "made"),
    [
        (-5, 3, 1.0, []),  # what is short has doubled: 110 + 50 - 100 - 100 < 30
        (5, 25, 2.0, [("BBB", 3, 25)]),  # what is long has: 2 x (60 + 100) - 100 >= 25 x 8
        (5, 28, 2.0, []),  # 220 < 28 x 8
    ],
)
def test_buying_power_is_of_prices_that_no_signal_was_about(
    tmp_path: Path, first: int, then: int, leverage: float, made: list[Any]
) -> None:
    where = store(tmp_path, bars("AAA", [10.0, 10.0, 20.0, 20.0]), bars("BBB", [8.0] * 4))
    minute, own = pl.col("minute"), pl.col("symbol") == "AAA"
    level = pl.when(own & (minute == 0)).then(first).when(~own & (minute == 2)).then(then)
    run = play(where, Said({"target": level}), cash=110.0, account={"leverage": leverage})
    assert fills(run) == [("AAA", 1, first), *made]


@pytest.mark.parametrize("again", [lambda book: book.order("AAA", 2), lambda book: book.target("AAA", 2)])
def test_an_order_on_its_way_counts_as_held(tmp_path: Path, again: Any) -> None:
    class Again(Said):
        """Once it is flat it buys 2, while an entry would buy 4."""

        def on_fill(self, fill: bt.Fill, book: bt.Book) -> None:
            if fill.shares == -4:
                again(book)

    minute = pl.col("minute")
    where = store(tmp_path, bars("AAA", [10.0] * 9))
    run = play(where, Again({"entry": minute.is_in([0, 3]), "exit": minute.is_in([2, 5]), "shares": 4}))
    assert fills(run) == [("AAA", 1, 4), ("AAA", 3, -4), ("AAA", 4, 2), ("AAA", 6, -2)]


def test_what_a_signal_reads_means_what_a_field_of_that_name_does(tmp_path: Path) -> None:
    class Wide(bt.Row):
        symbol: str
        session: date
        minute: int
        minutes_left: int
        open_time: datetime
        close_time: datetime
        local_time: time
        interval: str
        quality: float
        completeness: float | None
        volume: float
        mean: float | None
        news_mood: str | None
        news_level: int | None
        news_day: date | None

    class Both(Said):
        row = Wide

        def on_bar(self, row: Wide, book: bt.Book) -> None:
            rows.append(tuple(getattr(row, name) for name in names))

    names = Wide.__struct_fields__
    seen: list[pl.DataFrame] = []

    def keep(batch: pl.Series) -> pl.Series:
        seen.append(batch.struct.unnest())
        return pl.Series([None] * len(batch), dtype=pl.Int64)

    rows: list[tuple[Any, ...]] = []
    news = pl.DataFrame({"symbol": ["AAA"], "at": [at(3)], "mood": ["good"], "level": [4], "day": [date(2024, 1, 1)]})
    where = store(tmp_path, bars("AAA", LINE), bars("BBB", LINE))
    given = {"target": pl.struct(*names).map_batches(keep, return_dtype=pl.Int64)}
    tables = {"news": {"path": news, "by": "symbol", "known_at": "at"}}
    play(where, Both(given, mean=bt.sma("close", 3)), tables=tables)
    every = pl.concat([f for f in seen if f.height == 7][:2])  # a symbol each
    assert sorted(every.rows(), key=lambda r: (r[2], r[0])) == rows
    assert len(rows) == 14


def test_no_state_crosses_a_session_or_a_symbol(tmp_path: Path) -> None:
    where = store(tmp_path, *(bars(s, [10.0, 11.0], day=d) for d in (TUESDAY, WEDNESDAY) for s in ("AAA", "BBB")))
    level = pl.col("close").shift(1).is_null().cum_sum() + pl.int_range(pl.len())
    run = play(where, Said({"target": level}), TUESDAY, WEDNESDAY)
    decided = run.orders.select(pl.col("session").dt.day(), "symbol", "level").rows()
    first = [(2, "AAA", 1), (2, "BBB", 1), (2, "AAA", 2), (2, "BBB", 2)]  # the second ones find no bar any more
    assert decided == [*first, (3, "AAA", 2), (3, "BBB", 2)]


@pytest.mark.parametrize(
    ("expr", "rowwise"),
    [
        (pl.when(pl.col("a") > pl.col("b")).then(100).when(pl.col("a") < pl.col("b")).then(0), True),
        (pl.col("s").is_in(["x", "y"]) & ~pl.col("t").dt.time().is_null(), True),
        (pl.lit(3), True),
        ((pl.col("a").fill_nan(None) * 2).round(1).cast(pl.Int64) + 1, True),
        ((pl.col("a").shift(1) + 1).round(2), False),
        (pl.when(pl.col("a") > pl.col("a").max()).then(1), False),
        (pl.max_horizontal("a", pl.col("b").cum_sum()), False),
        (pl.col("a").is_in(pl.col("b").implode()), False),
        (pl.col("a").filter(pl.col("b") > 1), False),
        (pl.col("a").map_elements(lambda x: x, return_dtype=pl.Float64), False),
        (pl.lit(pl.Series([1, 2])), False),
        (pl.len() > 1, False),
    ],
)
def test_which_expressions_are_made_row_by_row(expr: pl.Expr, rowwise: bool) -> None:
    assert is_rowwise(expr) == rowwise


def test_what_only_signals_read_is_not_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    class Rows(bt.Row):
        close: float

    class Both(Said):
        row = Rows

        def on_bar(self, row: Rows, book: bt.Book) -> None: ...

    kept: list[Any] = []
    made = Decider.decide

    def decide(self: Decider, sessions: Any) -> Any:
        done = made(self, sessions)
        kept.extend({i: sorted(some.columns) for i, some in one.shown.items()} for one in done[0])
        return done

    monkeypatch.setattr(Decider, "decide", decide)
    for kind in (Said, Both):
        play(
            store(tmp_path, bars("AAA", LINE)),
            kind({"target": (pl.col("high") > pl.col("mean")).cast(int)}, mean=bt.sma("close", 2)),
        )
    assert kept == [{}, {1: ["close"]}]


def test_signals_may_stand_beside_timers_and_callbacks(tmp_path: Path) -> None:
    class Leaves(Said):
        @bt.at("open+5m")
        def leave(self, rows: bt.Rows, book: bt.Book) -> None:
            moments.append((book.now, book.position("AAA")))
            book.target("AAA", 0)

    moments: list[Any] = []
    where = store(tmp_path, bars("AAA", [10.0] * 8))
    run = play(where, Leaves({"entry": pl.col("minute") <= 4, "shares": 3}))
    assert fills(run) == [("AAA", 1, 3), ("AAA", 5, -3)]
    assert moments == [(at(5), 3)]


# -------------------------------------------------------------------------------------------------------------- refused


close, yes = pl.col("close"), pl.col("close") > 0


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({}, "must return a dict of Polars expressions, was {}; its keys are target, target_percent, entry"),
        ([close], "must return a dict of Polars expressions, was \\["),
        ({"targets": close}, "a key must be known, was 'targets'; did you mean 'target'"),
        ({"target": 100}, "'target' must be a Polars expression, was 100; write pl.col"),
        ({"target": close, "entry": yes, "shares": 1}, "'target' must stand alone, was beside entry, shares"),
        ({"target": close, "target_percent": close}, "'target' must stand alone, was beside target_percent"),
        ({"entry": yes, "exit": yes}, "entry or short must come with shares, was without"),
        ({"exit": yes, "shares": 3}, "shares must come with entry or short, was without"),
        ({"exit": yes}, "'exit' must come with 'entry', was without: there is never anything that it closes"),
        ({"short": yes, "exit": yes, "shares": 3}, "'exit' must come with 'entry'"),
        ({"entry": yes, "cover": yes, "shares": 3}, "'cover' must come with 'short'"),
        ({"entry": yes, "shares": 0}, "'shares' must be a whole number of at least 1 or a Polars expression, was 0"),
        ({"entry": yes, "shares": True}, "'shares' must be a whole number of at least 1"),
        ({"entry": yes, "shares": 2.5}, "'shares' must be a whole number of at least 1"),
        (
            {"exit": yes, "stop_loss": close},
            "'stop_loss' must come with entry or short, was without; it ends what they open",
        ),
        (
            {"target": pl.col("closed")},
            "'target', column 'closed' must be a bar column, a feature or an indicator; did you mean 'close'",
        ),
        (
            {"target": pl.col("xyzzy")},
            "column 'xyzzy' must be a bar column, a feature or an indicator; declare it in features\\(\\) or",
        ),
        ({"target": pl.col("n_obs")}, "column 'n_obs' must be a column of minute bars; only coarser bars have it"),
        ({"target": pl.all()}, "'target' must be one column made of named ones"),
        ({"target": close.rank().over("minute")}, "'target' must not use over or rolling"),
        ({"target": (close.sum().over("symbol") > 1).cast(int)}, "'target' must not use over or rolling"),
        ({"target": yes}, "'target' must be a number, was Boolean; write pl.when"),
        ({"target": pl.col("symbol")}, "'target' must be a number, was String"),
        ({"entry": close, "shares": 3}, "'entry' must be boolean, was Float64; write a comparison"),
        (
            {"target": close + pl.col("session").dt.truncate(1)},
            "must be expressions of the columns they read, was refused by Polars",
        ),
    ],
)
def test_signals_that_cannot_be_used(tmp_path: Path, given: Any, message: str) -> None:
    with pytest.raises(StrategyError, match=message) as caught:
        played(tmp_path, given)
    assert str(caught.value).startswith("strategy Said")


@pytest.mark.parametrize(
    ("signals", "message"),
    [
        ({}, "must be a plain method \\(self\\), was {}"),
        (lambda self, book: {}, "must take \\(self\\) alone"),
    ],
)
def test_signals_that_cannot_be_called(signals: Any, message: str) -> None:
    with pytest.raises(StrategyError, match=message):
        declare("s", type("S", (), {"signals": signals})(), {})


@pytest.mark.parametrize(
    "expr",
    [
        close.shift(-1).round().cast(pl.Int64),
        (close - close.max()).round(),
        pl.when(close > close.mean()).then(100).otherwise(0),
        close.reverse().round(),
        close.fill_null(strategy="backward").rank().floor(),
        pl.len(),
    ],
)
def test_a_signal_that_peeks_is_refused(tmp_path: Path, expr: pl.Expr) -> None:
    with pytest.raises(
        FeatureError, match="strategy Said: signals\\(\\): 'target' must not depend on later bars, but it peeks"
    ):
        played(tmp_path, {"target": expr})


def test_one_of_several_signals_that_peeks_is_named(tmp_path: Path) -> None:
    with pytest.raises(FeatureError, match="'exit' must not depend on later bars, but it peeks"):
        played(tmp_path, {"entry": close > close.shift(1), "exit": close > close.shift(-1), "shares": 1})


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (
            {"target": close / 4},
            "shares must be a whole number, was 4.75; .*minute 1, 2024-01-02 14:32 UTC, symbol BBB",
        ),
        ({"target": close * float("inf")}, "shares must be a whole number, was inf"),
        ({"target_percent": close * float("inf")}, "a target must be a finite number, was inf"),
        ({"entry": yes, "shares": close / 4}, "shares must be a whole number, 0 or more, was 4.75"),
        ({"entry": yes, "shares": -pl.col("minute") - 1}, "shares must be a whole number, 0 or more, was -2"),
        ({"short": yes, "shares": close / 4}, "shares must be a whole number, 0 or more, was 4.75"),
        ({"short": yes, "shares": -pl.col("minute") - 1}, "shares must be a whole number, 0 or more, was -2"),
        ({"entry": yes, "shares": pl.lit(3), "stop_loss": close * 0}, "stop_loss must be finite and above 0, was 0.0"),
        (
            {"entry": yes, "shares": pl.lit(3), "trail": close * float("inf")},
            "trailing_loss must be finite and above 0",
        ),
        (
            {"entry": yes, "shares": pl.lit(3), "stop_loss": close, "take_profit": close},
            "stop_loss must be below take_profit, was 19.0",
        ),
    ],
)
def test_levels_that_no_order_can_have(tmp_path: Path, given: Any, message: str) -> None:
    given = {
        k: pl.when(pl.col("symbol") == "BBB", pl.col("minute") > 0).then(v) if k not in {"entry", "short"} else v
        for k, v in given.items()
    }
    with pytest.raises(StrategyRaised, match=message) as caught:
        played(tmp_path, given)
    assert "symbol BBB" in str(caught.value)
    run = played(tmp_path, given, run={"on_strategy_error": "isolate"})
    assert run.log.height == 1


DAYS = (TUESDAY, WEDNESDAY, THURSDAY)
TOGETHER = {
    "row by row": (pl.col("close") * 10).cast(pl.Int64) + pl.col("minute"),
    "text": pl.when(pl.col("symbol") == "BBB").then(pl.col("minute")).otherwise(1),
    "the session": pl.col("session").dt.day().cast(pl.Int64) * pl.col("minute"),
    "moments": pl.col("open_time").dt.minute().cast(pl.Int64) + pl.col("local_time").dt.hour(),
    "unknown at first": pl.when(pl.col("mean") > 11).then(pl.col("minute")),
    "unknown or not": pl.when(pl.col("close") > 18).then(pl.col("minute")),
    "known once": pl.when(pl.col("session") == date(2024, 1, 3)).then(pl.col("minute")),
    "the bar before": pl.col("close").shift(1).fill_null(7).cast(pl.Int64),
    "so far": pl.col("close").cum_max().cast(pl.Int64) * pl.col("close").cum_count(),
    "by Python": pl.col("close").map_elements(lambda x: round(x * 3), return_dtype=pl.Int64),
    "a constant": pl.lit(5),
    "nothing": pl.lit(None),
}


@pytest.mark.parametrize("name", TOGETHER)
def test_sessions_that_are_evaluated_together_say_what_each_says_alone(
    tmp_path: Path, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delattr(Decider, "_apart")  # which is for signals that raise
    some = [bars(symbol, [p and p + n + shift for p in LINE], day=day)
            for n, day in enumerate(DAYS) for symbol, shift in (("AAA", 0), ("BBB", 8)) if (n, symbol) != (1, "AAA")]  # fmt: skip
    where = store(tmp_path, *some)
    given = Said({"target": TOGETHER[name]}, mean=bt.sma("close", 9))
    runs = [
        play(where, given, start=DAYS[0], end=DAYS[-1], **more)
        for more in ({}, {"prefetch_days": 2}, {"prefetch_days": 1})
    ]
    assert (len(runs[0].fills) > 0) == (name != "nothing")
    for other in runs[1:]:
        for table in TABLES:
            assert_frame_equal(getattr(other, table), getattr(runs[0], table), check_exact=True)


def test_what_calls_python_is_never_told_of_two_sessions_at_once(tmp_path: Path) -> None:
    """Polars believes it where it says that it works row by row."""
    where = store(tmp_path, *(bars("AAA", [p and p + n for p in LINE], day=day) for n, day in enumerate(DAYS)))
    first = pl.col("close").map_batches(lambda s: s * 0 + s[0], return_dtype=pl.Float64, is_elementwise=True)
    target = pl.when(pl.col("minute") > 2).then(((pl.col("close") - first) * 100).round().cast(pl.Int64))
    runs = [
        play(where, Said({"target": target}), start=DAYS[0], end=DAYS[-1], **more)
        for more in ({}, {"prefetch_days": 1})
    ]
    assert_frame_equal(runs[0].fills, runs[1].fills)
    assert runs[0].fills.height > 3


def test_a_signal_that_raises_in_one_of_several_sessions_fails_there_alone(tmp_path: Path) -> None:
    where = store(tmp_path, *(bars(symbol, [p and p + shift for p in LINE], day=day) for day in DAYS for symbol, shift in (("AAA", 0), ("BBB", 8))))  # fmt: skip
    bad = (pl.col("session") == date(2024, 1, 3)) & (pl.col("symbol") == "BBB") & (pl.col("minute") == 4)
    target = pl.when(bad).then(pl.lit("no number")).otherwise(pl.col("minute").cast(pl.String)).cast(pl.Int64)
    for more in ({}, {"prefetch_days": 1}):
        run = play(where, Said({"target": target}), start=DAYS[0], end=DAYS[-1], **more)
        assert list(run.summary["failed"]) == ["BBB"]
        assert run.summary["failed"]["BBB"].startswith("2024-01-03: strategy Said: signals(): InvalidOperationError")
        days = run.fills.group_by("symbol", maintain_order=True).agg(pl.col("session").unique().sort()).sort("symbol")
        assert [len(found) for found in days["session"]] == [3, 2]
        told = (
            "session 2024-01-03, BBB: strategy Said: signals\\(\\): they must not raise, but did: InvalidOperationError"
        )
        with pytest.raises(DataError, match=told):
            play(where, Said({"target": target}), start=DAYS[0], end=DAYS[-1], run={"on_data_error": "raise"}, **more)


def test_a_signal_that_peeks_once_it_decides_is_found_in_a_later_session(tmp_path: Path) -> None:
    where = store(tmp_path, *(bars("AAA", LINE, day=day) for day in DAYS))
    target = pl.when(pl.col("session") > date(2024, 1, 3)).then(pl.col("close").shift(-1) > 11).cast(pl.Int64)
    for more in ({}, {"prefetch_days": 1}):
        with pytest.raises(FeatureError, match="'target' must not depend on later bars, but it peeks"):
            play(where, Said({"target": target}), start=DAYS[0], end=DAYS[-1], **more)


def test_a_bar_that_is_alone_says_what_it_says_among_others(tmp_path: Path) -> None:
    """Polars divides by a number through its reciprocal, but not a column of one row, nor one that is two equal rows."""
    where = store(tmp_path, *(bars("AAA", [49.0], day=day) for day in DAYS))
    part = (pl.col("close") / 49).floor()
    made = bt.feature(part, lookback=0), bt.feature(part, lookback=2)
    for given_ in (Said({"target": part}), *(Said({"target": pl.col("f")}, f=one) for one in made)):
        runs = [
            play(where, given_, start=DAYS[0], end=DAYS[-1], execution={"time_in_force": "gtc"}, prefetch_days=days)
            for days in (1, 2, 3)
        ]
        for other in runs[1:]:
            assert_frame_equal(other.orders, runs[0].orders)
    few = store(tmp_path, bars("AAA", [49.0] * 5))
    assert play(few, Said({"target": pl.when(pl.col("minute") == 0).then(part + 1)})).fills["shares"].to_list() == [1]


def test_what_is_not_known_is_null_in_signals_as_it_is_none_in_rows(tmp_path: Path) -> None:
    where = store(tmp_path, [bar | {"vwap": v} for bar, v in zip(bars("AAA", [10.0, 11.0, 12.0, 13.0]), (None, float("nan"), 12.0, 13.0), strict=True)])  # fmt: skip
    ratio = bt.feature((pl.col("close") - 11) / (pl.col("close") - 11), lookback=0)

    class Sees(bt.Row):
        symbol: str
        vwap: float | None
        ratio: float | None

    class Rows:
        row = Sees

        def features(self) -> dict[str, bt.Feature]:
            return {"ratio": ratio}

        def on_bar(self, row: Sees, book: bt.Book) -> None:
            seen.append((row.vwap, row.ratio))
            book.target(row.symbol, 10 if row.vwap is not None and row.vwap > 2 else 0)

    seen: list[tuple[float | None, float | None]] = []
    rows = play(where, Rows())
    assert seen == [(None, 1.0), (None, None), (12.0, 1.0), (13.0, 1.0)]
    assert fills(rows) == [("AAA", 3, 10)]
    signalled = play(where, Said({"target": pl.when(pl.col("vwap") > 2).then(10).otherwise(0)}))
    assert_frame_equal(signalled.fills.drop("strategy"), rows.fills.drop("strategy"))
    known = play(where, Said({"target": pl.when(pl.col("ratio") > 0).then(5).otherwise(0)}, ratio=ratio))
    assert fills(known) == [("AAA", 1, 5), ("AAA", 2, -5), ("AAA", 3, 5)]


@pytest.mark.parametrize(
    "target",
    [pl.when(pl.col("close_time") > datetime(2024, 1, 2, 15)).then(1), pl.col("close").cat.len_bytes()],  # noqa: DTZ001
)
def test_signals_that_raise_whatever_the_bars_are_refused(tmp_path: Path, target: pl.Expr) -> None:
    with pytest.raises(StrategyError, match="strategy Said: signals\\(\\) must be expressions of the columns they read, was refused by Polars"):  # fmt: skip
        played(tmp_path, {"target": target})


def test_what_only_closes_needs_no_shares(tmp_path: Path) -> None:
    class Row(bt.Row):
        symbol: str
        minute: int

    class Opens(Said):
        row = Row

        def on_bar(self, row: Row, book: bt.Book) -> None:
            if row.minute == 0:
                book.target(row.symbol, 5)

    where = store(tmp_path, bars("AAA", LINE))
    run = play(where, Opens({"exit": pl.col("minute") == 4}))
    assert fills(run) == [("AAA", 1, 5), ("AAA", 5, -5)]


def test_more_than_fits_is_told_where_it_is_decided(tmp_path: Path) -> None:
    level = pl.when(pl.col("minute") == 2).then(pl.lit(2**63, dtype=pl.UInt64)).otherwise(pl.lit(1, dtype=pl.UInt64))
    with pytest.raises(StrategyRaised, match="shares must fit 2\\^60, was 9.22.* minute 2, .* symbol AAA"):
        played(tmp_path, {"target": level})
    for key, most in (("shares", "shares must fit 2\\^60"), ("stop_loss", "stop_loss must be at most 92233720369")):
        with pytest.raises(StrategyRaised, match=most):
            played(tmp_path, {"entry": pl.col("minute") == 2, "shares": pl.lit(5), key: pl.lit(1e19)})


def test_a_symbol_whose_signal_raises_is_dropped_from_the_session(tmp_path: Path) -> None:
    given = {"target": pl.col("symbol").replace_strict({"AAA": 5}, return_dtype=pl.Int64)}
    with pytest.raises(DataError, match="signals\\(\\): they must not raise, but did: InvalidOperationError"):
        played(tmp_path, given, run={"on_data_error": "raise"})
    run = played(tmp_path, given)
    assert fills(run) == [("AAA", 1, 5)]
    assert list(run.summary["failed"]) == ["BBB"]
    assert "strategy Said: signals(): InvalidOperationError" in run.summary["failed"]["BBB"]
    assert run.summary["bars"] == 7


def test_rows_of_a_strategy_with_signals_alone_are_not_defined(tmp_path: Path) -> None:
    where = store(tmp_path, bars("AAA", LINE))
    with pytest.raises(
        StrategyError, match="must have a row type, .* to be shown rows; signals read columns, bt.load_bars has them"
    ):
        bt.load_rows(bars=where, calendar="XNYS", strategy=Said({"target": pl.lit(1)}), start=TUESDAY, end=TUESDAY)


def test_symbols_that_only_another_strategy_holds_are_not_decided(tmp_path: Path) -> None:
    low, high = ([price] * 3 for price in (10.0, 20.0))
    rows = [bars("AAA", high, day=TUESDAY), bars("BBB", low, day=TUESDAY)]
    rows += [
        bars("AAA", low, day=WEDNESDAY),
        bars("BBB", high, day=WEDNESDAY),
        bars("AAA", low, day=THURSDAY),
        bars("BBB", low, day=THURSDAY),
    ]
    own = pl.when(pl.col("session") == date(2024, 1, 3), pl.col("minute") == 0).then(5)
    later = pl.when(pl.col("session") == date(2024, 1, 4)).then(7)
    entries = [{"name": "one", "use": Said({"target": own})}, {"name": "two", "use": Said({"target": later})}]
    universe = {"top": 1, "by": "prior(close)"}
    run = play(store(tmp_path, *rows), None, WEDNESDAY, THURSDAY, strategies=entries, universe=universe)
    assert run.universe.select(pl.col("session").dt.day(), "symbol").rows() == [(3, "AAA"), (4, "BBB")]
    decided = run.orders.select("strategy", pl.col("session").dt.day(), "symbol", "level", "status").rows()
    assert decided == [("one", 3, "AAA", 5, "filled"), ("two", 4, "BBB", 7, "filled")]
