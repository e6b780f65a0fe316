"""A run's folder: whole or absent, byte-identical, in bounded memory, and the same tables in memory."""

from __future__ import annotations

import errno
import hashlib
import json
import os
import random
import subprocess
import sys
from collections.abc import Iterable, Sequence
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any, Self

import duckdb
import numpy as np
import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bt import arrays
from bt.errors import LockedError, ResultsError, UsageError
from bt.results import (
    MONEY,
    ORDER,
    SCHEMAS,
    Deferred,
    MemoryResults,
    OrdersWriter,
    Results,
    Rows,
    RunFolder,
    TableWriter,
    coded,
    conform,
    currency,
    is_run,
    manifest,
    open_documents,
    open_tables,
    rows_of,
    versions,
)
from bt.results.rows import in_order, settled

UNIT = 10**8
NOW = datetime(2024, 5, 6, 7, 8, 9, tzinfo=UTC)
HASH = "0123456789abcdef"
NAME = "20240506T070809Z-01234567"
DOCUMENTS = {"manifest": {"finish_reason": "end_date"}, "metrics": {"account": {"sharpe": 1.5}}, "timings": {"s": 1.0}}
DAYS = [date(2024, 1, 1) + timedelta(days=i) for i in range(40)]


def start_of(day: date) -> int:
    """Microseconds of 14:30 UTC."""
    return int(datetime(day.year, day.month, day.day, 14, 30, tzinfo=UTC).timestamp()) * 1_000_000


def session_frames(day: date, seed: int = 0) -> dict[str, pl.DataFrame]:
    """A session of every table but orders in the engine's terms: units, microseconds, Enum symbols."""
    rng = random.Random(f"{day}{seed}")
    t0 = start_of(day)
    symbols = pl.Enum(["AAA", "BBB"])
    minutes = [t0 + i * 60_000_000 for i in range(30)]

    def frame(table: str, rows: int, **known: object) -> pl.DataFrame:
        columns = {}
        for name, dtype in SCHEMAS[table].items():
            if name in known:
                values = known[name]
            elif name == "session":
                values = [day] * rows
            elif name == "symbol":
                values = pl.Series([rng.choice(["AAA", "BBB"]) for _ in range(rows)], dtype=symbols)
            elif name in MONEY.get(table, ()):
                values = [rng.randrange(-(10**12), 10**12) for _ in range(rows)]
            elif dtype == pl.Datetime:
                values = [rng.choice(minutes) for _ in range(rows)]
            elif dtype == pl.Int64:
                values = [rng.randrange(1000) for _ in range(rows)]
            elif dtype == pl.Float64:
                values = [rng.random() for _ in range(rows)]
            elif dtype == pl.Boolean:
                values = [False] * rows
            else:
                values = [rng.choice("xyz") for _ in range(rows)]
            columns[name] = pl.Series(name, values)
        return pl.DataFrame(columns)

    when = datetime(day.year, day.month, day.day, 15, tzinfo=UTC)
    gaps = [[{"start": when, "end": when + timedelta(minutes=3), "minutes": 3}], []]
    time_type = pl.Datetime("us", "UTC")
    gap_type = pl.List(pl.Struct({"start": time_type, "end": time_type, "minutes": pl.Int32}))
    return {
        "fills": frame("fills", 5),
        "trades": frame("trades", 2),
        "equity": frame("equity", 60, time=minutes * 2, strategy=["s1"] * 30 + ["s2"] * 30),
        "cash": frame("cash", 3, symbol=["BBB", None, "AAA"]),
        "positions": frame("positions", 2),
        "quality": frame("quality", 2, gaps=pl.Series(gaps, dtype=gap_type)),
        "guards": frame("guards", 1, sample=pl.Series([[when]], dtype=pl.List(time_type))),
        "sessions": frame("sessions", 1),
        "records": frame("records", 3),
        "log": frame("log", 1, fields=['{"a": 1}']),
        "universe": frame("universe", 2, rank=pl.Series([None, None])),
    }


def orders(rows: Iterable[tuple[date, int, str, str, int]]) -> pl.DataFrame:
    """Orders of (session, minute, strategy, symbol, id)."""
    made = [
        {"id": i, "strategy": s, "symbol": sym, "session": day, "decided_at": start_of(day) + m * 60_000_000,
         "type": "market", "side": "buy", "shares": 100, "tif": "gtc", "status": "filled", "reason": "", "tag": "", "filled": 100}
        for day, m, s, sym, i in rows
    ]  # fmt: skip
    types = {"decided_at": pl.Int64, "id": pl.Int64, "session": pl.Date, "shares": pl.Int64, "filled": pl.Int64}
    texts = ("strategy", "symbol", "type", "side", "tif", "status", "reason", "tag")
    return pl.DataFrame(
        made, schema_overrides=types, schema=None if made else {**types, **dict.fromkeys(texts, pl.String)}
    )


def order_rows(rows: Iterable[tuple[date, int, str, str, int]]) -> Rows:
    return rows_of("orders", orders(rows))


def feed(results: Results, days: list[date] = DAYS[:6], pieces: int = 1) -> None:
    for n, day in enumerate(days):
        for table, frame in session_frames(day).items():
            size = -(-frame.height // pieces)
            for i in range(pieces):
                results.append(table, rows_of(table, frame[i * size : (i + 1) * size]))
        on_time = [(day, m, "s", "AAA", n * 10 + m) for m in (2, 1)]
        late = [(days[n - 2], 5, "s", "AAA", (n - 2) * 10 + 5)] if n >= 2 else []
        results.append("orders", order_rows(on_time + late))
        results.end_session(day)
    results.append("orders", order_rows([(day, 5, "s", "AAA", n * 10 + 5) for n, day in enumerate(days)][-2:]))


def create(parent: Path, **more: object) -> RunFolder:
    return RunFolder.create(parent, spec_hash=HASH, now=NOW, **more)  # type: ignore[arg-type]


def run_whole(parent: Path, days: list[date]) -> Path:
    folder = create(parent)
    feed(folder, days)
    return folder.finish(**DOCUMENTS)


def digests(path: Path) -> dict[str, str]:
    return {p.name: hashlib.sha256(p.read_bytes()).hexdigest() for p in sorted(path.iterdir())}


# ----------------------------------------------------------------------------------------------------------- tables


def test_currency_is_correctly_rounded() -> None:
    rng = random.Random(1)
    units = [rng.randrange(-(2**k), 2**k) for k in range(1, 64) for _ in range(200)]
    units += [0, -1, -1_000_000, 2**63 - 1, -(2**63) + 1, 100_000_000_001_000_000]
    found = currency(pl.Series("x", units, dtype=pl.Int64))
    assert found.to_list() == [u / UNIT for u in units]
    assert currency(pl.Series("x", [None, UNIT], dtype=pl.Int64)).to_list() == [None, 1.0]


def test_a_table_has_its_columns_dtypes_and_nothing_else() -> None:
    frame = session_frames(DAYS[0])["fills"].with_columns(pl.lit(1).alias("own"))
    made = conform("fills", frame)
    assert made.schema == SCHEMAS["fills"]
    assert made["price"].to_list() == [p / UNIT for p in frame["price"].to_list()]
    assert made["time"].to_physical().to_list() == frame["time"].to_list()
    assert made["symbol"].to_list() == frame["symbol"].cast(pl.String).to_list()
    already = conform("fills", made)
    assert already.equals(made)
    with pytest.raises(TypeError, match="fills: the frame must have price, was"):
        conform("fills", frame.drop("price"))
    with pytest.raises(TypeError, match="fills: shares must be Int64, was Float64"):
        conform("fills", frame.with_columns(shares=pl.lit(1.5)))
    with pytest.raises(TypeError, match="fills: tag must be String, was Int64"):
        conform("fills", frame.with_columns(tag=pl.col("shares")))


def test_promised_columns() -> None:
    assert list(SCHEMAS["equity"]) == ["time", "session", "strategy", "equity", "cash", "gross", "net"]
    assert list(SCHEMAS["guards"]) == ["session", "symbol", "reason", "rows", "first_time", "last_time", "sample"]
    assert {"limit", "stop", "parent", "tif", "status"} <= set(SCHEMAS["orders"])
    assert set(ORDER) == set(SCHEMAS)
    for table, names in {**MONEY, **ORDER}.items():
        assert set(names) <= set(SCHEMAS[table])


# ---------------------------------------------------------------------------------------------------------- writers


def equity_session(day: date, rows: int) -> pl.DataFrame:
    times = pl.int_range(start_of(day), start_of(day) + rows, eager=True)
    money = (times * 7) % 10**13
    return pl.DataFrame({"time": times, "session": [day] * rows, "strategy": ["s"] * rows, "equity": money, "cash": money,
                         "gross": money, "net": money})  # fmt: skip


def test_row_groups_end_with_sessions_and_memory_is_bounded(tmp_path: Path) -> None:
    writer = TableWriter(tmp_path / "a.parquet", "equity")
    for day in DAYS:
        writer.append(rows_of("equity", equity_session(day, 8_000)))
        writer.end_session()
        assert writer._rows < 25_000
    writer.close()
    footer = pq.ParquetFile(tmp_path / "a.parquet").metadata
    assert [footer.row_group(i).num_rows for i in range(footer.num_row_groups)] == [32_000] * 10
    assert footer.row_group(0).column(0).compression == "ZSTD"


def test_a_row_group_ends_after_many_bytes_too(tmp_path: Path) -> None:
    writer = TableWriter(tmp_path / "a.parquet", "log")
    for day in DAYS[:4]:
        text = [f"{day}" * 125] * 1000
        when = [start_of(day)] * 1000
        frame = pl.DataFrame({"time": when, "strategy": ["s"] * 1000, "message": text, "fields": ["{}"] * 1000})
        writer.append(rows_of("log", frame))
        writer.end_session()
    writer.close()
    assert pq.ParquetFile(tmp_path / "a.parquet").metadata.num_row_groups == 2


def fill_rows(day: date, symbols: Sequence[str], words: Sequence[str]) -> Rows:
    """9 000 fills of three minutes, their text by codes into `words`, with some that tie."""
    rng = np.random.default_rng(day.toordinal())
    known = pa.array(words, pa.string())

    def text(values: Sequence[str]) -> pa.DictionaryArray:
        return coded(np.array([words.index(v) for v in values])[rng.integers(0, len(values), 9_000)], known)

    whole = {name: rng.integers(0, 1_000_000, 9_000) for name in SCHEMAS["fills"]}
    strategies, tags = text(["s", "\u00fc", "t"]), text(["", "out", "in"])
    return pa.table(
        whole
        | {"strategy": strategies, "symbol": text(symbols), "side": text(["sell", "buy"]), "tag": tags}
        | {"session": np.full(9_000, day, dtype="datetime64[D]"), "order_id": rng.integers(0, 40, 9_000)}
        | {"time": start_of(day) + rng.integers(0, 3, 9_000) * 60_000_000, "bar_share": rng.random(9_000)}
        | {"ambiguous": rng.random(9_000) < 0.1}
    )


WORDS = ["", "A", "AA", "B", "b", "buy", "in", "out", "s", "sell", "t", "\u00fc"]


@pytest.mark.parametrize("how", ["pieces", "slices", "empty", "other words", "apart"])
def test_bytes_do_not_depend_on_how_a_session_arrives(tmp_path: Path, how: str) -> None:
    """Neither on pieces and buffers, nor on which words the text's codes are of."""

    def write(path: Path, how: str) -> bytes:
        writer = TableWriter(path, "fills")
        for day in DAYS[:8]:
            rows = fill_rows(day, ["b", "AA", "A"], [*WORDS[::-1], "never"] if how == "other words" else WORDS)
            if how == "pieces":
                parts = [rows.slice(i, 1_234) for i in range(0, 9_000, 1_234)]
            elif how == "slices":
                parts = [pa.concat_tables([rows, rows]).slice(9_000, 9_000)]
            elif how == "empty":
                parts = [rows.slice(0, 0), rows, rows.slice(9_000)]
            elif how == "apart":  # each worker has words of its own
                ways = [np.asarray(rows["symbol"]) == symbol for symbol in ("AA", "b", "A")]
                parts = [
                    pa.table(
                        {
                            n: _own_words(c)
                            for n, c in zip(rows.column_names, rows.filter(pa.array(w)).columns, strict=True)
                        }
                    )
                    for w in ways
                ]
            else:
                parts = [rows]
            for part in parts:
                writer.append(part)
            writer.end_session()
        writer.end_session()
        writer.close()
        return path.read_bytes()

    assert write(tmp_path / "a", "whole") == write(tmp_path / "b", how)


def _own_words(column: pa.ChunkedArray) -> pa.Array:
    whole = column.combine_chunks()
    return whole.cast(pa.string()).dictionary_encode() if pa.types.is_dictionary(whole.type) else whole


def test_text_on_disk_is_plain_for_everybody(tmp_path: Path) -> None:
    """Codes are how it is written; zones and lists stay what they are."""
    folder = create(tmp_path)
    feed(folder)
    path = folder.finish(**DOCUMENTS)
    for table, schema in SCHEMAS.items():
        file = path / f"{table}.parquet"
        mine = pl.read_parquet(file)
        assert mine.schema == schema
        theirs = pq.read_table(file)
        for field in theirs.schema:
            dtype = schema[field.name]
            if dtype == pl.String:
                assert pa.types.is_string(field.type)
            elif dtype == pl.Datetime:
                assert field.type == pa.timestamp("us", "UTC")
            elif dtype == pl.List:
                assert pa.types.is_list(field.type)
        assert pl.DataFrame(theirs).cast(schema).equals(mine)  # type: ignore[arg-type]
        with duckdb.connect() as connection:
            connection.execute("SET GLOBAL TimeZone='UTC'")
            rows = connection.sql(f"FROM read_parquet('{file}')")
            kinds = dict(zip(rows.columns, map(str, rows.types), strict=True))
            assert all(kinds[name] == "VARCHAR" for name, dtype in schema.items() if dtype == pl.String)
            assert all(
                kinds[name] == "TIMESTAMP WITH TIME ZONE" for name, dtype in schema.items() if dtype == pl.Datetime
            )
            assert rows.pl().cast(schema).equals(mine)  # type: ignore[arg-type]


TEXTS = st.text(st.characters(codec="utf-8"), max_size=3)
MINUTE = 60_000_000
TIMES = ((0, 1, 59, 61), (0, MINUTE, 2 * MINUTE, MINUTE << 20), (0, 1, MINUTE + 1, MINUTE + 2))
"""Close together, on minutes, and not on minutes though more than one apart."""


@settings(deadline=None)
@given(
    rows=st.lists(st.tuples(st.integers(0, 2), st.integers(0, 3), TEXTS, TEXTS, st.integers(0, 3)), max_size=30),
    times=st.sampled_from(TIMES),
    far=st.sampled_from([1, 1 << 40, 1 << 60]),
    seed=st.randoms(),
)
def test_order_by_integers_is_order_by_text(
    rows: list[tuple[int, int, str, str, int]], times: tuple[int, ...], far: int, seed: random.Random
) -> None:
    """Also where keys are too far apart to be one integer, and whatever order the words have."""
    columns = list(zip(*rows, strict=True)) or [()] * 5
    words = list(dict.fromkeys([*columns[2], *columns[3], "never"]))
    seed.shuffle(words)
    made = pa.table(
        {
            "session": np.array([DAYS[n] for n in columns[0]], dtype="datetime64[D]"),
            "decided_at": np.array([times[n] for n in columns[1]], dtype=np.int64),
            "strategy": coded(np.array([words.index(w) for w in columns[2]], dtype=np.int64), words),
            "symbol": coded(np.array([words.index(w) for w in columns[3]], dtype=np.int64), words),
            "id": np.array([n * far for n in columns[4]], dtype=np.int64),
            "came": np.arange(len(rows)),
        }
    )
    assert in_order("orders", made)["came"].to_pylist() == sorted(range(len(rows)), key=lambda n: rows[n])


def test_what_must_not_be_null_is_refused() -> None:
    rows = rows_of("orders", orders([(DAYS[0], 1, "s", "AAA", 1)]))
    settled("orders", rows.set_column(rows.schema.get_field_index("level"), "level", pa.nulls(1, pa.int64())))
    for name, match in (
        ("id", "orders: id must not be null, was in 1 of 1 rows"),
        ("x", "orders: rows must have id, were"),
    ):
        bad = rows.set_column(rows.schema.get_field_index("id"), name, pa.nulls(1, pa.int64()))
        with pytest.raises(TypeError, match=match):
            settled("orders", bad)


def test_late_orders_come_where_they_were_decided(tmp_path: Path) -> None:
    rng = random.Random(3)
    pending: dict[date, list[tuple[date, int, str, str, int]]] = {day: [] for day in [*DAYS, date.max]}
    for n, day in enumerate(DAYS):
        for i in range(3_000):
            key = (day, rng.randrange(390), rng.choice("ab"), rng.choice(["X", "Y"]), n * 10_000 + i)
            ends = [*DAYS, date.max][min(n + max(0, rng.randrange(-20, 30)), len(DAYS))]
            pending[ends].append(key)
    writer = OrdersWriter(tmp_path / "orders.parquet")
    for day in DAYS:
        writer.append(order_rows(pending[day]))
        writer.end_session(day)
    writer.append(order_rows(pending[date.max]))
    writer.close()
    assert [p.name for p in tmp_path.iterdir()] == ["orders.parquet"]
    found = pl.read_parquet(tmp_path / "orders.parquet")
    assert found.schema == SCHEMAS["orders"]
    everything = sorted(key for keys in pending.values() for key in keys)
    times = [start_of(day) + m * 60_000_000 for day, m, *_ in everything]
    assert found["id"].to_list() == [key[4] for key in everything]
    assert found["decided_at"].to_physical().to_list() == times
    footer = pq.ParquetFile(tmp_path / "orders.parquet").metadata
    assert footer.num_row_groups == 5  # 9 sessions of 3 000 make a row group


def test_orders_without_late_ones_and_none_at_all(tmp_path: Path) -> None:
    for name, days in (("a", DAYS[:3]), ("b", [])):
        (tmp_path / name).mkdir()
        writer = OrdersWriter(tmp_path / name / "orders.parquet")
        for n, day in enumerate(days):
            writer.append(order_rows([(day, 2, "s", "X", n), (day, 1, "s", "X", n + 10)]))
            writer.end_session(day)
        writer.close()
        found = pl.read_parquet(tmp_path / name / "orders.parquet")
        assert found["id"].to_list() == ([10, 0, 11, 1, 12, 2] if days else [])
        assert found.schema == SCHEMAS["orders"]
        assert len(list((tmp_path / name).iterdir())) == 1


def test_deferred_orders_say_their_session(tmp_path: Path) -> None:
    writer = OrdersWriter(tmp_path / "orders.parquet")
    with pytest.raises(TypeError, match="deferred rows must come with the sessions"):
        writer.append(Deferred(lambda parts: order_rows([]), None, 1))
    writer.append(Deferred(lambda parts: order_rows([]), None, 0))
    writer.abort()


# ----------------------------------------------------------------------------------------------------------- folder


def test_a_folder_appears_whole_under_its_name(tmp_path: Path) -> None:
    folder = create(tmp_path / "runs")
    assert folder.path == tmp_path / "runs" / NAME
    feed(folder)
    assert [p.name for p in (tmp_path / "runs").iterdir()] == [f".{NAME}.partial"]
    path = folder.finish(**DOCUMENTS)
    assert [p.name for p in (tmp_path / "runs").iterdir()] == [NAME]
    assert {p.name for p in path.iterdir()} == {*(f"{t}.parquet" for t in SCHEMAS), *(f"{d}.json" for d in DOCUMENTS)}
    assert is_run(path)
    assert open_documents(path) == DOCUMENTS
    for table, frame in open_tables(path).items():
        assert frame.collect_schema() == SCHEMAS[table]
    folder.discard()
    assert is_run(path)


def test_files_are_the_same_byte_for_byte_and_as_in_memory(tmp_path: Path) -> None:
    paths = []
    for n, pieces in enumerate((1, 1, 7)):
        folder = create(tmp_path / str(n))
        feed(folder, pieces=pieces)
        paths.append(folder.finish(**DOCUMENTS))
    assert digests(paths[0]) == digests(paths[1]) == digests(paths[2])
    memory = MemoryResults()
    feed(memory, pieces=3)
    assert memory.finish(**DOCUMENTS) is None
    assert memory.documents == DOCUMENTS
    for table, frame in open_tables(paths[0]).items():
        collected = frame.collect()
        assert collected.height > 0
        assert collected.equals(memory.tables[table]), table
        if table not in {"records", "log"}:
            assert collected.equals(collected.sort(ORDER[table], maintain_order=True)), table


def test_a_run_without_sessions_has_empty_tables(tmp_path: Path) -> None:
    path = create(tmp_path).finish(**DOCUMENTS)
    memory = MemoryResults()
    memory.finish(**DOCUMENTS)
    for table, frame in open_tables(path).items():
        assert frame.collect().equals(SCHEMAS[table].to_frame())
        assert memory.tables[table].schema == SCHEMAS[table]


def test_names_never_collide(tmp_path: Path) -> None:
    first, second = create(tmp_path), create(tmp_path)  # at once, in the same second
    assert [first.path.name, second.path.name] == [NAME, f"{NAME}-2"]
    first.finish(**DOCUMENTS)
    (tmp_path / f"{NAME}-2").mkdir()
    (tmp_path / f"{NAME}-2" / "other").touch()
    assert second.finish(**DOCUMENTS).name == f"{NAME}-2-2"  # somebody took its name meanwhile
    with create(tmp_path) as third:
        assert third.path.name == f"{NAME}-3"
    assert (tmp_path / f"{NAME}-2" / "other").exists()


def test_out_is_the_folder_itself(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "empty").mkdir()
    assert create(tmp_path, out=Path("empty")).finish(**DOCUMENTS) == tmp_path / "empty"
    assert create(tmp_path, out=Path("new/deep")).finish(**DOCUMENTS) == tmp_path / "new" / "deep"
    (tmp_path / "file").touch()
    for taken in ("empty", "file"):
        with pytest.raises(UsageError, match=r"--out: .* must be a new or empty folder, was in use; name another one"):
            create(tmp_path, out=Path(taken))
    late = create(tmp_path, out=Path("late"))
    (tmp_path / "late").mkdir()
    (tmp_path / "late" / "theirs").touch()
    with pytest.raises(ResultsError, match="late: results must be written whole"):
        late.finish(**DOCUMENTS)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["empty", "file", "late", "new"]
    assert [p.name for p in (tmp_path / "late").iterdir()] == ["theirs"]


def test_an_exception_leaves_nothing(tmp_path: Path) -> None:
    def broken() -> None:
        with create(tmp_path) as folder:
            feed(folder, DAYS[:3])
            raise KeyError

    with pytest.raises(KeyError):
        broken()
    assert list(tmp_path.iterdir()) == []


class FullDisk:
    """A file on a disk with `room` bytes left for everybody."""

    room = 0

    def __init__(self, file: object) -> None:
        self._file = file

    def write(self, data: bytes | str) -> int:
        FullDisk.room -= len(data)
        if FullDisk.room < 0:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        return self._file.write(data)  # type: ignore[attr-defined, no-any-return]

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()  # type: ignore[attr-defined]

    def __getattr__(self, name: str) -> object:
        return getattr(self._file, name)


@pytest.mark.parametrize("share", [0.0, 0.05, 0.3, 0.6, 0.9, 0.97, 0.999])
def test_a_full_disk_leaves_nothing_and_says_what_to_do(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, share: float
) -> None:
    days = DAYS[:3]
    monkeypatch.setattr("bt.results.writers.ROWS", 100)  # so that row groups are written on the way
    real = Path.open

    def opened(self: Path, mode: str = "r", **more: object) -> object:
        file = real(self, mode, **more)  # type: ignore[call-overload]
        return FullDisk(file) if "w" in mode else file

    monkeypatch.setattr(Path, "open", opened)
    FullDisk.room = 10**9
    run_whole(tmp_path / "whole", days)
    FullDisk.room = int((10**9 - FullDisk.room) * share)
    with pytest.raises(ResultsError, match=r"No space left on device; free some space or choose another") as caught:
        run_whole(tmp_path / "runs", days)
    assert str(tmp_path / "runs" / NAME) in str(caught.value)
    assert list((tmp_path / "runs").iterdir()) == []


def test_a_folder_that_cannot_be_made(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(
        UsageError, match=r"results must go to a folder that can be made, was stopped at .*file.*: Not a directory; "
    ):
        create(tmp_path / "file" / "runs")


def test_one_run_at_a_time_goes_to_a_folder(tmp_path: Path) -> None:
    code = f"""
import sys
sys.path[:0] = [{str(Path(__file__).parent)!r}, {str(Path(__file__).parents[1])!r}]
from test_results import *
made = create(Path({str(tmp_path)!r}), out=Path({str(tmp_path / "mine")!r}))
print("made", flush=True)
sys.stdin.read()
made.finish(**DOCUMENTS)
"""
    other = subprocess.Popen([sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert other.stdout is not None
    assert other.stdout.readline() == "made\n"
    with pytest.raises(LockedError, match=r"--out: .*mine must not be in use, was another run's right now"):
        create(tmp_path, out=tmp_path / "mine")
    other.communicate("")
    assert is_run(tmp_path / "mine")
    with pytest.raises(UsageError, match="must be a new or empty folder"):
        create(tmp_path, out=tmp_path / "mine")


def test_fsync_fails(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = create(tmp_path)
    feed(folder)

    def broken(_: int) -> None:
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    monkeypatch.setattr(os, "fsync", broken)
    with pytest.raises(ResultsError, match="was stopped by: Input/output error"):
        folder.finish(**DOCUMENTS)
    assert list(tmp_path.iterdir()) == []


def test_what_a_killed_run_leaves_is_hidden_and_in_nobodys_way(tmp_path: Path) -> None:
    code = f"""
import os, sys
sys.path[:0] = [{str(Path(__file__).parent)!r}, {str(Path(__file__).parents[1])!r}]
from test_results import *
for out in (None, Path({str(tmp_path / "mine")!r})):
    feed(create(Path({str(tmp_path)!r}), out=out))
os.kill(os.getpid(), 9)
"""
    killed = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert killed.returncode == -9, killed.stderr
    left = sorted(tmp_path.iterdir())
    assert [p.name for p in left] == [f".{NAME}.partial", ".mine.partial"]
    assert not any(is_run(p) for p in left)
    with pytest.raises(UsageError, match="must be the folder of a finished run, was not"):
        open_tables(left[0])
    # The same names again: one gives way, the one that was asked for is made.
    assert is_run(create(tmp_path).finish(**DOCUMENTS))
    assert create(tmp_path, out=tmp_path / "mine").finish(**DOCUMENTS) == tmp_path / "mine"


def test_a_stopped_run_is_readable(tmp_path: Path) -> None:
    with create(tmp_path) as folder:
        feed(folder, DAYS[:2])
        told = manifest({"run": {}}, spec_hash=HASH, strategy_hashes={"s": "0"}, data_fingerprint="f",
                        finish_reason="stopped", stopped_by="interrupt")  # fmt: skip
        path = folder.finish(manifest=told, metrics={}, timings={})
    assert open_documents(path)["manifest"]["finish_reason"] == "stopped"
    assert open_tables(path)["sessions"].collect().height == 2


def test_the_manifest_names_versions_and_a_known_reason() -> None:
    told = manifest({}, spec_hash=HASH, strategy_hashes={}, data_fingerprint="f", finish_reason="end_date")
    json.dumps(told, allow_nan=False)
    assert told["versions"] == versions()
    assert versions()["polars"] == pl.__version__
    assert set(versions()) == {"bt", "python", "polars", "duckdb", "numpy", "pyarrow"}
    with pytest.raises(ValueError, match="finish_reason must be"):
        manifest({}, spec_hash=HASH, strategy_hashes={}, data_fingerprint="f", finish_reason="done")


def test_documents_hold_json_only(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="JSON compliant"), create(tmp_path) as folder:
        folder.finish(manifest={}, metrics={"sharpe": float("nan")}, timings={})
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    "values",
    [
        np.array([1, -2, 3], dtype=np.int64),
        np.array([1, 2, 3], dtype=np.uint32),
        np.array([0.5, 1e300, -0.0]),
        np.array([True, False, True]),
        np.array(["2024-01-02", "1969-12-31", "2024-11-29"], dtype="datetime64[D]"),
        np.arange(12, dtype=np.int64)[::4],
    ],
)
def test_arrow_arrays_are_what_pyarrow_makes_of_them(values: Any) -> None:
    absent = np.array([False, True, False])
    assert arrays.arrow(values).equals(pa.array(values))
    assert arrays.arrow(values, absent=absent).equals(pa.array(values, mask=absent))
    made = pa.chunked_array([arrays.arrow(values[:1]), arrays.arrow(values[1:])])
    np.testing.assert_array_equal(arrays.plain(made), values)
    np.testing.assert_array_equal(arrays.plain(arrays.arrow(values)[1:]), values[1:])
    assert not len(arrays.plain(arrays.arrow(values)[:0]))


@given(st.lists(st.text()))
def test_text_is_what_pyarrow_makes_of_it(words: list[str]) -> None:
    assert arrays.text(words).equals(pa.array(words, pa.string()))
