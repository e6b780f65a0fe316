"""From a prepared session's columns to what callbacks are handed.

A prepared session is in canonical order (symbol, slot). A `Feed` is what one row type shows of it: row by row, for which its `Tape` puts it in playback order (slot,
symbol), so that a minute is a slice; or minutes of it as tables (`lay_out`), which the cross-section in `bt.section` is made of.
"""

from bt.playback.feed import Feed, Withheld, constant, feed
from bt.playback.tape import Tape
from bt.playback.turns import find_rows, lay_out

__all__ = ["Feed", "Tape", "Withheld", "constant", "feed", "find_rows", "lay_out"]
