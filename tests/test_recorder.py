"""Rows of a run's tables: their order, and that what belongs together stays together."""

from __future__ import annotations

import tempfile
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from small import THURSDAY, TUESDAY, WEDNESDAY, Bar, bars, store
from small import at as minute_at

import bt
from bt.execution import layout as at
from bt.model import Schedule
from bt.recorder.rows import Fills, RowMaker, columns_of
from bt.results import ORDER, Deferred, OrdersWriter, frame_of, joined, open_tables
from bt.results.rows import settled

DAYS = [date(2024, 1, n) for n in (2, 3, 4)]
HOURS = [[datetime(2024, 1, n, h, 30, tzinfo=UTC) for n in (2, 3, 4)] for h in (14, 20)]
SCHEDULE = Schedule(
    "XNYS", "America/New_York",
    pl.DataFrame({"session": DAYS, "segment": [0] * 3, "open": HOURS[0], "close": HOURS[1], "early_close": [False] * 3},
                 schema_overrides={"open": pl.Datetime("us", "UTC"), "close": pl.Datetime("us", "UTC"), "segment": pl.Int32}),
)  # fmt: skip
LATER = [date(2024, 2, n) for n in range(1, 13)]
LONGER = Schedule(
    "XNYS", "America/New_York",
    pl.DataFrame({"session": LATER, "segment": [0] * 12, "early_close": [False] * 12,
                  **{name: [datetime(2024, 2, n, h, 30, tzinfo=UTC) for n in range(1, 13)] for name, h in (("open", 14), ("close", 20))}},
                 schema_overrides={"open": pl.Datetime("us", "UTC"), "close": pl.Datetime("us", "UTC"), "segment": pl.Int32}),
)  # fmt: skip
SYMBOLS = ("A", "AA", "B", "b", "\u00fc")
TAGS = ("", "out", "in")
OPEN = int(SCHEDULE.open[1])


def _rows(rng: np.random.Generator, columns: int, **limits: int) -> np.ndarray[Any, Any]:
    """Rows of small whole numbers, of which many tie; `limits` by the name of a column's place in the layout, that are left out."""
    rows = rng.integers(1, 10, (int(rng.integers(1, 60)), columns))
    for name, limit in limits.items():
        rows[:, getattr(at, name)] %= limit
    return rows


@settings(deadline=None)
@given(seed=st.integers(0, 2**32 - 1), unit=st.sampled_from([1, 60_000_000]))
def test_rows_lie_in_their_tables_order_and_stay_together(seed: int, unit: int):
    rng = np.random.default_rng(seed)
    fills = _rows(rng, at.FILL_COLUMNS, F_CODE=5, F_TAG=3)
    trades = _rows(rng, at.TRADE_COLUMNS, T_CODE=5, T_TAG=3, T_REASON=3)
    records = _rows(rng, at.RECORD_COLUMNS, R_SESSION=3, R_TYPE=3, R_TIF=2, R_STATUS=5, R_TAG=3, R_CODE=6)
    records[:, at.R_CODE] -= 1  # EVERY, too
    fills[:, at.F_TIME], records[:, at.R_DECIDED] = OPEN + fills[:, at.F_TIME] * unit, OPEN + records[:, at.R_DECIDED]
    trades[:, [at.T_ENTERED, at.T_EXITED]] = OPEN + trades[:, [at.T_ENTERED, at.T_EXITED]] * unit
    fills[:, at.F_COMMISSION], trades[:, at.T_WORST] = np.arange(len(fills)), np.arange(len(trades))  # who is who
    records[:, at.R_LEVEL] = np.arange(len(records))
    traded = 1.0 + np.arange(len(fills))
    maker = RowMaker(SYMBOLS, SCHEDULE).of("s", TAGS)
    made = {
        "fills": frame_of(maker.fills([Fills(DAYS[1], fills, traded)])),
        "trades": frame_of(maker.trades([trades])),
        "orders": frame_of(maker.orders([records])),
    }
    for table, frame in made.items():
        assert frame.equals(frame.sort(ORDER[table], maintain_order=True)), table
    for table, rows, who, code, tag, tagged in (
        ("fills", fills, "commission", at.F_CODE, at.F_TAG, "tag"),
        ("trades", trades, "mae", at.T_CODE, at.T_TAG, "entry_tag"),
        ("orders", records, "level", at.R_CODE, at.R_TAG, "tag"),
    ):
        frame = made[table].sort(who)
        assert frame[who].to_list() == list(range(len(rows)))
        assert frame["symbol"].to_list() == [(*SYMBOLS, "")[c] for c in rows[:, code]]
        assert frame[tagged].to_list() == [TAGS[t] for t in rows[:, tag]]
    shares = made["fills"].sort("commission")
    assert shares["bar_share"].to_list() == (fills[:, at.F_SHARES] / traded).tolist()
    # rows that tie lie as they came
    for table, who in (("trades", "mae"), ("orders", "level"), ("fills", "commission")):
        assert made[table].equals(made[table].sort(*ORDER[table], who))


@settings(deadline=None)
@given(seed=st.integers(0, 2**32 - 1), unit=st.sampled_from([1, 60_000_000]))
def test_rows_of_several_sessions_at_once_are_those_of_each(seed: int, unit: int):
    rng = np.random.default_rng(seed)
    maker = RowMaker(SYMBOLS, SCHEDULE).of("s", TAGS)
    fills, trades, records = [], [], []
    for number in range(3):  # a session may open as the one before closes
        fill, trade = (
            _rows(rng, at.FILL_COLUMNS, F_CODE=5, F_TAG=3),
            _rows(rng, at.TRADE_COLUMNS, T_CODE=5, T_TAG=3, T_REASON=3),
        )
        record = _rows(rng, at.RECORD_COLUMNS, R_TYPE=3, R_TIF=2, R_STATUS=5, R_TAG=3, R_CODE=6)
        record[:, at.R_SESSION] = number
        record[:, at.R_CODE] -= 1  # EVERY, too
        for rows, column in ((fill, at.F_TIME), (trade, at.T_EXITED), (trade, at.T_ENTERED), (record, at.R_DECIDED)):
            rows[:, column] = OPEN + (number * 5 + rows[:, column] % 6) * unit
        fills.append(Fills(DAYS[number], fill, 1.0 + np.arange(len(fill))))
        trades.append(trade)
        records.append(record)
    for table, make, parts in (
        ("fills", maker.fills, fills),
        ("trades", maker.trades, trades),
        ("orders", maker.orders, records),
    ):
        deferred = [Deferred(make, part, 0) for part in parts]
        apart = settled(table, joined([make([part]) for part in parts]))
        assert settled(table, joined(deferred)).equals(apart), table
        assert settled(table, joined([deferred[0], make([parts[1]]), deferred[2]])).equals(apart), table


@settings(deadline=None)
@given(
    seed=st.integers(0, 2**32 - 1),
    group=st.sampled_from([1, 30, 100, 25_000]),
    oldest=st.sampled_from([0, 1, 2, 11]),
    strategies=st.integers(1, 2),
)
def test_a_file_of_orders_is_that_of_orders_which_end_where_they_were_decided(
    seed: int, group: int, oldest: int, strategies: int
):
    """However many sessions later they end, and whichever were in a row group that is written by then."""
    rng = np.random.default_rng(seed)
    makers = [RowMaker(SYMBOLS, LONGER).of(name, TAGS) for name in ("t", "s")[:strategies]]
    days = LONGER.names
    punctual: list[list[Deferred]] = [[] for _ in days]
    ending: list[list[tuple[int, Deferred]]] = [[] for _ in [*days, "after the last"]]
    for number in range(len(days)):
        for which, maker in enumerate(makers):
            records = _rows(rng, at.RECORD_COLUMNS, R_TYPE=3, R_TIF=2, R_STATUS=5, R_TAG=3, R_CODE=6)
            records[:, at.R_SESSION], records[:, at.R_CODE] = number, records[:, at.R_CODE] - 1
            records[:, at.R_ID] = 100 * number + np.arange(len(records))
            records[:, at.R_PARENT] = which  # whose it is
            punctual[number].append(Deferred(maker.orders, records, len(records)))
            age = rng.integers(0, oldest + 1, len(records))
            for ended in np.unique(np.minimum(number + age, len(days))).tolist():
                some = records[np.minimum(number + age, len(days)) == ended]
                ending[ended].append((number, Deferred(maker.orders, some, len(some))))
    with pytest.MonkeyPatch.context() as patch, tempfile.TemporaryDirectory() as folder:
        patch.setattr("bt.results.writers.ROWS", group)
        paths = [Path(folder, name, "orders.parquet") for name in ("punctual", "late")]
        for path, ends in zip(paths, (_each_its_own(punctual), ending), strict=True):
            path.parent.mkdir()
            writer = OrdersWriter(path)
            for day, ended in zip(days, ends, strict=False):
                for number, rows in ended:
                    writer.append(rows, ordered=True, sessions=np.full(len(rows), days[number], "datetime64[D]"))
                writer.end_session(day)
            for number, rows in ends[len(days)]:
                writer.append(rows, ordered=True, sessions=np.full(len(rows), days[number], "datetime64[D]"))
            writer.close()
            assert [found.name for found in path.parent.iterdir()] == ["orders.parquet"]
        assert paths[0].read_bytes() == paths[1].read_bytes()
        found = pl.read_parquet(paths[1])
        assert found.height == sum(len(rows) for some in punctual for rows in some)
        assert found.equals(found.sort(ORDER["orders"], maintain_order=True))


def _each_its_own(punctual: list[list[Deferred]]) -> list[list[tuple[int, Deferred]]]:
    return [*([(number, rows) for rows in some] for number, some in enumerate(punctual)), []]


@settings(deadline=None)
@given(
    seed=st.integers(0, 2**32 - 1),
    bits=st.sampled_from([1, 4, 12, 26, 27, 28, 29, 30, 40, 62]),
    unit=st.sampled_from([1, 60_000_000]),
)
def test_columns_lie_in_the_order_of_their_keys_however_wide_these_are(seed: int, bits: int, unit: int):
    rng = np.random.default_rng(seed)
    parts = [rng.integers(-(1 << bits) // unit, (1 << bits) // unit + 1, (n, 4)) * unit for n in (1, 70, 300)]
    for part in parts:
        part[:, 3] = np.arange(len(part))
    columns, orders = columns_of(parts, 2, 0)
    for part, order in zip(parts, orders, strict=True):
        assert order.tolist() == np.lexsort((part[:, 0], part[:, 2])).tolist()
    in_order = [part[order] for part, order in zip(parts, orders, strict=True)]
    assert np.array_equal(columns, np.concatenate(in_order).T)


def test_symbols_must_be_in_text_order():
    with pytest.raises(ValueError, match="rows: symbols must be in text order"):
        RowMaker(("B", "A"), SCHEDULE)


class Backwards:
    """Orders backwards through the symbols, two at a time, of which some live on; speaks and records."""

    row: Any = Bar

    def on_minute(self, rows: bt.Rows, book: bt.Book) -> None:
        for symbol, shares in zip(reversed(rows.symbol), (3, -2, 1), strict=False):
            if rows.minute % 3 == 0:
                book.order(symbol, shares, tif="gtc")
                book.order(symbol, -shares)
            book.record(minute=rows.minute)
        book.log(f"minute {rows.minute}")


@pytest.mark.parametrize("workers", [1, 2])
def test_every_table_of_a_run_is_in_order(tmp_path: Path, workers: int):
    """Names against the order of strategies, ranks against that of symbols, intervals as text against that of minutes."""
    days = (TUESDAY, WEDNESDAY, THURSDAY)
    rows = [
        bars(s, [10.0 + (i * n) % 7 for i in range(40)], day=day, volume=100 * n)
        for n, s in enumerate("ABC", 1) for day in days
    ]  # fmt: skip
    rows.append([{**rows[n][-1], "ts": minute_at(389, THURSDAY), "high": 1.0} for n in (-1, 5)])
    run = bt.replay(
        bars=store(tmp_path, *rows), strategies=[{"name": n, "use": Backwards} for n in ("z", "a")],
        start=WEDNESDAY, end=THURSDAY, calendar="XNYS", streams={"intervals": ["5m", "15m"]}, engine={"workers": workers},
        universe={"top": 2, "by": "prior(volume)"}, account={"interest_bps": 100.0}, out=tmp_path / "run",
    )  # fmt: skip
    assert run.path is not None
    for table, lazy in open_tables(run.path).items():
        frame = lazy.collect()
        assert frame.equals(frame.sort(ORDER[table], maintain_order=True)), table
        assert frame.height > 1, table
    assert run.universe["symbol"].to_list() == ["B", "C"] * 2
    assert run.universe["rank"].to_list() == [2, 1] * 2
    assert run.quality["interval"].to_list()[:3] == ["15m", "1m", "5m"]
    assert run.orders["session"].is_sorted()
    assert run.orders["strategy"].unique().sort().to_list() == ["a", "z"]
