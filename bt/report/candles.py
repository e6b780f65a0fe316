"""Candle charts of symbols and sessions: which are in the page, and how they are packed.

Each is a JSON object, deflated and in base64, which the page opens when it is asked for. Prices are whole numbers of 10^-p, each bar told by its differences; see
`_packed`.
"""

from __future__ import annotations

import base64
import json
import zlib
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, date, datetime
from typing import Any, NamedTuple
from zoneinfo import ZoneInfo

import numpy as np
import numpy.typing as npt
import polars as pl

from bt.figures import Levels, levels, met, placed, traded
from bt.model import Session
from bt.report.subject import BarSource, RunTold, Wish
from bt.schema import MINUTE

MOST = 400
"""Charts in a page at most."""

LEVELS = 400
"""Stretches of stops and limits drawn in one chart at most."""

BACK = 10
"""Trailing stops are followed through so many earlier sessions at most."""

SECOND = 1_000_000
PRICES = ("open", "high", "low", "close")

FILL = (
    "bar",
    "minute",
    "side",
    "shares",
    "price",
    "commission",
    "slippage",
    "position",
    "type",
    "tag",
    "strategy",
    "ambiguous",
)
"""What the page knows of a fill, in this order."""


class Charts(NamedTuple):
    """What the page has: `data` for it, how many symbols and sessions were traded, and how many of these it shows."""

    data: dict[str, Any]
    traded: int
    shown: int


def chosen(earned: pl.DataFrame, wish: Wish) -> pl.DataFrame:
    """The symbols and sessions to show, the most wanted first: session, symbol, fills, pnl.

    First what `wish` names, then `bt.figures.traded`'s order. A symbol and session that were not traded are shown where both are named.
    """
    pairs = traded(earned)
    wanted = pl.lit(value=wish.symbol is not None or wish.session is not None)
    if wish.symbol is not None:
        wanted &= pl.col("symbol") == wish.symbol
    if wish.session is not None:
        wanted &= pl.col("session") == wish.session
    first, rest = pairs.filter(wanted), pairs.filter(~wanted)
    if wish.symbol is not None and wish.session is not None and not first.height:
        one = {"session": [wish.session], "symbol": [wish.symbol], "fills": [0], "shares": [0], "pnl": [0.0]}
        known = earned.filter(wanted)
        first = known if known.height else pl.DataFrame(one, schema=earned.schema)
    return pl.concat([first, rest]).head(MOST)


def charts(run: RunTold, earned: pl.DataFrame, source: BarSource, *, wish: Wish, budget: int) -> Charts:
    """The charts that fit into `budget` bytes, the most wanted first; in the page sorted by symbol and session."""
    pairs = chosen(earned, wish)
    told = _Told.of(run, pairs)
    bars = _bars(source, pairs, told)
    kept: list[dict[str, Any]] = []
    strategies = [one["name"] for one in run.manifest["spec"]["strategies"]]
    days: dict[date, dict[str, Any]] = {}
    for day, symbol, fills, _, pnl in pairs.iter_rows():
        session, minutes = bars[day]
        if symbol not in minutes or not minutes[symbol].height:
            continue
        earlier = [bars[before][1].get(symbol) for before in told.days(symbol, session)]
        known = pl.concat([part for part in earlier if part is not None])
        packed = _packed(
            minutes[symbol],
            told.fills_of(day, symbol),
            told.levels.at(symbol, session, met(known, told.zero_volume)),
            session,
            rule=told.rule,
            strategies=strategies,
        )
        if len(packed) + 100 > budget:
            continue
        budget -= len(packed) + 100
        kept.append({"symbol": symbol, "session": f"{day}", "fills": fills, "pnl": round(pnl, 2), "data": packed})
        if day not in days:
            days[day] = _day(session, source.zone)
            budget -= 120
    first = [kept[0]["symbol"], kept[0]["session"]] if kept else None
    kept.sort(key=lambda one: (one["symbol"], one["session"]))
    data = {
        "zone": source.zone,
        "sessions": {f"{day}": one for day, one in sorted(days.items())},
        "strategies": strategies,
        "fill": list(FILL),
        "first": first,
        "charts": kept,
    }
    return Charts(data, earned.filter(pl.col("fills") > 0).height, len(kept))


def _bars(
    source: BarSource, pairs: pl.DataFrame, told: _Told
) -> dict[date, tuple[Session, Mapping[str, pl.DataFrame]]]:
    """The bars of each session that is shown, and of those before that its trailing stops are from; each is read once."""
    wanted: dict[date, set[str]] = {}
    for day, symbol in pairs.select("session", "symbol").iter_rows():
        for needed in told.days(symbol, source.session(day)):
            wanted.setdefault(needed, set()).add(symbol)
    return {day: (source.session(day), bars) for day, bars in source.bars(wanted).items()}


def _day(session: Session, zone: str) -> dict[str, Any]:
    """A session: its open as the exchange's clock shows it (seconds, as if UTC), its segments in minutes from there, whether it is a half day."""
    local = datetime.fromtimestamp(session.open // SECOND, UTC).astimezone(ZoneInfo(zone)).replace(tzinfo=UTC)
    cut = [[(a - session.open) // MINUTE, (b - session.open) // MINUTE] for a, b in session.segments]
    return {"open": int(local.timestamp()), "segments": cut, "early": session.early_close}


class _Told(NamedTuple):
    """Fills with their orders, and the levels orders waited at, of the symbols and sessions that are wanted."""

    fills: Mapping[tuple[date, str], pl.DataFrame]
    levels: Levels
    closes: pl.DataFrame
    rule: str
    zero_volume: str

    @classmethod
    def of(cls, run: RunTold, pairs: pl.DataFrame) -> _Told:
        """Read from the run's tables."""
        keys = pairs.lazy().select("session", "symbol")
        names = pairs.lazy().select("symbol").unique()
        fills = run.tables["fills"].lazy().join(keys, on=["session", "symbol"], how="semi")
        orders = run.tables["orders"].lazy().join(names, on="symbol", how="semi")
        told = orders.select("strategy", "symbol", pl.col("id").alias("order_id"), "type", "decided_at")
        joined = fills.join(told, on=["strategy", "symbol", "order_id"], how="left").collect(engine="in-memory")
        order = ["session", "symbol", "time", "strategy", "order_id"]
        parts = joined.with_columns(pl.col("type").fill_null("")).sort(order, maintain_order=True)
        split = {(key[0], key[1]): part for key, part in parts.partition_by("session", "symbol", as_dict=True).items()}
        waited = levels(orders, run.tables["fills"].lazy().join(names, on="symbol", how="semi"))
        closes = (
            run.tables["sessions"]
            .lazy()
            .select("session", pl.col("close").dt.epoch("us"))
            .collect(engine="in-memory")
            .sort("session")
        )
        execution = run.manifest["spec"]["execution"]
        return cls(split, waited, closes, execution["fill"], execution.get("zero_volume", "fill"))

    def days(self, symbol: str, session: Session) -> list[date]:
        """The sessions whose bars a chart needs: its own, the last, and up to `BACK` before that a trailing stop of it has lived through."""
        since = self.levels.since(symbol, session)
        found: list[date] = self.closes.filter(pl.col("close") > since, pl.col("session") < session.name)[
            "session"
        ].to_list()
        return [*found[-BACK:], session.name]

    def fills_of(self, day: date, symbol: str) -> pl.DataFrame | None:
        """None where there are none."""
        return self.fills.get((day, symbol))


def _packed(
    bars: pl.DataFrame, fills: pl.DataFrame | None, waited: pl.DataFrame, session: Session, *, rule: str, strategies: Sequence[str]
) -> str:  # fmt: skip
    """One chart: t minutes from the open (the first, then differences), c closes (likewise), o open - the close before (the first: its own close), h high above the
    body, l low below it, all in 10^-p; v volumes in 10^-q; f fills (`FILL`), s levels: kind, price, first and last minute."""
    digits, prices = _whole([bars[name].to_numpy() for name in PRICES])
    volume_digits, (volumes,) = _whole([bars["volume"].cast(pl.Float64).to_numpy()])
    opens, highs, lows, closes = prices
    minutes = (bars["open_time"].to_numpy() - session.open) // MINUTE
    told = {
        "t": _steps(minutes), "p": digits, "c": _steps(closes),
        "o": (opens - np.concatenate([closes[:1], closes[:-1]])).tolist(),
        "h": (highs - np.maximum(opens, closes)).tolist(), "l": (np.minimum(opens, closes) - lows).tolist(),
        "v": volumes.tolist(), "q": volume_digits,
        "f": [] if fills is None else list(_fills(bars, fills, session, rule, strategies)),
        "s": [[kind, price, (a - session.open) // MINUTE, (b - session.open) // MINUTE] for kind, price, a, b in waited.select("kind", "price", "start", "end").head(LEVELS).iter_rows()],
    }  # fmt: skip
    text = json.dumps(told, separators=(",", ":"), ensure_ascii=False, allow_nan=False).encode()
    squeezer = zlib.compressobj(9, zlib.DEFLATED, -15)
    return base64.b64encode(squeezer.compress(text) + squeezer.flush()).decode()


def _steps(values: npt.NDArray[np.int64]) -> list[int]:
    steps: list[int] = np.diff(values, prepend=values.dtype.type(0)).tolist()
    return steps


def _whole(columns: Sequence[npt.NDArray[np.float64]]) -> tuple[int, list[npt.NDArray[np.int64]]]:
    """Decimals, at most 8, and the numbers as whole ones of that many: exact where they have no more."""
    for digits in range(9):
        scaled = [np.rint(column * 10.0**digits) for column in columns]
        if digits == 8 or all(
            np.allclose(whole / 10.0**digits, column, rtol=1e-12, atol=0)
            for whole, column in zip(scaled, columns, strict=True)
        ):
            return digits, [whole.astype(np.int64) for whole in scaled]
    raise AssertionError("the last number of decimals is always taken")


def _fills(
    bars: pl.DataFrame, fills: pl.DataFrame, session: Session, rule: str, strategies: Sequence[str]
) -> Iterator[list[Any]]:
    where = placed(bars, fills, rule).tolist()
    for place, f in zip(where, fills.iter_rows(named=True), strict=True):
        minute = (int((f["time"] - datetime(1970, 1, 1, tzinfo=UTC)).total_seconds()) * SECOND - session.open) // MINUTE
        number = strategies.index(f["strategy"]) if f["strategy"] in strategies else -1
        yield [place, minute, f["side"], f["shares"], f["price"], f["commission"], f["slippage"], f["position_after"], f["type"], f["tag"], number,
               int(bool(f.get("ambiguous")))]  # fmt: skip
