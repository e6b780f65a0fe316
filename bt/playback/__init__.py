"""From a prepared session's columns to what callbacks are handed.

A prepared session is in canonical order (symbol, slot). A `Tape` turns it once into playback order (slot, symbol), so that a minute is a slice; a `Feed` is what
one row type shows of it. The cross-section is in `bt.section`.
"""

from bt.playback.feed import Feed, Withheld, constant, feed
from bt.playback.tape import Tape
from bt.playback.turns import lay_out

__all__ = ["Feed", "Tape", "Withheld", "constant", "feed", "lay_out"]
