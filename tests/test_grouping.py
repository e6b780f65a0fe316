"""Whose rows a window's are, and where each belongs: beside the slow obvious way."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from small import TUESDAY, WEDNESDAY, bars, play, store

import bt
from bt.jit import read_only
from bt.prepare import ahead
from bt.prepare.grouping import Grouping
from bt.prepare.placing import place
from bt.schema import MINUTE

SESSIONS, SYMBOLS = 2, 3
LEAD = -2
"""The reason of what comes before the first minute."""
SESSION_OF = np.array([0] * 8 + [1] * 8, dtype=np.int16)
SLOT_OF = np.array([-2, -2, 0, 1, -3, 2, 3, -1, 0, 1, -3, 2, 3, -5, -5, -5], dtype=np.int16)
"""Two sessions of four minutes, with a break after the second; the next one begins right after a minute that is in none."""
START = 1_700_000_040_000_000


@settings(deadline=None)
@given(st.lists(st.integers(0, SESSIONS * SYMBOLS - 1), max_size=12))
def test_groups_are_the_same_by_run_and_by_row(numbers: list[int]) -> None:
    group = np.array(sorted(numbers), dtype=np.int64)
    rows = Grouping.of_rows(SYMBOLS, group)
    runs = Grouping.of_runs(SYMBOLS, len(group), rows.start, rows.number)
    for found in (rows, runs):
        assert found.group.tolist() == group.tolist()
        assert found.session.tolist() == (group // SYMBOLS).tolist()
        assert found.code.tolist() == (group % SYMBOLS).tolist()
        assert found.number.tolist() == sorted(set(group.tolist()))
        bounds = found.bounds(0, SESSIONS * SYMBOLS).tolist()
        assert bounds == [sum(g < k for g in group.tolist()) for k in range(SESSIONS * SYMBOLS + 1)]
        assert found.edges(SESSIONS).tolist() == bounds[::SYMBOLS]
        for session in range(SESSIONS):
            assert set(group[found.at(session)].tolist()) <= set(range(session * SYMBOLS, (session + 1) * SYMBOLS))
            assert found.at(session) == slice(bounds[session * SYMBOLS], bounds[(session + 1) * SYMBOLS])
        odd = np.arange(1, len(group), 2)
        assert found.pick(odd).group.tolist() == group[odd].tolist()


TIMES = st.one_of(st.integers(-1, 15).map(lambda m: m * MINUTE), st.integers(-MINUTE // 2, 15 * MINUTE))


@settings(deadline=None, max_examples=300)
@given(
    st.lists(st.tuples(TIMES, st.integers(0, SYMBOLS - 1)), max_size=14), st.sampled_from(["any", "code", "canonical"])
)
def test_rows_are_placed_as_one_by_one(given_: list[tuple[int, int]], order: str) -> None:
    rows = [(START + time, code) for time, code in given_]
    if order != "any":
        rows.sort(
            key=lambda row: (row[1], row[0]) if order == "code" else (row[0] >= START + 8 * MINUTE, row[1], row[0])
        )
    time, code = (np.array([row[k] for row in rows], dtype=kind) for k, kind in ((0, np.int64), (1, np.uint16)))
    slot, start, number, jump, inside, ordered = place(
        read_only(time), read_only(code), START, SESSION_OF, SLOT_OF, LEAD, SYMBOLS
    )
    slots, groups = [], []
    for at, symbol in rows:
        minute = (at - START) // MINUTE
        slots.append(int(SLOT_OF[minute]) if minute >= 0 else LEAD)
        groups.append(int(SESSION_OF[max(minute, 0)]) * SYMBOLS + symbol)
    assert slot.tolist() == slots
    first = [k for k in range(len(rows)) if not k or groups[k] != groups[k - 1]]
    assert start.tolist() == first
    assert number.tolist() == [groups[k] for k in first]
    assert jump.tolist() == [k for k in range(1, len(rows)) if k not in first and slots[k] != slots[k - 1] + 1]
    assert inside == all(s >= 0 for s in slots)
    keys = list(zip(groups, slots, strict=True))
    assert ordered == all(one < other for one, other in pairwise(keys))


class Close(bt.Row):
    close: float


class Nothing:
    row = Close

    def on_minute(self, rows: bt.Rows, book: bt.Book) -> None:
        pass


@pytest.mark.parametrize(("threads", "started"), [(1, 0), (2, 1)])
def test_where_there_is_one_thread_windows_are_prepared_in_turn(
    tmp_path: Any, monkeypatch: pytest.MonkeyPatch, threads: int, started: int
) -> None:
    pools = []

    class Pool(ahead.ThreadPoolExecutor):
        def __init__(self, *given: Any) -> None:
            pools.append(given)
            super().__init__(*given)

    monkeypatch.setattr(ahead, "ThreadPoolExecutor", Pool)
    where = store(tmp_path, bars("A", [1.0, 2.0]), bars("A", [3.0], day=WEDNESDAY))
    settings_ = {"engine": {"threads": threads}, "prefetch_days": 1}
    run = play(where, Nothing, TUESDAY, WEDNESDAY, **settings_)
    assert run.summary["bars"] == 3
    assert len(pools) == started
