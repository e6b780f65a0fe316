"""Where a run's P&L is from: by strategy, symbol or entry tag, in whole units, so that the parts add up to the whole.

Whatever moved cash is counted where it belongs: fills, what is held at the end at its last close, and cash that moved without a trade.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import date
from fractions import Fraction
from types import MappingProxyType

import polars as pl

from bt.model import UNIT
from bt.results import currency

Renames = Mapping[date, Mapping[str, str]]
"""By session, what symbols are called from then on."""

PRICES = ("price", "reference_price")

WHOSE = ["strategy", "symbol"]
MOVED = {"borrow": "borrow", "interest": "interest", "dividend": "dividends", "in_lieu": "dividends"}
"""In which column cash that moved without a trade is, by its kind."""

SUMS = ("gross_pnl", "slippage", "commission", "borrow", "interest", "dividends", "net_pnl")


def attributed(
    tables: Mapping[str, pl.DataFrame], keys: Sequence[str], renames: Renames, multipliers: Mapping[str, Fraction] = MappingProxyType({})
) -> pl.DataFrame:  # fmt: skip
    """By some of strategy, symbol and entry_tag: closed trades and the share of them that won, P&L before and after costs, what it cost and brought,
    the value traded, and exposure at closes.

    `tables` are those of a run: fills, trades, positions, cash, equity, sessions. A symbol is called what it is called at the end; what belongs to none is in rows where it is null. `multipliers` say by symbol
    what a share is worth at a price of 1, where that is not 1.
    """
    if multipliers:
        tables = {
            **tables,
            "fills": _in_money(tables["fills"], multipliers),
            "positions": _in_money(tables["positions"], multipliers),
        }
    if renames:
        tables = {**tables, "trades": _dated(tables["trades"], tables["fills"])}
    named = {name: _renamed(tables[name], renames) for name in ("fills", "trades", "positions", "cash")}
    fills = _lots(named["fills"]) if "entry_tag" in keys else named["fills"].with_columns(entry_tag=pl.lit(""))
    last = tables["sessions"]["session"].max()
    held = _tagged(named["positions"], fills)
    parts = [*_traded(fills), _worth(held.filter(pl.col("session") == last)), _moved(_tagged(named["cash"], fills))]
    money = pl.concat(parts, how="diagonal").group_by(keys).agg(pl.all().exclude(*WHOSE, "entry_tag").sum())
    money = money.with_columns(
        value_traded=pl.col("value_traded").cast(pl.Float64) / UNIT,
        net_pnl=pl.col("gross_pnl") - pl.col("slippage") - pl.col("commission") + pl.col("borrow") + pl.col("interest") + pl.col("dividends"),
    )  # fmt: skip
    money = money.with_columns(currency(money[name]) for name in SUMS)
    made = money.join(_exposed(held, tables["equity"], keys), on=keys, how="left", nulls_equal=True)
    made = made.join(_closed(named["trades"], keys), on=keys, how="left", nulls_equal=True)
    numbers = pl.col("trades").fill_null(0), pl.col("exposure_gross", "exposure_net").fill_null(0.0)
    columns = ("trades", "hit_rate", *SUMS, "value_traded", "exposure_gross", "exposure_net")
    return made.with_columns(*numbers).select(*keys, *columns).sort(keys)


def _in_money(table: pl.DataFrame, multipliers: Mapping[str, Fraction]) -> pl.DataFrame:
    """Rows with prices as what a share is worth."""
    each = pl.col("symbol").replace_strict(
        {s: float(m) for s, m in multipliers.items()}, default=1.0, return_dtype=pl.Float64
    )
    return table.with_columns(pl.col(name) * each for name in PRICES if name in table.columns)


def _units(name: str) -> pl.Expr:
    """A column of currency in units: exact up to 2^26, some 67 million, as what is beside whole numbers is taken apart."""
    whole = pl.col(name).floor()
    return whole.cast(pl.Int64) * UNIT + ((pl.col(name) - whole) * UNIT).round().cast(pl.Int64)


def _dated(trades: pl.DataFrame, fills: pl.DataFrame) -> pl.DataFrame:
    """Trades with the session that ended them: where sessions meet, their times do not tell."""
    before = pl.col("position_after") - pl.col("shares")
    ends = fills.filter(before * pl.col("position_after") <= 0, before != 0)
    ends = ends.select(*WHOSE, pl.col("time").alias("exit_time"), "session").unique(
        [*WHOSE, "exit_time"], keep="first", maintain_order=True
    )
    found = trades.join(ends, on=[*WHOSE, "exit_time"], how="left", maintain_order="left")
    return found.with_columns(pl.col("session").fill_null(pl.col("exit_time").dt.date()))


def _renamed(table: pl.DataFrame, renames: Renames) -> pl.DataFrame:
    """Rows under the names that their symbols have at the end."""
    when = pl.col("session")
    for session, names in sorted(renames.items()):
        table = table.with_columns(symbol=pl.when(when < session).then(pl.col("symbol").replace(dict(names))).otherwise("symbol"))  # fmt: skip
    return table


def _traded(fills: pl.DataFrame) -> list[pl.DataFrame]:
    """Money that fills moved: for what they closed of a lot, and for what they opened."""
    before = pl.col("position_after") - pl.col("shares")
    turns = (before * pl.col("shares")) < 0
    fills = fills.with_columns(
        _units("price"), _units("reference_price"), _units("commission"),
        closed=pl.when(turns).then(pl.min_horizontal(before.abs(), pl.col("shares").abs())).otherwise(0) * pl.col("shares").sign(),
    )  # fmt: skip
    fills = fills.with_columns(opened=pl.col("shares") - pl.col("closed"))
    both = (pl.col("closed") != 0) & (pl.col("opened") != 0)
    split = fills.filter(both).select("commission", "closed", "shares").rows()
    part = pl.Series(
        [round(Fraction(paid * abs(closed), abs(shares))) for paid, closed, shares in split], dtype=pl.Int64
    )
    ends = fills.select(pl.when(pl.col("closed") != 0).then("commission").otherwise(0)).to_series()
    ends = ends.scatter(fills.select(both.arg_true()).to_series(), part) if len(part) else ends
    fills = fills.with_columns(ends.alias("of_closed"))
    return [
        fills.filter(pl.col(shares) != 0).select(
            *WHOSE, pl.col(tag).alias("entry_tag"),
            gross_pnl=-pl.col(shares) * pl.col("reference_price"),
            slippage=pl.col(shares) * (pl.col("price") - pl.col("reference_price")),
            commission=paid,
            value_traded=pl.col(shares).abs().cast(pl.Int128) * pl.col("price"),
        )
        for shares, tag, paid in (
            ("closed", "lot_before" if "lot_before" in fills.columns else "entry_tag", pl.col("of_closed")),
            ("opened", "entry_tag", pl.col("commission") - pl.col("of_closed")),
        )
    ]  # fmt: skip


def _worth(held: pl.DataFrame) -> pl.DataFrame:
    """What is held at the end."""
    return held.select(*WHOSE, "entry_tag", gross_pnl=pl.col("shares") * _units("price"))


def _moved(cash: pl.DataFrame) -> pl.DataFrame:
    """Cash that moved without a trade, a column a kind."""
    kind = pl.col("kind").replace_strict(MOVED, default="dividends", return_dtype=pl.String)
    amounts = {name: pl.when(kind == name).then(_units("amount")).otherwise(0) for name in ("borrow", "interest", "dividends")}  # fmt: skip
    return cash.select(*WHOSE, "entry_tag", **amounts)


def _exposed(held: pl.DataFrame, equity: pl.DataFrame, keys: Sequence[str]) -> pl.DataFrame:
    """Gross and net value at closes over the strategy's equity there, the mean over all sessions; while it has some."""
    closes = equity.group_by("strategy", "session").agg(pl.col("equity").last())
    sessions = max(closes["session"].n_unique(), 1)
    of = held.join(closes, on=["strategy", "session"]).filter(pl.col("equity") > 0)
    part = pl.col("value") / pl.col("equity")
    return of.group_by(keys).agg(exposure_gross=part.abs().sum() / sessions, exposure_net=part.sum() / sessions)


def _closed(trades: pl.DataFrame, keys: Sequence[str]) -> pl.DataFrame:
    """Closed trades, and the share of them that won."""
    return trades.group_by(keys).agg(trades=pl.len().cast(pl.Int64), hit_rate=(pl.col("net_pnl") > 0).mean())


# ---------------------------------------------------------------------------------------------------------------- tags


def _lots(fills: pl.DataFrame) -> pl.DataFrame:
    """Fills as they happened, with the tag of the order that opened what is held after each (`entry_tag`), and of what was held before."""
    fills = _in_sequence(fills.sort(*WHOSE, "time", "order_id", maintain_order=True))
    before = pl.col("position_after") - pl.col("shares")
    opens = (before == 0) | (before * pl.col("position_after") < 0)
    fills = fills.with_columns(entry_tag=pl.when(opens).then("tag").forward_fill().over(WHOSE).fill_null(""))
    return fills.with_columns(lot_before=pl.col("entry_tag").shift(1).over(WHOSE).fill_null(""))


def _in_sequence(fills: pl.DataFrame) -> pl.DataFrame:
    """Of fills of one symbol at one time, which the table has by id, each after the one that left the position that it found."""
    moment = [*WHOSE, "time"]
    several = fills.with_row_index("row").filter(pl.len().over(moment) > 1)
    order = list(range(fills.height))
    for group in several.partition_by(moment, maintain_order=True):
        rows = group.select("row", before=pl.col("position_after") - pl.col("shares"), after="position_after").rows()
        found = _chained(rows, _found(fills, rows[0][0]))
        order[rows[0][0] : rows[-1][0] + 1] = found
    return fills[order] if several.height else fills


def _found(fills: pl.DataFrame, row: int) -> int | None:
    """The position that the fill before a row left, None where it was of another symbol."""
    if row == 0 or any(fills[name][row - 1] != fills[name][row] for name in WHOSE):
        return 0
    return int(fills["position_after"][row - 1])


def _chained(rows: Sequence[tuple[int, int, int]], position: int | None) -> list[int]:
    """Rows (number, position before, after) in an order in which each begins where the one before it ended, as far as there is one."""
    left, made = list(rows), []
    while left:
        following = next((r for r in left if r[1] == position), None)
        if following is None:  # a split lies between: begin where nothing ends
            ends = {r[2] for r in left}
            following = next((r for r in left if r[1] not in ends), left[0])
        left.remove(following)
        made.append(following[0])
        position = following[2]
    return made


def _tagged(rows: pl.DataFrame, fills: pl.DataFrame) -> pl.DataFrame:
    """Positions or moves of cash with the tag of what was held then: after the fills of a position's session, before a move's time."""
    if "lot_before" not in fills.columns:
        return rows.with_columns(entry_tag=pl.lit(""))
    on = "time" if "time" in rows.columns else "session"
    lots = fills.group_by(*WHOSE, on, maintain_order=True).agg(pl.col("entry_tag").last()).sort(on)
    found = rows.sort(on, maintain_order=True).join_asof(
        lots, on=on, by=WHOSE, strategy="backward", allow_exact_matches=on == "session", check_sortedness=False
    )
    return found.with_columns(pl.when(pl.col("symbol").is_not_null()).then(pl.col("entry_tag").fill_null("")))
