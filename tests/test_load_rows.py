"""load_rows: exactly the rows that a strategy is shown, and labels of what came after."""

from __future__ import annotations

import datetime as dt
from pathlib import Path
from typing import Any

import msgspec
import oracle as o
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st
from small import TUESDAY, WEDNESDAY, at, bars, play, store
from test_at_open import Opener
from test_laws import law
from timekeepers import clocks, keeper
from watchers import Watcher, refusals, watched
from worlds import World, stored, worlds

import bt
from bt.errors import StrategyError, StrategyRaised, UsageError


class Shown(bt.Row):
    symbol: str
    minute: int
    close: float
    mean: float | None


class Means:
    row: Any = Shown

    def features(self) -> dict[str, Any]:
        return {"mean": bt.sma("close", 2)}

    def on_bar(self, row: Any, book: bt.Book) -> None: ...


def market(folder: Path) -> Path:
    """AAA has minutes 0 to 4 but 3, and again on Wednesday; BBB minutes 1 and 4 of Tuesday."""
    return store(
        folder,
        bars("AAA", [(10.0, 11.0), (12.0, 13.0), (14.0, 15.0), None, (16.0, 17.0)]),
        bars("AAA", [(20.0, 21.0), (22.0, 23.0)], day=WEDNESDAY),
        bars("BBB", [(30.0, 31.0), None, None, (33.0, 34.0)], first=1),
    )


def load(where: Path, strategy: Any = None, **more: Any) -> Any:
    given = {"calendar": "XNYS", "start": TUESDAY, "end": WEDNESDAY, **more}
    return bt.load_rows(bars=where, strategy=strategy or Means(), **given)


def test_rows_by_hand(tmp_path: Path) -> None:
    rows = load(market(tmp_path))
    assert rows.columns == ["symbol", "known_at", "minute", "close", "mean"]
    assert rows.rows()[:4] == [
        ("AAA", at(1), 0, 11.0, None), ("AAA", at(2), 1, 13.0, 12.0), ("BBB", at(2), 1, 31.0, None), ("AAA", at(3), 2, 15.0, 14.0),
    ]  # fmt: skip
    assert rows.height == 8


def labelled(where: Path, **how: Any) -> dict[tuple[str, Any], Any]:
    frame = load(where, label={"y": bt.forward_return(**how)})
    return {(r[0], r[1]): r[-1] for r in frame.rows()}


def test_labels_by_hand(tmp_path: Path) -> None:
    where = market(tmp_path)
    two = labelled(where, period="2m")
    assert two["AAA", at(1)] == 15.0 / 12.0 - 1
    assert two["AAA", at(2)] == 15.0 / 14.0 - 1  # nothing closed in minute 3
    assert two["AAA", at(3)] == 17.0 / 16.0 - 1
    assert two["AAA", at(5)] is None  # no bar opens after it
    assert two["BBB", at(2)] is None  # its next bar opens when the period is over
    assert labelled(where, period="3m")["BBB", at(2)] == 34.0 / 33.0 - 1
    close = labelled(where, period="2m", price="close")
    assert close["AAA", at(1)] == 15.0 / 11.0 - 1
    assert close["BBB", at(2)] == 0.0
    assert close["AAA", at(5)] == 0.0
    night = labelled(where, period="24h", within=None)
    assert night["AAA", at(1)] == 21.0 / 12.0 - 1  # Wednesday's first minute has closed by then
    assert night["AAA", at(5)] == 23.0 / 20.0 - 1
    assert night["BBB", at(5)] is None
    assert night["AAA", at(1, WEDNESDAY)] is None  # after the last session
    assert labelled(where, period="390m")["AAA", at(1)] is None
    assert labelled(where, period="389m")["AAA", at(1)] == 17.0 / 12.0 - 1


def test_stream(tmp_path: Path) -> None:
    where = market(tmp_path)
    label = {"y": bt.forward_return("24h", within=None)}
    streamed = list(load(where, stream=True, label=label))
    assert [f.height for f in streamed] == [6, 2]
    assert pl.concat(streamed).equals(load(where, label=label))


def test_a_configuration_and_a_specification(tmp_path: Path) -> None:
    from bt.config import asked

    where = market(tmp_path)
    spec = asked(
        None, strategy=Means(), keywords={"bars": where, "calendar": "XNYS", "start": TUESDAY, "end": WEDNESDAY}
    )
    assert bt.load_rows(spec).equals(load(where))
    assert bt.load_rows(spec, strategy=Means(), end=TUESDAY).height == 6
    with pytest.raises(UsageError, match="only strategy, start and end"):
        bt.load_rows(spec, calendar="XNYS")
    config = tmp_path / "c.toml"
    config.write_text(
        f'[data]\nbars = "bars"\ncalendar = "XNYS"\n[session]\nstart = "{TUESDAY}"\nend = "{WEDNESDAY}"\n'
    )
    assert bt.load_rows(config, strategy=Means()).equals(load(where))
    assert bt.load_rows(config, strategy=Means(), set={"session.end": TUESDAY}).height == 6
    with pytest.raises(UsageError, match="only strategy, start and end may be given, was set"):
        bt.load_rows(spec, set={"session.end": TUESDAY})
    with pytest.raises(
        UsageError,
        match="save must be a known keyword, was an unknown one; bt.replay has it, bt.load_rows does without",
    ):
        bt.load_rows(config, strategy=Means(), save=False)


def test_refused(tmp_path: Path) -> None:
    where = market(tmp_path)

    class Peeks(Means):
        def features(self) -> dict[str, Any]:
            return {"mean": bt.forward_return("15m")}

    class Labelled(bt.Row):
        symbol: str
        y: Any = bt.forward_return("15m")

    class Defaults(Means):
        row = Labelled

    for strategy in (Peeks(), Defaults()):
        for run in (lambda s: play(where, s), lambda s: load(where, s)):
            with pytest.raises(StrategyError, match=r"must not be a label.*bt.load_rows\(..., label="):
                run(strategy)

    class Ahead(bt.Row):
        symbol: str
        y: float

    class Asks(Means):
        row = Ahead

    with pytest.raises(
        StrategyError, match="load_rows: label 'y' must not be a field of a row type: it tells what comes"
    ):
        load(where, Asks(), label={"y": bt.forward_return("15m")})
    with pytest.raises(StrategyError, match="field 'y' must be a bar column, a feature or an indicator"):
        load(where, Asks(), label={"z": bt.forward_return("15m")})
    for label, told in (
        ({"close": bt.forward_return("1m")}, "a name of its own"),
        ({"y": 1}, "made by bt.forward_return"),
    ):
        with pytest.raises(UsageError, match=told):
            load(where, label=label)
    for how in ({"period": "1d"}, {"period": "15m", "within": "day"}, {"period": "15m", "price": "open"}):
        with pytest.raises(UsageError, match="forward_return: "):
            bt.forward_return(**how)

    class Breaks(Opener):
        def at_open(self, session: Any, past: Any) -> Any:
            raise ValueError("no")

    with pytest.raises(StrategyRaised, match="ValueError: no .session 2024-01-02"):
        load(where, Breaks([]))


# ---------------------------------------------------------------------------------------------------------------- laws


def frames(world: World, folder: Path, strategy: Any, **more: Any) -> dict[str, pl.DataFrame]:
    with refusals():
        found = bt.load_rows(bars=folder, strategy=strategy, calendar=world.calendar, **world.span, **more)
    return found if isinstance(found, dict) else {"only": found}


def notes(frame: pl.DataFrame, fields: Any) -> list[tuple[Any, ...]]:
    return [
        tuple(v.hex() if isinstance(v, float) else v for v in row)
        for row in frame.select("known_at", *fields).iter_rows()
    ]


def exactly(now: Any, row: Any) -> tuple[Any, ...]:
    return (now, *(v.hex() if isinstance(v, float) else v for v in row))


@law(20)
@given(st.data(), worlds(), st.sampled_from((1, 3)))
def test_rows_are_those_that_are_shown(data: st.DataObject, world: World, days: int) -> None:
    kinds, made = data.draw(watched(world))
    watcher = Watcher(kinds, made)
    with stored(world) as folder:
        with refusals():
            bt.replay(bars=folder, strategy=watcher, calendar=world.calendar, save=False, **world.span)
        found = frames(world, folder, Watcher(kinds, made), prefetch_days=days)
    for kind in kinds:
        seen = [exactly(now, row.values()) for now, name, row in watcher.seen if name == kind.__name__]
        frame = found.get("only", found.get(getattr(kind, "interval", "1m")))
        assert notes(frame, list(kind.__struct_fields__)) == seen


@law(10)
@given(worlds(), st.sampled_from((1, 3)))
def test_columns_of_at_open_too(world: World, days: int) -> None:
    asked = [("1d", 2, ("close",))]
    player, loaded = Opener(asked), Opener(asked)
    with stored(world) as folder:
        with refusals():
            bt.replay(bars=folder, strategy=player, calendar=world.calendar, save=False, **world.span)
        found = frames(world, folder, loaded, prefetch_days=days)
    assert loaded.told == player.told
    for kind, label in zip(Opener.row, ("1m", "5m"), strict=True):
        seen = [row[1:] for row in player.seen if row[0] == kind.__name__]
        assert found[label].select(kind.__struct_fields__).rows() == seen


class Minute(bt.Row):
    symbol: str
    close_time: dt.datetime
    close: float
    mean: float


@law(15)
@given(worlds(), clocks, st.booleans())
def test_timers_and_the_cross_section(world: World, clock: Any, minutes: bool) -> None:
    cls = keeper(clock, Minute, ("on_minute",) if minutes else ())
    player = cls()
    with stored(world) as folder:
        with refusals():
            bt.replay(bars=folder, strategy=player, calendar=world.calendar, save=False, **world.span)
        (frame,) = frames(world, folder, cls()).values()
    kind = {"minute"} if minutes else {w.method for w in clock}
    shown = {}
    for name, symbols, _, fresh, _, _, same, fields, *_ in player.seen:
        if name in kind:
            values = dict(fields)
            for i, symbol in enumerate(symbols):
                if fresh[i]:
                    shown[dict(same)["close_time"], symbol] = (values["close"][i], values["mean"][i])
    found = {(r[0], r[1]): (r[2], r[3]) for r in frame.select("known_at", "symbol", "close", "mean").iter_rows()}
    assert found == shown


@law(15)
@given(
    worlds(),
    st.sampled_from(("1m", "7m", "2h", "20h")),
    st.sampled_from(("session", None)),
    st.sampled_from(("next_open", "close")),
)
def test_labels_as_in_the_oracle(world: World, period: str, within: Any, price: Any) -> None:
    row = msgspec.defstruct("R", [("symbol", str)], bases=(bt.Row,))
    watcher = Watcher([row], {})
    with stored(world) as folder:
        (frame,) = frames(
            world, folder, watcher, label={"y": bt.forward_return(period, within=within, price=price)}
        ).values()
    accepted = world.classified().accepted
    played = world.played
    for symbol, known, label in frame.select("symbol", "known_at", "y").iter_rows():
        now = o.micros(known)
        end = now + int(period[:-1]) * {"m": 1, "h": 60}[period[-1]] * o.MINUTE
        today = next(d for d in played if d.open < now <= d.close)
        days = [today] if within else played
        series = [b for d in days for b in accepted[d.name].get(symbol, ())]
        later = [b for b in series if b.time_us >= now]
        exits = [b for b in series if b.end_us <= end]
        entry = (
            [b.close for b in series if b.end_us <= now][-1] if price == "close" else later[0].open if later else None
        )
        if end > days[-1].close or entry is None or (price == "next_open" and later[0].time_us >= end):
            assert label is None, (symbol, known)
        else:
            assert label == exits[-1].close / entry - 1.0, (symbol, known)
