"""The importers on small files written here, from the vendors' documented columns."""

from __future__ import annotations

import gzip
import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from zipfile import ZipFile

import polars as pl
import pyarrow as pa
import pyarrow.feather
import pyarrow.parquet
import pytest
from small import Bar

import bt
from bt.errors import DataError, UsageError
from bt.ingest import IngestOptions, ingest_files
from bt.ingest.columns import symbol_of

HEADER = "symbol,open_time,open,high,low,close,volume\n"
AT = datetime(2024, 7, 1, 13, 30, tzinfo=UTC)
BAR = (10.0, 10.5, 9.5, 10.25, 100)


def read(tmp_path: Path, name: str, content: str | bytes, **options: Any) -> pl.DataFrame:
    source = tmp_path / "in" / name
    source.parent.mkdir(parents=True, exist_ok=True)
    source.write_bytes(content.encode() if isinstance(content, str) else content)
    ingest_files([source], tmp_path / "store", IngestOptions(**options))
    return pl.read_parquet(tmp_path / "store" / "**/*.parquet")


MASSIVE = (
    "ticker,volume,open,close,high,low,window_start,transactions\n"
    "A,100,10,10.25,10.5,9.5,1719840600000000000,7\n"
    "BRK.B,5,400.5,401,401.25,400,1719840660000000000,2\n"
)


def test_massive_day_files_have_close_before_high_and_nanoseconds(tmp_path):
    got = read(tmp_path, "2024-07-01.csv.gz", gzip.compress(MASSIVE.encode()))
    assert got.rows() == [
        ("A", AT, *BAR, 7),
        ("BRK.B", AT.replace(minute=31), 400.5, 401.25, 400.0, 401.0, 5, 2),
    ]
    assert got.schema["volume"] == pl.Int64
    assert got.columns[-1] == "n_trades"


def test_a_nanosecond_off_the_minute_is_off_the_grid(tmp_path):
    source = tmp_path / "2024-07-01.csv"
    source.write_text(MASSIVE + "A,100,10,10.25,10.5,9.5,1719840720000000001,7\n")
    report = ingest_files([source], tmp_path / "store", IngestOptions())
    assert report.refused == {"off_grid": 1}
    assert report.sources[0].format == "massive"


STAMPS = {
    "offset": ("2024-07-01 09:30:00-04:00", {}),
    "zulu": ("2024-07-01T13:30:00Z", {}),
    "fraction": ("2024-07-01T13:30:00.000000+00:00", {}),
    "no seconds": ("2024-07-01 13:30", {"tz": "UTC"}),
    "american, said": ("7/1/2024 9:30", {"tz": "America/New_York", "time_format": "%m/%d/%Y %H:%M"}),
    "compact": ("20240701 093000", {"tz": "America/New_York"}),
    "dots": ("2024.07.01 13:30", {"tz": "UTC"}),
    "fixed offset": ("2024-07-01 08:30:00", {"tz": "UTC-05:00"}),
    "epoch s": ("1719840600", {}),
    "epoch ms": ("1719840600000", {}),
    "epoch us": ("1719840600000000", {}),
    "epoch ns": ("1719840600000000000", {}),
    "day first, said": ("1/7/2024 13:30", {"tz": "UTC", "time_format": "%d/%m/%Y %H:%M"}),
    "end stamped": ("2024-07-01 13:31", {"tz": "UTC", "stamp": "end"}),
}


@pytest.mark.parametrize("case", STAMPS)
def test_stamps_of_every_kind_are_the_same_minute(case, tmp_path):
    text, options = STAMPS[case]
    got = read(tmp_path, "x.csv", HEADER + f"A,{text},10,10.5,9.5,10.25,100\n", **options)
    assert got.rows() == [("A", AT, *BAR)]


@pytest.mark.parametrize("delimiter", [",", ";", "\t", "|"])
def test_any_delimiter_byte_order_mark_and_line_end(delimiter, tmp_path):
    text = (HEADER + "A,2024-07-01T13:30Z,10,10.5,9.5,10.25,100\n").replace(",", delimiter).replace("\n", "\r\n")
    assert read(tmp_path, "x.txt", b"\xef\xbb\xbf" + text.encode()).rows() == [("A", AT, *BAR)]


@pytest.mark.parametrize("clock", ["9:3{}", "9:3{} AM", "09:3{}:00"])
def test_the_month_is_first_where_a_day_after_the_12th_shows_it(clock, tmp_path):
    rows = "".join(f"A,7/{day}/2024 {clock.format(i)},10,10.5,9.5,10.25,100\n" for i, day in enumerate((1, 15)))
    got = read(tmp_path, "x.csv", HEADER + rows, tz="America/New_York")
    assert got.rows() == [("A", AT, *BAR), ("A", AT.replace(day=15, minute=31), *BAR)]


def test_date_and_time_in_two_columns_are_joined(tmp_path):
    text = "Date,Time,Open,High,Low,Close,Volume\n07/15/2024,09:30,10,10.5,9.5,10.25,100\n"
    assert read(tmp_path, "A.txt", text, tz="America/New_York").rows() == [("A", AT.replace(day=15), *BAR)]


def test_a_headerless_file_joins_numbered_columns(tmp_path):
    numbers = {"open_time": "1+2", "open": "3", "high": "4", "low": "5", "close": "6", "volume": "7"}
    text = "07/15/2024,09:30,10,10.5,9.5,10.25,100\n"
    got = read(tmp_path, "A.txt", text, tz="America/New_York", columns=numbers)
    assert got.rows() == [("A", AT.replace(day=15), *BAR)]


def test_integer_prices_are_divided_and_correctly_rounded(tmp_path):
    lines = "".join(f"A,{1719840600 + 60 * i},{p},{p},{p},{p},1\n" for i, p in enumerate(range(10_001, 10_401)))
    got = read(tmp_path, "x.csv", HEADER + lines, price_divisor=10_000)
    assert got["close"].to_list() == [p / 10_000 for p in range(10_001, 10_401)]


def test_price_decimals_round_float32_noise_and_say_how_much(tmp_path):
    source = tmp_path / "x.csv"
    source.write_text(HEADER + "A,2024-07-01T13:30Z,10.100000381,10.5,9.5,10.25,100\n")
    report = ingest_files([source], tmp_path / "store", IngestOptions(price_decimals=4))
    assert pl.read_parquet(tmp_path / "store" / "**/*.parquet")["open"].to_list() == [10.1]
    assert report.sources[0].rounded == 1


QUOTED = (
    "symbol,open_time,open,high,low,close,volume,best_bid,best_ask\n"
    "A,2024-07-01T13:30:00Z,100000,105000,95000,102500,100,99900,100101\n"
    "A,2024-07-01T13:31:00Z,100000,105000,95000,102500,100,,x\n"
)


def test_quotes_are_stored_as_prices_are(tmp_path):
    columns = {"bid": "best_bid", "ask": "best_ask"}
    got = read(tmp_path, "x.csv", QUOTED, columns=columns, price_divisor=10_000, price_decimals=2)
    assert got.select("open", "bid", "ask").rows() == [(10.0, 9.99, 10.01), (10.0, None, None)]
    ready = QUOTED.replace("best_", "")
    got = read(tmp_path / "named", "x.csv", ready)
    assert got["bid"].to_list() == [99900, None]


def test_a_store_with_quotes_fills_at_them(tmp_path):
    minutes = "".join(f"A,2024-07-01T13:{30 + i}:00Z,10,10,10,10,100,9.98,10.03\n" for i in range(5))
    read(tmp_path, "x.csv", QUOTED.splitlines()[0].replace("best_", "") + "\n" + minutes)

    class Buys:
        row = Bar

        def on_bar(self, row: Bar, book: bt.Book) -> None:
            book.target(row.symbol, 1)

    run = bt.replay(bars=tmp_path / "store", strategy=Buys(), start="2024-07-01", end="2024-07-01", calendar="XNYS",
                    save=False, set={"execution.spread": "quotes"})  # fmt: skip
    assert run.fills["price"].to_list() == [10.03]


def frame(**more: Any) -> pl.DataFrame:
    return pl.DataFrame(
        {"ticker": ["A"], "ts": [AT], "o": [10.0], "h": [10.5], "l": [9.5], "c": [10.25], "v": [100], **more}
    )


def test_parquet_columns_are_found_by_synonym_or_map(tmp_path):
    data = frame().rename({"o": "first"})
    data.write_parquet(tmp_path / "x.parquet")
    ingest_files([tmp_path / "x.parquet"], tmp_path / "store", IngestOptions(columns={"open": "first"}))
    assert pl.read_parquet(tmp_path / "store" / "**/*.parquet").rows() == [("A", AT, *BAR)]


ZONES = ["UTC", "+05:30", "-03:00", "+0530", "Asia/Kolkata", "UTC+08:00", "Nowhere/Special"]


@pytest.mark.parametrize("zone", ZONES)
def test_parquet_stamps_are_the_moments_that_load_bars_reads_whatever_their_zone_is_called(zone, tmp_path):
    table = frame(ts=[AT]).to_arrow()
    stamps = table["ts"].cast(pa.timestamp("us", "UTC")).cast(pa.timestamp("us", zone))
    table = table.set_column(1, "ts", stamps)
    pyarrow.parquet.write_table(table, tmp_path / "x.parquet")
    ingest_files([tmp_path / "x.parquet"], tmp_path / "store", IngestOptions())
    assert pl.read_parquet(tmp_path / "store" / "**/*.parquet").rows() == [("A", AT, *BAR)]
    names = {"open": "o", "high": "h", "low": "l", "close": "c", "volume": "v"}
    loaded = bt.load_bars(str(tmp_path / "x.parquet"), "XNYS", "2024-07-01", "2024-07-01", columns=names)["1m"]
    assert loaded["open_time"].to_list() == [AT]


UNFIT: dict[str, tuple[str, pa.Array]] = {
    "a list for a price": ("o", pa.array([[10.0]])),
    "a struct for a price": ("o", pa.array([{"a": 10.0}])),
    "a boolean for a price": ("o", pa.array([True])),
    "bytes for a volume": ("v", pa.array([b"1"])),
    "a list for a stamp": ("ts", pa.array([[1]])),
    "a list for a symbol": ("ticker", pa.array([["A"]])),
}


@pytest.mark.parametrize("case", UNFIT)
def test_a_parquet_column_of_another_kind_is_a_fault_that_names_it(case, tmp_path):
    name, values = UNFIT[case]
    table = frame().to_arrow()
    table = table.set_column(table.schema.get_field_index(name), name, values)
    pyarrow.parquet.write_table(table, tmp_path / "x.parquet")
    kind = str(values.type).split("<")[0]
    with pytest.raises(DataError, match=rf"x\.parquet: column '{name}' must hold \w+, was {kind}"):
        ingest_files([tmp_path / "x.parquet"], tmp_path / "store", IngestOptions())


def test_an_optional_parquet_column_of_another_kind_counts_only_where_it_is_asked_for(tmp_path):
    table = frame().to_arrow().append_column("trades", pa.array([[1, 2]]))
    pyarrow.parquet.write_table(table, tmp_path / "x.parquet")
    ingest_files([tmp_path / "x.parquet"], tmp_path / "store", IngestOptions())
    assert pl.read_parquet(tmp_path / "store" / "**/*.parquet").rows() == [("A", AT, *BAR)]
    with pytest.raises(DataError, match="column 'trades' must hold numbers, was list"):
        ingest_files([tmp_path / "x.parquet"], tmp_path / "other", IngestOptions(columns={"n_trades": "trades"}))


def test_parquet_decimals_categories_and_naive_stamps(tmp_path):
    table = frame(ts=[AT.replace(tzinfo=None)]).to_arrow()
    table = table.set_column(2, "o", pa.array(["10.0"]).cast(pa.decimal128(10, 4)))
    table = table.set_column(0, "ticker", pa.array(["A"]).dictionary_encode())
    path = tmp_path / "x.feather"
    pyarrow.feather.write_feather(table, path)
    with pytest.raises(DataError, match=r"x\.feather: ts must carry an offset or come with a zone, was '2024-07-01"):
        ingest_files([path], tmp_path / "store", IngestOptions())
    ingest_files([path], tmp_path / "store", IngestOptions(tz="UTC"))
    assert pl.read_parquet(tmp_path / "store" / "**/*.parquet").rows() == [("A", AT, *BAR)]


PAGE = {
    "bars": {
        "SPY": [{"t": "2024-07-01T13:30:00Z", "o": 10, "h": 10.5, "l": 9.5, "c": 10.25, "v": 100, "n": 3, "vw": 10.1}]
    }
}


@pytest.mark.parametrize(
    "text",
    [
        json.dumps(PAGE),
        json.dumps(PAGE, indent=2),
        json.dumps({"bars": PAGE["bars"]["SPY"], "symbol": "SPY", "next_page_token": None}),
        json.dumps({"bars": {"SPY": PAGE["bars"]["SPY"][0]}}),
    ],
    ids=["page", "indented", "one symbol", "latest"],
)
def test_alpaca_bodies_of_every_shape(text, tmp_path):
    assert read(tmp_path, "page.json", text).rows() == [("SPY", AT, *BAR, 10.1, 3)]


def test_an_alpaca_body_of_quotes_holds_no_bars(tmp_path):
    with pytest.raises(DataError, match="bodies must hold bars, none did"):
        read(tmp_path, "x.jsonl", '{"bars": {}}\n{"quotes": {"A": []}}\n')


def lean_zip(tmp_path: Path, where: str, **members: str) -> Path:
    path = tmp_path / "Data" / where
    path.parent.mkdir(parents=True, exist_ok=True)
    with ZipFile(path, "w") as archive:
        for name, text in members.items():
            archive.writestr(name + ".csv", text)
    return path


LEAN = {
    "equity": ("equity/usa/minute/spy/20240701_trade.zip", "20240701_spy_minute_trade",
               "34200000,100000,105000,95000,102500,100\n", "SPY"),
    "india": ("equity/india/minute/tcs/20240701_trade.zip", "20240701_tcs_minute_trade",
              "68400000,100000,105000,95000,102500,100\n", "TCS"),
    "crypto future": ("cryptofuture/bybit/minute/btcusdt/20240701_trade.zip", "20240701_btcusdt_minute_trade",
                      "48600000,10,10.5,9.5,10.25,100\n", "BYBIT_PERP_BTCUSDT"),
    "unheard-of market": ("crypto/okx/minute/btcusdt/20240701_trade.zip", "20240701_btcusdt_minute_trade",
                          "48600000,10,10.5,9.5,10.25,100\n", "OKX_BTCUSDT"),
}  # fmt: skip


@pytest.mark.parametrize("case", LEAN)
def test_lean_places_tell_zone_prices_and_symbol(case, tmp_path):
    where, member, text, symbol = LEAN[case]
    path = lean_zip(tmp_path, where, **{member: text})
    ingest_files([path], tmp_path / "store", IngestOptions())
    assert pl.read_parquet(tmp_path / "store" / "**/*.parquet").rows() == [(symbol, AT, *BAR)]


def test_a_lean_quote_bar_without_a_side_has_no_middle(tmp_path):
    text = "0,1.1,1.2,1.0,1.1,0,1.3,1.4,1.2,1.3,0\n60000,,,,,,1.3,1.4,1.2,1.3,0\n"
    path = lean_zip(tmp_path, "forex/oanda/minute/eurusd/20240701_quote.zip", **{"20240701_eurusd_minute_quote": text})
    with pytest.raises(DataError, match="bars must be trades, were quotes; ask for mid bars with quotes=mid"):
        ingest_files([path], tmp_path / "store", IngestOptions())
    report = ingest_files([path], tmp_path / "store", IngestOptions(quotes="mid"))
    assert report.refused == {"one_sided": 1}
    got = pl.read_parquet(tmp_path / "store" / "**/*.parquet")
    assert got.row(0)[2:] == (1.2, 1.3, 1.1, 1.2, 0)


def test_lean_needs_its_folders(tmp_path):
    path = lean_zip(tmp_path, "20240701_trade.zip", **{"20240701_spy_minute_trade": "0,1,1,1,1,1\n"})
    with pytest.raises(DataError, match="path must tell the security type and market"):
        ingest_files([path], tmp_path / "store", IngestOptions())


@pytest.mark.parametrize(
    ("name", "symbol"),
    [
        ("AAPL_1min.csv", "AAPL"),
        ("9988.HK_1T_240117_240214.csv", "9988.HK"),
        ("UNITTEST_BTC-1m.feather", "UNITTEST_BTC"),
        ("DBB_1min_2023-07-10_to_2025-07-08.csv", "DBB"),
        ("SPY_2024-03.parquet", "SPY"),
        ("BRK.B.csv.gz", "BRK.B"),
        ("ES_201312.csv", "ES_201312"),
        ("BTC-USD.csv", "BTC-USD"),
        ("2024-11-25.csv.gz", ""),
    ],
)
def test_symbols_from_file_names(name, symbol):
    assert symbol_of(Path(name)) == symbol


@pytest.mark.parametrize(
    "bad",
    [{"format": "xml"}, {"stamp": "middle"}, {"tz": "Mars/Olympus"}, {"columns": {"opne": "o"}}, {"price_decimals": 9},
     {"price_divisor": 0.0}, {"on_bad": "ignore"}, {"quotes": "bid"}],
)  # fmt: skip
def test_options_that_cannot_be_are_refused(bad):
    with pytest.raises(UsageError, match="ingest: "):
        IngestOptions(**bad)
