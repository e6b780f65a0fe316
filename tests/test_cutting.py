"""How many sessions a window has: what the run asks for, more where they hold little and nobody asked, fewer where they hold much."""

from __future__ import annotations

from datetime import date
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st
from polars.testing import assert_frame_equal
from small import Bar, bars, store

import bt
from bt.config import load
from bt.config.changing import changed
from bt.errors import DataError
from bt.model import DataSpec, SessionSpec
from bt.prepare.cutting import AMPLE_SESSIONS, WINDOW_ROWS, Breadth, ample, breadth_of, sessions_of_a_window
from bt.prepare.preparer import Preparer
from bt.sessions import TimeManager
from bt.store import Store

DAYS = [f"2024-01-{n:02}" for n in (2, 3, 4, 5, 8, 9, 10)]


def asking(days: int | None) -> SessionSpec:
    start, end = date(2024, 1, 2), date(2024, 1, 4)
    return SessionSpec(start, end) if days is None else SessionSpec(start, end, days, prefetch_given=True)


@pytest.mark.parametrize(
    ("days", "breadth", "sessions"),
    [
        (None, Breadth(390, 390), 60),  # one symbol
        (None, Breadth(20 * 380, 20 * 390), 26),
        (None, Breadth(100 * 380, 100 * 390), 5),
        (None, Breadth(500 * 380, 500 * 390), 2),
        (None, Breadth(3000 * 380, 3000 * 390), 1),
        (None, Breadth(100, 3000 * 390), 5),  # many symbols that hardly trade
        (5, Breadth(390, 390), 5),
        (1, Breadth(390, 390), 1),
        (100, Breadth(390, 390), 100),
        (5, Breadth(500 * 380, 500 * 390), 2),
    ],
)
def test_sessions_of_a_window(days: int | None, breadth: Breadth, sessions: int):
    assert sessions_of_a_window(asking(days), breadth) == sessions


@given(days=st.none() | st.integers(1, 1000), held=st.floats(0, 1e8), minutes=st.floats(0, 1e8))
def test_a_window_is_never_empty_nor_beyond_its_bounds(days: int | None, held: float, minutes: float):
    session, breadth = asking(days), Breadth(held, minutes)
    number = sessions_of_a_window(session, breadth)
    assert 1 <= number <= max(session.prefetch_days, AMPLE_SESSIONS)
    assert number == 1 or number * held <= WINDOW_ROWS
    assert ample(session, breadth) >= session.prefetch_days
    if days is not None:
        assert number <= days
        assert ample(session, breadth) == days


def test_bars_of_a_span_are_those_of_the_files_that_lie_there(tmp_path: Path):
    for n, day in enumerate(DAYS[:3], 1):
        store(tmp_path, bars("A", [1.0] * 100 * n, day=day)).joinpath("bars.parquet").rename(
            tmp_path / f"{day}.parquet"
        )
    (tmp_path / "bars").rmdir()
    opened = Store.open(DataSpec(bars=str(tmp_path), calendar="XNYS"))
    edges = [(a, b + 60_000_000) for a, b in opened.files.select("first", "last").iter_rows()]
    assert [opened.rows_within(*edge) for edge in edges] == [100, 200, 300]
    assert opened.rows_within(edges[0][0], edges[2][1]) == opened.rows == 600
    assert opened.rows_within(edges[0][1], edges[1][0]) == 0
    middle = (edges[2][0] + edges[2][1]) // 2
    assert opened.rows_within(middle, edges[2][1]) == pytest.approx(150, abs=1)
    opened.close()


def test_what_a_session_holds_is_that_of_the_run_not_of_all_there_is(tmp_path: Path):
    """A run over the first sessions of a long store had them hold all of it."""
    for day in DAYS:
        store(tmp_path, bars("A", [1.0] * 390, day=day)).joinpath("bars.parquet").rename(tmp_path / f"{day}.parquet")
    (tmp_path / "bars").rmdir()
    opened = Store.open(DataSpec(bars=str(tmp_path), calendar="XNYS"))
    schedule = TimeManager("XNYS").schedule(date.fromisoformat(DAYS[0]), date.fromisoformat(DAYS[1]))
    assert breadth_of(opened, schedule, 0, 1) == (390, 390)
    opened.close()


@pytest.mark.parametrize("how", ["default", "configuration", "override", "environment"])
def test_a_number_that_is_given_is_kept_to(tmp_path: Path, how: str):
    """Also where it is the default's; what is told of a run does not say which."""
    asked = "prefetch_days = 5\n" if how == "configuration" else ""
    text = f'[data]\nbars = "b"\n[session]\nstart = "{DAYS[0]}"\nend = "{DAYS[0]}"\n{asked}[strategy]\nuse = "s:S"\n'
    (tmp_path / "c.toml").write_text(text)
    overrides = {"session.prefetch_days": 5} if how == "override" else {}
    environ = {"BT_SESSION__PREFETCH_DAYS": "5"} if how == "environment" else {}
    spec = load(tmp_path / "c.toml", overrides=overrides, environ=environ)
    assert spec.session.prefetch_days == 5
    assert spec.session.prefetch_given == (how != "default")
    of_a_set = changed(spec, {"strategy.params.n": 1}, "sweep").session
    assert (of_a_set.prefetch_days, of_a_set.prefetch_given) == (5, how != "default")


@pytest.mark.parametrize(
    ("more", "windows"), [({}, [7]), ({"prefetch_days": 5}, [5, 2]), ({"prefetch_days": 1}, [1] * 7)]
)
def test_a_run_is_cut_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, more: dict[str, Any], windows: list[int]):
    found = []
    edges = Preparer._edges.fget  # type: ignore[attr-defined]
    monkeypatch.setattr(Preparer, "_edges", property(lambda self: found.append(edges(self)) or found[-1]))
    where = store(tmp_path, *(bars("A", [1.0] * 390, day=day) for day in DAYS))

    class Idle:
        row = Bar

        def on_bar(self, row: Bar, book: bt.Book) -> None:
            pass

    run = bt.replay(bars=where, calendar="XNYS", start=DAYS[0], end=DAYS[-1], strategy=Idle, save=False, **more)
    assert run.manifest["spec"]["session"] == {
        "start": DAYS[0], "end": DAYS[-1], "prefetch_days": more.get("prefetch_days", 5), "speed": 0.0,
    }  # fmt: skip
    assert {tuple(b - a + 1 for a, b in cut) for cut in found} == {tuple(windows)}


class Careful:
    """Trades until session number `n` of `DAYS`, in which it raises: in a signal, or in a feature."""

    def __init__(self, n: int, *, feature: bool) -> None:
        self.n, self.feature = n, feature

    def features(self) -> dict[str, bt.Feature]:
        def picky(values: pl.Series) -> pl.Series:
            if (values == 10.0 + self.n).any():
                raise ValueError("not this one")
            return values

        return {
            "x": bt.feature(pl.col("close").map_batches(picky, return_dtype=pl.Float64), lookback=1)
            if self.feature
            else bt.sma("close", 2)
        }

    def signals(self) -> dict[str, pl.Expr]:
        level = pl.col("minute").cast(pl.String) + pl.col("x").is_null().cast(pl.Int8).cast(pl.String)
        bad = (pl.col("session") == date.fromisoformat(DAYS[self.n])) & (not self.feature)
        return {"target": pl.when(bad).then(pl.lit("x")).otherwise(level).cast(pl.Int64)}


@pytest.mark.parametrize("feature", [False, True])
@pytest.mark.parametrize("threads", [1, 2])
@pytest.mark.parametrize("n", [0, 1, 5])
def test_sessions_before_the_one_that_fails_are_kept_whatever_the_windows(
    tmp_path: Path, feature: bool, threads: int, n: int
):
    where = store(tmp_path, *(bars("A", [10.0 + n] * 30, day=day) for n, day in enumerate(DAYS)))
    asked = {"bars": where, "calendar": "XNYS", "start": DAYS[0], "save": False, "engine": {"threads": threads}}
    whole = bt.replay(end=DAYS[n - 1], strategy=Careful(n, feature=feature), **asked) if n else None
    for more in ({}, {"prefetch_days": 1}, {"prefetch_days": 3}, {"prefetch_days": 100}):
        with pytest.raises(DataError, match="must not raise, but") as caught:
            bt.replay(
                end=DAYS[-1], strategy=Careful(n, feature=feature), run={"on_data_error": "raise"}, **more, **asked
            )
        run = caught.value.run
        if whole is None:
            assert run is None
            continue
        assert run.summary["sessions"] == n
        for table in ("fills", "orders", "equity", "quality"):
            assert_frame_equal(getattr(run, table), getattr(whole, table))
        assert run.orders.height > 20 * n
