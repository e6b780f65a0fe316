"""Several strategies in one run: each sees, is told and trades what it would alone."""

from __future__ import annotations

from typing import Any

from hypothesis import given
from hypothesis import strategies as st
from polars.testing import assert_frame_equal
from test_laws import TABLES, everything, executions, gates, law
from test_timers import Five, Known, Minute
from test_universe_laws import universes
from timekeepers import Keeper, clocks, dice, keeper
from watchers import habits, replayed
from worlds import World, stored, worlds

kinds = st.fixed_dictionaries(
    {
        "rows": st.sampled_from(((Minute,), (Known,), (Minute, Five), (Five,))),
        "mix": st.sampled_from(((), ("on_bar",), ("on_minute",), ("on_bar", "on_minute"))),
        "clock": st.just([]) | clocks,
        "how": habits,
        "warm_up": st.sampled_from((0, 0, 1, 3)),
    }
)


def made(world: World, kind: dict[str, Any]) -> Keeper:
    """A strategy of a kind, afresh; without a callback it has on_bar."""
    mix = kind["mix"] or (() if kind["clock"] else ("on_bar",))
    strategy = keeper(kind["clock"], kind["rows"], mix)(dice(kind["how"], world.symbols))
    starts, seen = strategy.on_session_start, strategy.seen

    def on_session_start(session: Any, book: Any) -> None:
        seen.append(["start", session, book.now])
        starts(session, book)

    def on_session_end(session: Any, book: Any) -> None:
        seen.append(["end", session, book.now, [o.id for o in book.open_orders()]])

    strategy.on_session_start, strategy.on_session_end = on_session_start, on_session_end  # type: ignore[attr-defined]
    if kind["warm_up"]:
        type(strategy).warm_up = f"{kind['warm_up']}d"  # type: ignore[attr-defined]
    return strategy


@law(40)
@given(st.data(), worlds(sessions=5), st.lists(kinds, min_size=2, max_size=2), executions, gates)
def test_each_is_as_alone(
    data: st.DataObject, world: World, several: list[dict[str, Any]], execution: dict[str, Any], gate: dict[str, Any]
) -> None:
    universe = data.draw(st.none() | universes(world))
    more = {"execution": execution, "quality": gate, **({} if universe is None else {"universe": universe.ours})}
    players = [made(world, kind) for kind in several]
    given_ = [{"name": f"s{i}", "use": p} for i, p in enumerate(players)]
    with stored(world) as folder:
        together = everything(replayed(world, folder, None, strategies=given_, **more))
        for i, (kind, player) in enumerate(zip(several, players, strict=True)):
            alone = made(world, kind)
            run = everything(replayed(world, folder, None, strategies=[{"name": f"s{i}", "use": alone}], **more))
            assert list(map(repr, player.seen)) == list(map(repr, alone.seen))
            assert player.dice is not None
            assert alone.dice is not None
            assert player.dice.told == alone.dice.told
            for name in sorted(set(TABLES) - {"quality", "guards", "by_session"}):
                mine = together[name].filter(strategy=f"s{i}")
                assert_frame_equal(mine, run[name], check_exact=True)
