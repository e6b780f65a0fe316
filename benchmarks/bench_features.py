"""What one feature more costs: nanoseconds of CPU a bar, in a run and as bare arithmetic.

    python -m benchmarks.bench_features              500 symbols x 60 sessions, ingested

Every case is a replay in a fresh process on one core, of a strategy that is shown close alone or close and one feature:
each minute (`on_minute`), and every 15 minutes (a timer; only what is shown is computed). A cost is the CPU seconds of reading,
preparing and replaying, less those of the strategy without the feature, over the bars of the run. The arithmetic alone is the
obvious NumPy or Polars over whole columns that are already in memory, sorted by symbol, at every bar: no sessions, guards, warm-up
or nulls.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

import bt
from benchmarks.figures import row
from benchmarks.pinned import FOLDER, Data, data, machine, python, say
from benchmarks.stages import Stages, counted

FEATURES: dict[str, Callable[[], bt.Feature]] = {
    "sma(close, 30)": lambda: bt.sma("close", 30),
    "sum(volume, 30)": lambda: bt.sum("volume", 30),
    "std(close, 30)": lambda: bt.std("close", 30),
    "zscore(close, 30)": lambda: bt.zscore("close", 30),
    "lag(close, 5)": lambda: bt.lag("close", 5),
    "ret(close, 15)": lambda: bt.ret("close", 15),
    "highest(high, 30)": lambda: bt.highest("high", 30),
    "ema(close, 10)": lambda: bt.ema("close", 10),
    "atr(14)": lambda: bt.atr(14),
    "rsi(close, 14)": lambda: bt.rsi("close", 14),
    "vwap()": bt.vwap,
    "so_far(sum, volume)": lambda: bt.so_far("sum", "volume"),
    "opening_range(high, 30)": lambda: bt.opening_range("high", 30),
    "prior(close)": lambda: bt.prior("close"),
    "trailing(avg, volume, 10d)": lambda: bt.trailing("avg", "volume", "10d"),
    "trailing(avg, volume, 10d), at minute": lambda: bt.trailing("avg", "volume", "10d", at="minute"),
    "relative_volume(10d)": lambda: bt.relative_volume("10d"),
    "of(S0001, ret)": lambda: bt.of("S0001", bt.ret("close", 15)),
    "cross_rank(ret)": lambda: bt.cross_rank(bt.ret("close", 15)),
    "cross_zscore(ret)": lambda: bt.cross_zscore(bt.ret("close", 15)),
    "sma(close, 5) of 15m": lambda: bt.sma("close", 5, interval="15m"),
    "feature(rolling_std(20))": lambda: bt.feature(pl.col("close").rolling_std(20), 20),
}


class Plain(bt.Row):
    close: float


class OneMore(bt.Row):
    close: float
    more: float | None


class Base:
    row: type = Plain

    def __init__(self, feature: str = "") -> None:
        self.feature = feature
        self.row = OneMore if feature else Plain

    def features(self) -> dict[str, bt.Feature]:
        return {"more": FEATURES[self.feature]()} if self.feature else {}


class EachMinute(Base):
    def on_minute(self, rows: bt.Rows, book: bt.Book) -> None: ...


class EachQuarter(Base):
    @bt.every("15m")
    def look(self, rows: bt.Rows, book: bt.Book) -> None: ...


STYLES = {"minute": EachMinute, "quarter": EachQuarter}


def child(style: str, feature: str, bars: str, start: str, end: str) -> None:
    """One replay in this process: its CPU seconds, start and results apart."""
    stages: Stages = counted()
    with tempfile.TemporaryDirectory(dir=FOLDER) as folder:
        bt.replay(
            bars=bars, start=start, end=end, calendar="XNYS", strategy=STYLES[style](feature), engine={"threads": 1},
            out=Path(folder, "run"),
        )  # fmt: skip
    taken = stages.finish()
    print(json.dumps({"cpu": sum(v for k, v in taken.items() if k not in ("rest", "results"))}))


def seconds(style: str, feature: str, given: Data, runs: int) -> float:
    """Median CPU seconds."""
    arguments = ("--child", style, feature, str(given.ingested), given.first, given.last)
    found = [float(python("-m", "benchmarks.bench_features", *arguments).answer["cpu"]) for _ in range(runs)]
    say(f"{style} {feature or '(none)'} {' '.join(f'{s:.2f}' for s in found)}")
    return statistics.median(found)


def arithmetic(given: Data, runs: int) -> dict[str, float]:
    """CPU seconds of the obvious arithmetic at every bar of columns in memory."""
    frame = pl.read_parquet(str(given.ingested / "*" / "*.parquet"))
    frame = frame.sort("symbol", "open_time")
    code = frame["symbol"].rank("dense").to_numpy().astype(np.int64)
    session = frame["open_time"].dt.date().to_physical().to_numpy().astype(np.int64)
    close, high, low = (frame[c].to_numpy() for c in ("close", "high", "low"))
    volume = frame["volume"].to_numpy()
    minute = frame["open_time"].dt.hour().to_numpy().astype(np.int64) * 60 + frame["open_time"].dt.minute().to_numpy()
    del frame
    cents = np.rint(close * 100).astype(np.int64)
    by = pl.DataFrame({"code": code, "close": close, "high": high, "low": low, "volume": volume, "session": session})
    group = code * (int(session.max()) + 1) + session
    first = np.flatnonzero(np.diff(group, prepend=-1))
    size = np.diff(np.append(first, len(group)))

    def summed(values: np.ndarray, n: int) -> np.ndarray:
        total = np.cumsum(values)
        total[n:] -= total[:-n].copy()
        return total

    def ret() -> np.ndarray:
        made = np.ones(len(cents))
        made[15:] = cents[15:] / cents[:-15]
        return made

    def spread() -> np.ndarray:
        one, two = summed(cents, 30), summed(cents * cents, 30)
        return np.sqrt(np.maximum(30 * two - one * one, 0) / (30 * 29))

    def since_open(values: np.ndarray) -> np.ndarray:
        total = np.cumsum(values)
        return total - np.repeat(total[first] - values[first], size)

    def across(how: Callable[[pl.Expr], pl.Expr]) -> Any:
        moment = session * 1440 + minute
        order = np.argsort(moment, kind="stable")
        some = pl.DataFrame({"moment": moment[order], "value": ret()[order]})
        return some.select(how(pl.col("value")).over("moment"))

    def ewm(alpha: float) -> Any:
        return by.select(pl.col("close").ewm_mean(alpha=alpha, adjust=False).over("code"))

    jobs: dict[str, Callable[[], Any]] = {
        "sma(close, 30)": lambda: summed(cents, 30) / 3000,
        "sum(volume, 30)": lambda: summed(volume, 30) / 1.0,
        "std(close, 30)": spread,
        "zscore(close, 30)": lambda: (cents - summed(cents, 30) / 30) / spread(),
        "lag(close, 5)": lambda: np.concatenate([close[:5], close[:-5]]),
        "ret(close, 15)": ret,
        "highest(high, 30)": lambda: pl.Series(high).rolling_max(30),
        "ema(close, 10)": lambda: ewm(2 / 11),
        "atr(14)": lambda: by.select(
            pl.max_horizontal(
                pl.col("high") - pl.col("low"),
                (pl.col("high") - pl.col("close").shift()).abs(),
                (pl.col("low") - pl.col("close").shift()).abs(),
            )
            .ewm_mean(alpha=1 / 14, adjust=False)
            .over("code")
        ),
        "rsi(close, 14)": lambda: by.select(
            pl.col("close").diff().clip(0).ewm_mean(alpha=1 / 14, adjust=False).over("code")
            / pl.col("close").diff().abs().ewm_mean(alpha=1 / 14, adjust=False).over("code")
        ),
        "vwap()": lambda: since_open((high + low + close) * volume) / since_open(3.0 * volume),
        "so_far(sum, volume)": lambda: since_open(volume),
        "opening_range(high, 30)": lambda: np.repeat(np.maximum.reduceat(high, first), size),
        "of(S0001, ret)": lambda: ret()[np.arange(len(close)) % max(size[0], 1)],
        "cross_rank(ret)": lambda: across(lambda v: v.rank()),
        "cross_zscore(ret)": lambda: across(lambda v: (v - v.mean()) / v.std()),
        "feature(rolling_std(20))": lambda: by.select(pl.col("close").rolling_std(20).over("code")),
    }
    found = {}
    for name, job in jobs.items():
        taken = []
        for _ in range(runs):
            began = time.process_time()
            job()
            taken.append(time.process_time() - began)
        found[name] = statistics.median(taken)
        say(f"arithmetic {name} {found[name]:.2f}")
    return found


def main() -> None:
    """Measure and print."""
    if sys.argv[1:2] == ["--child"]:
        child(*sys.argv[2:7])
        return
    if sys.argv[1:2] == ["--arithmetic"]:
        print(json.dumps(arithmetic(data(sys.argv[2]), int(sys.argv[3]))))
        return
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--size", default="L", help="S, M, L, XL, or SYMBOLSxSESSIONS as 500x10")
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--only", default="", help="features whose name contains this")
    given = parser.parse_args()
    source = data(given.size)
    bare = python("-m", "benchmarks.bench_features", "--arithmetic", given.size, str(given.runs)).answer
    base = {style: seconds(style, "", source, given.runs) for style in STYLES}
    print(f"ns of CPU a bar, {source.rows:,} bars, {machine()}; medians of {given.runs}\n")
    print(row("feature", "each minute", "every 15 minutes", "arithmetic alone, every bar"))
    print(row("---", "--:", "--:", "--:"))
    scale = 1e9 / source.rows
    print(row("(none: the whole run but start and results)", *(f"{base[s] * scale:.0f}" for s in STYLES), ""))
    for name in FEATURES:
        if given.only in name:
            more = [(seconds(style, name, source, given.runs) - base[style]) * scale for style in STYLES]
            told = f"{bare[name] * scale:.0f}" if name in bare else ""
            print(row(f"`{name}`", *(f"{m:.0f}" for m in more), told), flush=True)


if __name__ == "__main__":
    main()
