"""Time: which days trade, from when to when, and what every clock minute means.

`TimeManager` is the single source of it. Where to look:

1. `xcals` builds a schedule from exchange_calendars (its only importer, and lazily), `overlays` corrects it where the
   library is known to lack something, dated and sourced;
2. `cached` keeps what was built in the user's cache folder; `custom` reads a calendar given as a Parquet file;
3. `manager` answers questions about it; `minutes` lays it out minute by minute.
"""

from bt.sessions.manager import TimeManager
from bt.sessions.minutes import (
    SLOT_AFTER_CLOSE,
    SLOT_BEFORE_OPEN,
    SLOT_IN_BREAK,
    SLOT_NO_SESSION,
    MinuteTable,
)

__all__ = [
    "SLOT_AFTER_CLOSE",
    "SLOT_BEFORE_OPEN",
    "SLOT_IN_BREAK",
    "SLOT_NO_SESSION",
    "MinuteTable",
    "TimeManager",
]
