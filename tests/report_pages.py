"""What the tests of reports share: a page taken apart, a strategy with stops, and a made-up run of any size."""

from __future__ import annotations

import base64
import json
import zlib
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from html.parser import HTMLParser
from typing import Any

import numpy as np
import polars as pl

import bt
from bt.model import Session
from bt.report import RunTold
from bt.results import empty

MINUTE = 60_000_000
OPEN_HOUR = 14


@dataclass
class Page(HTMLParser):
    """A page: its data, texts by id, and tables by caption, as lists of rows of texts."""

    text: str
    data: dict[str, Any] = field(default_factory=dict)
    tables: dict[str, list[list[str]]] = field(default_factory=dict)
    scripts: list[str] = field(default_factory=list)
    policy: str = ""
    words: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self._into: list[str] | None = None
        self._rows: list[list[str]] = []
        self._caption: list[str] = []
        self._kind = ""
        self.feed(self.text)

    def handle_starttag(self, tag: str, attrs: Sequence[tuple[str, str | None]]) -> None:
        given = dict(attrs)
        if tag == "meta" and given.get("http-equiv") == "Content-Security-Policy":
            self.policy = given["content"] or ""
        if tag == "script":
            self._into, self._kind = [], given.get("type") or ""
        elif tag == "table":
            self._rows, self._caption = [], []
        elif tag == "tr":
            self._rows.append([])
        elif tag in ("td", "th"):
            self._into = []
        elif tag == "caption":
            self._into = self._caption

    def handle_data(self, data: str) -> None:
        if self._into is not None:
            self._into.append(data)
        else:
            self.words.append(data)

    def handle_endtag(self, tag: str) -> None:
        if tag == "script" and self._into is not None:
            whole = "".join(self._into)
            if self._kind == "application/json":
                self.data = json.loads(whole)
            else:
                self.scripts.append(whole)
            self._into = None
        elif tag in ("td", "th") and self._into is not None:
            self._rows[-1].append("".join(self._into))
            self._into = None
        elif tag == "caption":
            self._into = None
        elif tag == "table":
            self.tables["".join(self._caption)] = self._rows[1:]

    @property
    def said(self) -> str:
        """All text outside tables and scripts."""
        return " ".join(" ".join(self.words).split())

    def table(self, begins: str) -> list[list[str]]:
        """The rows of the table whose caption begins so."""
        return next(rows for caption, rows in self.tables.items() if caption.startswith(begins))


def unpacked(packed: str) -> tuple[dict[str, Any], pl.DataFrame]:
    """A chart as it is in the page: what it says, and its bars: minute, open, high, low, close, volume."""
    told = json.loads(zlib.decompress(base64.b64decode(packed), -15))
    close = np.cumsum(told["c"])
    open_ = np.array(told["o"]) + np.concatenate([close[:1], close[:-1]])
    high = np.maximum(open_, close) + np.array(told["h"])
    low = np.minimum(open_, close) - np.array(told["l"])
    scale = 10 ** told["p"]
    prices = {name: c / scale for name, c in (("open", open_), ("high", high), ("low", low), ("close", close))}
    volume = np.array(told["v"]) / 10 ** told["q"]
    return told, pl.DataFrame({"minute": np.cumsum(told["t"]), **prices, "volume": volume})


class Brackets:
    """Buys every symbol at minute 4 with a bracket, and sells at minute 300 what is left."""

    class Minute(bt.Row):
        symbol: str
        minute: int
        close: float

    row = Minute

    def on_bar(self, row: Minute, book: bt.Book) -> None:
        if row.minute == 4:
            book.order(
                row.symbol,
                100,
                stop_loss=round(row.close * 0.995, 2),
                take_profit=round(row.close * 1.01, 2),
                tag="bracket",
            )
        if row.minute == 300:
            book.target(row.symbol, 0)


# ------------------------------------------------------------------------------------------------------ a made-up run


class MadeBars:
    """Bars that are drawn at random, the same each time."""

    zone = "America/New_York"
    note = ""

    def session(self, day: date) -> Session:
        start = int(datetime(day.year, day.month, day.day, OPEN_HOUR, 30, tzinfo=UTC).timestamp()) * 1_000_000
        close = start + 390 * MINUTE
        return Session(day, start, close, ((start, close),), early_close=False, minutes=390)

    def bars(self, wanted: Mapping[date, Collection[str]]) -> Mapping[date, Mapping[str, pl.DataFrame]]:
        return {day: {symbol: self._bars(day, symbol) for symbol in wanted[day]} for day in sorted(wanted)}

    def _bars(self, day: date, symbol: str) -> pl.DataFrame:
        rng = np.random.default_rng([day.toordinal(), *symbol.encode()])
        close = np.round(100 + np.cumsum(rng.normal(0, 0.05, 390)), 2)
        open_ = np.round(close + rng.normal(0, 0.02, 390), 2)
        reach = np.round(np.abs(rng.normal(0, 0.03, (2, 390))), 2)
        return pl.DataFrame(
            {
                "open_time": self.session(day).open + np.arange(390) * MINUTE,
                "open": open_,
                "high": np.round(np.maximum(open_, close) + reach[0], 2),
                "low": np.round(np.minimum(open_, close) - reach[1], 2),
                "close": close,
                "volume": rng.integers(100, 50_000, 390),
            }
        )


def made_run(sessions: int, symbols: int, *, fills_a_session: int = 2) -> RunTold:
    """A run of frames alone: every symbol is bought and sold `fills_a_session` times in every session."""
    rng = np.random.default_rng(1)
    source = MadeBars()
    days = [date(2023, 1, 2) + timedelta(days=i + 2 * (i // 5)) for i in range(sessions)]
    names = [f"S{n:04d}" for n in range(symbols)]
    opens = np.array([source.session(day).open for day in days])
    minute = (opens[:, None] + np.arange(1, 391) * MINUTE).ravel()
    worth = np.round(1e6 + np.cumsum(rng.normal(5, 100, len(minute))), 2)
    by_minute = pl.Series("session", days, dtype=pl.Date).gather(pl.Series(np.repeat(np.arange(sessions), 390)))
    time = pl.Datetime("us", "UTC")
    gross = np.round(rng.uniform(0, 9e5, len(minute)), 2)
    equity = pl.DataFrame({"time": minute, "session": by_minute, "equity": worth, "gross": gross, "net": gross / 2})
    equity = equity.with_columns(pl.col("time").cast(time), pl.lit("made").alias("strategy"), pl.lit(0.0).alias("cash"))
    pairs = pl.DataFrame({"session": days}, schema={"session": pl.Date}).join(
        pl.DataFrame({"symbol": names}), how="cross"
    )
    n = pairs.height * fills_a_session
    each = pl.concat([pairs] * fills_a_session).with_columns(pl.Series("at", rng.integers(0, 389, n)))
    opened = pl.DataFrame({"session": days, "open": opens}, schema_overrides={"session": pl.Date})
    moments = (
        each.join(opened, on="session", maintain_order="left")
        .select((pl.col("open") + pl.col("at") * MINUTE).cast(time))
        .to_series()
    )
    bought = np.arange(n) < n // 2
    price = np.round(rng.uniform(90, 110, n), 2)
    fills = each.select("session", "symbol").with_columns(
        pl.Series("order_id", np.arange(1, n + 1)), pl.lit("made").alias("strategy"), moments.alias("time"),
        pl.Series("side", np.where(bought, "buy", "sell")), pl.Series("shares", np.where(bought, 100, -100)),
        pl.Series("price", price), pl.Series("reference_price", price), pl.lit(0.0).alias("slippage"), pl.lit(0.5).alias("commission"),
        pl.Series("position_after", np.where(bought, 100, 0)), pl.lit(0.01).alias("bar_share"), pl.lit(0).alias("stale_minutes"),
        pl.lit("").alias("tag"), pl.lit(value=False).alias("ambiguous"),
    ).sort("session", "time", "symbol", "order_id")  # fmt: skip
    orders = fills.select(
        pl.col("order_id").alias("id"), "strategy", "symbol", "session", pl.col("time").alias("decided_at"), pl.col("time").alias("ended_at"), pl.lit("market").alias("type"), "side", "shares",
        pl.lit(None, dtype=pl.Int64).alias("level"), pl.lit(None, dtype=pl.Float64).alias("limit"), pl.lit(None, dtype=pl.Float64).alias("stop"),
        pl.lit(None, dtype=pl.Float64).alias("trail"), pl.lit("day").alias("tif"), pl.lit("filled").alias("status"), pl.lit("").alias("reason"),
        "tag", pl.col("shares").alias("filled"), pl.lit(None, dtype=pl.Int64).alias("parent"),
    )  # fmt: skip
    trades = pl.DataFrame(
        {
            "strategy": "made", "symbol": fills["symbol"][: n // 2], "side": "long", "entry_time": fills["time"][: n // 2], "exit_time": fills["time"][: n // 2],
            "entry_price": price[: n // 2], "exit_price": price[n // 2 :][: n // 2], "shares": 100, "gross_pnl": 1.0, "costs": 1.0,
            "net_pnl": np.round(rng.normal(0, 100, n // 2), 2), "return": 0.001, "mae": 0.0, "mfe": 0.0, "minutes_held": 5, "entry_tag": "", "exit_reason": "market",
            "ambiguous": False,
        }
    )  # fmt: skip
    lost = rng.integers(0, 60, pairs.height)
    quality = pairs.with_columns(
        pl.lit("1m").alias("interval"), pl.Series("present", 390 - lost), pl.lit(390).alias("expected"), pl.Series("quality", 100 * (390 - lost) / 390),
        pl.lit(100.0).alias("completeness"), pl.Series("longest_gap_minutes", lost),
    )  # fmt: skip
    by_session = pl.DataFrame(
        {"session": days, "open": opens, "close": opens + 390 * MINUTE}, schema_overrides={"session": pl.Date}
    )
    by_session = by_session.with_columns(
        pl.col("open", "close").cast(time), pl.lit(value=False).alias("early_close"), pl.lit(0.0).alias("net_pnl")
    )
    tables = {
        "equity": equity, "fills": fills, "orders": orders, "trades": trades, "quality": quality, "sessions": by_session,
        "positions": empty("positions"), "cash": empty("cash"), "guards": empty("guards"),
    }  # fmt: skip
    outages = pl.DataFrame(
        schema={
            "session": pl.Date,
            "start": time,
            "end": time,
            "minutes": pl.Int64,
            "symbols": pl.Int64,
            "lacking": pl.Float64,
            "whole_session": pl.Boolean,
        }
    )
    summary = {
        "name": "", "finish_reason": "end_date", "stop_reason": None, "start": f"{days[0]}", "end": f"{days[-1]}", "sessions": sessions, "iterations": len(minute),
        "bars": sessions * symbols * 390, "symbols": symbols, "orders": n, "fills": n, "expired": 0, "rejected": 0, "cancelled": 0, "trades": n // 2,
        "open_positions": 0, "net_pnl": float(worth[-1] - 1e6), "net_pnl_other": 0.0, "equity_start": 1e6, "equity_end": float(worth[-1]),
        "total_return": float(worth[-1] / 1e6 - 1), "max_drawdown": -0.1, "sharpe": 1.0, "commission": 0.5 * n, "slippage": 0.0, "costs_assumed": True,
        "quality": 92.0, "failed": {}, "strategies_failed": {},
    }  # fmt: skip
    spec = {
        "data": {"calendar": "XNYS"}, "strategies": [{"name": "made", "params": {}}], "execution": {"fill": "next_open"}, "account": {"cash": 1e6},
    }  # fmt: skip
    metrics = dict.fromkeys(("hit_rate", "cost_bps", "max_drawdown"), 0.1)
    return RunTold(
        summary, metrics, {}, {"spec": spec, "strategy_sources": {}}, tables, outages, source, zone=source.zone
    )
