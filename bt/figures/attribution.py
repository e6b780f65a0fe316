"""What each symbol earned in each session."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

import polars as pl

from bt.figures.summing import summed

Frame = pl.DataFrame | pl.LazyFrame

KEYS = ("session", "symbol")


def by_symbol_and_session(
    positions: Frame, fills: Frame, cash: Frame, sessions: Frame, multipliers: Mapping[str, float] = MappingProxyType({})
) -> pl.DataFrame:  # fmt: skip
    """Net P&L of every symbol in every session in which it was traded, held or paid something: session, symbol, fills (how many), shares (traded), pnl
    (currency), over all strategies; sorted.

    That is the value of the position at the close, less that at the close before, plus what sales brought, less what purchases and commissions cost,
    plus the symbol's cash movements. Over all symbols it adds up to the account's net P&L, but for cash that moved without a symbol. `multipliers` say by symbol what a share
    is worth at a price of 1, where that is not 1.
    """
    value = _collected(positions, *KEYS, "value")
    dates = _collected(sessions, "session").sort("session").with_columns(pl.col("session").shift(-1).alias("next"))
    carried = (
        value.join(dates, on="session", how="left")
        .drop_nulls("next")
        .select(pl.col("next").alias("session"), "symbol", -pl.col("value"))
    )
    worth = pl.col("price")
    if multipliers:
        worth = worth * pl.col("symbol").replace_strict(dict(multipliers), default=1.0, return_dtype=pl.Float64)
    paid = -pl.col("shares") * worth - pl.col("commission")  # shares sold are below 0
    done = _collected(fills.lazy().with_columns(paid.alias("paid"), pl.col("shares").abs()), *KEYS, "paid", "shares")
    moved = _collected(cash.lazy().filter(pl.col("symbol").is_not_null()), *KEYS, "amount")
    parts = [(value, "value"), (carried, "value"), (done, "paid"), (moved, "amount")]
    money = pl.concat([part.select(*KEYS, pl.col(name).alias("pnl")) for part, name in parts])
    counts = done.group_by(KEYS).agg(pl.len().cast(pl.Int64).alias("fills"), pl.col("shares").sum())
    # sums of floats that cancel leave dust below a hundredth of a unit
    earned = summed(money, KEYS, ("pnl",)).with_columns(pl.col("pnl").round(8))
    joined = earned.join(counts, on=KEYS, how="left").with_columns(pl.col("fills", "shares").fill_null(0))
    return joined.select(*KEYS, "fills", "shares", "pnl").sort(KEYS)


def traded(earned: pl.DataFrame) -> pl.DataFrame:
    """The (session, symbol) that were traded, in the order in which they are worth looking at.

    By turns the next of those with the largest P&L, gain or loss, and the next of others spread evenly over the run.
    """
    pairs = earned.filter(pl.col("fills") > 0).with_row_index("place")
    large = pairs.sort(pl.col("pnl").abs(), "place", descending=[True, False])["place"].to_list()
    spread = _halving(pairs.height)
    seen: dict[int, None] = {}
    for pair in zip(large, spread, strict=True):
        seen |= dict.fromkeys(pair)
    return pairs[list(seen)].drop("place") if seen else pairs.drop("place")


def _halving(count: int) -> list[int]:
    """0 to count - 1 so that any beginning of it is spread about evenly: bits of the place turned round."""
    bits = max(count - 1, 1).bit_length()
    turned = (int(f"{number:0{bits}b}"[::-1], 2) for number in range(1 << bits))
    return [place for place in turned if place < count]


def _collected(frame: Frame, *columns: str) -> pl.DataFrame:
    return frame.lazy().select(columns).collect(engine="in-memory")
