"""The top of a run's page: what came out, what was assumed, what it cost, what is unsure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from bt.report.parts import NONE, Cell, Table, gain, money, number, percent, tone
from bt.report.subject import RunTold

METRICS = (
    ("total_return", "Total return", "+%"), ("cagr", "Growth a year (CAGR)", "+%"), ("volatility", "Volatility a year", "%"),
    ("sharpe", "Sharpe", "."), ("sortino", "Sortino", "."), ("calmar", "Calmar", "."), ("max_drawdown", "Max drawdown (by minute)", "%"),
    ("max_drawdown_minutes", "Its length, session minutes", ","), ("hit_rate", "Trades won", "%"), ("profit_factor", "Profit factor", "."),
    ("avg_trade", "Average trade", "money"), ("turnover", "Turnover a session", "%"), ("exposure_gross", "Exposure, gross", "%"),
    ("exposure_net", "Exposure, net", "%"), ("cost_bps", "Costs, bp of turnover", "."), ("capacity", "Fills over 2.5 % of their bar", "%"),
    ("alpha", "Alpha a year", "+%"), ("beta", "Beta", "."), ("information_ratio", "Information ratio", "."),
)  # fmt: skip
"""Metrics in the order of the table, with their names and forms."""

FILL_RULES = {
    "next_open": "Orders fill at the open of the symbol's next bar.",
    "next_close": "Market orders fill at the close of the symbol's next bar.",
    "same_close": "Orders fill at the close that decided them: nobody can trade so, results are too good.",
}
COSTS = ("slippage_bps", "spread_bps", "impact", "commission_per_share", "commission_minimum", "commission_per_trade",
         "commission_bps", "commission_tiers")  # fmt: skip

TOLD = {
    "finished",
    "sessions",
    "net P&L",
    "return",
    "orders",
    "trades",
    "costs",
    "quality",
    "universe",
    "ambiguous",
    "withheld rows",
    "stale",
    "failed",
}
"""Lines of the summary that the page tells in its own way."""


def told(value: Any, form: str) -> str:
    """A metric as text."""
    if value is None:
        return NONE
    if form == "money":
        return money(value, sign=True)
    if form == ",":
        return f"{value:,}"
    return percent(value, sign=form == "+%") if form.endswith("%") else number(value)


def cards(run: RunTold) -> list[tuple[str, Cell]]:
    """The figures that matter most."""
    s = run.summary
    return [
        ("Net P&L", gain(s["net_pnl"])),
        ("Return", Cell(percent(s["total_return"], sign=True), tone(s["total_return"]))),
        ("Max drawdown", Cell(percent(s["max_drawdown"]))),
        ("Sharpe", Cell(number(s["sharpe"]))),
        ("Trades", Cell(f"{s['trades']:,}")),
        ("Trades won", Cell(percent(run.metrics["hit_rate"], 0))),
        ("Costs", Cell(money(s["commission"] + s["slippage"]))),
        ("Data quality", Cell(NONE if s["quality"] is None else f"{s['quality']:.1f} %")),
    ]


def metrics_table(run: RunTold, closes: float | None) -> Table:
    """All metrics, of the account and of each strategy; `closes` is the account's drawdown by session closes."""
    columns: list[Mapping[str, Any]] = [run.metrics, *run.strategy_metrics.values()]
    rows: list[list[str | Cell]] = []
    for name, label, form in METRICS:
        if name in ("alpha", "beta", "information_ratio") and all(column.get(name) is None for column in columns):
            continue
        rows.append([label, *(told(column.get(name), form) for column in columns)])
        if name == "max_drawdown":
            rows.append(["Max drawdown (by session closes)", percent(closes), *(NONE for _ in columns[1:])])
    note = (
        "Returns are those of sessions, risk-free rate 0, annualized by the calendar's sessions a year. empyrical, pyfolio and quantstats count 252 days a year "
        "unless told, and know session closes alone: their drawdown is the one by session closes, and their win rates are of days, not of trades."
    )
    heads = ["Metric", "Account", *run.strategy_metrics]
    return Table("Metrics", heads, rows, note=note)


def facts(run: RunTold) -> list[tuple[str, str]]:
    """What was run, in lines."""
    s, spec = run.summary, run.manifest["spec"]
    ended = s["finish_reason"] + (f": {s['stop_reason']}" if s.get("stop_reason") else "")
    lines = [
        ("Strategies", "; ".join(_strategy(one) for one in spec["strategies"])),
        ("Sessions", f"{s['sessions']:,} of {spec['data']['calendar']}, {s['start']} to {s['end']} (finished: {ended})"),
        ("Equity", f"{money(s['equity_start'])} to {money(s['equity_end'])}"),
        ("Bars", f"{s['bars']:,} of {s['symbols']:,} symbols, {s['iterations']:,} minutes stepped"),
        ("Orders", f"{s['orders']:,}: {s['fills']:,} fills, {s['expired']:,} expired, {s['rejected']:,} rejected, {s['cancelled']:,} cancelled"),
        ("Trades", f"{s['trades']:,} closed, {s['open_positions']:,} positions open at the end"),
    ]  # fmt: skip
    lines += [(name[:1].upper() + name[1:], text) for name, text in run.lines if name not in TOLD]
    if universe := s.get("universe"):
        lines.append(
            (
                "Universe",
                f"{universe['fewest']:,} to {universe['most']:,} symbols a session, {universe['ever']:,} in all",
            )
        )
    return lines


def _strategy(one: Mapping[str, Any]) -> str:
    params = ", ".join(f"{name} = {value}" for name, value in one["params"].items())
    return f"{one['name']} ({params})" if params else one["name"]


def warnings(run: RunTold) -> list[str]:
    """What a reader must not overlook."""
    s, found = run.summary, []
    if not s["costs_assumed"]:
        found.append(
            "No costs were assumed: neither slippage nor commission. Results are better than any market would give."
        )
    if run.manifest["spec"]["execution"]["fill"] == "same_close":
        found.append(FILL_RULES["same_close"])
    if s["finish_reason"] == "stopped":
        found.append(f"The run was stopped before its end: {s.get('stop_reason') or 'no reason given'}.")
    if s["failed"]:
        found.append(f"{len(s['failed']):,} symbols failed and sat out sessions: {', '.join(list(s['failed'])[:10])}.")
    found += [str(text) for text in (s.get("strategies_failed") or {}).values()]
    if s.get("stale"):
        found.append(f"Held at the end at a close of an earlier session: {', '.join(list(s['stale'])[:10])}.")
    return found


def assumptions(run: RunTold) -> list[tuple[str, str]]:
    """The rules that the result rests on."""
    execution, account = run.manifest["spec"]["execution"], run.manifest["spec"]["account"]
    lines = [("Fills", FILL_RULES.get(execution["fill"], execution["fill"]))]
    if execution.get("limit_fill") == "touch":
        lines.append(("Limits", "A limit fills when it is touched: you are assumed to be first in the queue."))
    elif "limit_fill" in execution:
        lines.append(("Limits", "A limit fills only where the bar trades through it."))
    given = [f"{name} = {execution[name]}" for name in COSTS if execution.get(name)]
    given += ['spread = "quotes"'] if execution.get("spread") == "quotes" else []
    lines.append(("Costs assumed", ", ".join(given) if given else "none"))
    if share := execution.get("participation"):
        lines.append(("Participation", f"A fill takes at most {share:.1%} of its bar's volume."))
    lines.append(("At the end", "Open positions are closed." if execution.get("at_end") == "close" else "Open positions are marked at their last close; they are no trades."))  # fmt: skip
    rates = [f"{name} = {account[name]}" for name in ("leverage", "borrow_bps", "interest_bps", "debit_bps", "margin") if account.get(name) not in (None, 0, "none")]  # fmt: skip
    lines.append(("Account", ", ".join([f"cash = {money(account['cash'])}", *rates])))
    lines.append(("Within bars", _ambiguity(run)))
    return lines


def _ambiguity(run: RunTold) -> str:
    s = run.summary
    if not s.get("ambiguous_bars"):
        return "No fill depends on the order of prices within a bar."
    path = run.manifest["spec"]["execution"].get("intrabar", "pessimistic")
    low, high = sorted((s["net_pnl"], s["net_pnl_other"]))
    bars = "1 bar is" if s["ambiguous_bars"] == 1 else f"{s['ambiguous_bars']:,} bars are"
    return (
        f"{bars} ambiguous, {percent(s['ambiguous_trades'], 1)} of trades have a fill in one; the {path} path was taken. "
        f"Had the other one happened in each, net P&L would be {money(s['net_pnl_other'], sign=True)}: the band is {money(low, sign=True)} to {money(high, sign=True)}."
    )


def costs(run: RunTold, per_symbol: list[list[str | Cell]]) -> list[Table]:
    """What trading cost, and cash that moved otherwise."""
    s, m = run.summary, run.metrics
    rows: list[list[str | Cell]] = [
        ["Commission", money(s["commission"])],
        ["Slippage (in the prices)", money(s["slippage"])],
        ["Together, bp of turnover", number(m["cost_bps"])],
    ]
    rows += [[f"Cash moved: {kind}", gain(amount)] for kind, amount in (s.get("cash_moved") or {}).items()]
    tables = [Table("Costs of the run", ("Cost", "Amount"), rows)]
    if per_symbol:
        tables.append(
            Table("Costs by symbol, the dearest first", ("Symbol", "Fills", "Commission", "Slippage"), per_symbol)
        )
    return tables
