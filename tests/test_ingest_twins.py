"""Each importer gives exactly the bars of the converted twin of the vendor's file, where there is one."""

from __future__ import annotations

import csv
import json
from collections.abc import Mapping
from datetime import datetime
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from bt.ingest import IngestOptions, IngestReport, ingest_files

NEW_YORK = "America/New_York"
KEY = ["symbol", "open_time"]


def ingested(tmp_path: Path, raw: list[Path], **options: Any) -> tuple[pl.DataFrame, IngestReport]:
    report = ingest_files(raw, tmp_path / "store", IngestOptions(**options))
    return pl.read_parquet(tmp_path / "store" / "**/*.parquet").sort(KEY), report


def twin(shared: Path, pattern: str, symbols: list[str]) -> pl.DataFrame:
    found = pl.concat([pl.read_parquet(path) for path in sorted(shared.glob(pattern))])
    return found.rename({"ts": "open_time"}).filter(pl.col("symbol").is_in(symbols)).sort(KEY)


PAIRS: Mapping[str, tuple[str, str, list[str], dict[str, Any]]] = {
    "newest first, end stamps, naive": (
        "desc-endstamp-csv/*.csv", "us-equity-24sym-2019/*.parquet", ["AAPL", "UGA", "VIX"],
        {"stamp": "end", "tz": NEW_YORK},
    ),
    "ninjatrader": ("ninjatrader-csv/*.csv", "us-equity-spy-2011-ext/*.parquet", ["SPY"], {"symbol": "SPY"}),
    "close before high, a week of M/D/YYYY": (
        "mplfinance-csv/*.csv", "us-index-spx-2019/*.parquet", ["SPX"], {"symbol": "SPX", "tz": NEW_YORK},
    ),
    "byte order mark, M/D/YYYY": (
        "pixie26-spy-csv/SPY_1min.csv", "us-equity-spy-2024-ext/*.parquet", ["SPY"], {"stamp": "end", "tz": NEW_YORK},
    ),
    "naive UTC": ("watstreet-polygon-csv/*.csv", "us-equity-thin-etf/*.parquet", ["DBB"], {"tz": "UTC"}),
    "market_prices": ("market-prices-csv/*.csv", "intl-equity-minute/*.parquet", ["9988.HK", "MSFT"], {"tz": "UTC"}),
    "stray index columns": (
        "pandas-index-csv/*_1min.csv", "us-equity-3sym-2023-ext/*.parquet", ["AAPL", "GOOGL"], {},
    ),
    "feather": ("freqtrade-feather/*.feather", "crypto-freqtrade-minute/*.parquet", ["UNITTEST_BTC"], {}),
    "epoch ms, tabs": ("epochms-tsv/*.tsv", "us-equity-2sym-2016/*.parquet", ["AAPL"], {"symbol": "AAPL"}),
    "lean futures": ("lean-futures/*.zip", "futures-lean-minute/ES_2013-10-07.parquet",
                     ["ES_201312", "ES_201403", "ES_201406"], {}),
}  # fmt: skip


@pytest.mark.parametrize("case", PAIRS)
def test_an_importer_gives_exactly_the_twin(case, shared_data, tmp_path):
    raw, converted, symbols, options = PAIRS[case]
    got, report = ingested(tmp_path, sorted((shared_data / "raw").glob(raw)), **options)
    want = twin(shared_data, converted, symbols)
    assert got.select(want.columns).schema == want.schema
    assert got.select(want.columns).equals(want)
    assert report.refused == {}
    assert report.conflicts == ()


def test_lean_equity_folder_is_exactly_the_twin_and_tells_what_it_left_out(shared_data, tmp_path):
    got, report = ingested(tmp_path, [shared_data / "raw" / "lean-equity-usa"])
    day = pl.col("open_time").dt.convert_time_zone(NEW_YORK).dt.date().cast(pl.String)
    held = {("2013-10-07", "IBM"), ("2013-10-07", "SPY"), ("2014-06-06", "AAPL"), ("2014-06-09", "AAPL"),
            ("2015-12-24", "GOOG")}  # fmt: skip
    symbols = ["AAPL", "GOOG", "IBM", "SPY"]
    pair = pl.concat_str(day, "symbol", separator=" ").is_in([f"{d} {s}" for d, s in held])
    want = twin(shared_data, "us-equity-lean-minute/*.parquet", symbols).filter(pair)
    assert got.equals(want)
    skipped = {Path(path).name: why for path, why in report.skipped}
    assert "quotes=mid" in skipped["usa__minute__spy__20131007_quote.zip"]
    assert "LEAN minute" in skipped["usa__tick__ibm__20131007_trade.zip"]
    assert "LEAN minute" in skipped["usa__second__ibm__20131007_trade.zip"]
    assert "usa__daily__aapl.zip" in skipped
    assert "usa__factor_files__aapl.csv" in skipped


def test_lean_crypto_is_exactly_the_twin_with_fractional_volume(shared_data, tmp_path):
    got, _ = ingested(tmp_path, [shared_data / "raw" / "lean-crypto"])
    want = twin(shared_data, "crypto-lean-minute/*.parquet", ["COINBASE_BTCUSD"])
    want = want.filter(pl.col("open_time").dt.date() == pl.date(2016, 10, 8))
    assert got.schema["volume"] == pl.Float64
    assert got.equals(want)


def test_lean_quotes_become_exactly_the_mid_bars_when_asked(shared_data, tmp_path):
    got, report = ingested(tmp_path, [shared_data / "raw" / "lean-forex"], quotes="mid")
    want = twin(shared_data, "fx-lean-minute/*_mid.parquet", ["OANDA_EURUSD", "FXCM_EURUSD"])
    want = want.filter(pl.struct(KEY).is_in(got.select(pl.struct(KEY)).to_series().implode()))
    assert got.height == sum(s.rows for s in report.sources) == 2945
    assert got.equals(want)


def test_fxcm_bid_bars_need_a_word_about_volume_and_are_the_quotes_bid_side(shared_data, tmp_path):
    raw = [shared_data / "raw" / "fxcm-m1-csv" / "gbpusd-m1-bid-2012.csv"]
    got, _ = ingested(tmp_path, raw, columns={"volume": "0"}, symbol="GBPUSD")
    quotes = pl.read_parquet(shared_data / "fx-fxcm-minute" / "GBPUSD_quote.parquet").sort("ts")
    bids = quotes.select([f"bid_{name}" for name in ("open", "high", "low", "close")])
    bids.columns = ["open", "high", "low", "close"]
    assert got["open_time"].equals(quotes["ts"].alias("open_time"))
    assert got.select(bids.columns).equals(bids)
    assert got["volume"].unique().to_list() == [0]


def test_yfinance_spy_is_the_twin_up_to_the_dirty_days(shared_data, tmp_path):
    got, report = ingested(tmp_path, [shared_data / "raw" / "yfinance-csv" / "SPY_dirty.csv"], symbol="SPY")
    want = twin(shared_data, "us-etf-universe-2019-12/*.parquet", ["SPY"])
    clean = pl.col("open_time") < pl.datetime(2020, 1, 14, time_zone="UTC")
    assert got.filter(clean & (pl.col("open_time") >= want["open_time"][0])).select(want.columns).equals(want)
    assert want.height > 6000
    source = report.sources[0]
    assert source.ignored == {"Adj Close": 0, "Dividends": 2, "Stock Splits": 0}
    assert report.refused["duplicate"] > 5000
    assert source.rows == report.bars + sum(report.refused.values())
    assert sum(c.rows for c in report.conflicts) > 0


def test_yfinance_tlt_equals_a_plain_reading(shared_data, tmp_path):
    path = shared_data / "raw" / "yfinance-csv" / "TLT.csv"
    got, _ = ingested(tmp_path, [path])
    with path.open(newline="") as file:
        rows = [
            ("TLT", datetime.fromisoformat(r["Datetime"]), *(float(r[c]) for c in ("Open", "High", "Low", "Close")),
             int(float(r["Volume"])))
            for r in csv.DictReader(file)
        ]  # fmt: skip
    assert got.rows() == sorted(rows)


def test_json_rows_equal_the_numbers_in_the_file(shared_data, tmp_path):
    path = shared_data / "raw" / "freqtrade-feather" / "UNITTEST_BTC-1m.json"
    got, _ = ingested(tmp_path, [path])
    want = sorted(json.loads(path.read_text()))
    plain = got.select(pl.col("open_time").dt.epoch("ms"), "open", "high", "low", "close", "volume").rows()
    assert [list(row) for row in plain] == want


def test_a_headerless_kline_file_is_read_by_column_numbers(shared_data, tmp_path):
    path = shared_data / "raw" / "binance-kline-csv" / "ADABTC-1m-2021-11-27.csv"
    numbers = {"open_time": "1", "open": "2", "high": "3", "low": "4", "close": "5", "volume": "6", "n_trades": "9"}
    got, _ = ingested(tmp_path, [path], columns=numbers)
    first = path.read_text().splitlines()[0].split(",")
    assert got.height == 10
    assert got.row(0)[0] == "ADABTC"
    assert got.row(0)[2:] == (*map(float, first[1:6]), int(first[8]))


def test_alpaca_bodies_keep_minutes_and_refuse_coarser_pages(shared_data, tmp_path):
    path = shared_data / "raw" / "alpaca-stream-v2" / "rest_v2_payloads.jsonl"
    got, report = ingested(tmp_path, [path])
    bodies = [json.loads(line).get("bars") or {} for line in path.read_text().splitlines()]
    latest = {(s, b["t"], b["o"], b["v"]) for body in bodies for s, b in body.items() if isinstance(b, dict)}
    stamp = pl.col("open_time").dt.strftime("%Y-%m-%dT%H:%M:%SZ")
    held = set(got.select("symbol", stamp, "open", pl.col("volume")).rows())
    assert latest <= held
    assert {"vwap", "n_trades"} <= set(got.columns)
    assert "META" not in got["symbol"].to_list()
    assert "AMZN" not in got["symbol"].to_list()
    refused = {r.reason: r for r in report.sources[0].refused}
    assert refused["not_one_minute"].rows == sum(
        len(bars)
        for body in bodies
        for s, bars in body.items()
        if isinstance(bars, list) and s in {"META", "AMZN", "AAPL", "NIO"}
    )


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")  # the package leaves its file open
def test_databento_equals_its_own_package(shared_data, tmp_path):
    databento = pytest.importorskip("databento")
    path = next((shared_data / "raw" / "databento-dbn").glob("futures_ohlcv-1m_*"))
    got, _ = ingested(tmp_path, [path])
    want = databento.DBNStore.from_file(path).to_df().reset_index()
    want = pl.DataFrame(
        {
            "symbol": want["symbol"].tolist(),
            "open_time": [int(t.value) // 1000 for t in want["ts_event"]],
            **{c: want[c].to_numpy() for c in ("open", "high", "low", "close")},
            "volume": want["volume"].to_numpy().astype("int64"),
        }
    ).with_columns(pl.col("open_time").cast(pl.Datetime("us", "UTC")))
    assert got.equals(want.sort(KEY))
    assert sorted(set(got["symbol"])) == ["ESU4", "NQU4"]


def test_every_converted_folder_comes_back_unchanged(shared_data, tmp_path):
    folder = shared_data / "us-equity-lean-minute"
    got, report = ingested(tmp_path, [folder])
    want = pl.concat([pl.read_parquet(p) for p in sorted(folder.glob("*.parquet"))]).rename({"ts": "open_time"})
    assert got.equals(want.sort(KEY))
    assert report.refused == {}
    assert "coverage.csv" in {Path(path).name for path, _ in report.skipped}
