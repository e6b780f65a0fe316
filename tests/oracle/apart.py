"""An independent strategy: as many backtests as there are symbols, each with one symbol, its own money and a strategy of its own."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

from oracle.account import UNIT, priced, units
from oracle.backtest import Backtest
from oracle.settings import Account, Result, Strategy


def play_apart(
    symbols: Sequence[str],
    make: Callable[[str], Strategy],
    account: Account,
    per_symbol: float,
    *,
    follows: Sequence[str] = (),
    **backtest: Any,
) -> Result:
    """The runs of every symbol put together: tables joined and sorted, equity added up minute by minute.

    `per_symbol` is each symbol's cash; 0 is the account's over the number of symbols, what is left over is left out. `follows` are symbols of one
    security, one after another: they have one run, with the money of the first; that of the others is there and does nothing.
    """
    start = units(per_symbol) or units(account.cash) // len(symbols)
    every: list[Result] = []
    groups = [[symbol] for symbol in symbols if symbol not in follows] + ([list(follows)] if follows else [])
    for group in groups:
        own = replace(account, start_units=start)
        played = Backtest(strategies=[make(group[0])], account=own, symbols=group, candidates=symbols, **backtest)
        played.books[0].only = group[0]
        every.append(played.run())
    whole = Result(finish_reason=every[0].finish_reason, bars=sum(r.bars for r in every), universe=every[0].universe)
    for one in every:
        whole.guards.update(one.guards)
    for name in ("fills", "orders", "trades", "positions", "cash", "ambiguous"):
        getattr(whole, name).extend(row for r in every for row in getattr(r, name))
    whole.fills.sort(key=lambda r: (r["session"], r["time"], r["symbol"], r["order_id"]))
    whole.orders.sort(key=lambda r: (r["session"], r["decided_at"], r["symbol"], r["id"]))
    whole.trades.sort(key=lambda r: (r["exit_time"], r["symbol"], r["entry_time"]))
    whole.log = sorted((row for r in every for row in r.log), key=lambda r: (r["time"], r["fields"].get("symbol", "")))
    whole.cash.sort(key=lambda r: (r["session"], r["symbol"], r["kind"]))
    whole.positions.sort(key=lambda r: (r["session"], r["symbol"]))
    minutes: dict[Any, dict[str, int]] = defaultdict(lambda: defaultdict(int))
    for row in (row for r in every for row in r.equity):
        for name in ("equity", "cash", "gross", "net"):
            minutes[row["time"], row["session"]][name] += row[f"{name}_units"]
    idle = start * (len(symbols) - len(groups))
    for values in minutes.values():
        values["equity"] += idle
        values["cash"] += idle
    whole.equity = [{"time": t, "session": day} | priced(dict(m)) for (t, day), m in sorted(minutes.items())]
    whole.cash_units = {name: sum(r.cash_units[name] for r in every) + idle for name in every[0].cash_units}
    assert sum(whole.cash_units.values()) == start * len(symbols), UNIT
    return whole
