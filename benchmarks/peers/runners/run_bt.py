"""bt, this checkout: MODE is a style and the bars, such as rows-ingested. Results go to disk, as users have them.

Styles are rows (a call a bar), cross (a call a minute) and columns (Polars expressions, no call); found reads the files all engines read, ingested what `bt ingest` made of
them (the third argument). Means of prices are exact, so ties need no band.
"""

import sys
import tempfile
from importlib.metadata import version
from pathlib import Path

import numpy as np
import polars as pl
from market import CASH, COMMISSION, FAST, SHARES, SLOW, Sitting

import bt

replay = bt.replay  # bt imports what it needs when it is first asked for; the others have by now
sitting = Sitting()
style, _, bars = sitting.mode.partition("-")


class Means(bt.Row):
    """Two means of a symbol, as known when the minute ends."""

    symbol: str
    open_time: int
    fast: float
    slow: float


class Strategy:
    """What both styles ask for."""

    row = Means

    def features(self) -> dict[str, bt.Feature]:
        return {"fast": bt.sma("close", FAST), "slow": bt.sma("close", SLOW)}


class Rows(Strategy):
    """A call a bar."""

    def on_bar(self, row: Means, book: bt.Book) -> None:
        if row.open_time >= sitting.flat_us:
            book.target(row.symbol, 0)
        elif row.fast != row.slow:
            book.target(row.symbol, SHARES if row.fast > row.slow else 0)


class Cross(Strategy):
    """A call a minute. NaN is no decision: where means tie, and where a symbol has no bar that ends now."""

    def on_minute(self, rows: bt.Rows, book: bt.Book) -> None:
        shares = np.where(rows.fast > rows.slow, float(SHARES), np.where(rows.fast < rows.slow, 0.0, np.nan))
        if rows.open_time >= sitting.flat_us:
            shares[:] = 0.0
        book.targets(rows, shares=shares)


class Columns:
    """No call: a target is an expression; null is no decision."""

    def features(self) -> dict[str, bt.Feature]:
        return {"fast": bt.sma("close", FAST), "slow": bt.sma("close", SLOW)}

    def signals(self) -> dict[str, pl.Expr]:
        fast, slow, flat = pl.col("fast"), pl.col("slow"), pl.col("open_time").dt.epoch("us") >= sitting.flat_us
        return {"target": pl.when(flat).then(0).when(fast > slow).then(SHARES).when(fast < slow).then(0)}


with tempfile.TemporaryDirectory(dir=sitting.folder.parent) as folder:
    run = replay(
        bars=sys.argv[3] if bars == "ingested" else sitting.folder / "*.parquet",
        columns={} if bars == "ingested" else {"open_time": "ts"},
        calendar="XNYS", start=sitting.first, end=sitting.last, cash=CASH, out=Path(folder, "run"),
        strategy={"rows": Rows, "cross": Cross, "columns": Columns}[style], engine={"threads": 1},
        execution={"time_in_force": "gtc", "commission_per_share": COMMISSION},
    )  # fmt: skip
summary = run.summary
sitting.tell(version=version("minute-bt"), bars=summary["bars"], trades=summary["trades"], pnl=summary["net_pnl"])
