"""Research and metrics across corporate actions (decision 0031): load_bars, labels of load_rows, the benchmark; and what equal prices do."""

from __future__ import annotations

from datetime import date
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from small import THURSDAY, TUESDAY, WEDNESDAY, Script, bars, play, store
from test_actions import split, table

import bt
from bt.config import from_mapping
from bt.run.benchmark import benchmark_returns
from bt.run.making import made

SEVEN = split(7)


def market(folder: Path) -> Path:
    """A at 645.54, split seven for one before Wednesday, at 92.22 then; and 99.22 at the end of Thursday."""
    days = ((TUESDAY, 645.54, 645.54), (WEDNESDAY, 92.22, 92.22), (THURSDAY, 92.22, 99.22))
    return store(folder, *(bars("A", [one] * 9 + [last], day=day, volume=101) for day, one, last in days))


def test_load_bars_looks_back_in_the_sessions_terms(tmp_path: Path) -> None:
    features: dict[str, Any] = {
        "mean": bt.sma("close", 11),
        "was": bt.prior("close"),
        "usual": bt.trailing("sum", "volume", "2d"),
    }
    for actions, was, usual, ties in ((table(SEVEN), 92.22, 7070, True), ("none", 645.54, 1010, False)):
        frame = bt.load_bars(market(tmp_path), "XNYS", TUESDAY, WEDNESDAY, features=features, actions=actions)["1m"]
        shown = frame.filter(session=date.fromisoformat(WEDNESDAY))
        assert shown["close"].unique().to_list() == [92.22]
        assert (shown["was"].unique().to_list(), shown["usual"].unique().to_list()) == ([was], [usual])
        assert (shown["mean"].unique().to_list() == [92.22]) == ties


def test_equal_prices_tie_across_a_split(tmp_path: Path) -> None:
    """A mean of 645.54 and one of 92.22 are the same number, to the bit, however long they are; so are two means over both."""
    features = {f"m{n}": bt.sma("close", n) for n in (3, 5, 7, 10, 11)}
    frame = bt.load_bars(market(tmp_path), "XNYS", WEDNESDAY, WEDNESDAY, features=features, actions=table(SEVEN))["1m"]
    for name in features:
        assert frame[name].unique().to_list() == [92.22], name
    deviation = {"std": bt.std("close", 11), "z": bt.zscore("close", 11)}
    frame = bt.load_bars(market(tmp_path), "XNYS", WEDNESDAY, WEDNESDAY, features=deviation, actions=table(SEVEN))["1m"]
    assert frame["std"].unique().to_list() == [0.0]
    assert frame["z"].null_count() == frame.height


def test_dividends_are_taken_out_where_all_is_adjusted_for(tmp_path: Path) -> None:
    """100 before a dividend of 2.5 is 97.5; 99.99 is 97.49025, which two decimals more make 97.4902."""
    where = store(tmp_path, bars("A", [99.99, 100.0]), bars("A", [97.5, 97.5], day=WEDNESDAY))
    rows = table({"symbol": "A", "session": WEDNESDAY, "kind": "dividend", "amount": 2.5})
    for adjust, seen in (("all", [97.4902, 97.5]), ("splits", [99.99, 100.0]), ("none", [99.99, 100.0])):
        features = {"two": bt.lag("close", 2)}
        frame = bt.load_bars(where, "XNYS", WEDNESDAY, WEDNESDAY, features=features, actions=rows, adjust=adjust)["1m"]
        assert frame["two"].to_list() == seen, adjust


def test_labels_across_a_split_are_returns(tmp_path: Path) -> None:
    label = {"y": bt.forward_return("1450m", price="close", within=None)}
    given = {"calendar": "XNYS", "start": TUESDAY, "end": THURSDAY, "label": label}
    rows = bt.load_rows(bars=market(tmp_path), strategy=Script, actions=table(SEVEN), **given)
    first = rows.filter(pl.col("session") == date.fromisoformat(TUESDAY)) if "session" in rows.columns else rows[:10]
    assert set(first["y"].to_list()) == {0.0}
    raw = bt.load_rows(bars=market(tmp_path), strategy=Script, actions="none", **given)
    assert raw["y"][0] == pytest.approx(-6 / 7)


def test_labels_across_a_rename_follow_the_shares(tmp_path: Path) -> None:
    where = store(
        tmp_path,
        bars("OLD", [10.0] * 3),
        bars("NEW", [11.0] * 3, day=WEDNESDAY),
        bars("OLD", [50.0] * 3, day=WEDNESDAY),
    )
    rows = table({"symbol": "OLD", "session": WEDNESDAY, "kind": "rename", "to": "NEW"})
    label = {"y": bt.forward_return("1450m", price="close", within=None)}
    found = bt.load_rows(
        bars=where, strategy=Script, actions=rows, calendar="XNYS", start=TUESDAY, end=WEDNESDAY, label=label
    )
    assert found["y"].to_list()[:3] == [pytest.approx(0.1)] * 3


@pytest.mark.parametrize(("adjust", "last"), [("splits", 92.22), ("all", 91.22), ("none", 92.22)])
def test_the_benchmark_does_not_jump(tmp_path: Path, adjust: str, last: float) -> None:
    where = market(tmp_path)
    rows = table(SEVEN, {"symbol": "A", "session": THURSDAY, "kind": "dividend", "amount": 1.0})
    spec = bt.replay(bars=where, strategy=Script, start=TUESDAY, end=THURSDAY, actions=rows, adjust=adjust, save=False)
    assert spec.summary["sessions"] == 3
    given = from_mapping(
        {"data": {"bars": str(where), "actions": rows, "adjust": adjust}, "session": {"start": TUESDAY, "end": THURSDAY},
         "strategy": {"use": Script}, "run": {"benchmark": "A"}},
        base=tmp_path, source="here",
    )  # fmt: skip
    with made(given) as parts:
        returns = benchmark_returns(parts.spec, parts.time, parts.span, parts.actions)
    jump = 92.22 / 645.54 - 1 if adjust == "none" else 0.0
    assert list(returns.values()) == [pytest.approx(jump), pytest.approx(99.22 / last - 1)]


class Renamed(bt.Row):
    symbol: str
    close: float
    mean: float | None
    before: float | None


class Follows:
    """Shows what the features of a renamed symbol are."""

    row = Renamed

    def __init__(self) -> None:
        self.seen: list[tuple[Any, ...]] = []

    def features(self) -> dict[str, bt.Feature]:
        return {"mean": bt.sma("close", 4), "before": bt.prior("close")}

    def on_bar(self, row: Renamed, book: bt.Book) -> None:
        self.seen.append((row.symbol, row.close, row.mean, row.before))


@pytest.mark.parametrize("symbols", [None, ["NEW"], ["NEW", "OLD"]])
def test_the_past_of_a_new_name_is_that_of_the_old_one(tmp_path: Path, symbols: list[str] | None) -> None:
    """Also where the old name is none of the run's, and where another company takes it at once."""
    where = store(
        tmp_path,
        bars("OLD", [10.0, 12.0]),
        bars("NEW", [14.0, 16.0], day=WEDNESDAY),
        bars("OLD", [50.0, 52.0], day=WEDNESDAY),
    )
    rows = table({"symbol": "OLD", "session": WEDNESDAY, "kind": "rename", "to": "NEW"})
    follows = Follows()
    play(where, follows, WEDNESDAY, actions=rows, **({} if symbols is None else {"symbols": symbols}))
    new = [seen[1:] for seen in follows.seen if seen[0] == "NEW"]
    assert new == [(14.0, None, 12.0), (16.0, 13.0, 12.0)]
    assert all(seen[2:] == (None, None) for seen in follows.seen if seen[0] == "OLD")
