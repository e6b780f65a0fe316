"""The minute: match, move time, show, collect.

1. `players` is who plays and what came of it, `figures` what metrics are made of;
2. `stage` sets a session up: its bars (`market`), the moments to step through, what each strategy is shown;
3. `signalling` decides what the signals of a strategy in columns style say;
4. `playing` steps through it: `meeting` is where orders meet prices, `telling` where strategies are called;
5. `hearing` keeps what strategies print and log meanwhile;
6. `outcomes` is what came of a session.
"""

from bt.engine.figures import figures_of, together
from bt.engine.hearing import first_lines, hearing
from bt.engine.opening import nothing, opened
from bt.engine.outcomes import SessionOutcome
from bt.engine.players import Left, Player, PlayerOutcome
from bt.engine.playing import Engine, Pace
from bt.engine.stage import Stage, Step, alone, visible_codes

__all__ = [
    "Engine",
    "Left",
    "Pace",
    "Player",
    "PlayerOutcome",
    "SessionOutcome",
    "Stage",
    "Step",
    "alone",
    "figures_of",
    "first_lines",
    "hearing",
    "nothing",
    "opened",
    "together",
    "visible_codes",
]
