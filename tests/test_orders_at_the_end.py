"""What is given in the last moment of a run that closes its positions (decision 0002)."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from small import Script, bars, play, store


class ExitsLast(Script):
    """A day order of the session's end has expired: when it is told so, it gives an exit."""

    def on_session_end(self, session: Any, book: Any) -> None:
        book.order("A", 1, limit=5.0, tif="day")

    def on_order(self, order: Any, book: Any) -> None:
        super().on_order(order, book)
        if order.status == "expired":
            book.exit_at_close("A")


def test_an_exit_given_after_the_close_is_cancelled_by_that_of_the_runs_end(tmp_path: Path) -> None:
    script = ExitsLast({("A", 0): lambda b: b.order("A", 10)})
    run = play(store(tmp_path, bars("A", [10.0, 10.0, 11.0])), script, execution={"at_end": "close"})
    assert run.orders.select("type", "status", "reason", "tag").rows() == [
        ("market", "filled", "", ""), ("limit", "expired", "no_bar", ""), ("exit_at_close", "cancelled", "exit_at_close", ""),
        ("exit_at_close", "filled", "", "at_end"),
    ]  # fmt: skip
    assert ("order", 3, "cancelled", "exit_at_close") in script.happened
