"""What a strategy says is kept, and never comes to where results go."""

from __future__ import annotations

import io
import logging
import sys
import threading
from pathlib import Path
from typing import Any

import pytest
from small import TUESDAY, WEDNESDAY, Script, at, bars, play, store

import bt
from bt.engine.hearing import LENGTH, LINES
from bt.errors import StrategyRaised

LOGGER = logging.getLogger("mine")


def said(run: bt.Run) -> list[tuple[Any, ...]]:
    return run.log.select("time", "strategy", "message", "fields").rows()


def test_prints_and_logging_are_kept_with_their_time(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    where = store(tmp_path, bars("A", [1.0, 1.0, 1.0]))

    def speak(book: bt.Book) -> None:
        print("one", 2)
        print("two lines\nat once", end="")
        book.log("own")
        LOGGER.warning("careful %d", 7)
        LOGGER.debug("not asked for")

    class Ends(Script):
        def on_fill(self, fill: bt.Fill, book: bt.Book) -> None:
            print("filled")

    run = play(where, Ends({("A", 0): speak, ("A", 1): lambda book: book.order("A", 1)}))
    out = '{"stream": "stdout"}'
    assert said(run) == [
        (at(1), "Ends", "one 2", out),
        (at(1), "Ends", "two lines", out),
        (at(1), "Ends", "own", "{}"),
        (at(1), "Ends", "careful 7", '{"level": "WARNING", "logger": "mine"}'),
        (at(2), "Ends", "at oncefilled", out),
    ]
    assert capsys.readouterr().out == "one 2\ntwo lines\nat oncefilled\n"


def test_each_strategy_has_its_own_lines(tmp_path: Path):
    where = store(tmp_path, bars("A", [1.0, 1.0]), bars("A", [1.0], day=WEDNESDAY))
    one, two = (
        Script({("A", 0): lambda _book, who=who, end=end: print(who, end=end)}) for who, end in (("x", ""), ("y", "\n"))
    )
    run = bt.replay(
        bars=where, calendar="XNYS", start=TUESDAY, end=WEDNESDAY, save=False,
        strategies=[{"name": "one", "use": one}, {"name": "two", "use": two}],
    )  # fmt: skip
    close = at(390), at(390, WEDNESDAY)
    assert [r[:3] for r in said(run)] == [
        (at(1), "two", "y"), (close[0], "one", "x"), (at(1, WEDNESDAY), "two", "y"), (close[1], "one", "x"),
    ]  # fmt: skip


def test_much_talk_is_cut_and_counted(tmp_path: Path):
    def speak(_book: bt.Book) -> None:
        for number in range(LINES + 9):
            print(number)

    where = store(tmp_path, bars("A", [1.0]))
    run = play(where, Script({("A", 0): speak}))
    assert run.log.height == LINES + 1
    assert run.log["message"][-1] == "9 more lines were not kept"
    run = play(where, Script({("A", 0): lambda _book: print("x" * (LENGTH + 1))}))
    assert run.log["message"].to_list() == ["x" * LENGTH + "..."]


class Apart(Script):
    """Records and speaks when a fill is told and when a row is shown, in every symbol."""

    independent = True

    def on_bar(self, row: Any, book: bt.Book) -> None:
        if row.minute == 0:
            book.target(row.symbol, 1)
        for number in range(self.steps.get(("lines", row.minute), 1)):
            print(row.symbol, "bar", number)
        book.record(**{f"{row.symbol} bar": row.minute})

    def on_fill(self, fill: bt.Fill, book: bt.Book) -> None:
        print(fill.symbol, "fill", end="")
        book.record(**{f"{fill.symbol} fill": 1})


def test_an_independent_strategy_speaks_symbol_by_symbol(tmp_path: Path):
    """Of one moment its rows are by symbol: fills are told at the open, and lines without an end are a symbol's own."""
    where = store(tmp_path, bars("A", [1.0, 1.0]), bars("B", [1.0, 1.0]))
    run = play(where, Apart(), execution={"fill": "same_close"})
    assert run.records["name"].to_list() == ["A bar", "A fill", "B bar", "B fill", "A bar", "B bar"]
    words = ["A bar 0", "B bar 0", "A fillA bar 0", "B fillB bar 0"]
    assert run.log["message"].to_list() == words


def test_of_much_talk_in_a_moment_the_first_symbols_is_kept(tmp_path: Path):
    where = store(tmp_path, bars("A", [1.0, 1.0]), bars("B", [1.0, 1.0]))
    half = LINES // 2 + 1
    run = play(where, Apart({("lines", 0): half, ("lines", 1): half}))
    kept = run.log["message"].to_list()
    assert kept[:half] == [f"A bar {n}" for n in range(half)]
    assert kept[half:LINES] == [f"B bar {n}" for n in range(LINES - half)]
    assert kept[LINES:] == [f"{2 + 2 * half} more lines were not kept"]


def test_what_is_said_last_in_a_moment_may_come_before_what_was_said_first(tmp_path: Path):
    """A's fill is told after B's rows were shown, and stands before them."""
    where = store(tmp_path, bars("A", [1.0, 1.0]), bars("B", [1.0, 1.0]))

    class Tells(Apart):
        def on_fill(self, fill: bt.Fill, book: bt.Book) -> None:
            print(fill.symbol, "fill")

    half = LINES // 2 + 1
    run = play(where, Tells({("lines", 0): half, ("lines", 1): 0}), execution={"fill": "same_close"})
    kept = run.log["message"].to_list()
    assert kept[half - 1 : half + 2] == [f"A bar {half - 1}", "A fill", "B bar 0"]
    assert kept[LINES:] == [f"{2 * half + 2 - LINES} more lines were not kept"]


def test_others_are_not_heard_and_everything_is_put_back(tmp_path: Path):
    """A thread of its own is no strategy's code on the engine's time; after the run nothing is listened to."""
    before = sys.stdout, list(logging.getLogger().handlers)

    def speak(_book: bt.Book) -> None:
        other = threading.Thread(target=lambda: (print("elsewhere"), LOGGER.warning("elsewhere")))
        other.start()
        other.join()
        print(sys.stdout.encoding and "here")

    run = play(store(tmp_path, bars("A", [1.0])), Script({("A", 0): speak}))
    assert run.log["message"].to_list() == ["here"]
    assert (sys.stdout, list(logging.getLogger().handlers)) == before


# ------------------------------------------------------------------------------------------------------------- state


class Keeps(Script):
    def __init__(self, what: Any) -> None:
        super().__init__()
        self.what = what


@pytest.mark.parametrize(
    ("what", "kind"), [((n for n in range(3)), "generator"), (threading.Lock(), "lock"), ({"x": [sys.stdout]}, "dict")]
)
def test_attributes_must_pickle(tmp_path: Path, what: Any, kind: str):
    where = store(tmp_path, bars("A", [1.0]), bars("A", [1.0], day=WEDNESDAY))
    strategy = Keeps(what)
    with pytest.raises(StrategyRaised, match=f"attribute 'what' must pickle, was {kind}: .*keep open files") as caught:
        play(where, strategy, end=WEDNESDAY)
    assert [h for h in strategy.happened if h[0] == "end"] == [("end", caught.value.run.by_session["session"][0])]


def test_attributes_that_pickle_and_what_is_left_out(tmp_path: Path):
    class Leaves(Keeps):
        def __getstate__(self) -> dict[str, Any]:
            return {"happened": self.happened}

    where = store(tmp_path, bars("A", [1.0]))
    assert play(where, Keeps(lambda: 3)).finish_reason == "end_date"
    assert play(where, Leaves(io.TextIOWrapper(io.BytesIO()))).finish_reason == "end_date"


def test_at_open_is_heard(tmp_path: Path):
    class Opens(Script):
        def at_open(self, session: Any, past: Any) -> None:
            print("before the open")

    run = play(store(tmp_path, bars("A", [1.0])), Opens())
    assert said(run) == [(at(0), "Opens", "before the open", '{"stream": "stdout"}')]


def test_a_wrong_format_stops_nobody(tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch):
    monkeypatch.setattr(logging.getLogger(), "handlers", [])  # pytest's own raises
    script = Script({("A", 0): lambda _book: LOGGER.warning("%d", "no number")})
    run = play(store(tmp_path, bars("A", [1.0])), script)
    assert run.finish_reason == "end_date"
    assert "--- Logging error ---" in capsys.readouterr().err
