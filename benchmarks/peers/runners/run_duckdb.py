"""SQL windows by hand, in DuckDB: one query from the files to trades and profit."""

import duckdb
from market import COMMISSION, FAST, SHARES, SLOW, TIE, Sitting

sitting = Sitting()
connection = duckdb.connect(config={"threads": 1})
connection.execute("SET TimeZone = 'UTC'")
connection.execute("SET enable_progress_bar = false")
query = f"""
WITH means AS (
    SELECT symbol, ts, row_number() OVER by_time AS number, lead(open) OVER by_time AS price,
        avg(close) OVER (by_time ROWS BETWEEN {FAST - 1} PRECEDING AND CURRENT ROW)
            - avg(close) OVER (by_time ROWS BETWEEN {SLOW - 1} PRECEDING AND CURRENT ROW) AS apart
    FROM read_parquet($files) WINDOW by_time AS (PARTITION BY symbol ORDER BY ts)
), decided AS (
    SELECT *, CASE WHEN number < {SLOW} THEN NULL WHEN apart > {TIE} THEN 1 WHEN apart < -{TIE} THEN 0 END AS decision
    FROM means
), wanted AS (
    SELECT *, CASE WHEN epoch_us(ts) >= $flat THEN 0 ELSE coalesce(last_value(decision IGNORE NULLS) OVER (
        PARTITION BY symbol ORDER BY ts ROWS BETWEEN UNBOUNDED PRECEDING AND CURRENT ROW), 0) END AS wanted
    FROM decided
), changes AS (
    SELECT *, wanted - coalesce(lag(wanted) OVER (PARTITION BY symbol ORDER BY ts), 0) AS change FROM wanted
)
SELECT count(*) FILTER (change < 0), sum(-change * price * {SHARES} - abs(change) * {SHARES * COMMISSION}),
    (SELECT count(*) FROM wanted)
FROM changes WHERE change <> 0
"""
trades, pnl, rows = connection.sql(query, params={"files": sitting.files, "flat": sitting.flat_us}).fetchall()[0]
sitting.tell(version=duckdb.__version__, bars=rows, trades=trades, pnl=pnl)
