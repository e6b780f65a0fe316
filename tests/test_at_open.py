"""at_open: what it is told of earlier sessions, and how what it returns becomes columns of the rows."""

from __future__ import annotations

from datetime import date
from pathlib import Path
from typing import Any

import oracle as o
import polars as pl
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from judge import assert_same_seen
from small import THURSDAY, TUESDAY, WEDNESDAY, at, bars, play, store
from test_laws import law
from watchers import judged, replayed
from worlds import World, stored, worlds

import bt
from bt.errors import StrategyError, StrategyRaised
from bt.prepare import PastBars

DAYS = (TUESDAY, WEDNESDAY, THURSDAY)


def market(folder: Path) -> Path:
    """Three sessions: AAA has all three, BBB lacks Wednesday."""
    rows = [bars("AAA", [10.0 + d, (11.0 + d, 12.0 + d)], day=day) for d, day in enumerate(DAYS)]
    rows += [bars("BBB", [20.0 + d, 21.0 + d], day=day) for d, day in enumerate(DAYS) if day != WEDNESDAY]
    return store(folder, *rows)


class Shown(bt.Row):
    symbol: str
    close: float
    last: float | None


class Opens:
    """Its rows show the last close of the sessions asked for."""

    row: Any = Shown

    def __init__(self, sessions: int = 2, interval: str = "1d", columns: Any = "close") -> None:
        self.asked = (interval, sessions, columns)
        self.told: list[Any] = []
        self.shown: list[Any] = []

    def at_open(self, session: bt.Session, past: bt.Past) -> pl.DataFrame | None:
        frame = past(*self.asked)
        self.told.append((session, frame))
        return frame.group_by("symbol", maintain_order=True).agg(pl.col("close").last().alias("last"))

    def on_bar(self, row: Shown, book: bt.Book) -> None:
        self.shown.append((book.session, row.symbol, row.last))


def test_past_is_earlier_sessions_only(tmp_path: Path) -> None:
    strategy = Opens()
    play(market(tmp_path), strategy, TUESDAY, THURSDAY)
    assert [session for session, _ in strategy.told] == [date.fromisoformat(d) for d in DAYS]
    rows = [frame.rows() for _, frame in strategy.told]
    one, two, three = (date.fromisoformat(d) for d in DAYS)
    opens, closes = (lambda d: at(0, d)), (lambda d: at(390, d))
    first, second = (
        ("AAA", one, opens(TUESDAY), closes(TUESDAY), 12.0),
        ("BBB", one, opens(TUESDAY), closes(TUESDAY), 21.0),
    )
    assert rows[0] == []
    assert rows[1] == [first, second]
    assert rows[2] == [first, ("AAA", two, opens(WEDNESDAY), closes(WEDNESDAY), 13.0), second]
    frame = strategy.told[0][1]
    assert frame.schema == strategy.told[2][1].schema
    assert frame.columns == ["symbol", "session", "open_time", "close_time", "close"]
    assert set(strategy.shown) == {
        (one, "AAA", None), (one, "BBB", None), (two, "AAA", 12.0), (three, "AAA", 13.0), (three, "BBB", 21.0),
    }  # fmt: skip


def test_minutes_and_all_columns(tmp_path: Path) -> None:
    strategy = Opens(1, "1m", ("open", "close", "volume"))
    play(market(tmp_path), strategy, WEDNESDAY, THURSDAY)
    found = [[(r[0], r[2], *r[4:]) for r in frame.rows()] for _, frame in strategy.told]
    assert found[0] == [
        ("AAA", at(0), 10.0, 10.0, 100), ("AAA", at(1), 11.0, 12.0, 100),
        ("BBB", at(0), 20.0, 20.0, 100), ("BBB", at(1), 21.0, 21.0, 100),
    ]  # fmt: skip
    assert found[1] == [("AAA", at(0, WEDNESDAY), 11.0, 11.0, 100), ("AAA", at(1, WEDNESDAY), 12.0, 13.0, 100)]


def test_a_session_is_read_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    read: list[tuple[int, int]] = []
    real = PastBars._read

    def spy(self: PastBars, interval: int, columns: tuple[str, ...], span: tuple[int, int, int], *more: Any) -> Any:
        read.append(span[:2])
        return real(self, interval, columns, span, *more)

    monkeypatch.setattr(PastBars, "_read", spy)
    play(market(tmp_path), Opens(2, "5m"), THURSDAY)
    assert read == [(0, 1)]
    read.clear()
    play(market(tmp_path), Opens(2, "5m"), WEDNESDAY, THURSDAY)
    assert read == [(0, 0), (1, 1)]


class Required(bt.Row):
    symbol: str
    beta: float
    rank: int | None
    name: str | None
    liked: bool | None


class Given(Opens):
    """Returns what it is given."""

    row = Required

    def __init__(self, frame: Any) -> None:
        super().__init__()
        self.frame = frame

    def at_open(self, session: bt.Session, past: bt.Past) -> Any:
        return self.frame

    def on_bar(self, row: Any, book: bt.Book) -> None:
        self.shown.append(tuple(getattr(row, f) for f in type(row).__annotations__))


FRAME = pl.DataFrame({"symbol": ["AAA"], "beta": [1], "rank": [2.0], "name": ["x"], "liked": [True], "more": [None]})


def test_columns_by_symbol(tmp_path: Path) -> None:
    strategy = Given(FRAME)
    run = play(market(tmp_path), strategy)
    assert strategy.shown == [("AAA", 1.0, 2, "x", True)] * 2
    assert run.guards.select("symbol", "reason", "rows").rows() == [("BBB", "warming_up: beta", 2)]


def test_nulls_and_nothing(tmp_path: Path) -> None:
    strategy = Given(FRAME.with_columns(rank=pl.lit(None, pl.Int64), name=pl.lit(None, pl.String)))
    play(market(tmp_path), strategy)
    assert strategy.shown == [("AAA", 1.0, None, None, True)] * 2
    none = Given(None)
    assert play(market(tmp_path), none).guards["rows"].to_list() == [2, 2]
    assert none.shown == []


def test_in_the_cross_section(tmp_path: Path) -> None:
    class Crossing:
        row = Shown

        def at_open(self, session: bt.Session, past: bt.Past) -> pl.DataFrame:
            return pl.DataFrame({"symbol": ["BBB"], "last": [3.0]})

        def on_minute(self, rows: bt.Rows, book: bt.Book) -> None:
            book.record(a=rows.last[0], b=rows.last[1])

    run = play(market(tmp_path), Crossing())
    assert run.records["value"].fill_nan(-1.0).to_list() == [-1.0, 3.0] * 2


@pytest.mark.parametrize(
    ("frame", "told"),
    [
        (
            FRAME.drop("beta"),
            "row type Required, field 'beta' must be a column of what at_open returned, which has rank, name",
        ),
        (FRAME.drop("symbol"), "must return a column symbol of text"),
        (pl.concat([FRAME, FRAME]), "one row a symbol, was more than one of 'AAA'"),
        (FRAME.with_columns(symbol=pl.lit("AAB")), "symbol must be one of the run's, was 'AAB'; did you mean 'AAA'"),
        (
            FRAME.with_columns(beta=pl.lit("1")),
            "field 'beta' must be float or int in what at_open returned, was String",
        ),
        (FRAME.with_columns(rank=pl.lit(2.5)), "an int must be whole, was 2.5"),
        (["AAA"], "must return a Polars DataFrame, a dict of columns or None, was list"),
        ({"AAA": [1]}, "must return a column symbol of text, was a frame of AAA"),
        (
            {"symbol": ["AAA", "BBB"], "beta": [1.0, 2.0, 3.0]},
            "must return columns of one length, was refused by Polars",
        ),
    ],
)
def test_a_frame_that_does_not_fit(tmp_path: Path, frame: Any, told: str) -> None:
    strategy = Given(frame)
    with pytest.raises(StrategyRaised, match=told) as error:
        play(market(tmp_path), strategy, TUESDAY, THURSDAY)
    assert "session 2024-01-02" in str(error.value)
    assert strategy.shown == []


@pytest.mark.parametrize(
    ("asked", "told"),
    [
        (("1d", 0, "close"), "past sessions must be a whole number >= 1, was 0"),
        (("soon", 1, "close"), "past interval must be like"),
        (("1d", 1, "vwap"), "past columns of 1d must be among open, high, low, close, volume, was 'vwap'"),
    ],
)
def test_past_that_cannot_be(tmp_path: Path, asked: Any, told: str) -> None:
    strategy = Opens()
    strategy.asked = asked
    with pytest.raises(StrategyRaised, match=told):
        play(market(tmp_path), strategy)


def test_past_is_over_after_at_open(tmp_path: Path) -> None:
    class Late(Opens):
        past: Any = None

        def at_open(self, session: bt.Session, past: bt.Past) -> None:
            self.past = past

        def on_session_start(self, session: bt.Session, book: bt.Book) -> None:
            past, self.past = self.past, None
            past("1d", 1)

    with pytest.raises(StrategyRaised, match="past must be asked inside at_open"):
        play(market(tmp_path), Late())


def test_isolated(tmp_path: Path) -> None:
    class Broken(Opens):
        def at_open(self, session: bt.Session, past: bt.Past) -> None:
            raise ValueError("no")

    good, bad = Opens(), Broken()
    given = [{"name": "good", "use": good}, {"name": "bad", "use": bad}]
    run = bt.replay(
        bars=market(tmp_path), calendar="XNYS", start=TUESDAY, end=THURSDAY, strategies=given, save=False,
        run={"on_strategy_error": "isolate"},
    )  # fmt: skip
    assert list(run.summary["strategies_failed"]) == ["bad"]
    assert len(good.shown) == 10
    assert bad.shown == []


def test_a_misspelt_field_names_both(tmp_path: Path) -> None:
    class Typo(bt.Row):
        symbol: str
        betta: float

    strategy = Given(FRAME)
    strategy.row = Typo
    with pytest.raises(StrategyRaised, match="field 'betta' .*did you mean 'beta'"):
        play(market(tmp_path), strategy)


def test_an_unknown_field_needs_at_open(tmp_path: Path) -> None:
    class Without:
        row = Shown

        def on_bar(self, row: Shown, book: bt.Book) -> None: ...

    with pytest.raises(StrategyError, match="or return it from at_open"):
        play(market(tmp_path), Without())


# ---------------------------------------------------------------------------------------------------------------- laws


class Late(bt.Row):
    symbol: str
    close_time: int
    level: float | None
    count: int


class LateFive(bt.Row):
    interval = "5m"
    symbol: str
    close_time: int
    count: int | None


ROWS = (Late, LateFive)


class Opener:
    """Asks for the past twice, each time writes down what it is told, and shows in its rows what comes of it."""

    row = ROWS

    def __init__(self, asked: list[tuple[str, int, tuple[str, ...]]]) -> None:
        self.asked = asked
        self.told: list[Any] = []
        self.seen: list[Any] = []

    def at_open(self, session: date, past: Any) -> pl.DataFrame:
        found = [past(*asked) for asked in self.asked]
        rows = [f.rows() if isinstance(f, pl.DataFrame) else f for f in found]
        self.told.append((date(session.year, session.month, session.day), rows))
        levels = {r[0]: (r[-1], sum(other[0] == r[0] for other in rows[0])) for r in rows[0]}
        columns = {"symbol": pl.String, "level": pl.Float64, "count": pl.Int64}
        return pl.DataFrame([(s, float(v), n) for s, (v, n) in levels.items()], schema=columns, orient="row")

    def on_bar(self, row: Any, book: Any) -> None:
        self.seen.append((type(row).__name__, *(getattr(row, f) for f in type(row).__annotations__)))


questions = st.lists(
    st.tuples(
        st.sampled_from(("1m", "5m", "15m", "1h", "1d")),
        st.integers(1, 5),
        st.lists(st.sampled_from(("open", "high", "low", "close", "volume")), min_size=1, max_size=3, unique=True).map(
            tuple
        ),
    ),
    min_size=1,
    max_size=2,
)


@law(25)
@given(worlds(), questions, st.sampled_from((1, 2, 5)))
def test_at_open_as_in_the_oracle(world: World, asked: Any, days: int) -> None:
    ours, theirs = Opener(asked), Opener(asked)
    with stored(world) as folder:
        run = replayed(world, folder, ours, prefetch_days=days)
    types = [o.RowType.of(r, opened=("level", "count")) for r in ROWS]
    result = judged(world, o.Strategy("s", theirs, types))
    slack = 0.0 if world.whole_volume else 1e-12
    assert_same_seen(list(ours.told), list(theirs.told), slack)
    assert_same_seen(ours.seen, theirs.seen, slack)
    reached = set(run.by_session["session"])
    counted = {r[:3]: r[3] for r in run.guards.select("session", "symbol", "reason", "rows").iter_rows()}
    assert counted == {k: n for k, n in result.guards.items() if k[0] in reached}


@law(15)
@given(st.data(), worlds(), questions, st.sampled_from((1, 2, 5)))
def test_at_open_is_told_the_same_from_any_start(data: Any, world: World, asked: Any, days: int) -> None:
    first = data.draw(st.integers(world.start, world.last))
    assume(any(world.schedule.open[first] <= r.time_us < world.schedule.close[world.last] for r in world.rows))
    early, late = Opener(asked), Opener(asked)
    name = world.schedule.names[first]
    with stored(world) as folder:
        replayed(world, folder, early, prefetch_days=3)
        replayed(world, folder, late, prefetch_days=days, start=name)
    assert late.told == [told for told in early.told if told[0] >= name]
