"""A Numba loop by hand over columns that pyarrow loaded: compiled once for the machine, and kept beside this file."""

import numba
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from market import COMMISSION, FAST, SHARES, SLOW, TIE, Sitting


@numba.njit(cache=True)
def crossing(symbol, time, opens, closes, symbols, flat):  # noqa: ANN001, ANN201, PLR0917 - Numba's types are its arguments'
    """Trades and net profit."""
    held = np.zeros((symbols, SLOW))
    count = np.zeros(symbols, np.int64)
    fast, slow = np.zeros(symbols), np.zeros(symbols)
    position, wanted = np.zeros(symbols, np.int8), np.zeros(symbols, np.int8)
    trades, pnl = 0, 0.0
    for row in range(symbol.size):
        s = symbol[row]
        if wanted[s] != position[s]:
            if wanted[s]:
                pnl -= opens[row] * SHARES
            else:
                pnl += opens[row] * SHARES
                trades += 1
            pnl -= SHARES * COMMISSION
            position[s] = wanted[s]
        close, i = closes[row], count[s]
        slow[s] += close - held[s, i % SLOW]
        fast[s] += close - (held[s, (i - FAST) % SLOW] if i >= FAST else 0.0)
        held[s, i % SLOW] = close
        count[s] = i + 1
        if i + 1 >= SLOW:
            apart = fast[s] / FAST - slow[s] / SLOW
            if apart > TIE:
                wanted[s] = 1
            elif apart < -TIE:
                wanted[s] = 0
        if time[row] >= flat:
            wanted[s] = 0
    return trades, pnl


sitting = Sitting()
needed = ["ts", "symbol", "open", "close"]
tables = [
    pq.read_table(file, columns=needed, use_threads=False, partitioning=None, read_dictionary=["symbol"])
    for file in sitting.files
]
table = pa.concat_tables(tables).unify_dictionaries().combine_chunks()
codes = table["symbol"].chunk(0)
trades, pnl = crossing(
    codes.indices.to_numpy(), table["ts"].cast("int64").to_numpy(), table["open"].to_numpy(), table["close"].to_numpy(),
    len(codes.dictionary), sitting.flat_us,
)  # fmt: skip
sitting.tell(version=numba.__version__, bars=table.num_rows, trades=trades, pnl=pnl)
