from __future__ import annotations

import random
from datetime import date
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from small import HALF_DAY, THURSDAY, TUESDAY, WEDNESDAY, bars, play, store

import bt
from bt.errors import StrategyError
from bt.indicators import CumulativeWindow, MinuteWindow, SessionWindow, first_session, shifted


@pytest.mark.parametrize(
    ("day", "period", "first"),
    [
        (date(2024, 3, 31), "1m", date(2024, 2, 29)),
        (date(2023, 3, 31), "1m", date(2023, 2, 28)),
        (date(2024, 2, 29), "1y", date(2023, 2, 28)),
        (date(2024, 1, 15), "1m", date(2023, 12, 15)),
        (date(2024, 1, 15), "14m", date(2022, 11, 15)),
        (date(2024, 1, 15), "2w", date(2024, 1, 1)),
        (date(2024, 7, 31), "3m", date(2024, 4, 30)),
    ],
)
def test_calendar_periods_are_clipped_to_the_months_end(day, period, first):
    assert shifted(day, period) == first


def test_the_first_session_of_a_period():
    names = [date(2024, 1, d) for d in (2, 3, 4, 5, 8, 9, 10)]
    assert first_session(names, 5, "2d") == 3
    assert first_session(names, 1, "5d") == -4
    assert first_session(names, 5, "1w") == 0  # 9 January less a week is the 2nd, included
    assert first_session(names, 6, "1w") == 1


def window(values: list[list[float | None]], scale: int = 100) -> SessionWindow:
    """Sessions of values, one a symbol."""
    made = SessionWindow(len(values[0]), np.full(len(values[0]), scale, dtype=np.int64))
    for number, row in enumerate(values):
        known = [i for i, v in enumerate(row) if v is not None]
        made.add(number, np.array(known, dtype=np.int64), np.array([row[i] for i in known], dtype=np.float64))
    return made


@pytest.mark.parametrize(
    ("aggregate", "expected"),
    [("avg", 0.2), ("sum", 0.6), ("max", 0.3), ("min", 0.1), ("first", 0.1), ("last", 0.3), ("std", 0.1)],
)
def test_aggregates_over_sessions(aggregate, expected):
    """One symbol has three sessions, one has one, one has none."""
    made = window([[0.1, None, None], [0.2, 5.0, None], [0.3, None, None], [9.0, 9.0, 9.0]])
    found = made.at(0, 3, aggregate, 1)
    assert found.used.tolist() == [3, 1, 0]
    assert found.values[0] == pytest.approx(expected, rel=1e-12)
    if aggregate != "std":
        assert found.values[0] == expected
        assert found.values[1] == 5.0
    assert found.null.tolist() == [False, aggregate == "std", True]


def test_fewer_sessions_than_asked_for_are_null():
    found = window([[1.0, None], [2.0, 5.0]]).at(0, 2, "avg", 2)
    assert found.null.tolist() == [False, True]
    assert np.isnan(found.values[1])


def test_symbols_without_a_grid_are_summed_as_floats():
    made = SessionWindow(2, np.array([100, 0]))
    for number, value in enumerate((0.1, 0.2, 0.3)):
        made.add(number, np.array([0, 1]), np.array([value, value * np.pi]))
    found = made.at(0, 3, "avg", 1)
    assert found.values[0] == 0.2
    assert found.values[1] == pytest.approx(0.2 * np.pi)


@pytest.mark.parametrize("aggregate", ["avg", "sum", "max", "min", "first", "last", "std"])
@pytest.mark.parametrize("scale", [(1, 1, 1), (100, 1, 1), (1, 0, 1), (0, 0, 0)])
@pytest.mark.parametrize("sign", [-1, 1])
def test_sessions_come_in_any_order_and_are_forgotten(aggregate, scale, sign):
    """As from plain lists; more than 255 sessions are counted too."""
    rng = random.Random(f"{aggregate} {scale} {sign}")
    made, days = SessionWindow(3, np.array(scale, dtype=np.int64)), {}
    before = 0
    for block in range(0, 600, 60):
        for session in rng.sample(range(block, block + 60), 57):  # three have nothing at all
            day = {code: sign * rng.randint(0, 4) for code in range(3) if rng.random() < (0.95, 0.6, 0.01)[code]}
            days[session] = day
            made.add(session, np.array(list(day), dtype=np.int64), np.array(list(day.values()), dtype=np.float64))
        for first in (block - 400, block - 20, block + 59):
            found = made.at(first, block + 55, aggregate, 1)
            for code in range(3):
                known = [days[s][code] for s in range(max(first, before), block + 55) if code in days.get(s, ())]
                assert found.used[code] == len(known)
                if not found.null[code]:
                    assert found.values[code] == pytest.approx(reference(aggregate, known), rel=1e-9)
                assert found.null[code] == (len(known) < (2 if aggregate == "std" else 1))
        before = max(block - 300, 0)
        made.forget(before)


@pytest.mark.parametrize("aggregate", ["avg", "sum", "max", "min", "first", "last", "std"])
def test_aggregates_by_minute_forget_and_equal_numpy(aggregate):
    rng = np.random.default_rng(1)
    made = MinuteWindow(2, np.array([1, 1]), aggregate)
    days: list[dict[tuple[int, int], int]] = []
    for session in range(8):
        cells = [(s, c) for s in range(4) for c in range(2) if rng.random() < 0.7]
        day = {cell: int(rng.integers(1, 9)) for cell in cells}
        slot, code = (np.array([cell[i] for cell in cells], dtype=np.int64) for i in (0, 1))
        made.forget(session - 3)
        found = made.at(4, 1)
        for at in ((s, c) for s in range(4) for c in range(2)):
            values = [d[at] for d in days[-3:] if at in d]
            assert found.used[at] == len(values)
            if found.null[at]:
                assert len(values) < (2 if aggregate == "std" else 1)
            else:
                assert found.values[at] == pytest.approx(reference(aggregate, values))
        made.add(session, slot, code, np.array(list(day.values()), dtype=np.int64))
        days.append(day)


def reference(aggregate: str, values: list[int]) -> float:
    if aggregate in ("first", "last"):
        return values[0 if aggregate == "first" else -1]
    if aggregate == "std":
        return float(np.std(values, ddof=1))
    return float({"avg": np.mean, "sum": np.sum, "max": np.max, "min": np.min}[aggregate](values))


def loaded(where: Path, feature: bt.Feature, day: str) -> list[tuple[object, object]]:
    frame = bt.load_bars(where, "XNYS", day, day, features={"f": feature})["1m"]
    return frame.select("f", "f_sessions").rows()


def test_the_current_session_is_excluded_and_empty_ones_are_not_used(tmp_path: Path):
    where = store(
        tmp_path, bars("A", [1.0, 2.0]), bars("B", [5.0], day=WEDNESDAY), bars("A", [8.0, 16.0], day=THURSDAY)
    )
    for period, expected in (("1d", (None, 0)), ("2d", (2.0, 1)), ("1w", (2.0, 1)), ("1m", (2.0, 1))):
        assert loaded(where, bt.trailing("last", "close", period), THURSDAY) == [expected] * 2
    assert loaded(where, bt.trailing("sum", "close*volume", "5d"), THURSDAY) == [(300.0, 1)] * 2
    assert loaded(where, bt.trailing("max", "high", "5d"), TUESDAY) == [(None, 0)] * 2


def test_a_half_day_contributes_only_the_minutes_it_has(tmp_path: Path):
    where = store(
        tmp_path,
        bars("A", [1.0] * 390, day="2024-07-02", volume=10), bars("A", [1.0] * 210, day=HALF_DAY, volume=20),
        bars("A", [1.0] * 390, day="2024-07-05", volume=99),
    )  # fmt: skip
    rows = loaded(where, bt.trailing("avg", "volume", "2d", at="minute"), "2024-07-05")
    assert rows[0] == rows[209] == (15.0, 2)
    assert rows[210] == rows[389] == (10.0, 1)


def test_rows_after_an_early_close_never_reach_history(tmp_path: Path):
    where = store(tmp_path, bars("A", [1.0] * 390, day=HALF_DAY, volume=10), bars("A", [1.0], day="2024-07-05"))
    assert loaded(where, bt.trailing("sum", "volume", "1d"), "2024-07-05") == [(2100.0, 1)]


@pytest.mark.parametrize("whole", [True, False])
def test_what_had_been_added_up_to_each_minute(whole: bool):
    """Sessions of different lengths enter and leave; a session counts with 0 before its first bar, and not after its close."""
    rng = np.random.default_rng(2)
    made = CumulativeWindow(2, exact=whole)
    days: list[tuple[int, dict[tuple[int, int], float]]] = []
    for session in range(9):
        minutes = int(rng.integers(2, 6))
        day = {(s, c): float(rng.integers(1, 9)) for c in range(2) for s in range(minutes) if rng.random() < 0.5}
        made.forget(session - 3)
        for slots in (None, np.array([1, 4]), np.zeros(0, dtype=np.int64)):
            found = made.at(5, 1, slots)
            for row, slot in enumerate(range(5) if slots is None else slots.tolist()):
                for code in range(2):
                    past = [d for length, d in days[-3:] if length > slot and any(c == code for _, c in d)]
                    sums = [sum(v for (s, c), v in d.items() if c == code and s <= slot) for d in past]
                    assert found.used[row, code] == len(sums)
                    assert found.null[row, code] == (not sums)
                    assert not sums or found.values[row, code] == pytest.approx(sum(sums) / len(sums))
        slot, code = (np.array([cell[i] for cell in day], dtype=np.int64) for i in (0, 1))
        made.add(session, slot, code, np.array(list(day.values()), dtype=np.int64 if whole else np.float64), minutes)
        days.append((minutes, day))


@pytest.mark.parametrize("aggregate", ["avg", "max", "std"])
def test_some_minutes_are_those_of_all(aggregate):
    rng = np.random.default_rng(3)
    made = MinuteWindow(3, np.array([1, 1, 0]), aggregate)
    for session in range(3):
        cells = np.flatnonzero(rng.random(18) < 0.7)
        made.add(session, cells // 3, cells % 3, rng.integers(1, 9, len(cells)))
    slots = np.array([0, 2, 5])
    some, every = made.at(6, 1, slots), made.at(6, 1)
    assert some.rows(np.array([5, 0])).tolist() == [2, 0]
    for one, other in zip(some[:3], every[:3], strict=True):
        np.testing.assert_array_equal(one, other[slots])


@pytest.mark.parametrize("aggregate", ["avg", "sum", "std"])
@pytest.mark.parametrize("sessions", [9, 20, 40])
def test_floats_are_added_oldest_first_however_many_symbols_there_are(aggregate, sessions):
    """NumPy adds a column that stands alone in another order than one among others."""
    for seed in range(20):
        values = np.random.default_rng(seed).lognormal(5, 3, sessions).tolist()
        alone, among = (
            window([[v, *more] for v in values], scale=0).at(0, sessions, aggregate, 1).values[0]
            for more in ([], [1.0])
        )
        assert alone == among
        total = 0.0
        for value in values:
            total += value
        if aggregate != "std":
            assert alone == (total if aggregate == "sum" else total / sessions)


@pytest.mark.parametrize(
    ("expr", "expected"),
    [
        (pl.col("volume").cum_sum(), [7.0, 14.0, 21.0]),
        (pl.col("volume") / pl.col("volume").first(), [1.0, 1.0, 1.0]),
        (pl.col("close").diff(), [None, 0.0, 0.0]),
        (pl.col("volume").filter(pl.col("volume") > 50), None),
    ],
)
def test_the_values_of_a_minute_are_of_one_symbol_alone(
    tmp_path: Path, expr: pl.Expr, expected: list[float | None] | None
):
    days = ("2024-01-02", "2024-01-03")
    rows = [
        bars(symbol, [10.0] * 3, day=day, volume=volume)
        for day in days
        for symbol, volume in (("AAA", 100), ("BBB", 7))
    ]
    where = store(tmp_path, *rows)
    if expected is None:
        with pytest.raises(StrategyError, match='of must have a value a bar for at="minute", was '):
            bt.trailing("avg", expr, "2d", at="minute")
        return

    class Sees(bt.Row):
        symbol: str
        u: float | None

    class Watches:
        row = Sees

        def features(self) -> dict[str, bt.Feature]:
            return {"u": bt.trailing("avg", expr, "2d", at="minute")}

        def on_bar(self, row: Sees, book: bt.Book) -> None:
            if row.symbol == "BBB":
                seen.append(row.u)

    for symbols in (["BBB"], ["AAA", "BBB"]):
        seen: list[float | None] = []
        play(where, Watches(), start=days[1], symbols=symbols)
        assert seen == expected


def test_a_minute_without_a_value_counts_for_no_session(tmp_path: Path):
    days = ("2024-01-02", "2024-01-03", "2024-01-04")
    where = store(
        tmp_path, *(bars("A", [10.0, price], day=day) for day, price in zip(days, (20.0, 30.0, 40.0), strict=True))
    )

    class Sees(bt.Row):
        u: float | None
        u_sessions: int

    class Watches:
        row = Sees

        def features(self) -> dict[str, bt.Feature]:
            return {"u": bt.trailing("avg", pl.when(pl.col("close") > 20).then(pl.col("close")), "5d", at="minute")}

        def on_bar(self, row: Sees, book: bt.Book) -> None:
            seen.append((row.u, row.u_sessions))

    seen: list[tuple[float | None, int]] = []
    play(where, Watches(), start=days[2])
    assert seen == [(None, 0), (30.0, 1)]
