"""Trailing indicators: aggregates over past sessions, the current one excluded, fixed at the open.

`SessionWindow` (`sessions`) keeps one value a symbol and session (daily bars, or an expression summed over a session); `MinuteWindow` and `CumulativeWindow`
(`minutes`) keep one a symbol, session and minute of session. All move one session at a time and never depend on where the run started: integer sums are exact, float
sums are added afresh, oldest first (`folding`). `periods` says where a period begins.
"""

from bt.indicators.folding import Trailed
from bt.indicators.minutes import CumulativeWindow, MinuteWindow
from bt.indicators.periods import first_session, shifted
from bt.indicators.sessions import SessionWindow

__all__ = ["CumulativeWindow", "MinuteWindow", "SessionWindow", "Trailed", "first_session", "shifted"]
