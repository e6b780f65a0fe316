"""Every ready-made feature at once, ours and the oracle's: each kind once, on minutes, coarser bars and within sessions."""

from __future__ import annotations

from typing import Any

import oracle as o
import polars as pl
from watchers import Made, exact, model, product, spread
from worlds import World

import bt


def vocabulary(world: World) -> dict[str, Made]:
    """Every ready-made feature, by name."""
    prices = 0.0 if exact(world, "close") else 1e4
    volumes = 0.0 if exact(world, "volume") else 1e4
    other = world.symbols[-1]
    made = {
        "sma": windowed("sma", "close", 7, prices),
        "sma15": windowed("sma", "high", 3, prices, interval="15m"),
        "sum": windowed("sum", "volume", 5, volumes, within="session"),
        "std": windowed("std", "close", 6, 1e4),
        "zscore": windowed("zscore", "open", 9, 1e4, interval="2m"),
        "lag": windowed("lag", "low", 3, 0.0),
        "ret": windowed("ret", "close", 4, prices),
        "highest": windowed("highest", "high", 11, 0.0),
        "lowest": windowed("lowest", "low", 2, 0.0, interval="1d"),
        "ema": Made(bt.ema("close", 4), o.ema("close", 4), 1e4),
        "atr": Made(bt.atr(3, interval="5m"), o.atr(3, interval="5m"), 1e4),
        "rsi": Made(bt.rsi("close", 3, within="session"), o.rsi("close", 3, within="session"), 1e4),
        "typical": Made(bt.vwap(), o.vwap(), max(prices, volumes)),
        "so_far": Made(bt.so_far("sum", "volume"), o.so_far("sum", "volume"), volumes),
        "opening": Made(bt.opening_range("high", 20), o.opening_range("high", 20), 0.0),
        "prior": Made(bt.prior("close"), o.prior("close"), 0.0),
        "range": Made(bt.prior("max(high) - min(low)", 2), o.prior(spread, 2, wrapped=True), 1e4),
        "adv": Made(bt.trailing("avg", "volume", "2d"), o.trailing("avg", "volume", "2d"), volumes),
        "money": Made(bt.trailing("max", "close*volume", "1w"), o.trailing("max", product, "1w"), 1e7),
        "usual": minute_of_session(volumes),
        "busy": Made(bt.relative_volume("3d"), o.relative_volume("3d"), volumes and 1.0),
        "now": Made(bt.relative_volume("3d", cumulative=False), o.relative_volume("3d", cumulative=False), volumes and 1.0),
        "wave": Made(bt.feature(pl.col("close").rolling_max(5), 4), o.window_feature(top, 5), 0.0),
    }  # fmt: skip
    of = {
        "other": Made(bt.of(other, "lag"), o.of(other, made["lag"].judge), 0.0),
        "others": Made(
            bt.of(other, "sma15", within="session"), o.of(other, made["sma15"].judge, within="session"), prices
        ),
        "their": Made(bt.of(other, "prior"), o.of(other, made["prior"].judge), 0.0),
    }
    cross = {
        "rank": Made(bt.cross_rank("lag"), o.cross("rank", made["lag"].judge), 0.0),
        "away": Made(bt.cross_demean("highest"), o.cross("demean", made["highest"].judge), 0.0),
        "spread": Made(bt.cross_zscore("opening"), o.cross("zscore", made["opening"].judge), 0.0),
    }
    judges = [cross["rank"].judge, of["other"].judge]
    score = Made(bt.score(model, ["rank", "other"]), o.score(lambda a, b: 2 * a - b, judges), 0.0)
    return {"score": score, **made, **of, **cross}


def windowed(statistic: str, column: str, n: int, size: float, **where: Any) -> Made:
    return Made(getattr(bt, statistic)(column, n, **where), o.window(statistic, column, n, **where), size)


def minute_of_session(size: float) -> Made:
    given = ("avg", "volume", "2d")
    return Made(bt.trailing(*given, at="minute"), o.trailing(*given, at="minute"), size)


def top(bars: list[Any]) -> float:
    return max(b.close for b in bars)
