"""The sample: an invented market, the same to the byte on every machine.

`write_sample` writes a store of minute bars, strategies, configurations and a vendor's file. Prices and volumes are integer
arithmetic on the raw output of PCG64, which NumPy promises to keep; floats appear only in the last step, cents / 100.

A session is made in three steps: `_session` draws every symbol's bars of every minute, `_present` says which of them
exist, and `_extras` adds the rows that guards are for: prints outside the session, and faulty rows.
"""

from __future__ import annotations

import io
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date
from importlib import resources
from pathlib import Path
from typing import NamedTuple
from zoneinfo import ZoneInfo

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq

from bt.errors import CalendarError, UsageError
from bt.model import Schedule, Session, instant
from bt.schema import MINUTE

IntArray = npt.NDArray[np.int64]

CALENDAR = "XNYS"
START, END = date(2024, 10, 25), date(2024, 12, 6)
SESSIONS = 30

SEED = 20241025
SIGMA = 37_837
"""Standard deviation of `Draws.normal`."""

FEED_DOWN, FEED_MINUTES = date(2024, 11, 19), slice(95, 115)
GAPS_AWAY = date(2024, 11, 12)
LISTED = date(2024, 11, 15)
DIRTY = date(2024, 11, 14)


class Ticker(NamedTuple):
    """An invented symbol: first price in cents, volatility of a minute in millionths, shares of a middling minute, and
    how many of its minutes in 1000 have a trade."""

    symbol: str
    cents: int
    volatility: int
    shares: int
    present: int = 1000


TICKERS = (
    Ticker("ASHB", 14_210, 480, 5200),
    Ticker("BRIK", 3_875, 720, 3100, 998),
    Ticker("CALD", 8_140, 560, 2400, 998),
    Ticker("DAWN", 21_655, 640, 4100),
    Ticker("DIRT", 5_230, 700, 1900),
    Ticker("DUNE", 2_915, 950, 6800),
    Ticker("EMBR", 11_720, 610, 1500, 996),
    Ticker("FROS", 6_480, 530, 2200, 998),
    Ticker("GAPS", 4_360, 660, 1700, 998),
    Ticker("HAVN", 9_905, 420, 2900),
    Ticker("JUNO", 30_340, 590, 3600),
    Ticker("KELP", 1_795, 880, 4500, 998),
    Ticker("LARK", 7_050, 620, 1300, 994),
    Ticker("LATE", 2_600, 1_050, 7400),
    Ticker("NORD", 16_425, 500, 2000, 998),
    Ticker("OAKS", 12_380, 450, 1800, 998),
    Ticker("PEBL", 3_240, 770, 1600, 996),
    Ticker("QUIL", 25_110, 540, 1100, 996),
    Ticker("SABL", 5_790, 690, 2700),
    Ticker("THIN", 4_815, 580, 260, 250),
)
SYMBOLS = [t.symbol for t in TICKERS]
AFTER_HOURS = ("ASHB", "DAWN", "JUNO")


class Draws:
    """Integer draws from PCG64's raw output, so that no release of NumPy and no machine gives others."""

    def __init__(self, *key: int) -> None:
        self._bits = np.random.PCG64(np.random.SeedSequence([SEED, *key]))

    def below(self, n: int, shape: tuple[int, ...]) -> IntArray:
        """Whole numbers 0 <= k < n, n up to 2^31."""
        return ((self._raw(shape) >> np.uint64(32)).astype(np.int64) * n) >> 32

    def normal(self, shape: tuple[int, ...]) -> IntArray:
        """Nearly normal whole numbers of mean 0 and standard deviation SIGMA: sums of four 16-bit draws."""
        raw = self._raw(shape)
        parts = [(raw >> np.uint64(16 * i)) & np.uint64(0xFFFF) for i in range(4)]
        return sum(p.astype(np.int64) for p in parts) - 2 * 65_535  # type: ignore[return-value]

    def _raw(self, shape: tuple[int, ...]) -> npt.NDArray[np.uint64]:
        return np.asarray(self._bits.random_raw(int(np.prod(shape))), dtype=np.uint64).reshape(shape)


class Bars(NamedTuple):
    """Bars as parallel arrays of any one shape: prices in cents, volume in shares."""

    open: IntArray
    high: IntArray
    low: IntArray
    close: IntArray
    volume: IntArray

    def at(self, where: object) -> Bars:
        """The bars at an index or mask."""
        return Bars(*(column[where] for column in self))  # type: ignore[call-overload]


class Rows(NamedTuple):
    """Rows of a file: index of the symbol, open_time in UTC microseconds, and the bars. All of shape (n,)."""

    code: IntArray
    time: IntArray
    bars: Bars


# --------------------------------------------------------------------------------------------------------- the market


def _session(draws: Draws, minutes: int, last: IntArray) -> Bars:
    """Every minute's bars of every symbol, shape (symbols, minutes), going on from the last closes (cents).

    A close is the session's first price plus a sum of steps: the market's, the symbol's own, and a drift that changes
    about every hour and a half, with a burst of volume when it does.
    """
    shape = (len(TICKERS), minutes)
    volatility = np.array([t.volatility for t in TICKERS])[:, None]
    first = (last * (SIGMA * 100_000 + draws.normal((len(TICKERS),)) * volatility[:, 0]) // (SIGMA * 100_000))[:, None]
    unit = first * volatility  # one standard deviation of a minute, in millionths of a cent

    turn = draws.below(90, shape) == 0
    turn[:, 0] = True
    since = np.maximum.accumulate(np.where(turn, np.arange(minutes), 0), axis=1)
    drift = np.take_along_axis(draws.normal(shape), since, axis=1) // 20
    step = (2 * draws.normal((1, minutes)) + 3 * draws.normal(shape)) // 4 + drift

    close = np.maximum(first + np.cumsum(step, axis=1) * unit // (SIGMA * 1_000_000), 100)
    before = np.concatenate([first, close[:, :-1]], axis=1)
    open_ = np.maximum(before + draws.normal(shape) * unit // (6 * SIGMA * 1_000_000), 100)
    above, under = (np.abs(draws.normal(shape)) * unit // (2 * SIGMA * 1_000_000) for _ in range(2))
    high, low = np.maximum(open_, close) + above, np.maximum(np.minimum(open_, close) - under, 100)

    x = 2 * np.arange(minutes) - (minutes - 1)
    ends = (minutes - 1) ** 2
    smile = 500 + 700 * x**2 // ends + 1800 * x**4 // ends**2  # in thousandths: busy open and close
    age = np.arange(minutes) - since
    burst = np.where((age < 3) & (since > 0), 5 - age, 1)
    noise = (400 + draws.below(1200, shape)) * (600 + draws.below(800, shape))  # in millionths
    shares = np.array([t.shares for t in TICKERS])[:, None]
    volume = np.maximum(shares * smile // 1000 * noise // 1_000_000 * burst, 1)
    return Bars(open_, high, low, close, volume)


def _present(draws: Draws, session: Session, number: int) -> npt.NDArray[np.bool_]:
    """Which minutes exist, shape (symbols, minutes); `number` is the session's, from 0."""
    keep = draws.below(1000, (len(TICKERS), session.minutes)) < np.array([t.present for t in TICKERS])[:, None]
    gap = draws.below(session.minutes - 60, (4, 2))
    if number % 3 == 1:
        for start, length in gap.tolist():
            keep[SYMBOLS.index("GAPS"), start : start + 5 + length % 40] = False
    if session.name == GAPS_AWAY:
        keep[SYMBOLS.index("GAPS")] = False
    if session.name < LISTED:
        keep[SYMBOLS.index("LATE")] = False
    if session.name == FEED_DOWN:
        keep[:, FEED_MINUTES] = False
    return keep


# ------------------------------------------------------------------------------------------- rows that guards are for


def _quiet(draws: Draws, code: int, times: IntArray, cents: int) -> Rows:
    """Small trades of one symbol around a price in about a third of the minutes `times`; the first always."""
    some = draws.below(3, times.shape) == 0
    some[0] = True
    times = times[some]
    price = np.maximum(cents + draws.normal(times.shape) * cents // (2000 * SIGMA), 100)
    end = np.maximum(price + draws.below(5, times.shape) - 2, 100)
    bars = Bars(price, np.maximum(price, end), np.minimum(price, end), end, 1 + draws.below(400, times.shape))
    return Rows(np.full(times.shape, code), times, bars)


def _closing_prints(session: Session, codes: IntArray, bars: Bars) -> Rows:
    """The closing auction of each symbol in `codes`, stamped at the close, at the last bar's close."""
    price, volume = bars.close[codes, -1], 15 * bars.volume[codes, -1]
    return Rows(codes, np.full(codes.shape, session.close), Bars(price, price, price, price, volume))


def _extras(draws: Draws, session: Session, bars: Bars, keep: npt.NDArray[np.bool_]) -> Iterator[Rows]:
    """Rows outside the session: DAWN's before the open, closing prints, and the evening of the half day."""
    dawn = SYMBOLS.index("DAWN")
    times = session.open + np.arange(-90, 0) * MINUTE
    yield _quiet(draws, dawn, times, int(bars.open[dawn, 0]))
    late = [SYMBOLS.index(s) for s in AFTER_HOURS] if session.early_close else []
    trading = np.flatnonzero(keep.any(axis=1))
    yield _closing_prints(session, trading[~np.isin(trading, late)], bars)
    for code in late:
        times = session.close + np.arange(181) * MINUTE
        yield _quiet(draws, code, times, int(bars.close[code, -1]))


def _dirty(rows: Rows, open_time: int) -> tuple[Rows, npt.NDArray[np.bool_]]:
    """The rows with DIRT's bad ones among them, and which of them have a close that is not a number."""
    code, time, bars = rows.code.copy(), rows.time.copy(), Bars(*(c.copy() for c in rows.bars))
    place = {m: int(np.flatnonzero((code == SYMBOLS.index("DIRT")) & (time == open_time + m * MINUTE))[0])
             for m in (10, 40, 75, 120, 200, 250)}  # fmt: skip
    bars.high[place[75]] = bars.low[place[75]] - 1
    time[place[120]] += MINUTE // 2
    bars.low[place[250]] = 0
    again = Bars(*(np.append(c, c[[place[10], place[40]]]) for c in bars))
    for price in again[:4]:
        price[-1] += 100  # minute 40 comes again, a dollar dearer
    rows = Rows(np.append(code, code[[place[10], place[40]]]), np.append(time, time[[place[10], place[40]]]), again)
    not_a_number = np.zeros(len(rows.code), dtype=np.bool_)
    not_a_number[place[200]] = True
    return rows, not_a_number


# ---------------------------------------------------------------------------------------------------------- the files


def _parquet(rows: Rows, not_a_number: npt.NDArray[np.bool_]) -> bytes:
    """A day file of the store: sorted by symbol and open_time, prices in currency."""
    order = np.lexsort((rows.time, rows.code))
    open_, high, low, close = (column[order] / 100 for column in rows.bars[:4])
    close[not_a_number[order]] = np.nan
    symbols = pa.DictionaryArray.from_arrays(pa.array(rows.code[order].astype(np.int32)), pa.array(SYMBOLS))
    table = pa.table(
        {
            "symbol": symbols.cast(pa.string()),
            "open_time": pa.array(rows.time[order]).cast(pa.timestamp("us", tz="UTC")),
            "open": open_,
            "high": high,
            "low": low,
            "close": close,
            "volume": rows.bars.volume[order],
        }
    )
    sink = io.BytesIO()
    pq.write_table(
        table, sink, version="2.6", compression="zstd", compression_level=9, data_page_version="1.0",
        use_dictionary=True, write_statistics=True, store_schema=False, row_group_size=200_000,
    )  # fmt: skip
    return sink.getvalue()


def _csv(rows: Rows, zone: str, symbol: str) -> bytes:
    """One symbol's rows as a vendor might send them: local time without a zone, stamped at the end of the minute."""
    mine = rows.code == SYMBOLS.index(symbol)
    lines = ["ticker,ended,o,h,l,c,v"]
    for time, *prices, volume in zip(rows.time[mine].tolist(), *(c[mine].tolist() for c in rows.bars), strict=True):
        ended = instant(time + MINUTE).astimezone(ZoneInfo(zone)).strftime("%Y-%m-%d %H:%M:%S")
        lines.append(",".join([symbol, ended, *(f"{p / 100:.2f}" for p in prices), str(volume)]))
    return ("\n".join(lines) + "\n").encode()


@dataclass(frozen=True, slots=True)
class SampleFile:
    """A file of the sample: its path below the folder, with slashes, and its content."""

    path: str
    content: bytes


def sample_files(schedule: Schedule) -> Iterator[SampleFile]:
    """The sample's files: the day files in time order, then the vendor's file, strategies, configurations, README.

    Raises CalendarError when `schedule` does not hold the sample's thirty sessions.
    """
    names = [name for name in schedule.names if START <= name <= END]
    if len(names) != SESSIONS or names[0] != START or names[-1] != END:
        raise CalendarError(
            f"sample: the schedule must hold the {SESSIONS} sessions of {CALENDAR} from {START} to {END}, "
            f"was {schedule.calendar} with {len(names)} of them"
        )
    last = np.array([t.cents for t in TICKERS])
    for number, name in enumerate(names):
        session = schedule.session(schedule.index[name])
        draws = Draws(number)
        bars = _session(draws, session.minutes, last)
        keep = _present(draws, session, number)
        code, minute = np.nonzero(keep)
        regular = Rows(code, session.open + minute * MINUTE, bars.at(keep))
        parts = [regular, *_extras(draws, session, bars, keep)]
        columns = [np.concatenate(column) for column in zip(*((p.code, p.time, *p.bars) for p in parts), strict=True)]
        rows, not_a_number = Rows(columns[0], columns[1], Bars(*columns[2:])), np.zeros(len(columns[0]), np.bool_)
        if name == DIRTY:
            rows, not_a_number = _dirty(rows, session.open)
        yield SampleFile(f"sample/{name}.parquet", _parquet(rows, not_a_number))
        if session.early_close:
            yield SampleFile("vendor/minutes.csv", _csv(regular, schedule.zone, "ASHB"))
        last = bars.close[:, -1]
    texts = resources.files("bt") / "sample_files"
    for folder in ("strategies", "configs"):
        for file in sorted((texts / folder).iterdir(), key=lambda f: f.name):
            if file.name.endswith((".py", ".toml")):
                yield SampleFile(f"{folder}/{file.name}", file.read_bytes())
    yield SampleFile("README.md", (texts / "README.md").read_bytes())


def write_sample(folder: Path, *, schedule: Schedule) -> list[Path]:
    """The paths of the sample's files, written below `folder`, which is made if it is missing; sorted.

    Parameters
    ----------
    folder : Path
        Files in it that have the sample's content are left alone.
    schedule : Schedule
        Of CALENDAR, from START to END at least.

    Raises
    ------
    CalendarError
        The schedule lacks sessions of the sample.
    UsageError
        A file of the sample is already there with another content; nothing is written then.
    """
    files = {folder / file.path: file.content for file in sample_files(schedule)}
    for path, content in files.items():
        if path.exists() and path.read_bytes() != content:
            raise UsageError(
                f"{path}: the file must be absent or as the sample has it, was another; "
                "choose a new folder, or move the file away"
            )
    for path, content in files.items():
        if not path.exists():
            path.parent.mkdir(parents=True, exist_ok=True)
            half = path.with_name(path.name + ".tmp")
            half.write_bytes(content)
            half.replace(path)
    return sorted(files)
