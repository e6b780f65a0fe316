"""The store that an ingest makes: whole or not at all, the same again, copies and conflicts, memory."""

from __future__ import annotations

import errno
import hashlib
import json
import os
import re
import signal
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path

import polars as pl
import pyarrow.parquet as pq
import pytest

from bt.errors import DataError, LockedError, ResultsError
from bt.ingest import IngestOptions, commit, ingest_files, layout
from bt.ingest.days import decimals

HEADER = "symbol,open_time,open,high,low,close,volume\n"
DAY = datetime(2024, 7, 1, 13, 30, tzinfo=UTC)


def bars(symbol: str, day: int = 0, minutes: int = 5, price: float = 10.0) -> str:
    start = DAY + timedelta(days=day)
    stamps = [(start + timedelta(minutes=i)).isoformat() for i in range(minutes)]
    return "".join(f"{symbol},{s},{price},{price},{price},{price},{100 + i}\n" for i, s in enumerate(stamps))


def write(folder: Path, name: str, text: str) -> Path:
    folder.mkdir(exist_ok=True)
    (folder / name).write_text(text)
    return folder / name


def content(store: Path) -> dict[str, str]:
    return {
        p.relative_to(store).as_posix(): hashlib.sha256(p.read_bytes()).hexdigest()
        for p in store.rglob("*")
        if p.is_file()
    }


def read(store: Path) -> pl.DataFrame:
    return pl.read_parquet(store / "**/*.parquet").sort("symbol", "open_time")


def live(store: Path) -> set[str]:
    days = json.loads((store / "_store.json").read_text())["days"]
    return {day["file"] for day in days.values()}


def test_one_file_a_day_sorted_by_symbol_and_time_in_the_promised_types(tmp_path):
    write(tmp_path / "in", "x.csv", HEADER + bars("B", 1) + bars("B") + bars("A"))
    ingest_files([tmp_path / "in"], tmp_path / "store", IngestOptions())
    files = sorted(p.relative_to(tmp_path / "store").as_posix() for p in (tmp_path / "store").rglob("*.parquet"))
    assert [f[:15] for f in files] == ["2024/2024-07-01", "2024/2024-07-02"]
    assert set(files) == live(tmp_path / "store")
    first = pq.read_table(tmp_path / "store" / files[0])
    kinds = {f.name: str(f.type) for f in first.schema}
    assert kinds == {"symbol": "string", "open_time": "timestamp[us, tz=UTC]", "open": "double", "high": "double",
                     "low": "double", "close": "double", "volume": "int64"}  # fmt: skip
    assert first["symbol"].to_pylist() == ["A"] * 5 + ["B"] * 5
    assert first["open_time"].to_pylist() == [DAY + timedelta(minutes=i) for i in range(5)] * 2


def test_the_manifest_tells_symbols_and_their_price_scales(tmp_path):
    text = bars("A", price=10.25) + bars("B", price=7.0) + bars("C", price=1 / 3) + bars("A", 1, price=10.125)
    write(tmp_path / "in", "x.csv", HEADER + text)
    ingest_files([tmp_path / "in"], tmp_path / "store", IngestOptions())
    symbols = json.loads((tmp_path / "store" / "_store.json").read_text())["symbols"]
    assert {s: v["decimals"] for s, v in symbols.items()} == {"A": 3, "B": 0, "C": None}
    assert symbols["A"] == {"rows": 10, "first": "2024-07-01T13:30:00+00:00", "last": "2024-07-02T13:34:00+00:00",
                            "decimals": 3}  # fmt: skip


def test_decimals_are_the_fewest_that_give_the_price_back():
    prices = [10.0, 0.5, 3.25, 1.123, 0.12345678, 0.1 + 0.2]
    frame = pl.DataFrame(dict.fromkeys(("open", "high", "low", "close"), prices))
    assert decimals(frame).tolist() == [0, 1, 2, 3, 8, 9]


def test_again_there_is_nothing_to_do(tmp_path):
    write(tmp_path / "in", "x.csv", HEADER + bars("A"))
    first = ingest_files([tmp_path / "in"], tmp_path / "store", IngestOptions())
    before = content(tmp_path / "store")
    again = ingest_files([tmp_path / "in"], tmp_path / "store", IngestOptions())
    assert (first.new, again.new, again.days_written) == (1, 0, 0)
    assert [s.status for s in again.sources] == ["known"]
    assert (again.bars, again.bytes, again.symbols) == (first.bars, first.bytes, first.symbols)
    assert content(tmp_path / "store") == before


def test_a_renamed_copy_is_known_by_its_content(tmp_path):
    path = write(tmp_path / "in", "x.csv", HEADER + bars("A"))
    ingest_files([path], tmp_path / "store", IngestOptions())
    report = ingest_files([path.rename(path.with_name("y.csv"))], tmp_path / "store", IngestOptions())
    assert report.new == 0


def test_a_source_that_moved_is_not_replaced_by_what_takes_its_name(tmp_path):
    latest = write(tmp_path / "in", "latest.csv", HEADER + bars("A", 0))
    ingest_files([tmp_path / "in"], tmp_path / "store", IngestOptions())
    for day in (1, 2):  # known by its new name together with the next file, and before it
        latest.rename(tmp_path / "in" / f"day{day}.csv")
        if day == 2:
            assert ingest_files([tmp_path / "in"], tmp_path / "store", IngestOptions()).new == 0
        latest.write_text(HEADER + bars("A", day))
        report = ingest_files([tmp_path / "in"] if day == 1 else [latest], tmp_path / "store", IngestOptions())
        assert (report.new, report.replaced, report.days) == (1, (), day + 1)
    before = content(tmp_path / "store")
    assert ingest_files([tmp_path / "in"], tmp_path / "store", IngestOptions()).new == 0
    assert content(tmp_path / "store") == before
    assert read(tmp_path / "store")["open_time"].dt.day().unique().sort().to_list() == [1, 2, 3]


def test_one_of_two_copies_may_change(tmp_path):
    path = write(tmp_path / "in", "a.csv", HEADER + bars("A", 0))
    write(tmp_path / "in", "b.csv", HEADER + bars("A", 0))
    ingest_files([tmp_path / "in"], tmp_path / "store", IngestOptions())
    path.write_text(HEADER + bars("A", 1))
    report = ingest_files([tmp_path / "in"], tmp_path / "store", IngestOptions())
    assert (report.replaced, report.days) == ((), 2)


NAMELESS = HEADER.removeprefix("symbol,") + bars("A").replace("A,", "")


@pytest.mark.parametrize(
    "steps", [["AAA.csv", "BBB.csv"], ["AAA.csv"], ["BBB.csv"]], ids=["at once", "A first", "B first"]
)
def test_equal_content_under_two_symbols_is_two_sources(steps, tmp_path):
    for name in ("AAA.csv", "BBB.csv"):
        write(tmp_path / "in", name, NAMELESS)
    ingest_files([tmp_path / "in" / name for name in steps], tmp_path / "store", IngestOptions())
    ingest_files([tmp_path / "in"], tmp_path / "store", IngestOptions())
    got = read(tmp_path / "store")
    assert got.group_by("symbol").len().sort("symbol").rows() == [("AAA", 5), ("BBB", 5)]
    assert ingest_files([tmp_path / "in"], tmp_path / "store", IngestOptions()).new == 0


def test_a_symbol_in_the_name_is_known_whatever_else_the_name_says(tmp_path):
    for name in ("AAA_2024-07.csv", "AAA_1min.csv"):
        write(tmp_path / "in", name, NAMELESS)
    report = ingest_files([tmp_path / "in"], tmp_path / "store", IngestOptions())
    assert (report.new, report.sources[0].merged, report.bars) == (1, 0, 5)


def test_a_symbol_that_the_user_says_makes_equal_content_another_source(tmp_path):
    path = write(tmp_path / "in", "AAA.csv", NAMELESS)
    ingest_files([path], tmp_path / "store", IngestOptions(symbol="X"))
    report = ingest_files([path], tmp_path / "store", IngestOptions(symbol="Y"))
    assert (report.sources[0].status, report.replaced[0].bars) == ("replaced", 5)
    copy = write(tmp_path / "in", "copy.csv", NAMELESS)
    assert ingest_files([copy], tmp_path / "store", IngestOptions(symbol="Y")).new == 0
    assert ingest_files([path], tmp_path / "store", IngestOptions(symbol="Z")).replaced == ()
    assert read(tmp_path / "store")["symbol"].unique().sort().to_list() == ["Y", "Z"]


def test_only_new_files_are_read_and_only_their_days_rewritten(tmp_path):
    write(tmp_path / "in", "one.csv", HEADER + bars("A", 0) + bars("A", 1))
    ingest_files([tmp_path / "in"], tmp_path / "store", IngestOptions())
    before = content(tmp_path / "store")
    write(tmp_path / "in", "two.csv", HEADER + bars("B", 1) + bars("B", 2))
    report = ingest_files([tmp_path / "in"], tmp_path / "store", IngestOptions())
    after = content(tmp_path / "store")
    assert sorted(s.status for s in report.sources) == ["known", "new"]
    assert (report.new, report.days_written, report.days) == (1, 2, 3)
    kept = [name for name in before if name.startswith("2024/2024-07-01")]
    assert all(after[name] == before[name] for name in kept)
    assert not any(name in after for name in before if name.startswith("2024/2024-07-02"))
    assert read(tmp_path / "store").height == 20


def test_the_day_files_do_not_depend_on_the_way_there(tmp_path):
    write(tmp_path / "in", "one.csv", HEADER + bars("A", 0) + bars("B", 1))
    write(tmp_path / "in", "two.csv", HEADER + bars("B", 0) + bars("A", 1))
    ingest_files([tmp_path / "in"], tmp_path / "whole", IngestOptions())
    ingest_files([tmp_path / "in"], tmp_path / "same", IngestOptions())
    ingest_files([tmp_path / "in" / "two.csv"], tmp_path / "steps", IngestOptions())
    ingest_files([tmp_path / "in"], tmp_path / "steps", IngestOptions())
    assert content(tmp_path / "whole") == content(tmp_path / "same")
    days = {name: value for name, value in content(tmp_path / "whole").items() if name.endswith(".parquet")}
    assert {n: v for n, v in content(tmp_path / "steps").items() if n.endswith(".parquet")} == days


def test_changed_content_replaces_what_the_source_gave_before(tmp_path):
    path = write(tmp_path / "in", "x.csv", HEADER + bars("A", 0) + bars("A", 1))
    write(tmp_path / "in", "y.csv", HEADER + bars("B", 0))
    ingest_files([tmp_path / "in"], tmp_path / "store", IngestOptions())
    path.write_text(HEADER + bars("A", 0, price=11.0))
    report = ingest_files([tmp_path / "in"], tmp_path / "store", IngestOptions())
    assert sorted(s.status for s in report.sources) == ["known", "replaced"]
    assert report.conflicts == ()
    got = read(tmp_path / "store")
    assert got.group_by("symbol").agg(pl.len(), pl.col("open").unique()).sort("symbol").rows() == [
        ("A", 5, [11.0]),
        ("B", 5, [10.0]),
    ]
    assert report.days == 1
    assert {p.relative_to(tmp_path / "store").as_posix() for p in (tmp_path / "store").rglob("*.parquet")} == live(
        tmp_path / "store"
    )


def test_other_options_read_a_source_again_in_place_of_the_first_reading(tmp_path):
    path = write(tmp_path / "in", "x.csv", HEADER + bars("A"))
    ingest_files([path], tmp_path / "store", IngestOptions())
    report = ingest_files([path], tmp_path / "store", IngestOptions(stamp="end"))
    assert report.sources[0].status == "replaced"
    assert read(tmp_path / "store")["open_time"].dt.minute().to_list() == [29, 30, 31, 32, 33]


def test_identical_rows_of_two_sources_merge_and_survive_either(tmp_path):
    one = write(tmp_path / "in", "one.csv", HEADER + bars("A", minutes=5))
    write(tmp_path / "in", "two.csv", HEADER + bars("A", minutes=8))
    report = ingest_files([tmp_path / "in"], tmp_path / "store", IngestOptions(on_bad="raise"))
    assert (report.bars, report.refused, report.conflicts) == (8, {}, ())
    assert [s.merged for s in report.sources] == [5, 5]
    one.write_text(HEADER + bars("A", 3))
    ingest_files([tmp_path / "in"], tmp_path / "store", IngestOptions())
    assert read(tmp_path / "store")["open_time"].dt.day().to_list() == [1] * 8 + [4] * 5


def test_a_row_repeated_in_a_source_is_kept_once_and_counted(tmp_path):
    path = write(tmp_path / "in", "x.csv", HEADER + bars("A") + bars("A", minutes=2))
    report = ingest_files([path], tmp_path / "store", IngestOptions())
    assert (report.bars, report.refused, report.sources[0].duplicates) == (5, {"duplicate": 2}, 2)
    with pytest.raises(DataError, match="rows must be there once, 2 were repeated"):
        ingest_files([path], tmp_path / "other", IngestOptions(on_bad="raise"))


def test_conflicting_rows_are_all_kept_for_the_guard_and_told(tmp_path):
    write(tmp_path / "in", "one.csv", HEADER + bars("A"))
    write(tmp_path / "in", "two.csv", HEADER + bars("A", minutes=1, price=11.0))
    report = ingest_files([tmp_path / "in"], tmp_path / "store", IngestOptions())
    assert report.bars == 6
    assert [(c.day, c.rows, c.symbol, c.time) for c in report.conflicts] == [
        ("2024-07-01", 2, "A", "2024-07-01T13:30:00+00:00")
    ]
    assert "2 rows conflict (first A 2024-07-01T13:30:00+00:00); a run will withhold them" in report.warnings[0]
    assert read(tmp_path / "store").head(2)["open"].to_list() == [10.0, 11.0]
    assert json.loads((tmp_path / "store" / "_report.json").read_text())["conflicts"][0]["rows"] == 2
    with pytest.raises(DataError, match="bars of a minute must agree"):
        ingest_files([tmp_path / "in"], tmp_path / "other", IngestOptions(on_bad="raise"))


def test_a_fractional_volume_makes_every_volume_of_the_store_double(tmp_path):
    write(tmp_path / "in", "one.csv", HEADER + bars("A"))
    ingest_files([tmp_path / "in"], tmp_path / "store", IngestOptions())
    write(tmp_path / "in", "two.csv", HEADER + bars("B", 1).replace(",100\n", ",0.5\n"))
    ingest_files([tmp_path / "in"], tmp_path / "store", IngestOptions())
    kinds = {str(pq.read_schema(p).field("volume").type) for p in (tmp_path / "store").rglob("*.parquet")}
    assert kinds == {"double"}


def more(text: str, **columns: str) -> str:
    """A CSV with a header, and in every row those columns with those values."""
    first, *rest = text.splitlines()
    lines = [",".join([first, *columns]), *(",".join([line, *columns.values()]) for line in rest)]
    return "\n".join(lines) + "\n"


WITH = more(HEADER + bars("A") + bars("B"), vwap="9.5", n_trades="7")
WITHOUT = HEADER + bars("A", minutes=6) + bars("C", 1)


@pytest.mark.parametrize("order", [["with", "without"], ["without", "with"]], ids=["with first", "without first"])
def test_optional_columns_stay_null_where_a_source_has_none(order, tmp_path):
    texts = {"with": WITH, "without": WITHOUT}
    for name in order:
        ingest_files([write(tmp_path / "in", f"{name}.csv", texts[name])], tmp_path / "store", IngestOptions())
    ingest_files([tmp_path / "in"], tmp_path / "whole", IngestOptions())
    got = read(tmp_path / "store")
    told = got.group_by("symbol", "vwap", "n_trades").len().sort("symbol", "vwap")
    assert told.rows() == [("A", None, None, 1), ("A", 9.5, 7, 5), ("B", 9.5, 7, 5), ("C", None, None, 5)]
    days = {n: v for n, v in content(tmp_path / "whole").items() if n.endswith(".parquet")}
    assert {n: v for n, v in content(tmp_path / "store").items() if n.endswith(".parquet")} == days
    assert ingest_files([tmp_path / "in"], tmp_path / "store", IngestOptions()).new == 0


def test_optional_values_go_with_the_source_that_gave_them(tmp_path):
    path = write(tmp_path / "in", "with.csv", WITH)
    write(tmp_path / "in", "without.csv", WITHOUT)
    write(tmp_path / "in", "other.csv", more(HEADER + bars("C", 1), vwap="8.5"))
    ingest_files([tmp_path / "in"], tmp_path / "store", IngestOptions())
    path.write_text(HEADER + bars("B"))
    ingest_files([tmp_path / "in"], tmp_path / "store", IngestOptions())
    got = read(tmp_path / "store")
    assert "n_trades" not in got.columns
    assert got.group_by("symbol", "vwap").len().sort("symbol").rows() == [("A", None, 6), ("B", None, 5), ("C", 8.5, 5)]


def damage(kind: str, path: Path) -> None:
    whole = path.read_bytes()
    if kind == "missing":
        path.unlink()
    elif kind == "cut short":
        path.write_bytes(whole[:300])
    elif kind == "other rows":
        pl.read_parquet(path).head(3).write_parquet(path)
    elif kind == "other columns":
        pl.DataFrame({"x": [1]}).write_parquet(path)
    else:
        path.write_bytes(b"x" * len(whole))


@pytest.mark.parametrize("kind", ["missing", "cut short", "other rows", "other columns", "scribbled on"])
def test_a_damaged_day_is_named_and_comes_back_from_its_sources(kind, tmp_path):
    one = write(tmp_path / "in", "one.csv", HEADER + bars("A") + bars("A", 1))
    two = write(tmp_path / "in", "two.csv", HEADER + bars("B"))
    more = write(tmp_path / "in", "more.csv", HEADER + bars("C"))
    later = write(tmp_path / "in", "later.csv", HEADER + bars("D", 2))
    store = tmp_path / "store"
    ingest_files([one, two], store, IngestOptions())
    day = store / json.loads((store / "_store.json").read_text())["days"]["2024-07-01"]["file"]
    damage(kind, day)
    before = content(store)
    first = "delete it and ingest" if kind == "scribbled on" else "ingest"
    hint = re.escape(f"nothing was changed, {first} in one command what it was made of: {one}, {two}")
    for given in ([more], [one, more], [] if kind == "scribbled on" else [two]):
        if given:
            with pytest.raises(DataError, match=f"{re.escape(str(day))}: day must be as bt ingest wrote it, .*{hint}"):
                ingest_files(given, store, IngestOptions())
        assert content(store) == before
    assert ingest_files([later], store, IngestOptions()).days_written == 1
    if kind == "scribbled on":
        day.unlink()
    report = ingest_files([tmp_path / "in"], store, IngestOptions())
    assert {Path(s.path).stem: s.status for s in report.sources} == {
        "one": "replaced", "two": "replaced", "more": "new", "later": "known",
    }  # fmt: skip
    ingest_files([tmp_path / "in"], tmp_path / "fresh", IngestOptions())
    days = {n: v for n, v in content(tmp_path / "fresh").items() if n.endswith(".parquet")}
    assert {n: v for n, v in content(store).items() if n.endswith(".parquet")} == days
    assert ingest_files([tmp_path / "in"], store, IngestOptions()).new == 0


def test_a_source_inside_the_store_is_not_read(tmp_path):
    write(tmp_path / "in", "x.csv", HEADER + bars("A"))
    ingest_files([tmp_path / "in"], tmp_path / "in" / "store", IngestOptions())
    assert ingest_files([tmp_path / "in"], tmp_path / "in" / "store", IngestOptions()).new == 0


def test_a_folder_of_other_parquet_files_is_no_store(tmp_path):
    (tmp_path / "store").mkdir()
    pl.DataFrame({"a": [1]}).write_parquet(tmp_path / "store" / "a.parquet")
    with pytest.raises(DataError, match="folder must be a store made by bt ingest"):
        ingest_files([write(tmp_path / "in", "x.csv", HEADER + bars("A"))], tmp_path / "store", IngestOptions())
    assert sorted(p.name for p in (tmp_path / "store").iterdir()) == ["a.parquet"]


@pytest.mark.parametrize("existing", [True, False], ids=["existing store", "new store"])
def test_a_full_disk_changes_nothing(existing, tmp_path, monkeypatch):
    store = tmp_path / "store"
    if existing:
        ingest_files([write(tmp_path / "in", "x.csv", HEADER + bars("A"))], store, IngestOptions())
    before = content(store)
    real, calls = layout.pq.write_table, []

    def full(*args, **kwargs):
        calls.append(args)
        if len(calls) == 2:
            raise OSError(errno.ENOSPC, "No space left on device")
        return real(*args, **kwargs)

    write(tmp_path / "in", "y.csv", HEADER + bars("B", 0) + bars("B", 1) + bars("B", 2))
    monkeypatch.setattr(layout.pq, "write_table", full)
    with pytest.raises(ResultsError, match=r"store must be writable, was not .*No space left.*nothing was changed"):
        ingest_files([tmp_path / "in"], store, IngestOptions())
    assert content(store) == before
    assert store.exists() == existing
    assert [p.name for p in tmp_path.iterdir() if p.name.startswith(".")] == []
    monkeypatch.undo()
    assert ingest_files([tmp_path / "in"], store, IngestOptions()).days == 3


@pytest.mark.parametrize("step", range(12))
def test_stopping_at_any_rename_leaves_the_old_manifest_with_all_its_files(step, tmp_path, monkeypatch):
    store = tmp_path / "store"
    path = write(tmp_path / "in", "x.csv", HEADER + bars("A") + bars("A", 1) + bars("A", 200))
    ingest_files([path], store, IngestOptions())
    before = {name: value for name, value in content(store).items() if name != "_report.json"}
    old = (store / "_store.json").read_bytes()
    path.write_text(HEADER + bars("A", price=11.0) + bars("A", 1, price=11.0) + bars("A", 400, price=11.0))
    real, done = Path.replace, []

    class Stopped(BaseException):
        """A process that ends here."""

    def stopping(self: Path, target: Path) -> Path:
        if len(done) == step:
            raise Stopped
        done.append(target)
        return real(self, target)

    monkeypatch.setattr(Path, "replace", stopping)
    try:
        ingest_files([path], store, IngestOptions())
    except Stopped:
        assert (store / "_store.json").read_bytes() == old
        assert before.items() <= content(store).items()
    monkeypatch.undo()
    report = ingest_files([path], store, IngestOptions())
    assert report.bars == 15
    assert read(store)["open"].unique().to_list() == [11.0]
    assert {p.relative_to(store).as_posix() for p in store.rglob("*.parquet")} == live(store)
    assert not (store / ".ingest").exists()


def test_two_ingests_at_once_are_refused(tmp_path):
    path = write(tmp_path / "in", "x.csv", HEADER + bars("A"))
    with commit.staging(tmp_path / "store"), pytest.raises(LockedError, match="being written by another ingest"):
        ingest_files([path], tmp_path / "store", IngestOptions())
    assert ingest_files([path], tmp_path / "store", IngestOptions()).bars == 5


SCRIPT = """
import sys
from pathlib import Path
from bt.memory import peak_rss_mb
from bt.ingest import IngestOptions, ingest_files
def tell(done, total, rows):
    print(rows, flush=True)
report = ingest_files([sys.argv[1]], Path(sys.argv[2]), IngestOptions(), progress=tell)
print("bars", report.bars, round(peak_rss_mb()), flush=True)
"""


def big(path: Path, symbols: int, days: int) -> int:
    """A CSV sorted by symbol, so that every day's bars are scattered over all of it; its rows."""
    with path.open("w") as file:
        file.write("symbol,timestamp,open,high,low,close,volume\n")
        for symbol in range(symbols):
            for day in range(days):
                start = 1_719_840_600 + 86_400 * day
                file.writelines(f"S{symbol:03d},{start + 60 * i},10.01,10.09,9.99,10.05,{i}\n" for i in range(390))
    return symbols * days * 390


@pytest.mark.parametrize("existing", [True, False], ids=["existing store", "new store"])
def test_a_killed_ingest_leaves_the_store_as_it_was(existing, tmp_path):
    store = tmp_path / "store"
    if existing:
        ingest_files([write(tmp_path / "in", "x.csv", HEADER + bars("A"))], store, IngestOptions())
    before = content(store)
    rows = big(tmp_path / "big.csv", 20, 60)
    process = subprocess.Popen(
        [sys.executable, "-c", SCRIPT, tmp_path / "big.csv", store], stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    for line in process.stdout:  # wait until all was read: it is building the day files now
        if line.strip() == str(rows):
            break
    os.kill(process.pid, signal.SIGKILL)
    process.stdout.close()
    assert process.wait() == -signal.SIGKILL
    assert {k: v for k, v in content(store).items() if not k.startswith(".ingest/")} == before
    report = ingest_files([tmp_path / "big.csv"], store, IngestOptions())
    assert report.bars == rows + len(before) // 4 * 5
    assert not list(tmp_path.glob("**/.*ingest"))


def test_memory_does_not_grow_with_the_source(tmp_path):
    peaks = []
    for symbols in (12, 48):
        rows = big(tmp_path / "big.csv", symbols, 50)
        command = [sys.executable, "-c", SCRIPT, tmp_path / "big.csv", tmp_path / f"store{symbols}"]
        out = subprocess.run(command, capture_output=True, text=True, check=True).stdout.splitlines()[-1].split()
        assert out[:2] == ["bars", str(rows)]
        peaks.append(int(out[2]))
    assert peaks[1] < 500
    assert peaks[1] < peaks[0] + 120
