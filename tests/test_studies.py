"""Forward returns, statistics by minute and paths around events: by hand, by the oracle, and laws."""

from __future__ import annotations

import datetime as dt
from fractions import Fraction
from pathlib import Path
from typing import Any

import oracle as o
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st
from oracle import studies as slow
from small import HALF_DAY, THURSDAY, TUESDAY, WEDNESDAY, at, bars, store
from test_laws import law
from watchers import refusals
from worlds import World, stored, worlds

import bt
from bt.errors import DataError, UsageError

PRICES = st.sampled_from(("close", "next_open"))
WITHIN = st.sampled_from(("session", None))


def loaded(where: Path, start: str = TUESDAY, end: str = WEDNESDAY) -> pl.DataFrame:
    return bt.load_bars(where, "XNYS", start, end)["1m"]


def market(folder: Path) -> pl.DataFrame:
    """AAA has minutes 0 to 4 but 3, the last of Tuesday, and again on Wednesday; BBB minutes 1 and 4 of Tuesday."""
    where = store(
        folder,
        bars("AAA", [(10.0, 11.0), (12.0, 13.0), (14.0, 15.0), None, (16.0, 17.0)]),
        bars("AAA", [18.0], first=389),
        bars("AAA", [(20.0, 21.0), (22.0, 23.0)], day=WEDNESDAY),
        bars("BBB", [(30.0, 31.0), None, None, (33.0, 34.0)], first=1),
    )
    return loaded(where)


def returns(frame: pl.DataFrame, **how: Any) -> dict[tuple[str, dt.datetime], tuple[float | None, ...]]:
    made = bt.forward_returns(frame, **how)
    columns = [c for c in made.columns if c.startswith("ret_")]
    return {r[:2]: r[2:] for r in made.select("symbol", "close_time", *columns).rows()}


def test_forward_returns_by_hand(tmp_path: Path) -> None:
    frame = market(tmp_path)
    found = returns(frame, horizons=("2m", "close"))
    assert found["AAA", at(1)] == (15.0 / 11.0 - 1, 18.0 / 11.0 - 1)
    assert found["AAA", at(3)] == (17.0 / 15.0 - 1, 18.0 / 15.0 - 1)
    assert found["AAA", at(5)] == (0.0, 18.0 / 17.0 - 1)  # the last close known is its own
    assert found["AAA", at(390)] == (None, None)
    assert found["AAA", at(1, WEDNESDAY)] == (23.0 / 21.0 - 1, 23.0 / 21.0 - 1)
    opens = returns(frame, horizons=("2m", "3m"), price="next_open")
    assert opens["AAA", at(1)] == (15.0 / 12.0 - 1, 15.0 / 12.0 - 1)
    assert opens["AAA", at(5)] == (None, None)
    assert opens["BBB", at(2)] == (None, 34.0 / 33.0 - 1)
    fresh = returns(frame, horizons=("2m", "close"), max_stale="1m")
    assert fresh["AAA", at(5)] == (None, 18.0 / 17.0 - 1)
    assert fresh["BBB", at(5)] == (None, None)
    over = returns(frame, horizons=("2m", "close", "1d"), within=None)
    assert over["AAA", at(390)] == (23.0 / 18.0 - 1, None, 23.0 / 18.0 - 1)
    assert over["AAA", at(1, WEDNESDAY)] == (23.0 / 21.0 - 1, 23.0 / 21.0 - 1, None)
    assert over["BBB", at(5)] == (0.0, 0.0, 0.0)


def test_forward_returns_keep_the_rows(tmp_path: Path) -> None:
    frame = market(tmp_path).with_columns(mine=pl.int_range(pl.len())).sample(fraction=1.0, shuffle=True, seed=3)
    made = bt.forward_returns(frame, ("1m",))
    assert made.columns == [*frame.columns, "ret_1m"]
    assert made.drop("ret_1m").equals(frame)
    assert bt.forward_returns(frame.lazy(), ("1m",)).equals(made)
    for calendar in ("XNYS", "CME_EQUITY", "24/7"):  # that of the futures begins in 2000
        empty = bt.forward_returns(frame.clear(), ("1m", "close"), calendar=calendar)
        assert empty.columns == [*frame.columns, "ret_1m", "ret_close"]


def test_coarser_bars(tmp_path: Path) -> None:
    where = store(tmp_path, bars("AAA", [float(10 + m) for m in range(20)]))
    frame = bt.load_bars(where, "XNYS", TUESDAY, TUESDAY, intervals=["5m"])["5m"]
    closes = returns(frame, horizons=("5m", "7m", "close"))
    assert closes["AAA", at(5)] == (19.0 / 14.0 - 1, 19.0 / 14.0 - 1, 29.0 / 14.0 - 1)
    opens = returns(frame, horizons=("3m", "5m"), price="next_open")
    assert opens["AAA", at(5)] == (None, 19.0 / 15.0 - 1)  # no bar closes within three minutes
    paths = bt.event_paths(frame, events(("AAA", at(3))), before="1m", after="6m")
    assert paths["minute_0"].unique().to_list() == [at(5)]
    assert paths.select("minute", "ret").rows() == [(-1, 14.0 / 15.0 - 1), (4, 19.0 / 15.0 - 1), (5, 19.0 / 15.0 - 1)]


@pytest.mark.parametrize(
    ("how", "said"),
    [
        ({"horizons": ("5",)}, 'horizon must be like "30m"'),
        ({"horizons": ("1d",)}, "say within=None"),
        ({"horizons": ("xd",), "within": None}, "horizon in sessions must be"),
        ({"price": "open"}, "price must be"),
        ({"within": "day"}, "within must be"),
        ({"max_stale": 3}, "max_stale must be"),
        ({"calendar": "XTKS"}, "must lie in a session of XTKS"),
    ],
)
def test_what_forward_returns_refuse(tmp_path: Path, how: Any, said: str) -> None:
    with pytest.raises(UsageError, match=said):
        bt.forward_returns(market(tmp_path), **how)


def test_frames_that_are_refused(tmp_path: Path) -> None:
    frame = market(tmp_path)
    with pytest.raises(UsageError, match="must have a column 'close_time', has symbol"):
        bt.forward_returns(frame.drop("close_time"))
    with pytest.raises(UsageError, match="naive times have no place"):
        bt.forward_returns(frame.with_columns(pl.col("close_time").dt.replace_time_zone(None)))
    with pytest.raises(UsageError, match="must not overlap, did for AAA"):
        bt.forward_returns(pl.concat([frame, frame]))


# --------------------------------------------------------------------------------------------------------- by the oracle


def market_of(world: World) -> tuple[pl.DataFrame, list[o.Day], dict[str, list[o.Bar]]]:
    """The bars as a frame, the sessions from the first to the last that has one, and the oracle's bars by symbol."""
    with stored(world) as folder, refusals():
        frame = bt.load_bars(folder, world.calendar, **world.span)["1m"]
    accepted = world.classified().accepted
    held = [i for i, d in enumerate(world.played) if any(accepted[d.name].values())]
    days = world.played[held[0] : held[-1] + 1] if held else []
    series = {s: [b for d in days for b in accepted[d.name].get(s, ())] for s in world.symbols}
    return frame, days, series


@law(40)
@given(worlds(), st.sampled_from(("1m", "7m", "2h", "close", "1d")), PRICES, WITHIN, st.sampled_from((None, 1, 30)))
def test_forward_returns_are_the_oracles(
    world: World, horizon: str, price: Any, within: Any, stale: int | None
) -> None:
    horizon = "close" if within and horizon == "1d" else horizon
    frame, days, series = market_of(world)
    made = bt.forward_returns(
        frame, (horizon,), price=price, within=within, calendar=world.calendar, max_stale=stale and f"{stale}m"
    )
    found = {(s, o.micros(t)): v for s, t, v in made.select("symbol", "open_time", f"ret_{horizon}").rows()}
    assert found == {
        (s, b.time_us): slow.forward(days, mine, b, horizon, price=price, within=within, stale=stale)
        for s, mine in series.items()
        for b in mine
    }


@law(40)
@given(worlds(), st.sampled_from(("7m", "2h", "close", "1d", "2d")), PRICES, st.data())
def test_forward_returns_across_splits_are_the_oracles(world: World, horizon: str, price: Any, data: Any) -> None:
    """What a share became is taken into account; nobody else's share, and none of what split at the entry's own session or before."""
    frame, days, series = market_of(world)
    names = st.tuples(st.sampled_from(world.symbols), st.sampled_from([d.name for d in world.days]))
    ratios = st.sampled_from((Fraction(7), Fraction(3, 2), Fraction(1, 8), Fraction(1, 3)))
    drawn = data.draw(st.lists(st.tuples(names, ratios), unique_by=lambda one: one[0], max_size=6))
    actions = pl.DataFrame(
        [{"symbol": s, "session": day, "kind": "split", "ratio": f"{r.numerator}:{r.denominator}"} for (s, day), r in drawn],
        schema={"symbol": pl.String, "session": pl.Date, "kind": pl.String, "ratio": pl.String},
    )  # fmt: skip
    made = bt.forward_returns(
        frame, (horizon,), price=price, within=None, calendar=world.calendar, actions=actions.sample(fraction=1.0, shuffle=True, seed=0)
    )  # fmt: skip
    found = {(s, o.micros(t)): v for s, t, v in made.select("symbol", "open_time", f"ret_{horizon}").rows()}
    assert found == {
        (s, b.time_us): slow.forward(
            days, mine, b, horizon, price=price, within=None, splits={day: r for (own, day), r in drawn if own == s}
        )
        for s, mine in series.items()
        for b in mine
    }


def test_a_split_is_no_return(tmp_path: Path) -> None:
    where = store(
        tmp_path, bars("A", [700.0] * 3), bars("A", [100.0] * 3, day=WEDNESDAY), bars("A", [50.0] * 3, day=THURSDAY)
    )
    frame = loaded(where, TUESDAY, THURSDAY)
    given_ = {"horizons": ("1d", "2d"), "within": None}
    splits = pl.DataFrame({"symbol": "A", "session": [WEDNESDAY, THURSDAY], "kind": "split", "ratio": [7.0, 2.0]})
    raw, adjusted = (returns(frame, **given_, actions=table) for table in (None, splits))
    assert raw["A", at(1)] == (100.0 / 700.0 - 1, 50.0 / 700.0 - 1)
    assert adjusted["A", at(1)] == (0.0, 0.0)
    path = tmp_path / "actions.csv"
    splits.write_csv(path)
    assert returns(frame, **given_, actions=path) == adjusted
    same = returns(frame, horizons=("2m",), actions=splits)
    assert same == returns(frame, horizons=("2m",))  # within a session nothing changes
    with pytest.raises(DataError, match="forward_returns: actions: column 'ratio' must be more than 0"):
        returns(frame, **given_, actions=splits.with_columns(pl.lit(-1.0).alias("ratio")))


class Shown(bt.Row):
    symbol: str


class Watch:
    row: Any = Shown

    def on_bar(self, row: Any, book: bt.Book) -> None: ...


@law(10)
@given(worlds(), st.sampled_from(("1m", "7m", "2h")), PRICES)
def test_forward_returns_are_the_labels_of_rows(world: World, period: str, price: Any) -> None:
    if any(len(d.segments) > 1 for d in world.days):
        return  # labels go by the clock, also through a break
    with stored(world) as folder, refusals():
        given = {"calendar": world.calendar, **world.span}
        rows = bt.load_rows(bars=folder, strategy=Watch(), label={"y": bt.forward_return(period, price=price)}, **given)
        frame = bt.load_bars(folder, world.calendar, **world.span)["1m"]
    made = bt.forward_returns(frame, (period,), price=price, calendar=world.calendar)
    made = made.sort("close_time", "symbol").select("symbol", known_at="close_time", y=f"ret_{period}")
    assert made.equals(rows.sort("known_at", "symbol"))


@law(20)
@given(worlds(least=2, history=False), PRICES, st.integers(0, 2**32 - 1))
def test_nothing_leaks_over_the_close(world: World, price: Any, seed: int) -> None:
    frame, days, _ = market_of(world)
    if not days:
        return
    last = frame["session"].max()
    later = pl.when(pl.col("session") == last).then(3.7).otherwise(1.0)
    other = frame.with_columns(pl.col("open", "close") * later).sample(fraction=1.0, shuffle=True, seed=seed)
    for changed in (other, frame.filter(pl.col("session") != last)):
        one, two = (
            bt.forward_returns(f, ("7m", "close"), price=price, calendar=world.calendar)
            .filter(pl.col("session") != last)
            .sort("symbol", "open_time")
            for f in (frame, changed)
        )
        assert one.equals(two)
    events = frame.select("symbol", time="close_time")
    how = {"before": "9m", "after": "9m", "price": price, "calendar": world.calendar}
    today = pl.col("minute_0") < o.instant(next(d.open for d in days if d.name == last))
    for against in (None, frame["symbol"][0], "universe"):
        one, two = (bt.event_paths(f, events, against=against, **how).filter(today) for f in (frame, other))
        assert one.equals(two)


# ------------------------------------------------------------------------------------------------------------- by minute


def test_by_minute_by_hand(tmp_path: Path) -> None:
    where = store(
        tmp_path,
        bars("AAA", [10.0, 11.0, 11.0]),
        bars("BBB", [10.0, 12.0]),
        bars("AAA", [10.0, 13.0], day=WEDNESDAY),
    )
    frame = bt.forward_returns(loaded(where), ("1m",))
    found = bt.by_minute(frame, "ret_1m")
    assert found["minute"].to_list() == [0, 1, 2]
    first, second, _ = found.rows(named=True)
    values = [11.0 / 10.0 - 1, 12.0 / 10.0 - 1, 13.0 / 10.0 - 1]
    assert (first["count"], first["sessions"], first["half_days"]) == (3, 2, 0)
    _, mean, t = slow.summary(values)
    assert (first["mean"], first["t_stat"]) == (pytest.approx(mean), pytest.approx(t))
    _, _, t = slow.summary([(values[0] + values[1]) / 2, values[2]])
    assert first["t_stat_sessions"] == pytest.approx(t)
    no_change = (second["mean"], second["std"], second["t_stat"], second["count"])
    assert no_change == (0.0, 0.0, None, 3)  # no bar comes after BBB's: the last close known is its own


def test_half_days_are_told_and_may_be_left_out(tmp_path: Path) -> None:
    where = store(tmp_path, bars("AAA", [10.0, 11.0], day="2024-07-02"), bars("AAA", [10.0, 12.0], day=HALF_DAY))
    frame = bt.forward_returns(loaded(where, "2024-07-02", HALF_DAY), ("1m",))
    assert bt.by_minute(frame, "ret_1m").select("count", "sessions", "half_days").row(0) == (2, 2, 1)
    without = bt.by_minute(frame, "ret_1m", half_days=False)
    assert without.select("count", "sessions", "half_days").row(0) == (1, 1, 0)
    assert without["mean"][0] == 11.0 / 10.0 - 1
    assert bt.by_minute(frame.clear(), "ret_1m").height == 0


@law(15)
@given(worlds(history=False))
def test_by_minute_is_the_oracles(world: World) -> None:
    frame, days, series = market_of(world)
    made = bt.by_minute(bt.forward_returns(frame, ("7m",), calendar=world.calendar), "ret_7m", calendar=world.calendar)
    expected: dict[int, list[float]] = {}
    for mine in series.values():
        for b in mine:
            value = slow.forward(days, mine, b, "7m", price="close", within="session")
            if value is not None:
                expected.setdefault(slow.day_of(days, b).minute_of[b.time_us], []).append(value)
    assert made["minute"].to_list() == sorted(expected)
    for row in made.rows(named=True):
        n, mean, _ = slow.summary(expected[row["minute"]])
        assert row["count"] == n
        assert row["mean"] == pytest.approx(mean, abs=1e-15)


# ---------------------------------------------------------------------------------------------------------------- events


def events(*rows: tuple[str, dt.datetime]) -> pl.DataFrame:
    return pl.DataFrame(rows, schema={"symbol": pl.String, "time": pl.Datetime("us", "UTC")}, orient="row")


def test_event_paths_by_hand(tmp_path: Path) -> None:
    frame = market(tmp_path)
    told = events(
        ("AAA", at(1) + dt.timedelta(seconds=1)), ("AAA", at(0) - dt.timedelta(hours=5)), ("BBB", at(5)), ("ZZZ", at(1))
    )
    found = bt.event_paths(frame, told, before="2m", after="3m")
    one = found.filter(pl.col("event") == 0)
    assert one["minute_0"].unique().to_list() == [at(2)]
    assert one["minute"].to_list() == [-2, -1, 0, 1, 2]
    assert one["ret"].to_list() == [11.0 / 14.0 - 1, 13.0 / 14.0 - 1, 15.0 / 14.0 - 1, 15.0 / 14.0 - 1, 17.0 / 14.0 - 1]
    assert found.filter(pl.col("event") == 1)["minute"].to_list() == [0, 1, 2]  # nothing before the open
    assert found["event"].unique().sort().to_list() == [0, 1]
    last = bt.event_paths(frame, events(("AAA", at(389))), before="2m", after="3m")
    assert last.select("minute", "ret").rows() == [(-2, 17.0 / 18.0 - 1), (-1, 17.0 / 18.0 - 1), (0, 0.0)]
    night = bt.event_paths(frame, events(("AAA", at(389))), before="2m", after="3m", within=None)
    assert night.select("minute", "ret").rows()[3:] == [(1, 21.0 / 18.0 - 1), (2, 23.0 / 18.0 - 1)]
    known = bt.event_paths(frame, events(("AAA", at(2))), before="1m", after="1m", price="close")
    assert known["ret"].to_list() == [0.0, 15.0 / 13.0 - 1]
    study = bt.event_study(frame, told, before="2m", after="3m")
    assert study["minute"].to_list() == [-2, -1, 0, 1, 2]
    assert study["count"].to_list() == [1, 1, 2, 2, 2]
    assert study["mean"][2] == pytest.approx((15.0 / 14.0 + 11.0 / 10.0) / 2 - 1)
    assert study["std_error"][0] is None


def test_events_that_are_refused(tmp_path: Path) -> None:
    frame = market(tmp_path)
    naive = events(("AAA", at(1))).with_columns(pl.col("time").dt.replace_time_zone(None))
    with pytest.raises(UsageError, match="must have a time zone"):
        bt.event_study(frame, naive)
    with pytest.raises(UsageError, match="must have columns symbol and time"):
        bt.event_study(frame, naive.drop("time"))
    with pytest.raises(UsageError, match="must not be null"):
        bt.event_study(frame, events(("AAA", None)))
    with pytest.raises(UsageError, match="against must be a symbol"):
        bt.event_study(frame, events(("AAA", at(1))), against="SPY")


def test_an_event_is_known_no_sooner_than_its_nanosecond(tmp_path: Path) -> None:
    frame = market(tmp_path)
    told = events(("AAA", at(1))).with_columns(pl.col("time").dt.cast_time_unit("ns") + pl.duration(nanoseconds=1))
    assert bt.event_paths(frame, told)["minute_0"][0] == at(2)
    zoned = events(("AAA", at(1))).with_columns(pl.col("time").dt.convert_time_zone("Asia/Tokyo"))
    assert bt.event_paths(frame, zoned)["minute_0"][0] == at(1)


def test_an_event_of_other_days_finds_no_bar(tmp_path: Path) -> None:
    frame = market(tmp_path)
    assert bt.event_paths(frame, events(("AAA", at(0, "2023-12-20")), ("AAA", at(5, WEDNESDAY)))).height == 0
    assert bt.event_study(frame.clear(), events(("AAA", at(1)))).select("count").sum().item() == 0
    assert bt.event_study(frame, events()).select("count").sum().item() == 0


def test_an_event_does_not_wait_for_weeks(tmp_path: Path) -> None:
    aaa = (bars("AAA", [10.0, 11.0], day=day) for day in (TUESDAY, WEDNESDAY, THURSDAY))
    where = store(tmp_path, *aaa, bars("BBB", [20.0], day=TUESDAY), bars("BBB", [21.0, 22.0], day=THURSDAY))
    frame = loaded(where, TUESDAY, THURSDAY)
    found = bt.event_paths(frame, events(("BBB", at(5)), ("BBB", at(395)), ("BBB", at(5, WEDNESDAY))), after="2m")
    assert found["event"].unique().sort().to_list() == [
        1,
        2,
    ]  # on Tuesday Wednesday is waited for, from its close on Thursday
    assert found["minute_0"].unique().to_list() == [at(0, THURSDAY)]


def first_bar(days: list[o.Day], mine: list[o.Bar], moment: int) -> o.Bar | None:
    """In the session that closes next, or the one after it."""
    found = next((b for b in mine if b.time_us >= moment), None)
    ahead = [d for d in days if d.close > moment][:2]
    return found if found is not None and any(d.open <= found.time_us < d.close for d in ahead) else None


@law(30)
@given(
    st.data(),
    worlds(history=False),
    PRICES,
    WITHIN,
    st.sampled_from((("5m", "9m"), ("2h", "1m"), ("1m", "3h"))),
    st.sampled_from((None, "symbol", "universe")),
)
def test_event_paths_are_the_oracles(
    data: st.DataObject, world: World, price: Any, within: Any, around: Any, benchmark: Any
) -> None:
    frame, days, series = market_of(world)
    if not days:
        return
    moment = st.integers(days[0].open // o.MINUTE, days[-1].close // o.MINUTE).map(lambda m: m * o.MINUTE)
    drawn = data.draw(st.lists(st.tuples(st.sampled_from(world.symbols), moment), max_size=6))
    held = [s for s in series if series[s]]
    against = data.draw(st.sampled_from(held)) if benchmark == "symbol" else benchmark
    window = range(-slow_minutes(around[0]), slow_minutes(around[1]))
    expected = {}
    for number, (symbol, when) in enumerate(drawn):
        start = first_bar(days, series[symbol], when)
        if start is None:
            continue
        paths = {
            s: slow.path(
                days, series[s], start, window, price=price, within=within,
                own=next((b for b in series[s] if b.time_us >= start.time_us), None),
            )
            for s in held
        }  # fmt: skip
        for k, value in paths[symbol].items():
            others = [p[k] for s, p in paths.items() if k in p and (against in ("universe", s))]
            if against is None or others:
                expected[number, k] = value - (sum(others) / len(others) if against else 0.0)
    told = events(*((s, o.instant(when)) for s, when in drawn))
    found = bt.event_paths(
        frame,
        told,
        before=around[0],
        after=around[1],
        within=within,
        against=against,
        price=price,
        calendar=world.calendar,
    )
    made = {(e, k): v for e, k, v in found.select("event", "minute", "ret").rows()}
    assert list(made) == sorted(expected)
    for key, value in expected.items():
        assert made[key] == (value if against is None else pytest.approx(value, abs=1e-12))


@law(15)
@given(worlds(history=False), st.permutations(("AAA", "BBB", "CCC", "DDD")), st.sampled_from((None, "AAA")))
def test_names_of_symbols_change_nothing(world: World, names: list[str], against: Any) -> None:
    frame, _, _ = market_of(world)
    named = dict(zip(("AAA", "BBB", "CCC", "DDD"), names, strict=True))
    renamed = frame.with_columns(pl.col("symbol").replace_strict(named, return_dtype=pl.String))
    how = {"before": "9m", "after": "9m", "calendar": world.calendar}
    against = against if against in frame["symbol"] else None
    one = bt.event_study(frame, frame.select("symbol", time="open_time"), against=against, **how)
    two = bt.event_study(renamed, renamed.select("symbol", time="open_time"), against=named.get(against), **how)
    assert one.equals(two)
    made = [bt.forward_returns(f, ("7m",), calendar=world.calendar) for f in (frame, renamed)]
    assert made[0]["ret_7m"].equals(made[1]["ret_7m"])
    assert bt.by_minute(made[0], "ret_7m", calendar=world.calendar).equals(
        bt.by_minute(made[1], "ret_7m", calendar=world.calendar)
    )


def slow_minutes(length: str) -> int:
    return int(length[:-1]) * {"m": 1, "h": 60}[length[-1]]
