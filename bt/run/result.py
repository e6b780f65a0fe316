"""`Run`: what a replay gives back, and its summary as lines for a reader."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date
from fractions import Fraction
from functools import cached_property
from pathlib import Path
from typing import Any, Literal

import polars as pl

from bt.coordinator import FinishReason
from bt.errors import UsageError
from bt.figures import account, by_month, session_returns
from bt.metrics import Metrics
from bt.model import DataSpec
from bt.outages import active, outages_of
from bt.report import SweepTold, Wish, notebook_html
from bt.results import damage_named
from bt.run.attribution import attributed
from bt.run.bridge import PandasTables, to_pandas
from bt.run.plotting import Plot
from bt.run.reporting import session_given, write_report

_ROWS = 50_000
"""Of the table of quality so many rows are looked at together, in whole sessions."""


@dataclass(frozen=True)
class Run:
    """A finished run. Frames are Polars; their columns are those of docs/results.md.

    Attributes
    ----------
    path : Path or None
        The run's folder; None if it was kept in memory.
    summary : dict
        The figures `bt replay --json` prints.
    metrics : Metrics
    strategy_metrics : dict of Metrics
        By strategy, where there are several.
    finish_reason : {"end_date", "no_more_data", "stopped"}
    stop_reason : str or None
        Why a stopped run stopped.
    manifest : dict
        What was run, as manifest.json tells it.
    data : DataSpec or None
        Where the bars were, if the run was played here: those in memory are in no manifest.
    """

    path: Path | None
    summary: Mapping[str, Any]
    metrics: Metrics
    strategy_metrics: Mapping[str, Metrics]
    finish_reason: FinishReason
    stop_reason: str | None
    tables: Mapping[str, pl.DataFrame | pl.LazyFrame] = field(compare=False, repr=False)
    manifest: Mapping[str, Any] = field(compare=False, repr=False)
    data: DataSpec | None = field(default=None, compare=False, repr=False)

    def _table(self, name: str) -> pl.DataFrame:
        table = self.tables[name]
        if not isinstance(table, pl.LazyFrame):
            return table
        with damage_named(self.path):
            return table.collect(engine="in-memory")

    @cached_property
    def fills(self) -> pl.DataFrame:
        """Every execution."""
        return self._table("fills")

    @cached_property
    def orders(self) -> pl.DataFrame:
        """Every order with how it ended."""
        return self._table("orders")

    @cached_property
    def trades(self) -> pl.DataFrame:
        """Every closed trade, flat to flat."""
        return self._table("trades")

    @cached_property
    def equity(self) -> pl.DataFrame:
        """Equity, cash, gross and net at every minute's end."""
        return self._table("equity")

    @cached_property
    def cash(self) -> pl.DataFrame:
        """Cash that moved without a trade: dividends, borrow cost, interest."""
        return self._table("cash")

    @cached_property
    def positions(self) -> pl.DataFrame:
        """Positions at each close."""
        return self._table("positions")

    @cached_property
    def quality(self) -> pl.DataFrame:
        """Quality and gaps by session, symbol and interval."""
        return self._table("quality")

    @cached_property
    def outages(self) -> pl.DataFrame:
        """Stretches that nearly all liquid symbols lack, in hindsight: session, start, end, minutes, symbols, lacking,
        whole_session.
        """
        return outages_in(self._table("quality").lazy())

    @cached_property
    def guards(self) -> pl.DataFrame:
        """Rows withheld, by session, symbol and reason."""
        return self._table("guards")

    @cached_property
    def by_session(self) -> pl.DataFrame:
        """One row a session."""
        return self._table("sessions")

    @cached_property
    def records(self) -> pl.DataFrame:
        """What strategies recorded."""
        return self._table("records")

    @cached_property
    def log(self) -> pl.DataFrame:
        """What strategies logged."""
        return self._table("log")

    @cached_property
    def universe(self) -> pl.DataFrame:
        """The symbols of each session, by rank."""
        return self._table("universe")

    @cached_property
    def by_strategy(self) -> pl.DataFrame:
        """P&L, costs, value traded and exposure by strategy (`docs/results.md`)."""
        return self._attributed("strategy")

    @cached_property
    def by_symbol(self) -> pl.DataFrame:
        """The same by strategy and symbol; the rows of a strategy add up to its own."""
        return self._attributed("strategy", "symbol")

    @cached_property
    def by_tag(self) -> pl.DataFrame:
        """The same by strategy and the tag of the order that opened the position."""
        return self._attributed("strategy", "entry_tag")

    def _attributed(self, *keys: str) -> pl.DataFrame:
        tables = {name: self._table(name) for name in ("fills", "trades", "positions", "cash", "equity", "sessions")}
        renamed = (self.summary.get("actions") or {}).get("renamed", {})
        names = {date.fromisoformat(day): names for day, names in renamed.items()}
        return attributed(tables, keys, names, self.multipliers)

    @property
    def multipliers(self) -> dict[str, Fraction]:
        """By symbol what a share is worth at a price of 1, where that is not 1: shares x price x multiplier is money."""
        told = (self.summary.get("instruments") or {}).get("multipliers", {})
        return {symbol: Fraction(number) for symbol, number in told.items()}

    def returns(self, by: Literal["session", "month"] = "session") -> pl.DataFrame:
        """Returns of the whole account, fractions: session, equity (currency, at the close), return; or year, month, return.

        Raises
        ------
        UsageError
            `by` is neither.
        """
        start = self.summary["equity_start"]
        with damage_named(self.path):
            sessions = session_returns(account(self.tables["equity"]), start)
        if by == "session":
            return sessions
        if by == "month":
            return by_month(sessions, start)
        raise UsageError(f'returns: by must be "session" or "month", was {by!r}')

    def to_pandas(self) -> PandasTables:
        """Session returns, positions and transactions in pandas, as pyfolio and quantstats want them."""
        name = self.summary.get("name") or ", ".join(one["name"] for one in self.manifest["spec"]["strategies"])
        return to_pandas(self, self.returns(), name)

    @property
    def plot(self) -> Plot:
        """Charts in Altair: ``equity()``, ``drawdown()``, ``trades(symbol, session)``, ``quality()``, ``heatmap()``.

        Raises
        ------
        UsageError
            altair is not installed: ``pip install "minute-bt[report]"``.
        """
        return Plot(self)

    def __repr__(self) -> str:
        return "\n".join(f"{name:<14} {value}" for name, value in summary_lines(self.summary))

    def _repr_html_(self) -> str:
        with damage_named(self.path):
            return notebook_html(summary_lines(self.summary), self.tables["equity"], self.summary["equity_start"])

    def report(
        self,
        path: str | os.PathLike[str] | None = None,
        *,
        symbol: str | None = None,
        session: date | str | None = None,
        sweep: SweepTold | None = None,
    ) -> Path:
        """Write the run as one file of HTML, and say where it is.

        Parameters
        ----------
        path : path, optional
            The file; by default ``report.html`` in the run's folder.
        symbol, session : str, date or ISO text, optional
            Whose candle charts come first: a page of 2 MB cannot hold those of a large run.
        sweep : SweepTold, optional
            ``sweep.told()`` of the sweep that the run comes from.

        Raises
        ------
        UsageError
            The run is in memory and no path was given, the path is a run's table or document, `session` is no date,
            or the run has no such symbol or session.
        ResultsError
            It could not be written.
        """
        day = session_given(session)
        return write_report(
            self, None if path is None else Path(path), Wish(symbol, day), sweep, summary_lines(self.summary)
        )


def outages_in(quality: pl.LazyFrame) -> pl.DataFrame:
    """The outages in a table of quality, of which few sessions are read at a time, and of symbols that are not active no gap."""
    minutes = quality.filter(pl.col("interval") == "1m")
    liquid = active(minutes.select("symbol", "present", "quality").collect(engine="in-memory"))
    counted = minutes.group_by("session").agg(pl.len()).sort("session").collect(engine="in-memory")
    some = pl.col("len").cum_sum() // _ROWS
    spans = counted.group_by(some.alias("part")).agg(
        pl.col("session").min().alias("first"), pl.col("session").max().alias("last")
    )
    parts = (
        minutes.filter(pl.col("session").is_between(first, last), pl.col("symbol").is_in(liquid.implode())).collect(engine="in-memory")
        for first, last in spans.sort("first").select("first", "last").iter_rows()
    )  # fmt: skip
    return outages_of(liquid, parts)


def _short(of: str, short: Mapping[str, str | None]) -> str:
    """Who lacked what `of` an interval or a field reads back to, and since when it is there: by day, few symbols by name."""
    by_day: dict[str, list[str]] = {}
    for symbol, day in short.items():
        by_day.setdefault(f"first known on {day}" if day else "never known", []).append(symbol)
    shown = [
        f"{', '.join(some) if len(some) < 4 else f'{len(some):,}'} {when}" for when, some in list(by_day.items())[:4]
    ]
    more = f" and {len(by_day) - 4:,} more days" if len(by_day) > 4 else ""
    return f"of {of} at the start for {len(short):,} symbol{'s' if len(short) > 1 else ''}: {'; '.join(shown)}{more}"


def _priced(summary: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Of quotes, impact and margin, where they were asked for."""
    lines = []
    if (quoted := summary.get("fills_at_quotes")) is not None:
        lines.append(("quotes", f"{quoted:,} of {summary['fills']:,} fills paid one"))
    if summary.get("fills_without_impact"):
        lines.append(("impact", f"not known for {summary['fills_without_impact']:,} of {summary['fills']:,} fills"))
    if summary.get("margin_calls"):
        lines.append(("margin calls", f"{summary['margin_calls']:,}: run.log has what was missing"))
    return lines


def _moved(summary: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Cash that moved without a trade, by kind; nothing where none did, or of a run of an earlier version."""
    moved = ", ".join(f"{kind} {amount:,.2f}" for kind, amount in summary.get("cash_moved", {}).items())
    return [("cash moved", moved)] if moved else []


def _actions(summary: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Where corporate actions are from, and how many there were; nothing without a table, or of a run of an earlier version."""
    given = summary.get("actions")
    if not given:
        return []
    names = {"split": "splits", "dividend": "dividends", "rename": "renames", "delisting": "delistings"}
    counts = ", ".join(f"{given[kind]:,} {name}" for kind, name in names.items() if given[kind]) or "none in the run"
    return [("actions", f"{given['table']}: {counts}; what looks back is adjusted for {given['adjust']}")]


def _instruments(summary: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Where the terms of what is traded are from; nothing without a table, or of a run of an earlier version."""
    given = summary.get("instruments")
    if not given:
        return []
    few = ", ".join(f"{symbol} x {float(Fraction(m)):g}" for symbol, m in list(given["multipliers"].items())[:5])
    more = f" and {len(given['multipliers']) - 5:,} more" if len(given["multipliers"]) > 5 else ""
    worth = f"; a share is worth its price times: {few}{more}" if few else ""
    return [("instruments", f"{given['table']}: {given['symbols']:,} of {summary['symbols']:,} symbols{worth}")]


def _ambiguity(summary: Mapping[str, Any]) -> list[tuple[str, str]]:
    """How much depends on what happened within bars; nothing where nothing does, or of a run of an earlier version."""
    if not summary.get("ambiguous_bars"):
        return []
    share = f"{summary['ambiguous_trades']:.1%} of trades"
    other = f"the other path in each would make the net P&L {summary['net_pnl_other']:,.2f}"
    return [("ambiguous", f"{summary['ambiguous_bars']:,} bars, {share}; {other}")]


def _before_data(summary: Mapping[str, Any]) -> list[tuple[str, str]]:
    """How many sessions are before the first bar; nothing where none is, or of a run of an earlier version."""
    told = summary.get("before_data")
    if not told:
        return []
    many = f"{told['sessions']:,} sessions are" if told["sessions"] > 1 else "1 session is"
    return [
        (
            "before data",
            f"{many} before the first bar, in the session {told['first']}, and count in every figure; start there",
        )
    ]


def summary_lines(summary: Mapping[str, Any]) -> list[tuple[str, str]]:
    """A run's summary as (name, text) for a reader."""

    def money(value: float) -> str:
        return f"{value:,.2f}"

    whole = "" if summary["finish_reason"] == "end_date" else "of those "
    lines = [
        ("finished", summary["finish_reason"] + (f" ({summary['stop_reason']})" if summary["stop_reason"] else "")),
        ("sessions", f"{summary['sessions']:,} {whole}from {summary['start']} to {summary['end']}, {summary['bars']:,} bars, {summary['iterations']:,} minutes stepped"),
        ("net P&L", f"{money(summary['net_pnl'])}  (equity {money(summary['equity_start'])} to {money(summary['equity_end'])})"),
        ("return", f"{summary['total_return']:+.2%}, max drawdown {summary['max_drawdown']:.2%}, Sharpe " + (f"{summary['sharpe']:.2f}" if summary["sharpe"] is not None else "undefined")),
        ("orders", f"{summary['orders']:,}: {summary['fills']:,} fills, {summary['expired']:,} expired, {summary['rejected']:,} rejected, {summary['cancelled']:,} cancelled"),
        ("trades", f"{summary['trades']:,} closed; positions open at the end: {summary['open_positions']:,}"),
        ("costs", f"commission {money(summary['commission'])}, slippage {money(summary['slippage'])}" + ("" if summary["costs_assumed"] else "  WARNING: none were assumed (execution.slippage_bps, commission_per_share)")),
        ("quality", f"{summary['quality']:.2f} % of expected minutes, mean over symbols and sessions" if summary["quality"] is not None else "no session"),
    ]  # fmt: skip
    if summary.get("completeness") is not None:
        lines.append(("completeness", f"{summary['completeness']:.2f} % of the minutes that symbols usually have"))
    if summary.get("outages"):
        lines.append(("outages", f"{summary['outages']:,}: run.outages lists them; most liquid symbols lack bars then"))
    if universe := summary.get("universe"):
        fewest, most = universe["fewest"], universe["most"]
        size = f"{most:,}" if fewest == most else f"{fewest:,} to {most:,}"
        lines.insert(
            2, ("universe", f"{size} of {summary['symbols']:,} symbols a session, {universe['ever']:,} in all")
        )
    lines[2:2] = _before_data(summary)
    for name in ("history_short", "features_short"):
        lines += [("short history", _short(of, short)) for of, short in (summary.get(name) or {}).items()]
    for name, warm in (summary.get("warm_up") or {}).items():
        if warm["shown"] < warm["asked"]:
            lines.append(("warm-up", f"{name}: {warm['shown']} of {warm['asked']} sessions; the data begins later"))
    lines += [*_priced(summary), *_actions(summary), *_instruments(summary), *_moved(summary), *_ambiguity(summary)]
    if summary["stale_exits"]:
        lines.append(("stale exits", f"{summary['stale_exits']:,}, filled at the close of an older bar"))
    if stale := summary.get("stale"):
        since = [f"{symbol} ({ended[:10]})" for symbol, ended in list(stale.items())[:5]]
        more = f" and {len(stale) - 5:,} more" if len(stale) > 5 else ""
        lines.append(("stale", f"held at the close of their last bar: {', '.join(since)}{more}"))
    if summary["guards"]:
        lines.append(("withheld rows", ", ".join(f"{k} {v:,}" for k, v in summary["guards"].items())))
    if summary["failed"]:
        lines.append(("failed", "; ".join(f"{k}: {v}" for k, v in list(summary["failed"].items())[:5])))
    return lines
