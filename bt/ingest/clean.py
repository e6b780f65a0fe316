"""From a batch as the vendor wrote it to bars, and a record of what was refused: the same for every format.

One Cleaner sees all batches of one source: the way its stamps are written is found once, and its figures add up to its report.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from bt.errors import DataError
from bt.ingest.grid import Grid
from bt.ingest.options import IngestOptions
from bt.ingest.outside import Edges
from bt.ingest.report import REASONS, SAMPLES, Refusal, Sample
from bt.ingest.seam import Batch
from bt.ingest.times import MonthFirst, TimeRule, time_rule, utc_microseconds
from bt.model import Schedule, instant
from bt.schema import BAR_COLUMNS, CONFLICT, FAULT_REASONS, MINUTE, OPTIONAL_COLUMNS, PRICES, fault_code

MISSING = ("", "nan", "null", "none", "na", "n/a", "-")
"""Texts that say there is no value."""

WHOLE = 2**53
"""From here on a float cannot hold every whole number."""


class Cleaner:
    """Turns the batches of one source into bars: symbol, time (Int64 UTC microseconds of the start), prices and volume (Float64), and
    vwap, n_trades, bid and ask where the source has them."""

    def __init__(self, path: Path, options: IngestOptions, schedule: Schedule | None) -> None:
        self._path = path
        self._options = options
        self._schedule = schedule
        self._rule: TimeRule | None = None
        self._month_first: MonthFirst | None = None
        self._counts: Counter[str] = Counter()
        self._samples: dict[str, list[Sample]] = {}
        self.edges: Edges | None = None
        self.grid = Grid()
        self.ignored: Counter[str] = Counter()
        self.rows = self.bars = self.rounded = 0
        self.fractional = False
        self.unnamed = False
        self.dates = ""
        self.has: tuple[str, ...] = ()
        self.symbols: set[str] = set()
        self.span: tuple[int, int] | None = None

    def clean(self, batch: Batch) -> pl.DataFrame:
        """The bars of `batch`.

        Raises
        ------
        DataError
            For a file fault, and with ``on_bad="raise"`` for the first bad row.
        """
        self.rows += batch.frame.height + len(batch.broken)
        self.ignored.update(batch.ignored)
        for line, text in batch.broken:
            self._refuse("wrong_fields", 1, [Sample(line, "", "", "line", text[:80], batch.member)])
        if batch.frame.is_empty():
            return pl.DataFrame()
        judged = self._judge(batch)
        bad = judged.filter(pl.col("reason").is_not_null())
        for reason in [r for r in REASONS if r in set(bad["reason"])]:
            mine = bad.filter(pl.col("reason") == reason)
            shown = [_sample(row, batch) for row in mine.head(SAMPLES).iter_rows(named=True)]
            self._refuse(reason, mine.height, shown)
        good = judged.filter(pl.col("reason").is_null())
        optional = [c for c in OPTIONAL_COLUMNS if c in good.columns]
        self.has = tuple(c for c in OPTIONAL_COLUMNS if c in (*self.has, *optional))
        self._see(good, batch)
        return good.select("symbol", "time", *BAR_COLUMNS, *optional)

    def check(self) -> None:
        """Nothing, or a DataError when the source as a whole is no source of minute bars."""
        if self._month_first is not None:
            self.dates = self._month_first.check()
        if self.grid.minutes > 1:
            hint = "fetch 1-minute bars"
            raise DataError(
                f"{self._path}: bars must be one minute long, all stamps lie {self.grid.minutes} minutes apart; {hint}"
            )

    def refusals(self) -> tuple[Refusal, ...]:
        """What was refused so far, in the order of REASONS."""
        return tuple(Refusal(r, self._counts[r], tuple(self._samples[r])) for r in REASONS if self._counts[r])

    def _judge(self, batch: Batch) -> pl.DataFrame:
        """The batch's rows as bars, with `reason` (null: a good row) and the raw values beside them."""
        raw, rule = batch.frame, batch.convention
        time, untimely = self._times(raw["time"], rule.tz, batch.names.get("time", "time"))
        values, unparsed = {}, {}
        for name in BAR_COLUMNS:
            values[name], unparsed[name] = _number(raw[name])
        for name in PRICES:
            values[name] = self._price(values[name], rule.divisor)
        symbol = (
            raw["symbol"].cast(pl.String).str.strip_chars()
            if "symbol" in raw.columns
            else pl.repeat(batch.symbol, raw.height, dtype=pl.String, eager=True)
        )
        frame = pl.DataFrame(
            {
                "symbol": symbol,
                "time": time - (MINUTE if rule.stamp == "end" else 0),
                **values,
                **self._optional(raw, rule.divisor),
                "untimely": untimely,
                **{f"unparsed_{name}": mask for name, mask in unparsed.items()},
                **{f"raw_{name}": raw[name] for name in ("time", *BAR_COLUMNS)},
                "line": raw["line"] if "line" in raw.columns else pl.repeat(0, raw.height, dtype=pl.Int64, eager=True),
            }
        )
        self.unnamed = self.unnamed or "symbol" not in raw.columns
        if not batch.symbol and "symbol" not in raw.columns:
            raise DataError(
                f"{self._path}: a symbol must be in a column or in the file's name, was in neither; give --symbol"
            )
        return frame.with_columns(_reason(batch.reason))

    def _times(self, raw: pl.Series, tz: str, column: str) -> tuple[pl.Series, pl.Series]:
        """UTC microseconds, and why there are none."""
        if self._rule is None or self._month_first is None:
            self._rule = time_rule(raw, tz=tz, time_format=self._options.time_format, path=self._path, column=column)
            self._month_first = MonthFirst(self._rule, f"{self._path}: {column}")
        time, untimely = utc_microseconds(raw, self._rule, tz)
        self._month_first.see(raw, untimely.is_not_null())
        return time, untimely

    def _price(self, value: pl.Series, divisor: float) -> pl.Series:
        """Prices divided and rounded as asked; NaN where there is none."""
        made, changed = _price(value, divisor, self._options.price_decimals)
        self.rounded += changed
        return made

    def _optional(self, raw: pl.DataFrame, divisor: float) -> dict[str, pl.Series]:
        """The optional columns that the source has; null where there is no value that can be read."""
        found = {}
        for name in [c for c in OPTIONAL_COLUMNS if c in raw.columns]:
            value, _ = _number(raw[name])
            if name == "n_trades":
                found[name] = pl.select(
                    pl.when(value.abs() < WHOLE).then(value.cast(pl.Int64, strict=False))
                ).to_series()
            elif name == "vwap":
                found[name] = _price(value, divisor, "auto")[0].fill_nan(None)
            else:
                found[name] = self._price(value, divisor).fill_nan(None)
        return found

    def _refuse(self, reason: str, rows: int, shown: list[Sample]) -> None:
        if self._options.on_bad == "raise":
            first = shown[0]
            where = f"{self._path}{'!' + first.member if first.member else ''}:{first.line}"
            hint = "mend it, or refuse such rows one by one with --on-bad isolate"
            what = f"row {first.symbol} {first.time}".rstrip()
            raise DataError(
                f"{where}: {what} must be a sound bar, was {reason} ({first.column} {first.value!r}); {hint}"
            )
        self._counts[reason] += rows
        kept = self._samples.setdefault(reason, [])
        kept.extend(shown[: SAMPLES - len(kept)])

    def _see(self, good: pl.DataFrame, batch: Batch) -> None:
        if good.is_empty():
            return
        self.bars += good.height
        self.grid.add(good["time"])
        self.symbols.update(good["symbol"].unique().to_list())
        self.fractional = self.fractional or bool((good["volume"] % 1 != 0).any())
        low, high = int(good["time"].min()), int(good["time"].max())  # type: ignore[arg-type]  # never null: not empty
        self.span = (low, high) if self.span is None else (min(low, self.span[0]), max(high, self.span[1]))
        if self._schedule is not None:
            self.edges = self.edges or Edges(self._schedule, batch.convention.stamp)
            self.edges.add(good["time"].to_numpy())


def _number(raw: pl.Series) -> tuple[pl.Series, pl.Series]:
    """Float64 values (NaN where there is none), and where a text is there that is no number."""
    value = raw.cast(pl.Float64, strict=False)
    bad = pl.repeat(False, len(raw), dtype=pl.Boolean, eager=True)
    if raw.dtype == pl.String and value.null_count() > raw.null_count():
        text = raw.str.strip_chars()
        value = text.cast(pl.Float64, strict=False)
        bad = (value.is_null() & ~text.str.to_lowercase().is_in(MISSING)).fill_null(value=False)
    return value.fill_null(float("nan")), bad


def _price(value: pl.Series, divisor: float, decimals: int | str) -> tuple[pl.Series, int]:
    """Prices divided and rounded, and how many the rounding changed. NumPy divides: Polars multiplies by a reciprocal."""
    prices = value.to_numpy()
    if divisor != 1:
        prices = prices / divisor
    changed = 0
    if decimals != "auto":
        scale = 10.0 ** int(decimals)
        with np.errstate(invalid="ignore"):
            rounded = np.rint(prices * scale) / scale
        changed = int(((rounded != prices) & np.isfinite(prices)).sum())
        prices = rounded
    return pl.Series(value.name, prices, pl.Float64), changed


def _reason(all_rows: str) -> pl.Expr:
    unparsed = pl.any_horizontal([f"unparsed_{name}" for name in BAR_COLUMNS])
    code = fault_code()
    faults = [
        pl.when(code == i).then(pl.lit(reason)) for i, reason in enumerate(FAULT_REASONS, start=1) if i < CONFLICT - 1
    ]
    return pl.coalesce(
        pl.lit(all_rows or None, pl.String),
        pl.when(unparsed).then(pl.lit("unparseable")),
        "untimely",
        pl.when(pl.col("symbol").is_null() | (pl.col("symbol") == "")).then(pl.lit("no_symbol")),
        pl.when(pl.col("volume").is_finite() & (pl.col("volume") >= WHOLE)).then(pl.lit("too_large")),
        *faults,
    ).alias("reason")


def _sample(row: Mapping[str, Any], batch: Batch) -> Sample:
    column = _culprit(row)
    value = str(row[f"raw_{column}"])
    if row["reason"] == "inconsistent":
        value = " ".join(f"{name}={row[f'raw_{name}']}" for name in BAR_COLUMNS)
    time = "" if row["time"] is None else instant(row["time"]).isoformat()
    return Sample(row["line"], row["symbol"] or "", time, batch.names.get(column, column), value, batch.member)


def _culprit(row: Mapping[str, Any]) -> str:
    """The column to show: the first that fails the reason's own test."""
    reason = row["reason"]
    if reason == "unparseable":
        return next(name for name in BAR_COLUMNS if row[f"unparsed_{name}"])
    if reason == "too_large":
        return "volume"
    if reason == "non_finite":
        return next(name for name in BAR_COLUMNS if not np.isfinite(row[name]))
    if reason == "non_positive":
        return next(name for name in PRICES if row[name] <= 0)
    if reason == "inconsistent":
        return "volume" if row["volume"] < 0 else "high" if row["high"] < max(row["open"], row["close"]) else "low"
    return "time"


def iso(time: int) -> str:
    """UTC microseconds as ISO text."""
    return datetime.fromtimestamp(time / 1e6, UTC).isoformat()
