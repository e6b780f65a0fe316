"""What strategies said in a session, and what they were not shown; both are rare, and frames."""

from __future__ import annotations

from typing import NamedTuple

import polars as pl

from bt.book import Output
from bt.engine import SessionOutcome
from bt.model import slot_times


class Said(NamedTuple):
    """What a strategy recorded and what it said in a session, None where nothing."""

    records: pl.DataFrame | None
    log: pl.DataFrame | None


def said(output: Output) -> Said:
    """What a strategy recorded and said."""
    return Said(_recorded(output), _spoken(output))


def _recorded(output: Output) -> pl.DataFrame | None:
    """With the code of the symbol each value is about."""
    if not output.records:
        return None
    types = {"time": pl.Int64, "name": pl.String, "value": pl.Float64, "code": pl.Int64}
    return pl.DataFrame(output.records, schema=types, orient="row")


def _spoken(output: Output) -> pl.DataFrame | None:
    """The columns of `Spoken`."""
    if not output.log:
        return None
    types = {"time": pl.Int64, "message": pl.String, "fields": pl.String, "code": pl.Int64, "heard": pl.Int64}
    return pl.DataFrame(output.log, schema=types, orient="row")


def warming(outcome: SessionOutcome) -> list[pl.DataFrame]:
    """Rows that strategies were not shown, as guard reports in the order of strategies and fields."""
    times = slot_times(outcome.session)
    frames = []
    for own in outcome.players:
        for field_name, code, begin in own.withheld:
            rows = pl.DataFrame({"code": code, "time": times[begin]})
            frames.append(
                rows.sort("code", "time")
                .group_by("code", maintain_order=True)
                .agg(
                    pl.lit(f"warming_up: {field_name}").first().alias("reason"),
                    pl.len().cast(pl.Int64).alias("rows"),
                    pl.col("time").first().alias("first_time"),
                    pl.col("time").last().alias("last_time"),
                    pl.col("time").head(3).alias("sample"),
                )
            )
    return frames


def warming_up(frames: list[pl.DataFrame]) -> list[pl.DataFrame]:
    """Guard reports of several strategies or fields as one at most: a reason of a symbol once, with the first's sample."""
    if len(frames) < 2:
        return frames
    together = (
        pl.concat(frames)
        .group_by("code", "reason", maintain_order=True)
        .agg(pl.col("rows").sum(), pl.col("first_time").min(), pl.col("last_time").max(), pl.col("sample").first())
    )
    return [together]
