"""LEAN minute zips: what is inside is told by the members' names, the security type and the market by the path.

Trade members ``20131007_spy_minute_trade.csv`` have milliseconds since local midnight, open, high, low, close, volume; quote members bid
open, high, low, close, size, then the same of the ask. Equity prices are 10,000 times too large.

====================  ==============================  ==================  =======================
path contains         zone                            prices              symbol
====================  ==============================  ==================  =======================
equity/usa            America/New_York                / 10,000            SPY
equity/india          Asia/Kolkata                    / 10,000            JUNIORBEES
future/<market>       UTC                             as they are         ES_201312 (with expiry)
crypto/<market>       UTC                             as they are         COINBASE_BTCUSD
cryptofuture/<m>      UTC                             as they are         BINANCE_PERP_BTCUSD
forex, cfd/<market>   UTC (fxcm: UTC-05:00)           as they are         OANDA_EURUSD
====================  ==============================  ==================  =======================

A path may join its parts by ``/`` or ``__``. Quote bars become mid bars (the mean of bid and ask, volume 0) only with ``quotes="mid"``.
Source: QuantConnect LEAN repository, Data/*/readme.md.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal, InvalidOperation
from pathlib import Path
from zipfile import ZipFile, is_zipfile

import polars as pl

from bt.errors import DataError
from bt.ingest import delimited
from bt.ingest.options import IngestOptions
from bt.ingest.seam import Batch, Convention, NotBars, convention
from bt.ingest.sources import ZIP, reading

_MEMBER = re.compile(r"(\d{8})_([^/]+?)_minute_(trade|quote)(?:_([^/]+))?\.csv", re.IGNORECASE)
_ANY = re.compile(r"(?:\d{8}_)?[^/]+?_(?:minute|second|tick|trade|quote|hour|daily)[^/]*\.csv", re.IGNORECASE)
TYPES = ("equity", "future", "cryptofuture", "crypto", "forex", "cfd")
MARKETS = {
    "usa": "equity", "india": "equity",
    "coinbase": "crypto", "gdax": "crypto", "bitfinex": "crypto", "bitstamp": "crypto", "kraken": "crypto",
    "binance": "crypto", "binanceus": "crypto", "bybit": "crypto", "ftx": "crypto", "dydx": "cryptofuture",
    "cme": "future", "cbot": "future", "nymex": "future", "comex": "future", "cfe": "future", "ice": "future",
    "oanda": "forex", "fxcm": "forex",
}  # fmt: skip
TRADE = ("ms", "open", "high", "low", "close", "volume")
QUOTE = ("ms", "bo", "bh", "bl", "bc", "bs", "ao", "ah", "al", "ac", "as")


@dataclass(frozen=True, slots=True)
class Place:
    """Where in LEAN's data folder a zip lies."""

    kind: str
    market: str

    @property
    def convention(self) -> Convention:
        """How the place writes stamps and prices."""
        if self.kind == "equity":
            return Convention(tz="Asia/Kolkata" if self.market == "india" else "America/New_York", divisor=10_000)
        return Convention(tz="UTC-05:00" if self.market == "fxcm" else "UTC")

    def symbol(self, ticker: str, expiry: str) -> str:
        """The symbol of a member."""
        name = ticker.upper()
        if self.kind == "equity":
            return name
        if self.kind == "future":
            return f"{name}_{expiry}" if expiry else name
        return f"{self.market.upper()}_{'PERP_' if self.kind == 'cryptofuture' else ''}{name}"


class Lean:
    """Minute trade zips, and minute quote zips when mid bars are asked for."""

    name = "lean"

    def sniff(self, path: Path, head: bytes) -> bool:
        """Whether `path` is a zip with a member named as LEAN names minutes, seconds or ticks."""
        if not head.startswith(ZIP) or not is_zipfile(path):
            return False
        with ZipFile(path) as archive:
            return any(_ANY.fullmatch(name) for name in archive.namelist())

    def told(self, path: Path, options: IngestOptions) -> str:
        """The security type and the market."""
        del options
        place = _place(path)
        return f"{place.kind}/{place.market}"

    def batches(self, path: Path, options: IngestOptions) -> Iterator[Batch]:
        """The bars of each member in turn."""
        with reading(path), ZipFile(path) as archive:
            members = sorted(name for name in archive.namelist() if not name.endswith("/"))
            found = [(member, _minutes(path, member, options)) for member in members]
            place = _place(path)
            for member, match in found:
                with reading(path, member):
                    yield from _member(archive, member, match, place, options)


def _minutes(path: Path, member: str, options: IngestOptions) -> re.Match[str]:
    """The parts of a minute member's name: date, ticker, trade or quote, expiry."""
    match = _MEMBER.fullmatch(member)
    if match is None:
        hint = "only minute files are read"
        raise NotBars(f"{path}!{member}: member must be a LEAN minute trade or quote file, was not; {hint}")
    if match[3].lower() == "quote" and options.quotes == "refuse":
        hint = "ask for mid bars with quotes=mid, or leave quotes out"
        raise NotBars(f"{path}!{member}: bars must be trades, were quotes; {hint}")
    return match


def _place(path: Path) -> Place:
    parts = [part.lower() for step in path.parts for part in step.split("__")]
    at = len(parts) - 1 - parts[::-1].index("minute") if "minute" in parts else 0
    market = parts[at - 1] if at >= 1 else ""
    kind = parts[at - 2] if at >= 2 and parts[at - 2] in TYPES else MARKETS.get(market, "")
    if not kind:
        hint = "keep LEAN's folders (equity/usa/minute/spy/...), or its names joined by __"
        raise DataError(f"{path}: path must tell the security type and market before minute, did not; {hint}")
    return Place(kind, market)


def _member(
    archive: ZipFile, member: str, match: re.Match[str], place: Place, options: IngestOptions
) -> Iterator[Batch]:
    names = TRADE if match[3].lower() == "trade" else QUOTE
    rule = convention(options, place.convention)
    symbol = place.symbol(match[2], match[4] or "")
    midnight = datetime.strptime(match[1], "%Y%m%d")  # noqa: DTZ007  local: the convention has the zone
    layout = delimited.Shape(",", names, header=False)
    with archive.open(member) as stream:
        for lines in delimited.read(stream, layout, list(names)):
            since = pl.col("ms").cast(pl.Int64, strict=False)
            moment = (pl.lit(midnight, pl.Datetime("us")) + pl.duration(milliseconds=since)).alias("time")
            frame = lines.frame.with_columns(moment)
            if names is QUOTE:
                yield from _mids(frame, rule, symbol, member, lines.broken)
            else:
                yield Batch(frame.drop("ms"), rule, {"time": "ms"}, symbol, member, broken=lines.broken)


def _mids(
    frame: pl.DataFrame, rule: Convention, symbol: str, member: str, broken: tuple[tuple[int, str], ...]
) -> Iterator[Batch]:
    """Mid bars, and apart from them the rows without bid or ask, which have none."""
    sides = [pl.col(side + price) for side in "ba" for price in "ohlc"]
    whole = frame.select(pl.all_horizontal([s != "" for s in sides])).to_series()
    mids = [
        pl.Series(
            name, [_mean(b, a) for b, a in zip(frame["b" + name[0]], frame["a" + name[0]], strict=True)], pl.String
        )
        for name in ("open", "high", "low", "close")
    ]
    out = frame.select("time", "line").with_columns(*mids, pl.lit(0, pl.Int64).alias("volume"))
    yield Batch(out.filter(whole), rule, {"time": "ms"}, symbol, member, broken=broken)
    if not whole.all():
        yield Batch(out.filter(~whole), rule, {"time": "ms"}, symbol, member, reason="one_sided")


def _mean(bid: str, ask: str) -> str:
    """The exact mean of two decimals, as text: no float rounds on the way."""
    try:
        return str((Decimal(bid) + Decimal(ask)) / 2)
    except InvalidOperation:
        return f"{bid}/{ask}" if bid and ask else ""
