"""Small stores of invented bars for the store's tests."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import polars as pl

from bt.model import DataSpec

DAY = datetime(2024, 1, 2, 14, 30, tzinfo=UTC)


def us(when: datetime) -> int:
    """UTC microseconds of an aware instant."""
    return int((when - datetime(1970, 1, 1, tzinfo=UTC)) / timedelta(microseconds=1))


def bars(symbols: tuple[str, ...] = ("AAA", "BBB"), *, day: int = 0, n: int = 5, price: float = 10.25) -> pl.DataFrame:
    """`n` minutes of each symbol on the given day, sorted by symbol and time."""
    start = DAY + timedelta(days=day)
    frames = [
        pl.DataFrame(
            {
                "symbol": [symbol] * n,
                "ts": pl.Series([start + timedelta(minutes=i) for i in range(n)], dtype=pl.Datetime("us", "UTC")),
                "open": [price + i / 100 for i in range(n)],
                "high": [price + 1 + i / 100 for i in range(n)],
                "low": [price - 1 + i / 100 for i in range(n)],
                "close": [price + (i + 1) / 100 for i in range(n)],
                "volume": pl.Series([100 + i + 1000 * k for i in range(n)], dtype=pl.Int64),
            }
        ).with_columns(pl.col("open", "high", "low", "close").round(2))
        for k, symbol in enumerate(symbols)
    ]
    return pl.concat(frames)


def write(folder: Path, frames: dict[str, pl.DataFrame], **options: object) -> Path:
    """Each frame as ``folder/name`` (Parquet)."""
    for name, frame in frames.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        frame.write_parquet(path, **options)  # type: ignore[arg-type]
    return folder


def spec(bars_at: Path | str, **changes: object) -> DataSpec:
    return DataSpec(bars=str(bars_at), calendar="XNYS", **changes)  # type: ignore[arg-type]


def three_days(folder: Path) -> Path:
    """Files a, b, c.parquet: three days of AAA and BBB."""
    return write(folder, {f"{name}.parquet": bars(day=i) for i, name in enumerate("abc")})
