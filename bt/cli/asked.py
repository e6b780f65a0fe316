"""What `bt data` and `bt quality` were asked about: their options as a checked `DataSpec`, and the bars' quality."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bt.cli.options import columns_given, in_options, symbols_given
from bt.cli.progress import progress_bar
from bt.cli.streams import Output
from bt.config import data_spec
from bt.model import DataSpec
from bt.research import Quality, load_quality


@dataclass(frozen=True)
class Asked:
    """Options of `bt data` and `bt quality`, as typed."""

    bars: str
    calendar: str
    stamp: str
    tz: str
    column: Sequence[str]
    symbols: Sequence[str] = ()
    start: str = ""
    end: str = ""

    def data(self) -> DataSpec:
        """What they say about the data, checked as [data] of a configuration is."""
        table: dict[str, Any] = {"bars": self.bars, "stamp": self.stamp, "timezone": self.tz}
        table["columns"] = columns_given(self.column)
        if self.calendar:
            table["calendar"] = self.calendar
        if self.symbols:
            table["symbols"] = symbols_given(self.symbols)
        return data_spec(table, base=Path.cwd(), source="command line")

    def quality(self, output: Output, **more: Any) -> Quality:
        """The quality of the bars, with a progress bar."""
        data = self.data()
        with in_options(), progress_bar("sessions", "bars", shown=output.shows_progress) as progress:
            return load_quality(
                data.bars, data.calendar, self.start or None, self.end or None, symbols=data.symbols, progress=progress,
                stamp=data.stamp, timezone=data.timezone, columns=data.columns, **more,
            )  # fmt: skip
