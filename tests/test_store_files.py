"""Which files are a store, and every fault of a file: named before any work."""

from __future__ import annotations

import hashlib
import os
import shutil
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from store_bars import DAY, bars, spec, three_days, us, write

from bt.errors import ConfigError, DataError, UsageError
from bt.store import Store
from bt.store import bars as store_bars_module
from bt.store.files import recognised, store_cache
from bt.store.schemas import known_schemas

ALWAYS = (0, 2**60)
FIVE = ["open", "high", "low", "close", "volume"]


def opened(where: Path | str, **changes: object) -> Store:
    return Store.open(spec(where, **changes), threads=1)


def fault(where: Path | str, **changes: object) -> str:
    with pytest.raises(DataError) as caught:
        opened(where, **changes)
    return str(caught.value)


# ------------------------------------------------------------------------------------------------------- which files


def test_a_folder_is_searched_without_hidden_and_underscored_names(tmp_path: Path) -> None:
    names = ["b.parquet", "deep/er/a.parquet", ".hidden/x.parquet", "_temporary/x.parquet", "_x.parquet", ".x.parquet"]
    write(tmp_path, {name: bars(day=i) for i, name in enumerate(names)})
    (tmp_path / "notes.txt").write_text("not bars")
    assert opened(tmp_path).files["path"].to_list() == [
        str(tmp_path / "b.parquet"),
        str(tmp_path / "deep/er/a.parquet"),
    ]


def test_a_glob_with_two_stars_and_a_single_file(tmp_path: Path) -> None:
    write(tmp_path, {"2023/x/a.parquet": bars(day=0), "2024/b.parquet": bars(day=1), "2024/y/c.parquet": bars(day=2)})
    assert [Path(p).name for p in opened(f"{tmp_path}/2024/**/*.parquet").files["path"]] == ["b.parquet", "c.parquet"]
    assert opened(tmp_path / "2024/b.parquet").rows == 10
    assert (tmp_path / "2024/.bt").is_dir()


def test_names_with_wildcard_characters_are_names(tmp_path: Path) -> None:
    store = opened(write(tmp_path / "a[1]", {"x*?.parquet": bars(), "x1.parquet": bars(day=1)}))
    assert store.read(*ALWAYS, ["open"]).height == 20


@pytest.mark.parametrize(
    ("where", "was"),
    [
        ("nowhere", "must be a folder, file or glob that exists, was not there"),
        ("nowhere/*.parquet", "must be a glob that matches files, was one that matches none"),
        ("empty", "must be a folder with *.parquet files, was empty"),
    ],
)
def test_nothing_matches(tmp_path: Path, where: str, was: str) -> None:
    (tmp_path / "empty").mkdir()
    message = fault(tmp_path / where)
    assert f"{where} {was}; " in message
    assert "bt ingest" in message


def test_a_store_without_rows(tmp_path: Path) -> None:
    assert "at least one bar" in fault(write(tmp_path, {"a.parquet": bars().clear()}))


def test_a_file_without_rows_beside_others(tmp_path: Path) -> None:
    store = opened(write(tmp_path, {"a.parquet": bars().clear(), "b.parquet": bars()}))
    assert store.files["rows"].to_list() == [0, 10]
    assert store.clean(*ALWAYS)
    assert store.read(*ALWAYS, ["open"]).height == 10


# -------------------------------------------------------------------------------------------------------- file faults


def test_truncated_empty_and_text_files_are_all_named_before_any_work(tmp_path: Path) -> None:
    folder = three_days(tmp_path)
    (folder / "a.parquet").write_bytes((folder / "a.parquet").read_bytes()[:-200])
    (folder / "b.parquet").write_bytes(b"")
    (folder / "d.parquet").write_text("symbol,ts,open\n")
    message = fault(folder)
    lines = message.splitlines()
    assert lines[0] == "data.bars: 3 file faults, nothing was read"
    assert "a.parquet" in lines[1]
    assert "truncated" in lines[1]
    assert "b.parquet" in lines[2]
    assert "empty (0 bytes)" in lines[2]
    assert "d.parquet" in lines[3]
    assert "symbol,ts,open" in lines[3]
    assert not (folder / ".bt").exists()


def test_at_most_twenty_faults_are_listed(tmp_path: Path) -> None:
    for i in range(23):
        (tmp_path / f"{i:02}.parquet").write_bytes(b"")
    lines = fault(tmp_path).splitlines()
    assert len(lines) == 22
    assert lines[-1].strip() == "... and 3 more"


def test_damaged_pages_behind_a_sound_footer(tmp_path: Path) -> None:
    folder = three_days(tmp_path)
    path = folder / "b.parquet"
    raw = bytearray(path.read_bytes())
    raw[10:400] = bytes(390)
    path.write_bytes(raw)
    assert str(path) in fault(folder)


@pytest.mark.parametrize(
    ("change", "column", "found", "hint"),
    [
        (pl.col("ts").dt.replace_time_zone(None), "'ts'", "timestamp[us]", "data.timezone"),
        (pl.col("ts").dt.epoch("ms"), "'ts'", "int64", "bt ingest"),
        (pl.col("ts").dt.date(), "'ts'", "date32", "bt ingest"),
        (pl.col("close").cast(pl.String), "'close'", "large_string", "bt ingest"),
        (pl.col("open").cast(pl.Float32), "'open'", "float", "as in the other files"),
        (pl.col("volume").cast(pl.String), "'volume'", "large_string", "bt ingest"),
        (pl.col("volume").cast(pl.Float64), "'volume'", "double", "as in the other files"),
        (pl.lit(7).alias("symbol"), "'symbol'", "int32", "bt ingest"),
    ],
)
@pytest.mark.parametrize("where", ["a", "c"])
def test_a_retyped_column_in_one_file(
    tmp_path: Path, change: pl.Expr, column: str, found: str, hint: str, where: str
) -> None:
    folder = three_days(tmp_path)
    bars().with_columns(change).write_parquet(folder / f"{where}.parquet")
    message = fault(folder)
    assert message.startswith(str(folder / f"{where}.parquet"))
    assert "\n" not in message
    for part in (column, f"was {found}", hint):
        assert part in message


@pytest.mark.parametrize("name", ["ts", "symbol", "high", "volume"])
def test_a_missing_column_in_a_later_file(tmp_path: Path, name: str) -> None:
    folder = three_days(tmp_path)
    bars().drop(name).write_parquet(folder / "c.parquet")
    message = fault(folder)
    assert message.startswith(str(folder / "c.parquet"))
    assert f"'{name}'" in message
    assert "missing" in message


def test_a_missing_column_names_the_likely_one(tmp_path: Path) -> None:
    folder = write(tmp_path, {"a.parquet": bars().rename({"close": "Close"})})
    assert 'data.columns.close = "Close"' in fault(folder)
    assert opened(folder, columns={"close": "Close"}).read(*ALWAYS, ["close"])["close"][0] == 10.26


@pytest.mark.parametrize(
    ("columns", "change", "hint"),
    [
        ({"open_time": "tss"}, {}, 'open_time = "ts"'),  # not open, which is a price
        ({"open_time": "Time"}, {"ts": "bar_time"}, 'open_time = "bar_time"'),
        ({"open_time": "when"}, {"ts": "OpenTime"}, 'open_time = "OpenTime"'),  # like our name if not like theirs
        ({"open_time": "nothing"}, {}, 'open_time = "..."'),
        ({"symbol": "tick"}, {"symbol": "tickers"}, 'symbol = "tickers"'),
        ({"close": "last"}, {"close": "lasts"}, 'close = "lasts"'),
        ({"close": "hig"}, {"close": "x"}, 'close = "..."'),  # high is another price
        ({}, {"ts": "open_tm"}, 'open_time = "open_tm"'),
        ({}, {"volume": "Volumes"}, 'volume = "Volumes"'),
    ],
)
def test_a_missing_column_names_one_like_it_that_it_may_be(
    tmp_path: Path, columns: dict[str, str], change: dict[str, str], hint: str
) -> None:
    folder = write(tmp_path, {"a.parquet": bars().rename(change)})
    assert fault(folder, columns=columns).endswith(f"if it has another name: data.columns.{hint}")


def test_columns_that_differ_only_in_case(tmp_path: Path) -> None:
    folder = write(tmp_path, {"a.parquet": bars().with_columns(Open=pl.lit(1.0))})
    assert "'open' must be there once" in fault(folder)


def test_an_extra_column_only_some_files_have_is_no_column(tmp_path: Path) -> None:
    extra = bars(day=1).with_columns(vwap=pl.lit(10.0))
    store = opened(write(tmp_path, {"a.parquet": bars(), "b.parquet": extra}))
    assert store.extra_columns == ()
    with pytest.raises(UsageError, match="vwap"):
        store.read(*ALWAYS, ["vwap"])
    assert store.read(*ALWAYS, ["open"]).height == 20


def test_an_extra_column_all_files_have(tmp_path: Path) -> None:
    frames = {
        f"{i}.parquet": bars(day=i).with_columns(vwap=pl.lit(10.5, pl.Float32), note=pl.lit("x")) for i in range(2)
    }
    store = opened(write(tmp_path, frames))
    assert store.extra_columns == ("vwap", "note")
    frame = store.read(*ALWAYS, ["note", "vwap"])
    assert frame.schema == {"code": pl.UInt16, "time": pl.Int64, "note": pl.String, "vwap": pl.Float64}


# -------------------------------------------------------------------------------------------------- names and symbols


@pytest.mark.parametrize("name", ["open_time", "ts", "timestamp", "time", "datetime", "date"])
@pytest.mark.parametrize("symbol", ["symbol", "ticker"])
def test_usual_names_need_no_mapping(tmp_path: Path, name: str, symbol: str) -> None:
    store = opened(write(tmp_path, {"a.parquet": bars().rename({"ts": name, "symbol": symbol})}))
    assert store.first == {"AAA": us(DAY), "BBB": us(DAY)}


def test_two_time_columns_need_a_mapping(tmp_path: Path) -> None:
    folder = write(tmp_path, {"a.parquet": bars().with_columns(date=pl.col("ts") + timedelta(days=1))})
    message = fault(folder)
    assert "any of ts, date" in message
    assert "data.columns.open_time" in message
    assert opened(folder, columns={"open_time": "date"}).first["AAA"] == us(DAY + timedelta(days=1))


def test_symbols_from_hive_folders(tmp_path: Path) -> None:
    parts = {
        f"symbol={name}/{day}.parquet": bars((name,), day=day).drop("symbol")
        for name in ("ZZZ", "AAA")
        for day in range(2)
    }
    store = opened(write(tmp_path, {**parts, "symbol=B%2FC/0.parquet": bars(("x",)).drop("symbol")}))
    assert store.symbols == ("AAA", "B/C", "ZZZ")
    frame = store.read(*ALWAYS, ["close"])
    assert frame["code"].to_list() == [0] * 10 + [1] * 5 + [2] * 10
    assert store.read(*ALWAYS, ["close"], symbols=["B/C"])["code"].to_list() == [1] * 5
    last = opened(tmp_path, symbols=("ZZZ",))
    assert last.read(*ALWAYS, ["close"])["code"].to_list() == [0] * 10
    assert last.read(0, 1, ["close"]).height == 0


def test_equal_files_of_two_hive_symbols_are_two_symbols(tmp_path: Path) -> None:
    same = bars(("x",)).drop("symbol")
    store = opened(write(tmp_path, {"symbol=A/0.parquet": same, "symbol=B/0.parquet": same}))
    assert store.read(*ALWAYS, [])["code"].to_list() == [0] * 5 + [1] * 5
    assert store.clean(*ALWAYS)


def test_no_symbol_at_all(tmp_path: Path) -> None:
    message = fault(write(tmp_path, {"a.parquet": bars().drop("symbol")}))
    assert "symbol or ticker" in message
    assert "data.columns.symbol" in message


@pytest.mark.parametrize("kind", [pl.Categorical, pl.Enum(["AAA", "BBB"])])
def test_dictionary_symbols(tmp_path: Path, kind: pl.DataType) -> None:
    store = opened(write(tmp_path, {"a.parquet": bars().cast({"symbol": kind}), "b.parquet": bars(day=1)}))
    assert store.read(*ALWAYS, [])["code"].to_list() == ([0] * 5 + [1] * 5) * 2


def test_unknown_symbols_name_the_nearest(tmp_path: Path) -> None:
    folder = three_days(tmp_path)
    with pytest.raises(UsageError, match="'AAB'; the nearest is 'AAA'"):
        opened(folder, symbols=("BBB", "AAB"))
    with pytest.raises(UsageError, match="'BB'; the nearest is 'BBB'"):
        opened(folder).read(*ALWAYS, ["open"], symbols=["BB"])


def test_chosen_symbols_are_sorted_and_the_rest_is_not_there(tmp_path: Path) -> None:
    folder = write(tmp_path, {"a.parquet": bars(("A", "B", "C")), "b.parquet": bars(("B",), day=1)})
    store = opened(folder, symbols=("C", "A"))
    assert store.symbols == ("A", "C")
    assert (store.rows, set(store.decimals)) == (10, {"A", "C"})
    assert store.files["first"].to_list() == [us(DAY), None]
    assert store.read(*ALWAYS, [])["code"].to_list() == [0] * 5 + [1] * 5


def test_nulls_in_the_key_are_a_file_fault(tmp_path: Path) -> None:
    holes = bars().with_columns(symbol=pl.when(pl.col("open") > 10.27).then(pl.col("symbol")))
    message = fault(write(tmp_path, {"a.parquet": holes}))
    assert "'symbol' must have no null, was null in 6 rows" in message


# --------------------------------------------------------------------------------------------------------------- time


@pytest.mark.parametrize("unit", ["ms", "us", "ns"])
@pytest.mark.parametrize("zone", ["UTC", "Asia/Tokyo"])
@pytest.mark.parametrize("stamp", ["start", "end"])
def test_units_zones_and_stamps(tmp_path: Path, unit: str, zone: str, stamp: str) -> None:
    shift = timedelta(minutes=1 if stamp == "end" else 0)
    frame = bars().with_columns((pl.col("ts") + shift).dt.convert_time_zone(zone).dt.cast_time_unit(unit))
    store = opened(write(tmp_path, {"a.parquet": frame}), stamp=stamp)
    assert store.first["AAA"] == us(DAY)
    part = store.read(us(DAY) + 60_000_000, us(DAY) + 180_000_000, ["open"])
    assert part.rows() == [(c, us(DAY) + m * 60_000_000, 10.25 + m / 100) for c in (0, 1) for m in (1, 2)]


@pytest.mark.parametrize("us", [2**62, -(2**60)])
def test_a_time_in_no_year_is_a_file_fault(tmp_path: Path, us: int) -> None:
    stray = bars(("B",), n=1).with_columns(ts=pl.lit(us).cast(pl.Datetime("us", "UTC")))
    message = fault(write(tmp_path, {"a.parquet": bars(("A",)), "b.parquet": stray}))
    assert f"b.parquet: column 'ts' must lie in the years 1 to 9999, was {us:,} microseconds from 1970 in B" in message


def test_a_store_with_a_row_of_the_first_year_is_read_in_any_zone(tmp_path: Path) -> None:
    local = pl.col("ts").dt.convert_time_zone("America/New_York").dt.replace_time_zone(None)
    stray = bars(("B",), n=1).with_columns(ts=pl.lit(datetime(1, 1, 1)))  # noqa: DTZ001
    frames = {"a.parquet": bars(("A",)).with_columns(local), "b.parquet": stray}
    store = opened(write(tmp_path, frames), timezone="America/New_York")
    assert store.read(us(DAY), us(DAY) + 120_000_000, []).height == 2
    assert store.read(0, 60_000_000, []).height == 0


@pytest.mark.parametrize("unit", ["us", "ns"])
def test_naive_times_of_a_zone(tmp_path: Path, unit: str) -> None:
    local = pl.col("ts").dt.convert_time_zone("America/New_York").dt.replace_time_zone(None).dt.cast_time_unit(unit)
    frames = {f"{day}.parquet": bars(day=day).with_columns(local) for day in (0, 180)}
    store = opened(write(tmp_path, frames), timezone="America/New_York")
    summer = us(DAY + timedelta(days=180))
    assert (store.first["AAA"], store.last["AAA"]) == (us(DAY), summer + 240_000_000)
    assert store.read(summer + 60_000_000, summer + 120_000_000, []).rows() == [
        (c, summer + 60_000_000) for c in (0, 1)
    ]


@pytest.mark.parametrize("local", [datetime(2024, 11, 3, 1, 30), datetime(2024, 3, 10, 2, 30)])  # noqa: DTZ001
def test_a_local_time_that_is_twice_or_never(tmp_path: Path, local: datetime) -> None:
    frame = bars(("A",), n=1).with_columns(ts=pl.lit(local))
    message = fault(write(tmp_path, {"a.parquet": frame}), timezone="America/New_York")
    assert message.startswith(str(tmp_path / "a.parquet"))
    assert str(local) in message
    assert "'ts'" in message


def test_an_unknown_zone(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="America/New_York"):
        opened(three_days(tmp_path), timezone="New York")


# -------------------------------------------------------------------------------------------------- after it was opened


def test_a_vanished_and_a_changed_file(tmp_path: Path) -> None:
    folder = three_days(tmp_path)
    store = opened(folder)
    (folder / "a.parquet").unlink()
    bars(day=1, n=9).write_parquet(folder / "b.parquet")
    with pytest.raises(DataError, match=r"a\.parquet: file must still be readable"):
        store.read(us(DAY), us(DAY) + 1, ["open"])
    day = us(DAY + timedelta(days=1))
    with pytest.raises(DataError, match=r"b\.parquet: file must not change"):
        store.read(day, day + 1, ["open"])
    day = us(DAY + timedelta(days=2))
    assert store.read(day, day + 1, ["open"]).height == 2


# ----------------------------------------------------------------------------------------------------- remembered files


def unread(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The files whose footer is read from now on."""
    footers: list[str] = []
    read = pq.read_schema
    monkeypatch.setattr(pq, "read_schema", lambda file: footers.append(Path(file.name).name) or read(file))
    return footers


def test_files_that_are_known_are_not_opened_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nor files that have become other ones taken for what they were."""
    folder = three_days(tmp_path)
    first = opened(folder)
    footers = unread(monkeypatch)
    again = opened(folder)
    assert not footers
    assert (again.layout, again.fingerprint) == (first.layout, first.fingerprint)
    bars(day=1, n=9).write_parquet(folder / "b.parquet")
    bars(day=3).write_parquet(folder / "d.parquet")
    assert opened(folder).rows == 48
    assert footers == ["b.parquet", "d.parquet"]
    (folder / "a.parquet").unlink()
    assert opened(folder).rows == 38
    assert len(footers) == 2
    bars(day=1, n=9).drop("high").write_parquet(folder / "b.parquet")
    assert "b.parquet: column 'high' must be present" in fault(folder)
    assert "b.parquet: column 'high' must be present" in fault(folder)
    assert footers[2:] == ["b.parquet", "b.parquet"]  # what has a fault is not remembered


@pytest.mark.parametrize("damage", ["absent", "empty", "cut", "turned", "another pyarrow's"])
def test_a_memory_of_schemas_that_is_damaged_is_made_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, damage: str
) -> None:
    folder = three_days(tmp_path)
    opened(folder)
    memory = folder / ".bt" / "schemas-1.json"
    whole = memory.read_bytes()
    if damage == "another pyarrow's":
        monkeypatch.setattr(pa, "__version__", "1.0.0")
    elif damage == "absent":
        memory.unlink()
    elif damage == "turned":  # a bit of any byte
        for place in range(0, len(whole), 7):
            memory.write_bytes(whole[:place] + bytes([whole[place] ^ 4]) + whole[place + 1 :])
            assert known_schemas(folder / ".bt") == {}
    else:
        memory.write_bytes(whole[: len(whole) // 2] if damage == "cut" else b"")
    footers = unread(monkeypatch)
    assert opened(folder).rows == 30
    assert len(footers) == 3
    assert opened(folder).rows == 30
    assert len(footers) == 3


@pytest.mark.parametrize("when", ["before it is identified", "before its footer is read"])
def test_a_file_that_changes_while_a_store_is_opened_is_not_remembered_as_what_it_was(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, when: str
) -> None:
    """What its footer said is not what its content is: the next opening finds out."""
    folder = three_days(tmp_path)
    if when == "before its footer is read":
        opened(folder)
        (folder / ".bt" / "schemas-1.json").unlink()
    name = "identify" if when == "before it is identified" else "schemas_of"
    real = getattr(store_bars_module, name)

    def late(*given: Any) -> Any:
        bars(day=1).with_columns(pl.col("close").cast(pl.String)).write_parquet(folder / "b.parquet")
        monkeypatch.setattr(store_bars_module, name, real)
        return real(*given)

    monkeypatch.setattr(store_bars_module, name, late)
    told = fault(folder)
    if when == "before it is identified":
        assert "b.parquet: file must not change while it is read, but did" in told
    for _ in range(2):
        assert "b.parquet: column 'close' must be a number" in fault(folder)


def test_a_file_that_changes_while_it_is_identified_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = three_days(tmp_path)
    digest = hashlib.file_digest

    def slowly(file: Any, kind: Any) -> Any:
        if file.name.endswith("b.parquet"):
            with (folder / "b.parquet").open("ab") as more:
                more.write(b"more")
        return digest(file, kind)

    monkeypatch.setattr(hashlib, "file_digest", slowly)
    assert "b.parquet: file must not change while it is read, but did; start again" in fault(folder)
    monkeypatch.undo()
    bars(day=1).write_parquet(folder / "b.parquet")
    assert opened(folder).rows == 30


def test_a_file_that_may_not_be_read_any_more_is_not_taken_as_known(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = three_days(tmp_path)
    opened(folder)
    footers = unread(monkeypatch)
    monkeypatch.setattr(os, "access", lambda path, mode: not str(path).endswith("b.parquet"))
    assert set(recognised([str(folder / "a.parquet"), str(folder / "b.parquet")], folder / ".bt")) == {
        str(folder / "a.parquet")
    }
    assert not footers


def test_schemas_of_many_files_are_those_of_each(tmp_path: Path) -> None:
    """More than one thread is given, in folders that name the symbol, of which some have a column more."""
    frames = {
        f"symbol=S{n:03}/{day}.parquet": bars(day=day, n=2).drop("symbol").with_columns(
            *([pl.lit(float(n)).alias("vwap")] if n % 2 else [])
        )
        for n in range(70) for day in range(2)
    }  # fmt: skip
    folder = write(tmp_path, frames)
    for _ in range(2):
        store = opened(folder)
        assert len(store.symbols) == 70
        assert store.extra_columns == ()
        assert store.files["path"].to_list() == sorted(str(folder / name) for name in frames)
    write(tmp_path, {"b.parquet": bars().drop("symbol")})
    told = fault(folder)
    assert told.startswith(f"{folder / 'b.parquet'}: column 'symbol or ticker' must be text (or a folder symbol=XYZ)")


# ------------------------------------------------------------------------------------------------------- cache folder


def test_a_folder_without_write_permission_is_left_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = three_days(tmp_path / "data")
    monkeypatch.setenv("BT_CACHE", str(tmp_path / "cache"))
    folder.chmod(0o555)
    try:
        opened(folder)
        assert sorted(path.name for path in folder.iterdir()) == ["a.parquet", "b.parquet", "c.parquet"]
    finally:
        folder.chmod(0o755)
    assert any(path.name.startswith("verdicts-") for path in (tmp_path / "cache").rglob("*.arrow"))


def test_nowhere_to_write_is_no_fault(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = three_days(tmp_path / "data")
    (tmp_path / "cache").write_text("a file, no folder")
    monkeypatch.setenv("BT_CACHE", str(tmp_path / "cache"))
    folder.chmod(0o555)
    try:
        assert opened(folder).rows == 30
    finally:
        folder.chmod(0o755)


def test_the_cache_is_beside_what_was_named(tmp_path: Path) -> None:
    assert store_cache(tmp_path) == tmp_path / ".bt"
    folder = three_days(tmp_path / "x")
    opened(f"{tmp_path}/x/[ab].parquet")
    assert {path.suffix for path in (folder / ".bt").iterdir()} == {".arrow", ".json"}
    shutil.rmtree(folder / ".bt")
    assert opened(folder).cache == folder / ".bt"


def test_the_real_stores_open(shared_data: Path) -> None:
    store = opened(shared_data / "us-equity-spy-2024")
    assert store.symbols == ("SPY",)
    assert store.cache.parts[: len(shared_data.parts)] != shared_data.parts
    assert store.decimals["SPY"] is not None
    assert store.first["SPY"] >= us(datetime(2024, 1, 1, tzinfo=UTC))
    assert store.read(*ALWAYS, FIVE).height == store.rows
