"""The common run of orders beside other engines: what is asked, who differs, and bt's runner against a loop over bars; other engines are not run."""

from __future__ import annotations

import itertools
import json
import os
import subprocess
import sys

import polars as pl
import pytest

from benchmarks.peers import orders as command
from benchmarks.peers.orders import BT, RUNNERS, STRICT, first_difference, verdicts
from benchmarks.peers.runners.orders import SHARES, asked, price_of
from benchmarks.peers_data import write
from benchmarks.pinned import ROOT


def by_definition(folder, *, through):
    """Fills of the common run, bar by bar: an order meets the bars after its own, a limit is reached by a touch or `through` it, a stop by a touch."""
    bars = pl.read_parquet(folder / "*.parquet").sort("ts")
    rows = bars.select(pl.col("ts").dt.epoch("us"), "open", "high", "low", "close").rows()
    given, order, until, held, fills = asked(len(rows)), None, 0, 0, []
    for number, (ts, opens, high, low, close) in enumerate(rows):
        if order is not None:
            kind, sign, price = order
            at = opens
            if kind == "limit" and (opens - price) * sign > 0:
                reach = (price - low) if sign > 0 else (high - price)
                at = price if (reach > 0 if through else reach >= 0) else None
            elif kind == "stop" and (price - opens) * sign > 0:
                at = price if (high >= price if sign > 0 else low <= price) else None
            if at is not None:
                fills.append((ts, sign * SHARES, at))
                held, order = held + sign * SHARES, None
        if order is not None and number == until:
            order = None
        if number in given:
            one = given[number]
            buys = one.buys if held == 0 else held < 0
            order, until = (one.kind, 1 if buys else -1, price_of(one, buys=buys, close=close)), one.until
    return fills


@pytest.mark.parametrize("runner", [BT, STRICT])
def test_bts_fills_are_those_of_a_loop_over_bars(tmp_path, runner):
    write(tmp_path, (1, 12))
    command_ = [sys.executable, str(RUNNERS / "orders_bt.py"), str(tmp_path), runner[3]]
    environment = {k: v for k, v in os.environ.items() if not k.startswith("BT_")} | {"PYTHONPATH": str(ROOT)}
    done = subprocess.run(command_, capture_output=True, text=True, check=True, cwd=ROOT, env=environment)
    fills = [tuple(fill) for fill in json.loads(done.stdout.splitlines()[-1])["fills"]]
    assert len(fills) > 100
    assert fills == by_definition(tmp_path, through=runner is STRICT)


def test_orders_do_not_meet_and_are_the_same_every_time():
    made = list(asked(5000).values())
    assert made == list(asked(5000).values())
    assert {order.kind for order in made} == {"market", "limit", "stop"}
    assert all(one.bar < one.until < other.bar for one, other in itertools.pairwise(made))


def test_the_first_fill_that_differs_is_named():
    one = [(1, 100, 10.0), (2, -100, 11.0)]
    assert first_difference(one, list(one)) == ""
    assert first_difference(one, [one[0], (2, -100, 11.01)]).startswith("fill 2: -100 at 11.0 in the bar of 2")
    assert first_difference(one, one[:1]) == "2 fills, the other has 1"
    assert verdicts(one, {"a": one, "b": one[:1]}) == {"a": "", "b": "2 fills, the other has 1"}


@pytest.mark.parametrize(("theirs", "code"), [([(1, 100, 10.0)], 0), ([(1, 100, 10.5)], 1)])
def test_a_difference_is_an_exit_code(monkeypatch, capsys, theirs, code):
    class Made:
        found = None

    def fills(runner, _found):
        return "1.0", [(1, 100, 10.0)] if runner in (BT, STRICT) else theirs

    monkeypatch.setattr(command, "fills", fills)
    monkeypatch.setattr(command, "data", lambda _size: Made)
    assert command.main() == code
    assert ("all 1 fills are equal" in capsys.readouterr().out) is (code == 0)
