"""What every runner is given and tells: the market on disk, the strategy's constants, the clock.

    ENVIRONMENT/bin/python run_ENGINE.py FOLDER MODE

The strategy: long 100 shares of a symbol while the mean of its last 10 closes is above the mean of its last 30, flat while it is
below; means that tie keep what is held. Orders fill at the symbol's next open for 0.005 a share. From the last minute but one of the
last session on it wants to be flat. This file is read by the environments of all engines: it needs nothing but NumPy.
"""

from __future__ import annotations

import json
import resource
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import pandas as pd
    import pyarrow as pa

FAST, SLOW = 10, 30
SHARES = 100
COMMISSION = 0.005
CASH = 1e9
"""Enough never to refuse an order."""

TIE = 1e-6
"""Means of whole cents are 1/3000 apart or equal; nearer than this they are equal, and rounding spoke."""

MINUTE_US = 60_000_000


def cpu() -> float:
    """CPU seconds (user + system) of this process and of those it has waited for."""
    used = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(u.ru_utime + u.ru_stime for u in used)


class Sitting:
    """One run. Made once the engine is imported: from then on time counts."""

    def __init__(self) -> None:
        self.folder, self.mode = Path(sys.argv[1]), sys.argv[2]
        meta = json.loads((self.folder / "meta.json").read_text())
        self.symbols: list[str] = meta["symbols"]
        self.first: str = meta["first"]
        self.last: str = meta["last"]
        self.flat_us: int = meta["flat_us"]
        """Open_time, UTC microseconds, of the bar whose decision, like all later ones, is to be flat."""
        self.files = sorted(str(path) for path in self.folder.glob("*.parquet"))
        self._wall, self._cpu = time.perf_counter(), cpu()

    def arrow(self) -> pa.Table:
        """All bars, on one thread."""
        import pyarrow as pa
        import pyarrow.parquet as pq

        return pa.concat_tables([pq.read_table(file, use_threads=False, partitioning=None) for file in self.files])

    def pandas(self) -> pd.DataFrame:
        """All bars: ts (UTC, when a bar opens), symbol, open, high, low, close, volume."""
        return self.arrow().to_pandas()

    def tell(self, *, version: str, bars: int, trades: int, pnl: float) -> None:
        """Print the result: `bars` that the strategy saw, `trades` (an entry and its exit), net `pnl`."""
        taken = {"cpu": cpu() - self._cpu, "wall": time.perf_counter() - self._wall}
        print(json.dumps({"version": version, "bars": int(bars), "trades": int(trades), "pnl": float(pnl), **taken}))


class Crossing:
    """The strategy of one symbol in plain Python, bar by bar, in whole cents: 1 while it wants to be long."""

    __slots__ = ("_cents", "_count", "_fast", "_slow", "wanted")

    def __init__(self) -> None:
        self._cents = [0] * SLOW
        self._count = self._fast = self._slow = self.wanted = 0

    def on_close(self, close: float) -> int:
        """What is wanted after this close."""
        cents, count = round(close * 100), self._count
        self._slow += cents - self._cents[count % SLOW]
        self._fast += cents - (self._cents[(count - FAST) % SLOW] if count >= FAST else 0)
        self._cents[count % SLOW] = cents
        self._count = count + 1
        if self._count >= SLOW:
            apart = self._fast * (SLOW // FAST) - self._slow
            if apart:
                self.wanted = int(apart > 0)
        return self.wanted


def wanted_after(apart: Any) -> Any:
    """What is wanted after each bar of a symbol, by how far its fast mean is above the slow one (NaN while either is unknown)."""
    import numpy as np

    decided = np.where(apart > TIE, 1, np.where(apart < -TIE, 0, -1))
    last = np.maximum.accumulate(np.where(decided >= 0, np.arange(len(decided)), -1))
    return np.where(last >= 0, decided[last], 0)
