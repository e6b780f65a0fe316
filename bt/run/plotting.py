"""`run.plot`: a run's charts."""

from __future__ import annotations

from datetime import date
from typing import TYPE_CHECKING, Any

import numpy as np
import polars as pl

from bt.errors import DataError, UsageError
from bt.figures import account, by_month, levels, met, placed, session_returns
from bt.results import damage_named
from bt.run.bars import opened_bars
from bt.run.reporting import session_given

if TYPE_CHECKING:
    from bt.run.result import Run

MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")


def plots() -> Any:
    """The module `bt.plots`, which needs altair.

    Raises
    ------
    UsageError
        It is not installed.
    """
    try:
        import bt.plots as made
    except ModuleNotFoundError as error:
        if error.name != "altair":
            raise
        raise UsageError('plot: altair must be installed, was not; pip install "minute-bt[report]"') from error
    return made


class Plot:
    """Charts of a run, in Altair. Each method gives a chart, which a notebook shows and ``.save("chart.html")`` writes.

    Raises
    ------
    UsageError
        altair is not installed.
    """

    def __init__(self, run: Run) -> None:
        self._run = run
        self._made = plots()

    def equity(self) -> Any:
        """Equity of the account by the minute."""
        with damage_named(self._run.path):
            return self._made.equity(self._run.tables["equity"], self._run.summary["equity_start"])

    def drawdown(self) -> Any:
        """How far equity is under its peak, by the minute."""
        with damage_named(self._run.path):
            return self._made.under_water(self._run.tables["equity"], self._run.summary["equity_start"])

    def trades(self, symbol: str, session: date | str) -> Any:
        """Minute bars of a symbol and session, as the store has them now, with its fills and the stops and limits that orders waited at.

        Raises
        ------
        UsageError
            `session` is no date.
        DataError
            The bars are not there any more, or have none of the symbol in that session.
        """
        run, day = self._run, session_given(session)
        if day is None:
            raise UsageError("session: it must be a date such as 2024-11-25, was None")
        with damage_named(run.path), opened_bars(run.manifest, run.data) as source:
            found = source.bars({day: [symbol]})[day]
            if symbol not in found:
                raise DataError(
                    f"{symbol}: it must have bars in the session {day}, had none; look at run.by_symbol and run.by_session"
                )
            bars, calendar, zone = found[symbol], source.session(day), source.zone
            orders = run.tables["orders"].lazy().filter(pl.col("symbol") == symbol)
            mine = run.tables["fills"].lazy().filter(pl.col("symbol") == symbol)
            waits = levels(orders, mine)
            earlier = (
                run.by_session.filter(
                    pl.col("close").dt.epoch("us") > waits.since(symbol, calendar), pl.col("session") < day
                )["session"]
            ).to_list()
            before = source.bars({d: [symbol] for d in earlier}).values()
            known = pl.concat([b for of in before for b in of.values()] + [bars])
        kinds = orders.select("strategy", pl.col("id").alias("order_id"), "type", "decided_at")
        with damage_named(run.path):
            today = (
                mine.filter(pl.col("session") == day)
                .join(kinds, on=["strategy", "order_id"], how="left")
                .collect(engine="in-memory")
            )
        fills = today.with_columns(pl.col("type").fill_null("")).sort("time", "strategy", "order_id")
        execution = run.manifest["spec"]["execution"]
        where = placed(bars, fills, execution["fill"])
        waited = waits.at(symbol, calendar, met(known, execution.get("zero_volume", "fill")))
        return self._made.candles(
            bars, fills.with_columns(pl.Series("bar", where)), waited, zone=zone, title=f"{symbol}, {day} ({zone})"
        )

    def quality(self) -> Any:
        """Data quality by symbol and session."""
        table = self._run.tables["quality"].lazy().filter(pl.col("interval") == "1m")
        with damage_named(self._run.path):
            return self._made.quality(table.select("session", "symbol", "quality").collect(engine="in-memory"))

    def heatmap(self, by: str = "month") -> Any:
        """Returns as cells: ``"month"`` by year and month, ``"weekday"`` the mean in basis points by weekday and half hour of the session.

        Raises
        ------
        UsageError
            `by` is something else.
        """
        run, start = self._run, self._run.summary["equity_start"]
        with damage_named(run.path):
            minutes = account(run.tables["equity"])
        if by == "month":
            months = by_month(session_returns(minutes, start), start)
            names = pl.DataFrame({"month": range(1, 13), "name": MONTHS}, schema_overrides={"month": pl.Int8})
            told = months.join(names, on="month").with_columns(
                (pl.col("month").cast(pl.String).str.zfill(2) + " " + pl.col("name")).alias("month")
            )
            return self._made.cells(
                told, "month", "year", "return", form="+.2%", titles={"month": "Month", "year": "Year"}
            )
        if by == "weekday":
            return self._made.cells(
                _by_weekday(minutes, start),
                "minutes",
                "weekday",
                "bp",
                form="+.2f",
                titles={"minutes": "From minute of the session", "weekday": "Weekday"},
            )
        raise UsageError(f'heatmap: by must be "month" or "weekday", was {by!r}')


def _by_weekday(minutes: pl.DataFrame, start: float) -> pl.DataFrame:
    """Mean over sessions of the return of each half hour, basis points, by weekday."""
    worth = minutes["equity"].to_numpy()
    before = np.concatenate([[start], worth[:-1]])
    change = np.divide(worth - before, before, out=np.zeros(len(worth)), where=before > 0)
    day = pl.col("session").dt
    return (
        minutes.select(
            "session", (pl.int_range(pl.len()).over("session") // 30 * 30).alias("minutes"), pl.Series("change", change)
        )
        .group_by("session", "minutes", maintain_order=True)
        .agg(pl.col("change").sum())
        .group_by(
            (day.weekday().cast(pl.String) + " " + day.strftime("%a")).alias("weekday"), "minutes", maintain_order=True
        )
        .agg((pl.col("change").mean() * 1e4).alias("bp"))
        .sort("weekday", "minutes")
    )
