"""One Python call a bar by hand, in the order of time: what any engine that calls per bar has to beat."""

import platform
from collections.abc import Iterator
from typing import Any

import pyarrow.parquet as pq
from market import COMMISSION, SHARES, Crossing, Sitting

sitting = Sitting()


class Bar:
    """A bar as a strategy is handed it; one object, filled again for each."""

    __slots__ = ("close", "high", "low", "open", "symbol", "time", "volume")


class Strategy:
    """What is wanted of each symbol."""

    def __init__(self) -> None:
        self.state = {symbol: Crossing() for symbol in sitting.symbols}
        self.bars = 0

    def on_bar(self, bar: Bar) -> int:
        self.bars += 1
        wanted = self.state[bar.symbol].on_close(bar.close)
        return 0 if bar.time >= sitting.flat_us else wanted


def bars() -> Iterator[tuple[Any, ...]]:
    """Bar by bar, a session's file at a time."""
    for file in sitting.files:
        table = pq.read_table(file, use_threads=False, partitioning=None).sort_by("ts")
        columns = [table["ts"].cast("int64"), *(table[c] for c in ("symbol", "open", "high", "low", "close", "volume"))]
        yield from zip(*(column.to_pylist() for column in columns), strict=True)


strategy, bar = Strategy(), Bar()
position = dict.fromkeys(sitting.symbols, 0)
wanted = dict.fromkeys(sitting.symbols, 0)
trades, pnl = 0, 0.0
for bar.time, bar.symbol, bar.open, bar.high, bar.low, bar.close, bar.volume in bars():
    change = wanted[bar.symbol] - position[bar.symbol]
    if change:
        pnl -= change * bar.open * SHARES + COMMISSION * SHARES
        trades += change < 0
        position[bar.symbol] = wanted[bar.symbol]
    wanted[bar.symbol] = strategy.on_bar(bar)
sitting.tell(version=platform.python_version(), bars=strategy.bars, trades=trades, pnl=pnl)
