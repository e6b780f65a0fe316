"""The tables of a configuration and what each key must be: the only pydantic models of bt.

A field's description ends the sentence "<key> must be ...". A validator's ValueError adds the hint.
"""

from __future__ import annotations

import difflib
import os
import re
import zoneinfo
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Annotated, Any, Literal

import polars as pl
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field

from bt.config.days import FIRST, LAST, first_day, last_day
from bt.config.grids import grid, sessions
from bt.config.tiers import tiers
from bt.errors import StrategyError
from bt.model import MemoryBars
from bt.schema import BAR_COLUMNS, OPTIONAL_COLUMNS, interval_minutes
from bt.store import in_memory
from bt.universe import expression

Parts = tuple[str, ...]

FILE_COLUMNS = ("symbol", "open_time", *BAR_COLUMNS, *OPTIONAL_COLUMNS)
"""Our names of a file's columns."""

_STRATEGY_FORM = re.compile(r".+:[A-Za-z_]\w*")
_PERIOD = re.compile(r"[1-9]\d*[dwmy]")

# ------------------------------------------------------------------------------------------------------- the values


def _bars(value: object) -> object:
    """A path, or in Python a table."""
    if isinstance(value, str):
        if "://" in value:
            raise ValueError("copy it to this machine first")
        if not value:
            raise ValueError
        return value
    if value is None or isinstance(value, bool | int | float | list | dict):
        raise ValueError
    try:
        return value if isinstance(value, MemoryBars) else in_memory(value)
    except TypeError as error:
        raise ValueError(str(error)) from None


def _outside(value: object) -> object:
    """A file that exists, or in Python a table."""
    if isinstance(value, str):
        if not Path(value).is_file():
            raise ValueError("there is no such file")
        return value
    made = _bars(value)
    if isinstance(made, MemoryBars) and isinstance(value, pl.DataFrame):
        return MemoryBars(made.digest, value)  # times as they are, nanoseconds included
    return made


def _small_table(value: object) -> object:
    """A file that exists, or in Python a table; "auto" and "none" are words."""
    return value if isinstance(value, str) and value in ("auto", "none", "") else _outside(value)


def _symbols(value: object) -> object:
    """None for all, else the sorted symbols of a list or of a file with one symbol a line."""
    if value == "all":
        return None
    if isinstance(value, str):
        try:
            lines = Path(value).read_text(encoding="utf-8").splitlines()
        except (OSError, UnicodeDecodeError) as error:
            raise ValueError(f'{getattr(error, "strerror", None) or error}; one symbol is written ["SPY"]') from None
        value = [line.strip() for line in lines if line.strip() and not line.lstrip().startswith("#")]
    if not isinstance(value, list | tuple) or not all(isinstance(s, str) and s.strip() for s in value):
        raise ValueError('write a list of texts, such as ["SPY", "QQQ"]')
    if not value:
        raise ValueError("name at least one symbol")
    return tuple(sorted(set(value)))


def _zone(value: object) -> object:
    if isinstance(value, str) and value:
        try:
            zoneinfo.ZoneInfo(value)
        except (zoneinfo.ZoneInfoNotFoundError, ValueError, OSError):
            near = difflib.get_close_matches(value, sorted(zoneinfo.available_timezones()), 1, 0.5)
            raise ValueError(f"did you mean {near[0]}?" if near else "write a name such as America/New_York") from None
    return value


def _columns(value: object) -> object:
    if isinstance(value, dict):
        for name, column in value.items():
            if name not in FILE_COLUMNS:
                near = difflib.get_close_matches(str(name), FILE_COLUMNS, 1)
                raise ValueError(
                    f"{name!r} is none of {' '.join(FILE_COLUMNS)}" + (f", nearest {near[0]}" if near else "")
                )
            if not isinstance(column, str) or not column:
                raise ValueError(f"{name} needs the name of a column of the files")
        if len(set(value.values())) < len(value):
            raise ValueError("two of our names point at one column of the files")
    return value


def _intervals(value: object) -> object:
    """Interval texts sorted from fine to coarse."""
    if not isinstance(value, list | tuple):
        raise ValueError('write a list, such as ["5m"]')  # noqa: TRY004 - pydantic collects ValueErrors only
    minutes: dict[str, int] = {}
    for text in value:
        try:
            length = interval_minutes(text)
        except (ValueError, TypeError):
            raise ValueError(f"{text!r} is no interval") from None
        if length == 1:
            raise ValueError("1m bars are always there: leave 1m out")
        if length in minutes.values():
            raise ValueError(f"{text!r} is given twice")
        minutes[text] = length
    return tuple(sorted(minutes, key=minutes.__getitem__))


def _use(value: object) -> object:
    """A class, an instance, or text that names a class; the file must exist."""
    if isinstance(value, str):
        file = value.rpartition(":")[0]
        if not _STRATEGY_FORM.fullmatch(value):
            raise ValueError("the class comes after a colon")
        if file.endswith(".py") and not Path(file).is_file():
            raise ValueError(f"there is no file {file}")
    elif value is None or isinstance(value, bool | int | float | list | dict):
        raise ValueError("it names a class")
    return value


def _files(value: object) -> object:
    """Paths of files that are there."""
    if not isinstance(value, list | tuple) or not all(isinstance(path, str | os.PathLike) for path in value):
        raise ValueError('write a list of paths, such as ["model.json"]')
    for path in value:
        if not Path(path).is_file():
            raise ValueError(f"there is no file {path}")
    return tuple(os.fspath(path) for path in value)


def _number(value: object) -> object:
    return _expression(value, "number")


def _condition(value: object) -> object:
    return _expression(value, "condition")


def _expression(value: object, kind: Literal["number", "condition"]) -> object:
    """Text that `bt.universe` can read, or ""."""
    if isinstance(value, str) and value:
        try:
            expression(value, "it", kind)
        except StrategyError as error:
            raise ValueError("character " + str(error).rpartition("; character ")[2]) from None
    return value


def _matching(pattern: re.Pattern[str]) -> BeforeValidator:
    def check(value: object) -> object:
        if isinstance(value, str) and not pattern.fullmatch(value):
            raise ValueError
        return value

    return BeforeValidator(check)


# ------------------------------------------------------------------------- the tables; a description says "must be ..."


class Table(BaseModel):
    """A table: unknown keys are refused, nothing is coerced but whole numbers to floats."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, hide_input_in_errors=True)


_Start = Annotated[Any, BeforeValidator(first_day), Field(description=FIRST)]
_End = Annotated[Any, BeforeValidator(last_day), Field(description=LAST)]
_Whole = Annotated[int, Field(ge=0, description="a whole number >= 0")]
_One = Annotated[int, Field(ge=1, description="a whole number >= 1")]
_NotNegative = Annotated[float, Field(ge=0, allow_inf_nan=False, description="a finite number >= 0")]
_Positive = Annotated[float, Field(gt=0, allow_inf_nan=False, description="a finite number > 0")]
_Text = Annotated[str, Field(description="text")]
_Use = Annotated[Any, BeforeValidator(_use), Field(description="file.py:Class, package.module:Class, or in Python a class or instance")]  # fmt: skip
_Params = Annotated[dict[str, Any], Field(description="a table of constructor parameters")]


class _Data(Table):
    bars: Annotated[Any, BeforeValidator(_bars), Field(description="a local store folder, file or glob, or in Python a Polars or Arrow table")]  # fmt: skip
    calendar: Annotated[str, Field(min_length=1, description="a calendar's name such as XNYS, or a Parquet file")] = (
        "XNYS"
    )
    symbols: Annotated[tuple[str, ...] | None, BeforeValidator(_symbols), Field(description='"all", a list of symbols, or a file with one symbol a line')] = None  # fmt: skip
    stamp: Literal["start", "end"] = "start"
    timezone: Annotated[str, BeforeValidator(_zone), Field(description='an IANA time zone, or "" to refuse naive timestamps')] = ""  # fmt: skip
    price_decimals: Annotated[Literal["auto"] | Annotated[int, Field(ge=0, le=8)], Field(description='"auto" or a whole number from 0 to 8')] = "auto"  # fmt: skip
    columns: Annotated[dict[str, str], BeforeValidator(_columns), Field(description="a table of our column names and the files'")] = {}  # fmt: skip
    actions: Annotated[Any, BeforeValidator(_small_table), Field(description='"auto", "none", a Parquet or CSV file of corporate actions, or in Python a Polars or Arrow table')] = "auto"  # fmt: skip
    adjust: Literal["splits", "all", "none"] = "splits"
    instruments: Annotated[Any, BeforeValidator(_small_table), Field(description='"auto", "none", a Parquet or CSV file of instruments, or in Python a Polars or Arrow table')] = "auto"  # fmt: skip


class _Session(Table):
    start: _Start
    end: _End
    prefetch_days: _One = 5
    speed: _NotNegative = 0.0
    hours: Annotated[Literal["regular"], Field(description='"regular"; extended hours are not there yet')] = "regular"


class _Universe(Table):
    top: Annotated[int | None, Field(ge=1, description="a whole number >= 1")] = None
    by: Annotated[str, BeforeValidator(_number), Field(description="an expression such as avg(close*volume, 10d)")] = ""
    where: Annotated[str, BeforeValidator(_condition), Field(description="a condition such as prior(close) > 5")] = ""
    table: Annotated[str, Field(description="a Parquet file of from, to, symbol")] = ""
    rebalance: Literal["1d", "1w", "1mo"] = "1d"
    leavers: Literal["hold", "exit"] = "hold"


class _Streams(Table):
    intervals: Annotated[tuple[str, ...], BeforeValidator(_intervals), Field(description="a list of whole minutes (5m), hours (1h) or 1d")] = ()  # fmt: skip


class _Indicator(Table):
    aggregate: Literal["avg", "max", "min", "sum", "std", "first", "last"]
    of: Annotated[str, Field(min_length=1, description="a bar column or an expression such as close*volume")]
    period: Annotated[str, _matching(_PERIOD), Field(description="a period such as 10d, 2w, 3m (months) or 1y")]
    at: Literal["session", "minute"] = "session"
    min_sessions: _One = 1


class _Quality(Table):
    minimum: Annotated[float, Field(ge=0, le=100, allow_inf_nan=False, description="a percentage from 0 to 100")] = 0.0
    gate: Literal["quality", "completeness"] = "quality"
    after_minutes: _Whole = 30


class _Outside(Table):
    path: Annotated[Any, BeforeValidator(_outside), Field(description="a Parquet file, or in Python a Polars or Arrow table")]  # fmt: skip
    known_at: Annotated[str, Field(min_length=1, description="the column that says when each row became known")]
    by: Annotated[str | None, Field(min_length=1, description="the column of symbols, absent where every row is about the whole market")] = None  # fmt: skip


class StrategyTable(Table):
    """[strategy]: the only one of its run."""

    use: _Use
    params: _Params = {}
    files: Annotated[tuple[str, ...], BeforeValidator(_files), Field(description="a list of files that are there")] = ()


class NamedStrategy(StrategyTable):
    """One of [[strategies]]."""

    name: Annotated[str, Field(min_length=1, description="text that is not empty")] = "the class's name"
    cash: Annotated[float | None, Field(gt=0, allow_inf_nan=False, description="a finite number > 0")] = None


class _Execution(Table):
    fill: Literal["next_open", "next_close", "same_close"] = "next_open"
    time_in_force: Literal["day", "gtc"] = "day"
    slippage_bps: Annotated[float, Field(ge=0, lt=10_000, allow_inf_nan=False, description="a number >= 0 and < 10000")] = 0.0  # fmt: skip
    spread_bps: Annotated[float, Field(ge=0, lt=10_000, allow_inf_nan=False, description="a number >= 0 and < 10000")] = 0.0  # fmt: skip
    spread: Literal["assumed", "quotes"] = "assumed"
    impact: _NotNegative = 0.0
    commission_per_share: _NotNegative = 0.0
    commission_minimum: _NotNegative = 0.0
    commission_per_trade: _NotNegative = 0.0
    commission_bps: _NotNegative = 0.0
    commission_tiers: Annotated[tuple[tuple[int, float], ...], BeforeValidator(tiers), Field(description="a list such as [[0, 0.0035], [300_000, 0.002]]: from so many shares of the month on, currency a share")] = ()  # fmt: skip
    close_price: Literal["last_bar", "closing_print"] = "last_bar"
    at_end: Literal["mark", "close"] = "mark"
    limit_fill: Literal["trade_through", "touch"] = "trade_through"
    intrabar: Literal["pessimistic", "optimistic"] = "pessimistic"
    participation: Annotated[float, Field(ge=0, le=1, allow_inf_nan=False, description="a fraction from 0 to 1")] = 0.0
    zero_volume: Literal["fill", "skip"] = "fill"


class _Account(Table):
    cash: _Positive = 1_000_000.0
    leverage: _NotNegative = 1.0
    cash_per_symbol: _NotNegative = 0.0
    shared: Annotated[bool, Field(description="true or false")] = False
    borrow_bps: _NotNegative = 0.0
    interest_bps: _NotNegative = 0.0
    debit_bps: _NotNegative = 0.0
    margin: Literal["none", "reg_t"] = "none"
    margin_call: Literal["report", "liquidate"] = "report"


class _Run(Table):
    seed: _Whole = 0
    name: _Text = ""
    benchmark: _Text = ""
    tolerate_failed: Annotated[float, Field(ge=0, le=1, allow_inf_nan=False, description="a fraction from 0 to 1")] = (
        0.0
    )
    on_data_error: Literal["isolate", "raise"] = "isolate"
    on_strategy_error: Literal["raise", "isolate"] = "raise"


class _Engine(Table):
    threads: _Whole = 0
    workers: _One = 1


class Output(Table):
    """[output]."""

    dir: Annotated[str, Field(min_length=1, description="a folder")] = "runs/"
    html: Annotated[bool, Field(description="true or false")] = False


def _length(least: int) -> BeforeValidator:
    return BeforeValidator(partial(sessions, least))


class _WalkForward(Table):
    train: Annotated[Any, _length(2), Field(description='a number of sessions such as "120d"')]
    test: Annotated[Any, _length(1), Field(description='a number of sessions such as "20d"')]
    step: Annotated[Any, _length(1), Field(description='a number of sessions such as "20d", at least as many as test')] = None  # fmt: skip
    embargo: Annotated[Any, _length(0), Field(description='a number of sessions such as "1d"')] = 1
    anchored: Annotated[bool, Field(description="true or false")] = False


class _Sweep(Table):
    grid: Annotated[Any, BeforeValidator(grid), Field(description="a table of parameters or keys, each with a list of values")]  # fmt: skip
    where: _Text = ""
    choose: _Text = "sharpe"
    walk_forward: Annotated[_WalkForward | None, Field(description="a table")] = None


class DataAlone(Table):
    """[data] of a configuration: what bars are, without what is done with them."""

    data: _Data


class Root(DataAlone):
    """A whole configuration."""

    session: _Session
    universe: Annotated[_Universe | None, Field(description="a table")] = None
    streams: _Streams = _Streams()
    indicators: dict[str, _Indicator] = {}
    quality: _Quality = _Quality()
    tables: dict[str, _Outside] = {}
    strategy: StrategyTable | None = None
    strategies: Annotated[list[NamedStrategy] | None, Field(description="a list of tables [[strategies]]")] = None
    execution: _Execution = _Execution()
    account: _Account = _Account()
    run: _Run = _Run()
    engine: _Engine = _Engine()
    output: Output = Output()
    sweep: Annotated[_Sweep | None, Field(description="a table")] = None


def known_keys(model: type[BaseModel], prefix: Parts = ()) -> Iterator[tuple[Parts, str]]:
    """Every key with what it must be; ``*`` stands for a name or a position."""
    inner: dict[Parts, type[BaseModel]] = {("strategy",): StrategyTable, ("strategies",): NamedStrategy,
                                           ("indicators",): _Indicator, ("tables",): _Outside,
                                           ("universe",): _Universe, ("sweep",): _Sweep,
                                           ("sweep", "walk_forward"): _WalkForward}  # fmt: skip
    for name, info in model.model_fields.items():
        parts = (*prefix, name)
        below = inner.get(parts) or info.annotation
        if isinstance(below, type) and issubclass(below, Table):
            yield parts, info.description or "a table"
            many = parts in (("strategies",), ("indicators",), ("tables",))
            if many:
                yield (*parts, "*"), "a table"
            yield from known_keys(below, (*parts, "*") if many else parts)
        else:
            choices = [repr(c) for c in getattr(info.annotation, "__args__", ())]
            yield parts, info.description or " or ".join(choices)


KEYS: dict[Parts, str] = dict(known_keys(Root))
PATHS = {("data", "bars"), ("data", "symbols"), ("data", "actions"), ("data", "instruments"), ("data", "calendar"), ("strategy", "use"), ("strategies", "*", "use"),
          ("strategy", "files"), ("strategies", "*", "files"),
          ("tables", "*", "path"), ("output", "dir"), ("universe", "table")}  # fmt: skip
