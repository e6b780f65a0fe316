"""Trades, fills and costs in tables."""

from __future__ import annotations

from zoneinfo import ZoneInfo

import polars as pl

from bt.figures import by_symbol_and_session
from bt.figures.summing import summed
from bt.report.parts import Cell, Table, clock, gain, money, percent, price
from bt.report.subject import RunTold

Rows = list[list[str | Cell]]

SHOWN = 10
"""Rows at either end of a long table."""


def earned(run: RunTold) -> pl.DataFrame:
    """What each symbol earned in each session (`bt.figures.by_symbol_and_session`)."""
    t = run.tables
    cash = t.get("cash")
    none = pl.DataFrame(schema={"session": pl.Date, "symbol": pl.String, "amount": pl.Float64})
    return by_symbol_and_session(
        t["positions"], t["fills"], none if cash is None else cash, t["sessions"], run.multipliers
    )


def tables(run: RunTold, pnl: pl.DataFrame) -> list[Table]:
    """P&L by symbol, trades by entry tag and exit, the best and the worst trades."""
    zone = ZoneInfo(run.zone)
    trades = run.tables["trades"].lazy().collect(engine="in-memory")
    made = [_by_symbol(pnl)]
    if trades.height:
        for key, label in (("exit_reason", "Exit"), ("entry_tag", "Entry tag")):
            if key == "exit_reason" or trades[key].n_unique() > 1:
                made.append(_grouped(trades, key, label))
        made += _extremes(trades, zone)
    return made


def _ends(rows: Rows, what: str) -> tuple[Rows, str]:
    """The first and last rows of a long table, and how that is told."""
    if len(rows) <= 2 * SHOWN:
        return rows, ""
    return [*rows[:SHOWN], *rows[-SHOWN:]], f" (the best and worst {SHOWN} of {len(rows):,} {what})"


def _by_symbol(pnl: pl.DataFrame) -> Table:
    per = summed(pnl, ("symbol",), ("fills", "pnl")).sort("pnl", "symbol", descending=[True, False])
    rows: Rows = [[symbol, f"{fills:,}", gain(value)] for symbol, fills, value in per.iter_rows()]
    shown, few = _ends(rows, "symbols")
    note = "Commission and the symbol's cash movements are counted; what is still held is counted at its last close."
    return Table(f"Net P&L by symbol{few}", ("Symbol", "Fills", "Net P&L"), shown, note=note)


def _grouped(trades: pl.DataFrame, key: str, label: str) -> Table:
    won = (pl.col("net_pnl") > 0).cast(pl.Int64)
    counted = trades.select(key, pl.lit(1, dtype=pl.Int64).alias("trades"), won.alias("won"), "net_pnl", "minutes_held")
    per = summed(counted, (key,), ("trades", "won", "net_pnl", "minutes_held")).sort(
        "net_pnl", key, descending=[True, False]
    )
    rows: Rows = [
        [name or "(none)", f"{n:,}", percent(w / n, 0), gain(value), gain(value / n), f"{held / n:,.0f}"]
        for name, n, w, value, held in per.iter_rows()
    ]
    shown, few = _ends(rows, "rows")
    heads = (label, "Trades", "Won", "Net P&L", "Mean", "Minutes held")
    return Table(f"Closed trades by {label.lower()}{few}", heads, shown)


def _extremes(trades: pl.DataFrame, zone: ZoneInfo) -> list[Table]:
    order = trades.sort("net_pnl", "exit_time", "symbol", descending=[True, False, False])
    heads = ("Symbol", "Side", "Entry", "Exit", "Shares", "In", "Out", "Net P&L", "Return")
    few = min(trades.height, SHOWN)
    both = [("Best", order.head(few)), ("Worst", order.tail(few).reverse())]
    return [
        Table(
            f"{which} {few} of {trades.height:,} closed trades (times of {zone.key})",
            heads,
            _trades(frame, zone),
            left=4,
            wide=True,
        )
        for which, frame in both[: 1 if trades.height <= 1 else 2]
    ]


def _trades(trades: pl.DataFrame, zone: ZoneInfo) -> Rows:
    return [
        [
            t["symbol"], t["side"], clock(t["entry_time"], zone), clock(t["exit_time"], zone), f"{t['shares']:,}",
            price(t["entry_price"]), price(t["exit_price"]), gain(t["net_pnl"]), percent(t["return"], sign=True),
        ]
        for t in trades.iter_rows(named=True)
    ]  # fmt: skip


def costs_by_symbol(run: RunTold) -> Rows:
    """Symbol, fills, commission and slippage of the ten dearest symbols."""
    fills = run.tables["fills"].lazy().select("symbol", "commission", "slippage").collect(engine="in-memory")
    if not fills.height:
        return []
    counted = fills.with_columns(pl.lit(1, dtype=pl.Int64).alias("fills"))
    per = summed(counted, ("symbol",), ("fills", "commission", "slippage"))
    dear = per.sort(pl.col("commission") + pl.col("slippage"), "symbol", descending=[True, False]).head(SHOWN)
    return [[symbol, f"{n:,}", money(paid), money(slipped)] for symbol, n, paid, slipped in dear.iter_rows()]
