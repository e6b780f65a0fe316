"""`bt sample`, `bt ingest`, `bt data` and `bt quality`."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import polars as pl
import pytest
from cli_runs import ROOT, call, market

VENDOR = ("--stamp", "end", "--tz", "America/New_York", "--column", "symbol=ticker", "--column", "open_time=ended")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = market(tmp_path_factory.mktemp("market"))
    frame = pl.read_parquet(made / "sample" / "2024-12-06.parquet").filter(pl.col("symbol").is_in(["ASHB", "BRIK"]))
    regular = frame.filter(pl.col("open_time").dt.time() < pl.time(21, 0))
    local = pl.col("open_time").dt.convert_time_zone("America/New_York").dt.replace_time_zone(None)
    stores = {
        "ended": regular.with_columns(pl.col("open_time") + timedelta(minutes=1)),
        "naive": regular.with_columns(local),
        "retyped": regular.with_columns(pl.col("close").cast(pl.String)),
        "lacking": regular.drop("volume"),
        "dirty": pl.concat([regular.with_columns(pl.when(pl.int_range(pl.len()) == 5).then(0.0).otherwise("low").alias("low")), regular[:3]]),
    }  # fmt: skip
    for name, bars in stores.items():
        (made / name).mkdir()
        bars.write_parquet(made / name / "a.parquet")
    whole = (made / "sample" / "2024-12-06.parquet").read_bytes()
    for name, content in {"cut": whole[: len(whole) // 2], "text": b"ticker,close\nA,1\n", "empty": b""}.items():
        (made / "unreadable").mkdir(exist_ok=True)
        (made / "unreadable" / f"{name}.parquet").write_bytes(content)
    return made


@pytest.fixture
def bt(folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]):
    monkeypatch.chdir(folder)
    return lambda *arguments: call(capsys, *arguments)


# ----------------------------------------------------------------------------------------------------------- bt sample


def test_sample_says_what_it_wrote_and_what_comes_next(bt, folder: Path):
    answer = bt("sample", "new")
    assert (answer.code, answer.err) == (0, "")
    assert answer.out.splitlines()[-1].split(maxsplit=1) == ["next", "bt replay new/configs/sma_cross.toml"]
    written = {p.relative_to(folder / "new") for p in (folder / "new").rglob("*") if p.is_file()}
    assert {p.name for p in written} >= {
        "2024-11-29.parquet",
        "sma_cross.toml",
        "sma_cross.py",
        "minutes.csv",
        "README.md",
    }
    again = bt("sample", "new", "--json")
    assert again.code == 0
    assert (again.json["files"], again.json["symbols"], again.json["sessions"]) == (len(written), 20, 30)
    assert (folder / "new" / "configs" / "reversal.toml").read_bytes() == (
        ROOT / "data/configs/reversal.toml"
    ).read_bytes()


def test_sample_writes_over_nothing(bt, folder: Path):
    (folder / "mine").mkdir()
    (folder / "mine" / "README.md").write_text("mine")
    answer = bt("sample", "mine")
    assert answer.code == 2
    assert "mine/README.md: the file must be absent" in answer.err
    assert [p.name for p in (folder / "mine").iterdir()] == ["README.md"]


# ----------------------------------------------------------------------------------------------------------- bt ingest


def test_ingest_makes_a_store_and_again_nothing(bt):
    first = bt("ingest", "vendor/minutes.csv", "--to", "store", *VENDOR)
    assert (first.code, first.err) == (0, "")
    assert "1 file, 210 rows, 210 bars" in first.out
    assert "bt data" in first.out.splitlines()[-1]
    again = bt("ingest", "vendor/minutes.csv", "--to", "store", *VENDOR, "--json")
    assert (again.json["new"], again.json["days_written"], again.json["bars"]) == (0, 0, 210)
    assert "0 files, 0 rows, 0 bars; 1 known already" in bt("ingest", "vendor", "--to", "store", *VENDOR).out
    told = bt("data", "store", "--calendar", "XNYS", "--json").json
    assert (told["bars"], told["sessions"]["early_closes"], told["outside"], told["problems"]) == (210, 1, {}, [])


def test_ingest_tells_what_it_refused_and_where(bt, folder: Path):
    lines = (folder / "vendor" / "minutes.csv").read_text().splitlines()
    lines[4] = lines[4].rsplit(",", 2)[0] + ",abc,5"
    (folder / "dirty.csv").write_text("\n".join(lines) + "\n")
    answer = bt("ingest", "dirty.csv", "--to", "refusing", *VENDOR)
    assert answer.code == 0
    assert "refused  unparseable 1" in answer.out
    row = answer.out.splitlines()[-1].split()
    assert (row[0], row[1], row[3], row[4], row[6]) == ("unparseable", "ASHB", "abc", "dirty.csv", "5")
    strict = bt("ingest", "dirty.csv", "--to", "strict", *VENDOR, "--on-bad", "raise")
    assert strict.code == 2
    assert "dirty.csv:5:" in strict.err
    assert not (folder / "strict").exists()


BARS = "symbol,open_time,open,high,low,close,volume\nA,2024-07-0{day}T13:30:00Z,10.12,10.5,9.5,10.25,100\n"


def test_ingest_tells_what_it_skipped_and_why(bt, folder: Path):
    (folder / "in").mkdir()
    (folder / "in" / "good.csv").write_text(BARS.format(day=1))
    (folder / "in" / "readme.csv").write_text("file,rows\ngood.csv,1\n")
    answer = bt("ingest", "in", "--to", "skipping")
    assert answer.code == 0
    for number in range(20):
        (folder / "in" / f"s{number}.csv").write_text("file,rows\ngood.csv,1\n")
    short, long = (bt("ingest", "in", "--to", "skipping", *more).out for more in ([], ["--all"]))
    assert short.splitlines()[-1].startswith("... and 1 more: --all shows them")
    assert long.splitlines()[-1].startswith("s9.csv")
    row = answer.out.splitlines()[-1]
    assert row.startswith("readme.csv  a column for open_time must be there, was not among the columns file, rows")


@pytest.mark.parametrize("on_bad", ["isolate", "raise"])
def test_a_bar_file_that_lacks_a_column_is_a_fault_in_a_folder_too(bt, folder: Path, on_bad: str):
    (folder / "columns").mkdir(exist_ok=True)
    (folder / "columns" / "good.csv").write_text(BARS.format(day=1))
    (folder / "columns" / "odd.csv").write_text(BARS.format(day=2).replace("volume", "vol_shares"))
    answer = bt("ingest", "columns", "--to", f"none-{on_bad}", "--on-bad", on_bad)
    assert answer.code == 2
    assert "odd.csv: a column for volume must be there, was not among the columns" in answer.err
    assert "vol_shares" in answer.err
    assert not (folder / f"none-{on_bad}").exists()


def test_ingest_tells_what_it_replaced_and_rounded(bt, folder: Path):
    (folder / "latest.csv").write_text(BARS.format(day=1))
    assert "rounded" not in bt("ingest", "latest.csv", "--to", "rolling").out
    (folder / "latest.csv").write_text(BARS.format(day=2))
    answer = bt("ingest", "latest.csv", "--to", "rolling", "--price-decimals", "1")
    lines = [line.split(maxsplit=1) for line in answer.out.splitlines() if line]
    assert ["rounded", "2 prices by --price-decimals"] in lines
    assert ["replaced", "1 earlier reading, 1 bar"] in lines
    assert ["written", "1 day; 1 deleted"] in lines
    assert lines[-1] == ["latest.csv", "2024-07-01T13:30:00+00:00  2024-07-01T13:30:00+00:00     1"]
    again = bt("ingest", "latest.csv", "--to", "rolling", "--json").json
    assert [(s["bars"], s["first"][:10]) for s in again["replaced"]] == [(1, "2024-07-02")]
    assert again["days_deleted"] == 0


def test_ingest_with_a_calendar_tells_of_end_stamps(bt):
    arguments = ["ingest", "vendor", "--to", "shifted", "--calendar", "XNYS", "--stamp", "start", *VENDOR[2:]]
    answer = bt(*arguments)
    assert answer.code == 0
    assert "1 bar outside the sessions of XNYS" in answer.out
    assert "try --stamp end" in answer.err
    assert answer.err.startswith("warning: ")


# ------------------------------------------------------------------------------------------------------------- bt data


def test_data_without_a_calendar(bt):
    answer = bt("data", "sample")
    assert (answer.code, answer.err) == (0, "")
    assert "unknown without a calendar: --calendar XNYS counts them" in answer.out
    assert "4 Parquet files" in answer.out
    told = bt("data", "sample", "--json").json
    assert (told["symbol_count"], told["files"], told["sessions"], told["problems"]) == (20, 4, None, [])
    assert told["symbols"][0]["symbol"] == "ASHB"
    assert told["symbols"][0]["decimals"] == 2
    assert told["bars"] == sum(s["rows"] for s in told["symbols"])


def test_data_with_a_calendar_counts_sessions_and_rows_outside(bt, folder: Path):
    told = bt("data", "sample", "--calendar", "XNYS", "--json").json
    assert told["sessions"] == {
        "first": "2024-12-03", "last": "2024-12-06", "count": 4, "with_bars": 4, "early_closes": 0
    }  # fmt: skip
    dawn = next(s for s in told["symbols"] if s["symbol"] == "DAWN")
    assert (dawn["sessions"], dawn["in_sessions"]) == (4, 4 * 390)
    frame = pl.read_parquet(folder / "sample" / "*.parquet")
    outside = frame.filter(~pl.col("open_time").dt.time().is_between(pl.time(14, 30), pl.time(20, 59)))
    assert sum(told["outside"].values()) == outside.height
    assert told["outside"]["closing_print"] == 4 * 20


def test_a_long_list_is_cut_unless_all_are_asked_for(bt, folder: Path):
    frame = pl.read_parquet(folder / "sample" / "2024-12-06.parquet")
    (folder / "many").mkdir()
    pl.concat([frame, frame.with_columns(pl.concat_str(pl.lit("X"), "symbol").alias("symbol"))]).write_parquet(
        folder / "many" / "a.parquet"
    )
    answer = bt("data", "many")
    assert answer.out.splitlines()[-1].startswith("... and 20 more: --all shows them, --json gives them")
    assert "XTHIN" not in answer.out
    assert bt("data", "many", "--all").out.splitlines()[-1].startswith("XTHIN")


def test_data_reads_a_glob_and_a_file(bt):
    assert bt("data", "sample/2024-12-0[56].parquet", "--json").json["files"] == 2
    assert bt("data", "sample/2024-12-06.parquet", "--json").json["files"] == 1


def test_data_lists_row_faults_and_goes_on(bt):
    answer = bt("data", "dirty", "--calendar", "XNYS", "--json")
    assert answer.code == 0
    assert answer.json["faulty"] == {"non_positive": 1, "duplicate": 3}
    assert answer.json["problems"] == ["faulty rows in ASHB, which a run withholds: non_positive 1, duplicate 3"]


def test_end_stamps_are_a_problem_that_data_lists(bt):
    answer = bt("data", "ended", "--calendar", "XNYS")
    assert answer.code == 2
    assert "problems  " in answer.out
    assert "none has one at the open; set --stamp end" in answer.out
    assert bt("data", "ended", "--calendar", "XNYS", "--stamp", "end", "--json").json["problems"] == []
    refused = bt("quality", "ended", "--calendar", "XNYS")
    assert refused.code == 2
    assert "set --stamp end" in refused.err


def test_the_wrong_calendar_is_a_problem(bt):
    told = bt("data", "sample", "--calendar", "XHKG", "--json").json
    assert told["sessions"]["with_bars"] == 0
    assert told["problems"] == ["no bar lies inside a session of XHKG: check --calendar, --tz and --stamp"]


@pytest.mark.parametrize(
    ("store", "messages"),
    [
        ("naive", ["naive/a.parquet: column 'open_time' must be a timestamp with a time zone", "--tz America/New_York"]),
        ("retyped", ["retyped/a.parquet: column 'close' must be a number, was "]),
        ("lacking", ["lacking/a.parquet: column 'volume' must be present", "--column volume="]),
        ("unreadable", ["cut.parquet: file must be whole Parquet", "text.parquet: file must be Parquet", "empty.parquet: file must be Parquet, was empty"]),
    ],
)  # fmt: skip
def test_file_faults_are_listed(bt, store: str, messages: list[str]):
    answer = bt("data", store)
    assert answer.code == 2
    assert all(message in answer.err for message in messages)
    told = bt("data", store, "--json").json
    assert len(told["problems"]) == (3 if store == "unreadable" else 1)
    assert told["error"]["exit_code"] == 2


def test_naive_times_with_their_zone(bt):
    told = bt("data", "naive", "--tz", "America/New_York", "--json").json
    assert (told["first"], told["timezone"]) == ("2024-12-06T14:30:00+00:00", "America/New_York")


# ---------------------------------------------------------------------------------------------------------- bt quality


def test_quality_for_people(bt):
    answer = bt("quality", "sample", "--calendar", "XNYS")
    assert (answer.code, answer.err) == (0, "")
    lines = answer.out.splitlines()
    heads = next(i for i, line in enumerate(lines) if line.startswith("symbol  "))
    assert lines[heads].split("  ")[-1] == "longest gap"
    assert lines[heads + 1].split()[0] == "THIN"  # the least complete comes first
    assert "Longest gaps inside sessions (times of America/New_York):" in answer.out


def test_quality_of_one_symbol_shows_its_sessions(bt):
    answer = bt(
        "quality", "sample", "--calendar", "XNYS", "--symbols", "ASHB", "--start", "2024-12-04", "--end", "2024-12-05"
    )
    rows = answer.out.partition("ASHB by session")[2].splitlines()[2:4]
    assert [row.split() for row in rows] == [
        ["2024-12-04", "390", "390", "100.00", "-", "-"],  # too few sessions before it to say how complete it is
        ["2024-12-05", "390", "390", "100.00", "-", "-"],
    ]
    assert answer.out.rstrip().endswith("No gap in any session that has bars.")


def test_quality_in_json(bt, folder: Path):
    told = bt("quality", "sample", "--calendar", "XNYS", "--interval", "5m", "--json").json
    assert (told["interval"], told["sessions"], told["symbols"]) == ("5m", 4, 20)
    assert len(told["table"]) == len(told["by_symbol"]) * len(told["by_session"]) == 80
    row = next(r for r in told["table"] if (r["symbol"], r["session"]) == ("ASHB", "2024-12-05"))
    assert (row["present"], row["expected"], row["quality"], row["gaps"]) == (78, 78, 100.0, [])
    thin = next(r for r in told["table"] if (r["symbol"], r["session"]) == ("THIN", "2024-12-05"))
    assert thin["expected"] - thin["present"] == sum(g["minutes"] // 5 for g in thin["gaps"])


def test_quality_tells_of_outages(bt, folder: Path):
    frame = pl.read_parquet(folder / "sample" / "*.parquet")
    dark = pl.col("open_time").is_between(
        datetime(2024, 12, 5, 15, tzinfo=UTC), datetime(2024, 12, 5, 15, 7, tzinfo=UTC)
    )
    (folder / "dark").mkdir()
    frame.filter(~dark).write_parquet(folder / "dark" / "a.parquet")
    answer = bt("quality", "dark", "--calendar", "XNYS")
    told = answer.out.partition("Outages, when most liquid symbols lack bars (times of America/New_York):")[2]
    assert [line.split()[:5] for line in told.splitlines()[2:]] == [["2024-12-05", "10:00", "10:08", "8", "100%"]]
    (outage,) = bt("quality", "dark", "--calendar", "XNYS", "--interval", "5m", "--json").json["outages"]
    assert (outage["session"], outage["start"], outage["minutes"]) == ("2024-12-05", "2024-12-05T15:00:00+00:00", 8)
    assert "Outages" not in bt("quality", "sample", "--calendar", "XNYS").out
