"""What happened in a session, as the rows of the run's tables (columns: `bt.results.tables`).

The rooms: `recording` writes session after session and keeps the totals; `rows` makes the rows of what was traded from integers,
text as codes; `said` what strategies said, and were not shown.
"""

from __future__ import annotations

from bt.recorder.recording import Recorder, Totals
from bt.recorder.said import Said, said

__all__ = ["Recorder", "Said", "Totals", "said"]
