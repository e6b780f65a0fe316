"""Which engines are run, each in which environment, by which runner, and up to which size."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

RUNNERS = Path(__file__).resolve().with_name("runners")
SIZES = ("S", "M", "L", "XL")
"""Of `benchmarks.peers_data`, in order."""


@dataclass(frozen=True)
class Engine:
    """One way to run the strategy.

    `environment` names a list of requirements, "" is the project's own environment. `largest` is the largest size that it is run
    at. `note` is what a reader of the table must know, such as how it was made to fill at the next open.
    """

    name: str
    environment: str
    runner: str
    mode: str = ""
    largest: str = "XL"
    note: str = ""

    @property
    def script(self) -> Path:
        """The runner."""
        return RUNNERS / f"run_{self.runner}.py"

    def runs(self, size: str) -> bool:
        """Whether it is run at a size."""
        return SIZES.index(size) <= SIZES.index(self.largest)


BARE = "no orders, no results but trades and P&L"
OUTSIDE = "commission taken off its trades afterwards, it knows fractions of value alone; symbols are runs of their own"
ENGINES = (
    Engine("bt, rows, ingested", "", "bt", "rows-ingested", note="results on disk"),
    Engine("bt, rows, as found", "", "bt", "rows-found", note="results on disk"),
    Engine("bt, cross-section, ingested", "", "bt", "cross-ingested", note="results on disk"),
    Engine("bt, cross-section, as found", "", "bt", "cross-found", note="results on disk"),
    Engine("bt, columns, ingested", "", "bt", "columns-ingested", note="results on disk"),
    Engine("bt, columns, as found", "", "bt", "columns-found", note="results on disk"),
    Engine("by hand: Polars expressions", "by_hand", "polars", note=BARE),
    Engine("by hand: DuckDB SQL", "by_hand", "duckdb", note=BARE),
    Engine("by hand: Numba loop", "by_hand", "numba", note=f"{BARE}; compiled beforehand"),
    Engine("by hand: one Python call a bar", "by_hand", "python", note=BARE),
    Engine("raptorbt, arrays", "raptorbt", "raptorbt", "arrays", "L", OUTSIDE),
    Engine("raptorbt, events", "raptorbt", "raptorbt", "events", "L", OUTSIDE),
    Engine("vectorbt, signals", "vectorbt", "vectorbt", "signals", "L", "next open by shifted signals"),
    Engine("vectorbt, signals, Rust", "vectorbt", "vectorbt", "rust", "L", "next open by shifted signals"),
    Engine("vectorbt, order function", "vectorbt", "vectorbt", "order", "L", "compiled in every process"),
    Engine("backtesting.py", "backtesting", "backtesting", largest="L", note="symbols are runs of their own"),
    Engine("PyBroker", "pybroker", "pybroker", largest="L"),
    Engine("zipline-reloaded", "zipline", "zipline", largest="L", note="a fill model of its own for the open; its bundle is made first"),
    Engine("akquant", "akquant", "akquant", largest="L"),
    Engine("backtrader", "backtrader", "backtrader", largest="L"),
    Engine("NautilusTrader", "nautilus", "nautilus", largest="L", note="next open by a tick at each open and a delay of 1 ns"),
)  # fmt: skip


def chosen(words: list[str]) -> list[Engine]:
    """The engines whose name contains any of `words`, whatever the case; all without words.

    Raises
    ------
    SystemExit
        A word is in no engine's name.
    """
    lost = [word for word in words if not any(word.lower() in engine.name.lower() for engine in ENGINES)]
    if lost:
        names = "\n".join(f"  {engine.name}" for engine in ENGINES)
        raise SystemExit(f"peers: --only must name engines, was {', '.join(lost)}; they are\n{names}")
    return [e for e in ENGINES if not words or any(word.lower() in e.name.lower() for word in words)]
