"""bt, this checkout: MODE is a style and the bars, such as rows-ingested. Results go to disk, as users have them.

Styles are rows (a call a bar) and cross (a call a minute); found reads the files all engines read, ingested what `bt ingest` made of
them (the third argument). Means of prices are exact, so ties need no band.
"""

import sys
import tempfile
from importlib.metadata import version
from pathlib import Path

import numpy as np
from market import CASH, COMMISSION, FAST, SHARES, SLOW, Sitting

import bt

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
    """A call a minute; without a decision is NaN."""

    def on_minute(self, rows: bt.Rows, book: bt.Book) -> None:
        shares = np.where(rows.fast == rows.slow, np.nan, np.where(rows.fast > rows.slow, float(SHARES), 0.0))
        shares[rows.open_time >= sitting.flat_us] = 0.0
        book.targets(rows, shares=shares)


with tempfile.TemporaryDirectory(dir=sitting.folder.parent) as folder:
    run = bt.replay(
        bars=sys.argv[3] if bars == "ingested" else sitting.folder / "*.parquet",
        columns={} if bars == "ingested" else {"open_time": "ts"},
        calendar="XNYS", start=sitting.first, end=sitting.last, cash=CASH, out=Path(folder, "run"),
        strategy={"rows": Rows, "cross": Cross}[style], engine={"threads": 1},
        execution={"time_in_force": "gtc", "commission_per_share": COMMISSION},
    )  # fmt: skip
summary = run.summary
sitting.tell(version=version("minute-bt"), bars=summary["bars"], trades=summary["trades"], pnl=summary["net_pnl"])
