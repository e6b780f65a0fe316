"""The cross-section's tables, and the rows made of them."""

from __future__ import annotations

import copy
import pickle
from datetime import date
from typing import Any
from zoneinfo import ZoneInfo

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from test_laws import law

import bt.section
from bt.model import Column, PreparedBars, Session, slot_times
from bt.playback import Tape, feed
from bt.section import CrossFeed, Ends
from bt.strategy.fields import RowField, RowType

MINUTES = 12
OPEN = 1_704_205_800_000_000
SESSION = Session(
    date(2024, 1, 2), OPEN, OPEN + MINUTES * 60_000_000, ((OPEN, OPEN + MINUTES * 60_000_000),), False, MINUTES
)
FIELDS = ("price", "count", "flag", "maybe", "needed")
TYPES = ("float", "int", "bool", "float", "float")
ROW = RowType(
    object, 1, "1m",
    tuple(RowField(name, "feature", kind, name != "needed") for name, kind in zip(FIELDS, TYPES, strict=True)),
)  # fmt: skip
NAMES = np.array(list("ABCDE"), dtype=object)


@st.composite
def prepared(draw: st.DrawFn) -> PreparedBars:
    """Canonical bars of a minute or of three, late symbols and ones without any among them."""
    length = draw(st.sampled_from((1, 1, 3)))
    every = set(range(length, MINUTES + 1, length))
    code, end = [], []
    for symbol in range(len(NAMES)):
        ends = draw(st.one_of(st.sets(st.sampled_from(sorted(every))), st.just(every)))
        code += [symbol] * len(ends)
        end += sorted(ends)
    rows = len(code)
    rng = np.random.default_rng(draw(st.integers(0, 1000)))
    null = rng.random(rows) < 0.3
    columns = {
        "price": Column(rng.random(rows)),
        "count": Column(rng.integers(0, 9, rows), null),
        "flag": Column(rng.random(rows) < 0.5),
        "maybe": Column(rng.random(rows), np.zeros(rows, dtype=bool)),
        "needed": Column(rng.random(rows), draw(st.sampled_from((None, rng.random(rows) < 0.3)))),
    }
    ends_of = np.array(end, dtype=np.int64)
    return PreparedBars(np.array(code, dtype=np.int64), ends_of - length, ends_of, columns)


def obvious(bars: PreparedBars, codes: list[int], keep: np.ndarray, end: int) -> tuple[np.ndarray, list[bool]]:
    """The fields of the symbols at a slot count, and which of them have a bar, row by row."""
    block, fresh = np.full((len(FIELDS), len(codes)), np.nan), [False] * len(codes)
    for row in range(len(bars.code)):
        if bars.end[row] == end and keep[row] and bars.code[row] in codes:
            needed = bars.columns["needed"]
            if needed.null is not None and needed.null[row]:
                continue
            place = codes.index(int(bars.code[row]))
            fresh[place] = True
            for number, name in enumerate(FIELDS):
                values, null = bars.columns[name]
                block[number, place] = np.nan if null is not None and null[row] else values[row]
    return block, fresh


@law(80)
@given(st.data())
def test_a_cross_section_is_what_ends_then_however_much_is_laid_out_at_a_time(data: st.DataObject):
    bars = data.draw(prepared())
    codes = sorted(data.draw(st.sets(st.sampled_from(range(len(NAMES))), min_size=1)))
    keep = np.isin(bars.code, codes)
    marked = None if keep.all() else keep
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(bt.section, "CELLS", data.draw(st.sampled_from((1, 70, 10_000))))
        rows = feed(
            Tape.of(SESSION, bars), bars.columns, ROW, {name: name for name in FIELDS},
            names=NAMES, zone=ZoneInfo("UTC"), times=slot_times(SESSION), keep=marked,
        )  # fmt: skip
        cross = CrossFeed.of(rows, np.array(codes, dtype=np.int64))
    asked = data.draw(st.lists(st.sampled_from(range(MINUTES + 1)), max_size=8))  # passed over, again, and once more
    if data.draw(st.booleans()):
        asked.sort()
    position, before = np.arange(len(NAMES)), np.zeros(len(NAMES), dtype=np.int64)
    made = [cross.rows(end, OPEN, position, Ends(None, end, before)) for end in asked]  # type: ignore[arg-type]
    for end, section in zip(asked, made, strict=True):
        block, fresh = obvious(bars, codes, keep, end)
        assert section.fresh.tolist() == fresh
        assert section.position.tolist() == codes
        assert np.array_equal(section.matrix(*FIELDS).T, block, equal_nan=True)
        for number, name in enumerate(FIELDS):
            column = getattr(section, name)
            assert np.array_equal(column, block[number], equal_nan=True)
            assert not column.flags.writeable
        assert section.fresh.base is None
        assert section.position.base is None
    for end in range(MINUTES + 1):
        if rows.start[end] < rows.start[end + 1]:
            _, _, shown = rows.rows(end)
            assert shown.tolist() == [
                c for c, has in zip(codes, obvious(bars, codes, keep, end)[1], strict=True) if has
            ]


def section(**constants: Any) -> bt.section.MinuteRows:
    ends = Ends(None, 0, np.zeros(2, dtype=np.int64))  # type: ignore[arg-type]
    moment = bt.section.Moment({"close": 0, "code": 1, "mro": 2}, constants, 5, ends)
    names = ("A", "B"), np.frombuffer(np.arange(2).tobytes(), dtype=np.int64)
    return bt.section.rows_of(("close", "code", "mro"))(
        names, fresh=np.ones(2, dtype=bool), position=np.zeros(2, dtype=np.int64),
        block=np.array([[1.0, 2.0], [3.0, 4.0], [5.0, 6.0]]), moment=moment,
    )  # fmt: skip


def test_a_field_is_no_method_s_and_no_other_row_type_s():
    rows = section(minute=7)
    assert rows.close.tolist() == [1.0, 2.0]
    assert rows.code.tolist() == [0, 1]  # what rows have themselves goes before a field of the name
    assert rows.mro.tolist() == [5.0, 6.0]  # what their class alone has does not
    assert rows.minute == 7
    with pytest.raises(AttributeError, match=r"a column must be one of .*close.*, was 'open'"):
        _ = rows.open
    with pytest.raises(AttributeError):
        _ = bt.section.rows_of(("open",)).close
    with pytest.raises(AttributeError):
        rows.close = rows.fresh


@pytest.mark.parametrize("again", [copy.copy, copy.deepcopy, lambda rows: pickle.loads(pickle.dumps(rows))])  # noqa: S301 - our own
def test_rows_are_copied_and_pickled_as_what_they_are(again: Any):
    rows = section(minute=7)
    other = again(rows)
    assert other.symbol == rows.symbol
    assert other.close.tolist() == [1.0, 2.0]
    assert not any(array.flags.writeable for array in (other.close, other.code, other.fresh, other.position))
    assert other.take(["B"]).close.tolist() == [2.0]
    assert other.minute == 7
