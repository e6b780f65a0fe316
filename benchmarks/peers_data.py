"""Made-up minute bars for benchmarks and exact answers: XNYS 2024 in regular hours, the same to the bit everywhere.

    python -m benchmarks.peers_data FOLDER S M L        writes FOLDER/S, FOLDER/M, FOLDER/L

Prices are whole cents. About 1 % of the minutes are missing at random, but never the first or the last two of a session, so
that an order decided in the last minute but one of the last session has a bar to fill on. A size is a number of symbols and of
sessions; every size is a market of its own.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from datetime import date
from pathlib import Path
from typing import Literal

import numpy as np
import numpy.typing as npt
import polars as pl

from bt.sessions import TimeManager

SIZES = {"S": (1, 252), "M": (20, 252), "L": (500, 60), "XL": (3000, 20)}
"""Symbols and sessions."""

SEED = 20240102
MINUTE = 60_000_000
MISSING = 0.01

Order = Literal["by_symbol", "by_ts"]
Floats = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Made:
    """What was written. Decisions on rows with ts >= `flat_us` (UTC microseconds) want to be flat."""

    rows: int
    symbols: list[str]
    first: str
    last: str
    flat_us: int


def sessions(count: int) -> list[tuple[date, int, int]]:
    """The first `count` sessions of 2024 as (name, open in UTC microseconds, minutes)."""
    schedule = TimeManager("XNYS").schedule(date(2024, 1, 2), date(2024, 12, 31))
    if count > len(schedule):
        raise SystemExit(f"peers_data: sessions must be at most {len(schedule)}, was {count}")
    found = [schedule.session(i) for i in range(count)]
    return [(s.name, s.open, s.minutes) for s in found]


def volume_shape(minutes: int) -> Floats:
    """Volume over the day: much at the open and the close, little at noon."""
    x = np.linspace(-1, 1, minutes)
    return 0.35 + 1.65 * x**4 + 0.4 * x**2


def market(symbols: int, count: int) -> Iterator[tuple[date, pl.DataFrame]]:
    """Session by session its name and its bars (ts, symbol, open, high, low, close, volume), sorted by symbol and ts.

    The order in which random numbers are drawn is the data: changing it changes every answer that depends on it.
    """
    names = pl.Series([f"S{i:04d}" for i in range(symbols)], dtype=pl.String)
    rng = np.random.default_rng([SEED, symbols, count])
    last = np.round(rng.uniform(20, 400, symbols), 2)
    sigma = rng.uniform(0.0004, 0.0012, symbols)
    usual = rng.lognormal(8.5, 1.0, symbols)
    for number, (name, opened, minutes) in enumerate(sessions(count)):
        rng = np.random.default_rng([SEED, symbols, count, number])
        shape = (symbols, minutes)
        overnight = rng.normal(0, 6, symbols) * sigma
        returns = rng.normal(0, 1, shape) * sigma[:, None]
        returns[:, 0] += overnight
        close = np.maximum(np.round(np.exp(np.log(last)[:, None] + np.cumsum(returns, axis=1)), 2), 1.0)
        before = np.concatenate([last[:, None], close[:, :-1]], axis=1)
        jump = np.round(rng.normal(0, 0.15, shape) * sigma[:, None] * before, 2)
        open_ = np.maximum(np.round(before + jump, 2), 1.0)
        open_[:, 0] = np.maximum(np.round(last * np.exp(overnight), 2), 1.0)
        reach = sigma[:, None] * before
        high = np.round(np.maximum(open_, close) + np.abs(rng.normal(0, 0.5, shape)) * reach, 2)
        low = np.round(np.minimum(open_, close) - np.abs(rng.normal(0, 0.5, shape)) * reach, 2)
        low = np.maximum(low, 0.01)
        traded = usual[:, None] * volume_shape(minutes) * rng.lognormal(0, 0.4, shape)
        volume = np.maximum(traded.astype(np.int64), 1)
        keep = rng.random(shape) >= MISSING
        keep[:, 0] = keep[:, -1] = keep[:, -2] = True
        last = close[:, -1]
        row, minute = np.nonzero(keep)
        yield (
            name,
            pl.DataFrame(
                {
                    "ts": pl.Series(opened + minute * MINUTE).cast(pl.Datetime("us", "UTC")),
                    "symbol": names.gather(row),
                    "open": open_[keep],
                    "high": high[keep],
                    "low": low[keep],
                    "close": close[keep],
                    "volume": volume[keep],
                }
            ),
        )


def write(folder: Path, size: str | tuple[int, int], order: Order = "by_symbol") -> Made:
    """Write a size (a name, or symbols and sessions) as one file a session and meta.json; what it is comes back."""
    symbols, count = SIZES[size] if isinstance(size, str) else size
    folder.mkdir(parents=True, exist_ok=True)
    rows = 0
    for name, frame in market(symbols, count):
        sorted_ = frame if order == "by_symbol" else frame.sort("ts", "symbol")
        sorted_.write_parquet(folder / f"{name}.parquet", compression="zstd")
        rows += frame.height
    days = sessions(count)
    _, opened, minutes = days[-1]
    made = Made(
        rows,
        [f"S{i:04d}" for i in range(symbols)],
        days[0][0].isoformat(),
        days[-1][0].isoformat(),
        opened + (minutes - 2) * MINUTE,
    )
    (folder / "meta.json").write_text(json.dumps(asdict(made)))
    return made


def main() -> None:
    """Write the sizes asked for."""
    parser = argparse.ArgumentParser(description="Write made-up minute bars for benchmarks.")
    parser.add_argument("folder", type=Path)
    parser.add_argument("sizes", nargs="+", help="S, M, L, XL, or SYMBOLSxSESSIONS as 500x250")
    parser.add_argument("--order", choices=("by_symbol", "by_ts"), default="by_symbol")
    given = parser.parse_args()
    for size in given.sizes:
        symbols, count = SIZES[size] if size in SIZES else (int(n) for n in size.split("x"))
        made = write(given.folder / size, (symbols, count), given.order)
        print(f"{size}: {made.rows:,} rows, {made.first} to {made.last}")


if __name__ == "__main__":
    main()
