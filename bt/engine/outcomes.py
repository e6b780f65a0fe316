"""What came of a session, as the engine tells it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from bt.book import Curve
from bt.engine.players import Player, PlayerOutcome
from bt.engine.stage import Stage
from bt.execution import layout
from bt.model import PreparedSession, Session
from bt.playback import Withheld


@dataclass(frozen=True)
class SessionOutcome:
    """What happened in a session. `minutes` of it were played (all, unless the run was stopped). `moments` are those stepped through, twice
    their UTC microseconds, and 1 more where a minute ends; `bars_of` counts the session's bars by code. `ranking` are the codes of the
    universe by rank, None without one; `visible` marks the codes of which anything could be shown, None for all. `now` is when it ended, UTC microseconds."""

    session: Session
    players: Sequence[PlayerOutcome]
    bars: int
    iterations: int
    minutes: int
    stopped: str | None
    moments: npt.NDArray[np.int64]
    bars_of: npt.NDArray[np.int64]
    now: int
    ranking: npt.NDArray[np.int64] | None = None
    visible: npt.NDArray[np.bool_] | None = None


@dataclass(frozen=True)
class Played:
    """How far a session was played: `minutes` of it, in `iterations` moments, until `now`, to where the run was `stopped` (why, None if it goes on)."""

    minutes: int
    iterations: int
    now: int
    stopped: str | None


def session_outcome(
    stage: Stage, prepared: PreparedSession, players: Sequence[Player], played: Played, visible: npt.NDArray[np.bool_] | None
) -> SessionOutcome:  # fmt: skip
    """What happened in the session that `stage` was; every desk's is over with it."""
    desks = {id(p.account.desk): p.account.desk for p in players}
    curves = {key: desk.finish(stage.session.minutes) for key, desk in desks.items()}
    return SessionOutcome(
        stage.session,
        [_player_outcome(p, i, stage, curves[id(p.account.desk)], played.minutes) for i, p in enumerate(players)],
        sum(stage.market.count[: played.minutes]),
        played.iterations,
        played.minutes,
        played.stopped,
        moments=stage.moments.key[: played.iterations],
        bars_of=np.diff(stage.market.first, append=len(prepared.minutes.code)),
        now=played.now,
        ranking=prepared.ranking,
        visible=visible,
    )


def _player_outcome(
    player: Player, number: int, stage: Stage, curves: npt.NDArray[np.int64], played: int
) -> PlayerOutcome:
    """What strategy `number` did in the first `played` minutes; `curves` are its desk's."""
    output, curve = player.account.settle(curves)
    fills = output.fills
    played = played if player.over is None else player.over
    if not played:
        output.cash = ()  # the run was over before its first minute, which would have shown it
    if played < stage.session.minutes:
        curve = Curve(curve.equity[:played], curve.cash[:played], curve.gross[:played], curve.net[:played])
    withheld = [
        Withheld(w.field, w.code[w.begin < played], w.begin[w.begin < played]) for w in stage.shows[number].withheld
    ]
    traded = stage.market.traded(fills[:, layout.F_CODE], fills[:, layout.F_BAR])
    return PlayerOutcome(output, curve, player.account.held(), withheld, traded, player.account.orders_given)
