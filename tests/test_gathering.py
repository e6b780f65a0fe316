"""Columns put together from batches are the columns that Arrow makes of them."""

from __future__ import annotations

from decimal import Decimal

import pyarrow as pa
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from bt.store.gathering import gathered

KINDS = {
    "whole": (pa.int64(), st.integers(-(2**60), 2**60)),
    "small": (pa.uint16(), st.integers(0, 60_000)),
    "real": (pa.float64(), st.floats(allow_nan=False)),
    "flag": (pa.bool_(), st.booleans()),
    "text": (pa.string(), st.text("ab", max_size=3)),
    "time": (pa.timestamp("us", "UTC"), st.integers(0, 2**50)),
    "exact": (pa.decimal128(10, 2), st.integers(-1000, 1000).map(lambda n: Decimal(n) / 100)),
}


@settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])  # the cores may be busy
@given(st.data())
def test_of_any_kind_with_and_without_nulls(data: st.DataObject) -> None:
    names = data.draw(st.lists(st.sampled_from(sorted(KINDS)), min_size=1, max_size=4, unique=True))
    schema = pa.schema([(name, KINDS[name][0]) for name in names])
    batches = []
    for _ in range(data.draw(st.integers(0, 4))):
        rows = data.draw(st.integers(0, 5))
        values = [
            data.draw(
                st.lists(
                    st.one_of(KINDS[name][1], st.none()) if data.draw(st.booleans()) else KINDS[name][1],
                    min_size=rows,
                    max_size=rows,
                )
            )
            for name in names
        ]
        batch = pa.record_batch(
            [pa.array(v, type=KINDS[n][0]) for n, v in zip(names, values, strict=True)], schema=schema
        )
        first = data.draw(st.integers(0, rows))
        batches.append(batch.slice(first, data.draw(st.integers(0, rows - first))))
    expected = pa.Table.from_batches(batches, schema=schema)
    made = gathered(iter(batches), schema, data.draw(st.integers(0, 30)))
    made.validate(full=True)
    assert made.equals(expected)


@pytest.mark.parametrize("rows", [0, 1, 10_000])
def test_numbers_lie_in_one_piece_however_many_were_expected(rows: int) -> None:
    schema = pa.schema([("x", pa.float64())])
    batches = [pa.record_batch([pa.array([float(k)] * 100)], schema=schema) for k in range(7)]
    made = gathered(batches, schema, rows)
    assert made["x"].num_chunks == 1
    assert made.num_rows == 700
