"""Polars expressions by hand: one lazy query from the files to trades and profit."""

import polars as pl
from market import COMMISSION, FAST, SHARES, SLOW, TIE, Sitting

sitting = Sitting()
close, apart, wanted, change = (pl.col(name) for name in ("close", "apart", "wanted", "change"))
decided = pl.when(apart > TIE).then(1).when(apart < -TIE).then(0).otherwise(None)
result = (
    pl.scan_parquet(sitting.files)  # a file is a session, sorted by symbol and time
    .select("ts", "symbol", "open", "close")
    .with_columns((close.rolling_mean(FAST) - close.rolling_mean(SLOW)).over("symbol").alias("apart"))
    .with_columns(decided.forward_fill().fill_null(0).over("symbol").alias("wanted"))
    .with_columns(pl.when(pl.col("ts").dt.epoch("us") >= sitting.flat_us).then(0).otherwise(wanted).alias("wanted"))
    .with_columns(
        wanted.diff().fill_null(wanted).over("symbol").alias("change"),
        pl.col("open").shift(-1).over("symbol").alias("price"),
    )
    .filter(change != 0)
    .select(
        (change < 0).sum().alias("trades"),
        (-change * pl.col("price") * SHARES - change.abs() * SHARES * COMMISSION).sum().alias("pnl"),
    )
    .collect()
    .row(0)
)
rows = pl.scan_parquet(sitting.files).select(pl.len()).collect().item()
sitting.tell(version=pl.__version__, bars=rows, trades=result[0], pnl=result[1])
