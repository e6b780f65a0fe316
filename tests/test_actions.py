"""Corporate actions by hand: what they do to money, orders and trades, and which tables are refused (decision 0031)."""

from __future__ import annotations

from datetime import date
from fractions import Fraction
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from action_worlds import SCHEMA
from small import FRIDAY, THURSDAY, TUESDAY, WEDNESDAY, Bar, Script, at, bars, play, store

import bt
from bt.errors import ConfigError, DataError
from bt.prepare import read_actions
from bt.prepare.actions import ratio_of


def table(*rows: dict[str, Any]) -> pl.DataFrame:
    """A table of corporate actions; sessions are ISO dates."""
    return pl.DataFrame([{**row, "session": date.fromisoformat(row["session"])} for row in rows], schema=SCHEMA)


def split(ratio: float, session: str = WEDNESDAY, symbol: str = "A") -> dict[str, Any]:
    return {"symbol": symbol, "session": session, "kind": "split", "ratio": ratio}


def market(folder: Path, before: float, after: float) -> Path:
    """A at one price on Tuesday and at another on Wednesday and Thursday."""
    days = ((TUESDAY, before), (WEDNESDAY, after), (THURSDAY, after))
    return store(folder, *(bars("A", [price] * 3, day=day) for day, price in days))


@pytest.mark.parametrize("adjust", ["splits", "none"])
@pytest.mark.parametrize("renamed", [WEDNESDAY, THURSDAY])
def test_what_is_held_goes_on_under_a_name_that_is_no_member(tmp_path: Path, adjust: str, renamed: str) -> None:
    """However sessions are cut into windows: in one, in the one before, and sessions after."""
    days = (TUESDAY, WEDNESDAY, THURSDAY, FRIDAY)
    rows = [bars("A", [10.0] * 4, day=day) for day in days]
    rows += [bars("OLD" if day < renamed else "NEW", [50.0 + n] * 4, day=day) for n, day in enumerate(days)]
    where = store(tmp_path, *rows)
    members = pl.DataFrame({"from": [date(2024, 1, 1)] * 2, "to": [date.fromisoformat(renamed), None], "symbol": ["OLD", "A"]})  # fmt: skip
    members.write_parquet(tmp_path / "members.parquet")
    steps = {("OLD", 1): lambda book: book.target("OLD", 5)}

    class Sells(Script):
        def on_bar(self, row: Bar, book: bt.Book) -> None:
            super().on_bar(row, book)
            if row.symbol == "NEW" and book.session == date.fromisoformat(FRIDAY) and row.minute == 1:
                book.target("NEW", 0)

    runs = [
        play(
            where, Sells(steps), TUESDAY, FRIDAY,
            universe={"table": str(tmp_path / "members.parquet")}, prefetch_days=days_, engine={"threads": threads},
            data={"adjust": adjust}, actions=table({"symbol": "OLD", "session": renamed, "kind": "rename", "to": "NEW"}),
        )
        for days_, threads in ((1, 1), (1, 2), (2, 2), (3, 1), (4, 1))
    ]  # fmt: skip
    for run in runs:
        assert run.fills.select("symbol", "shares").rows() == [("OLD", 5), ("NEW", -5)]
        assert run.by_session["bars"].to_list() == [8, 8, 8, 8]


def run_over(folder: Path, strategy: Any, table_: Any, before: float, after: float, **more: Any) -> bt.Run:
    return play(market(folder, before, after), strategy, TUESDAY, THURSDAY, actions=table_, **more)


def test_a_split_multiplies_shares_and_changes_no_money(tmp_path: Path) -> None:
    """10 shares at 645.54 are 70 at 92.22: neither equity nor what the trade has made moves."""
    asked: list[tuple[Any, ...]] = []

    class Sells(Script):
        def on_session_start(self, session: bt.Session, book: bt.Book) -> None:
            held = book.holding("A")
            asked.append(
                (book.position("A"), book.price("A"), book.equity, held and (held.avg_price, held.unrealized_pnl))
            )
            if session == date.fromisoformat(THURSDAY):
                book.target("A", 0)

    run = run_over(
        tmp_path, Sells({("A", 0): lambda b: b.target("A", b.position("A") or 10)}), table(split(7)), 645.54, 92.22
    )
    assert asked[0][:2] == (0, None)
    assert asked[1] == (70, 92.22, 1_000_000.0, (pytest.approx(92.22), 0.0))
    assert run.equity["equity"].unique().to_list() == [1_000_000.0]
    assert run.cash.is_empty()
    trade = run.trades.row(0, named=True)
    assert (trade["shares"], trade["entry_price"], trade["exit_price"], trade["gross_pnl"]) == (70, 92.22, 92.22, 0.0)
    assert run.summary["actions"] == {
        "table": "data.actions",
        "adjust": "splits",
        "split": 1,
        "dividend": 0,
        "rename": 0,
        "delisting": 0,
    }
    assert "1 splits" in str(run)


@pytest.mark.parametrize("ratio", [4.0, 0.25])
def test_before_the_first_bar_after_a_split_an_order_is_of_the_price_after_it(tmp_path: Path, ratio: float) -> None:
    """A thousand buys forty at 25, and no more, whatever they were at the close before."""

    class Buys(Script):
        def on_session_start(self, session: bt.Session, book: bt.Book) -> None:
            if session == date.fromisoformat(WEDNESDAY):
                book.target("A", 41)
                book.target("A", 40)

    run = run_over(tmp_path, Buys({}), table(split(ratio)), 25.0 * ratio, 25.0, cash=1000.0)
    orders = run.orders.filter(session=date.fromisoformat(WEDNESDAY)).select("level", "status", "reason").rows()
    assert orders == [(41, "rejected", "buying_power"), (40, "filled", "")]


def test_what_is_less_than_a_share_is_paid(tmp_path: Path) -> None:
    """11 shares at 10 are one at 80 and three eighths, which are worth 30; one that is sold before counts as none of the new."""
    run = run_over(
        tmp_path, Script({("A", 0): lambda b: b.order("A", 12 if b.position("A") == 0 else 0), ("A", 1): lambda b: b.order("A", -1)}),
        table(split(0.125)), 10.0, 80.0,
    )  # fmt: skip
    paid = run.cash.row(0, named=True)
    assert (paid["time"], paid["symbol"], paid["kind"], paid["amount"]) == (at(0, WEDNESDAY), "A", "in_lieu", 30.0)
    assert run.equity["equity"].unique().to_list() == [1_000_000.0]
    trade = run.trades.row(0, named=True)
    assert (trade["shares"], trade["gross_pnl"]) == (1, -30.0)  # the 30 came as cash
    assert run.summary["net_pnl"] == 0.0


def test_a_position_of_less_than_a_share_is_closed_at_the_last_close(tmp_path: Path) -> None:
    script = Script(
        {("A", 0): lambda b: b.order("A", -7, stop_loss=11.0) if b.session == date.fromisoformat(TUESDAY) else None}
    )
    run = run_over(
        tmp_path, script, table(split(0.125)), 10.0, 80.0, execution={"commission_per_share": 1.0, "slippage_bps": 10.0}
    )
    closing = run.orders.filter(type="split").row(0, named=True)
    assert (closing["side"], closing["shares"], closing["status"], closing["filled"]) == ("buy", 7, "filled", 7)
    fill = run.fills.filter(order_id=closing["id"]).row(0, named=True)
    assert (fill["time"], fill["price"], fill["commission"], fill["position_after"]) == (at(0, WEDNESDAY), 10.0, 0.0, 0)
    assert run.trades["exit_reason"].to_list() == ["split"]
    leg = run.orders.filter(type="stop_loss").row(0, named=True)
    assert (leg["status"], leg["reason"]) == ("cancelled", "split")
    assert ("fill", "A", 7, 10.0) in script.happened
    told = script.happened.index(("fill", "A", 7, 10.0))
    assert script.happened[told + 1][0] == "start"


def test_a_dividend_is_paid_to_who_is_long_and_by_who_is_short(tmp_path: Path) -> None:
    """Of the shares after the session's split; two of one day add up."""
    rows = table(
        split(2.0),
        *({"symbol": "A", "session": WEDNESDAY, "kind": "dividend", "amount": amount} for amount in (0.31, 0.1)),
    )
    for shares, paid in ((10, 8.2), (-10, -8.2)):
        script = Script(
            {("A", 0): lambda b, n=shares: b.target("A", n if b.session < date.fromisoformat(WEDNESDAY) else 2 * n)}
        )
        run = run_over(tmp_path, script, rows, 100.0, 50.0)
        assert run.cash["kind"].to_list() == ["dividend", "dividend"]
        assert run.cash["amount"].sum() == pytest.approx(paid)
        assert run.summary["net_pnl"] == pytest.approx(paid)
        assert run.summary["cash_moved"] == {"dividend": pytest.approx(paid)}


def test_a_rename_carries_everything_over(tmp_path: Path) -> None:
    """Position, its cost and its bars held, and the legs: under the new name, as one trade."""
    where = store(
        tmp_path,
        bars("OLD", [10.0, 10.0, 11.0]),
        bars("NEW", [12.0, 12.0, 15.0], day=WEDNESDAY),
        bars("NEW", [15.0] * 3, day=THURSDAY),
    )
    rows = table({"symbol": "OLD", "session": WEDNESDAY, "kind": "rename", "to": "NEW"})
    asked: list[Any] = []
    script = Script({
        ("OLD", 0): lambda b: b.order("OLD", 10, take_profit=14.0),
        ("NEW", 0): lambda b: asked.append((b.position("OLD"), b.holding("NEW") and b.holding("NEW").bars_held, [(o.symbol, o.type) for o in b.open_orders()])),
    })  # fmt: skip
    run = play(where, script, TUESDAY, THURSDAY, actions=rows)
    assert asked[0] == (0, 3, [("NEW", "take_profit")])
    assert run.fills.select("symbol", "shares", "price").rows() == [("OLD", 10, 10.0), ("NEW", -10, 15.0)]
    assert run.trades.select("symbol", "entry_time", "gross_pnl").rows() == [("NEW", at(1), 50.0)]
    assert run.positions.select("symbol", "shares").rows() == [("OLD", 10)]
    assert run.equity.filter(time=at(0, WEDNESDAY) + (at(1) - at(0)))["equity"].item() == 1_000_020.0


@pytest.mark.parametrize("alone", [False, True])
def test_what_is_told_after_a_rename_is_told_under_the_new_name(tmp_path: Path, alone: bool) -> None:
    """An order that ends after the last callback of a session is told at the next open; by then the book knows the security as another."""
    told: list[tuple[Any, ...]] = []

    class Again:
        """Orders anew what has expired: at the close, after it, and at the open of the session of the rename."""

        row = Bar
        independent = alone

        def on_bar(self, row: Bar, book: bt.Book) -> None:
            if book.session == date.fromisoformat(TUESDAY) and book.position("OLD") == 0:
                book.order("OLD", 10)
                book.order("OLD", 1, limit=1.0)

        def on_order(self, order: bt.Order, book: bt.Book) -> None:
            told.append((book.now, order.id, order.symbol, order.reason, book.position(order.symbol)))
            book.order(order.symbol, 1, limit=1.0)

    where = store(tmp_path, bars("OLD", [10.0, 11.0]), bars("NEW", [12.0, 12.0], day=WEDNESDAY))
    rows = table({"symbol": "OLD", "session": WEDNESDAY, "kind": "rename", "to": "NEW"})
    run = play(where, Again(), TUESDAY, WEDNESDAY, actions=rows)
    close, opened = at(390), at(0, WEDNESDAY)
    assert told[:4] == [
        (close, 2, "OLD", "unfilled", 10), (close, 3, "OLD", "no_bar", 10), (opened, 4, "NEW", "no_bar", 10),
        (at(390, WEDNESDAY), 5, "NEW", "unfilled", 10),
    ]  # fmt: skip
    assert run.orders.filter(pl.col("id").is_between(3, 5)).select("id", "symbol", "decided_at", "reason").rows() == [
        (3, "OLD", close, "no_bar"), (4, "OLD", close, "no_bar"), (5, "NEW", opened, "unfilled"),
    ]  # fmt: skip


@pytest.mark.parametrize("alone", [False, True])
def test_names_that_change_places_are_told_by_their_new_ones(tmp_path: Path, alone: bool) -> None:
    told: list[tuple[Any, ...]] = []

    class Again:
        """Buys ten of A and twenty of B, and orders anew what has expired."""

        row = Bar
        independent = alone

        def on_bar(self, row: Bar, book: bt.Book) -> None:
            if book.session == date.fromisoformat(TUESDAY) and book.position(row.symbol) == 0:
                book.order(row.symbol, {"A": 10, "B": 20}[row.symbol])
                book.order(row.symbol, {"A": 1, "B": 2}[row.symbol], limit=1.0)

        def on_order(self, order: bt.Order, book: bt.Book) -> None:
            told.append((book.session, order.symbol, order.shares, book.position(order.symbol)))
            if book.session == date.fromisoformat(TUESDAY):
                book.order(order.symbol, order.shares or 0, limit=1.0)

    days = (TUESDAY, WEDNESDAY)
    where = store(tmp_path, *(bars(symbol, [10.0, 11.0], day=day) for symbol in "AB" for day in days))
    swap = table(*({"symbol": a, "session": WEDNESDAY, "kind": "rename", "to": b} for a, b in ("AB", "BA")))
    play(where, Again(), TUESDAY, WEDNESDAY, actions=swap)
    first, then = (date.fromisoformat(day) for day in days)
    assert sorted(told) == [
        *[(first, "A", 1, 10)] * 2, *[(first, "B", 2, 20)] * 2, (then, "A", 2, 20), (then, "B", 1, 10),
    ]  # fmt: skip


@pytest.mark.parametrize(("price", "gets"), [(None, 10.0), (3.25, 3.25), (0.0, 0.0)])
def test_a_delisting_closes_the_position(tmp_path: Path, price: float | None, gets: float) -> None:
    rows = table({"symbol": "A", "session": WEDNESDAY, "kind": "delisting", "price": price})
    where = store(tmp_path, bars("A", [10.0] * 3), bars("B", [5.0] * 3, day=WEDNESDAY))
    script = Script({("A", 0): lambda b: (b.order("A", 8), b.order("A", 5, limit=9.0, tif="gtc"))})
    run = play(where, script, TUESDAY, WEDNESDAY, actions=rows, execution={"commission_per_share": 1.0})
    assert run.orders.select("type", "status", "reason").rows() == [
        ("market", "filled", ""), ("limit", "cancelled", "delisted"), ("delisting", "filled", ""),
    ]  # fmt: skip
    assert run.trades.select("exit_reason", "exit_price", "costs").rows() == [("delisting", gets, 8.0)]
    assert run.summary["open_positions"] == 0
    assert ("order", 2, "cancelled", "delisted") in script.happened


def test_the_stores_own_table_is_found_and_can_be_switched_off(tmp_path: Path) -> None:
    where = market(tmp_path, 100.0, 50.0)
    table(split(2.0)).write_parquet(where / "actions.parquet")
    script = {("A", 0): lambda b: b.target("A", b.position("A") or 1)}
    run = play(where, Script(script), TUESDAY, THURSDAY)
    assert (run.summary["actions"]["table"], run.summary["net_pnl"]) == ("actions.parquet", 0.0)
    for off in ("none", ""):
        run = play(where, Script(script), TUESDAY, THURSDAY, actions=off)
        assert (run.summary["actions"], run.summary["net_pnl"]) == (None, -50.0)


def test_a_table_is_part_of_what_a_run_is(tmp_path: Path) -> None:
    where = market(tmp_path, 100.0, 50.0)
    hashes = []
    for ratio in (2.0, 2.0, 3.0):
        table(split(ratio)).write_parquet(tmp_path / "some.parquet")
        run = bt.replay(
            bars=where,
            strategy=Script,
            start=TUESDAY,
            end=THURSDAY,
            actions=str(tmp_path / "some.parquet"),
            out=tmp_path / f"{len(hashes)}",
        )
        hashes.append(pl.read_json(run.path / "manifest.json")["spec_hash"].item())  # type: ignore[operator]
    assert hashes[0] == hashes[1] != hashes[2]


def test_csv_reads_as_parquet(tmp_path: Path) -> None:
    text = "symbol,session,kind,ratio,amount,to,price\nA,2024-01-03,split,1:3,,,\nA,2024-01-04,dividend,,0.10,,\nA,2024-01-05,rename,,,B,\n"
    (tmp_path / "a.csv").write_text(text)
    opened = read_actions(str(tmp_path / "a.csv"))
    assert opened.rows.select("symbol", "kind", "ratio", "amount", "to").rows() == [
        ("A", "split", "1:3", None, None), ("A", "dividend", None, "0.10", None), ("A", "rename", None, None, "B"),
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("text", "ratio"),
    [("7.0", 7), ("0.125", Fraction(1, 8)), ("0.3333333333333333", Fraction(1, 3)), ("1.05", Fraction(21, 20)), ("3:2", Fraction(3, 2)),
     ("1/10", Fraction(1, 10)), ("0.142857", Fraction(142857, 10**6)), ("x", None), ("0", None), ("-1", None), ("nan", None), ("1:0", None)],
)  # fmt: skip
def test_ratios_as_they_are_written(text: str, ratio: Fraction | None) -> None:
    assert ratio_of(text) == ratio


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ([{"symbol": "A", "session": WEDNESDAY, "kind": "merger"}], "'kind' must be one of rename, split, dividend, delisting, was 'merger' in row 1"),
        ([split(2.0), {**split(2.0), "ratio": None}], "'ratio' must be more than 0, as 7 or 0.125 or \"3:2\" for a split, was empty in row 2"),
        ([split(-2.0)], "'ratio' must be more than 0, as 7 or 0.125 or \"3:2\", was '-2.0' in row 1"),
        ([split(float("inf"))], "'ratio' must be more than 0"),
        ([split(1e-9)], "'ratio' must be from 1:100000 to 100000:1, was '1e-09' in row 1"),
        ([split(2.0), split(1e6, THURSDAY)], "'ratio' must be from 1:100000 to 100000:1, was '1000000.0' in row 2"),
        ([split(0.142857142857), split(0.142857142857, THURSDAY)],
         "'ratio' must be a simple fraction, as \"1:7\", for all of A are multiplied, was '0.142857142857' in row 2"),
        ([{"symbol": "A", "session": WEDNESDAY, "kind": "dividend", "amount": 0.0}], "'amount' must be more than 0, was '0.0' in row 1"),
        ([{"symbol": "A", "session": WEDNESDAY, "kind": "rename"}], "'to' must be another symbol for a rename, was empty in row 1"),
        ([{"symbol": "A", "session": WEDNESDAY, "kind": "rename", "to": "A"}], "'to' must be another symbol, was 'A' in row 1"),
        ([{"symbol": "A", "session": WEDNESDAY, "kind": "delisting", "price": -1.0}], "'price' must be 0 or more, was '-1.0' in row 1"),
        ([split(2.0), split(3.0)], "'kind' must be given once for a session, was 'split' in row 2"),
        ([{"symbol": s, "session": WEDNESDAY, "kind": "rename", "to": "C"} for s in "AB"], "'to' must be given once for a session, was 'C' in row 2"),
        ([{"symbol": "A", "session": WEDNESDAY, "kind": k, "to": "B"} for k in ("rename", "delisting")], "one of rename and delisting for a session"),
        ([{"symbol": None, "session": WEDNESDAY, "kind": "split", "ratio": 2.0}], "'symbol' must be there, was empty in row 1"),
    ],
)  # fmt: skip
def test_bad_rows_are_refused_before_the_run(tmp_path: Path, rows: list[dict[str, Any]], message: str) -> None:
    with pytest.raises(DataError) as error:
        run_over(tmp_path, Script(), table(*rows), 10.0, 10.0)
    assert message in str(error.value)
    assert str(error.value).startswith("data.actions: column ")
    assert "mend the row" in str(error.value)


def test_bad_files_are_refused(tmp_path: Path) -> None:
    where = market(tmp_path, 10.0, 10.0)
    (tmp_path / "no.parquet").write_text("nothing")
    pl.DataFrame({"symbol": ["A"], "kind": ["split"]}).write_parquet(tmp_path / "lacks.parquet")
    pl.DataFrame({"symbol": ["A"], "kind": ["split"], "session": ["3.1.2024"]}).write_parquet(tmp_path / "text.parquet")
    for name, message in (
        ("no", "must be a readable Parquet or CSV file"), ("lacks", "column 'session' must be there, was missing among symbol, kind"),
        ("text", "column 'session' must be dates as 2024-06-09, was '3.1.2024' in row 1"),
    ):  # fmt: skip
        with pytest.raises(DataError, match=message.replace("2024-06-09", "2014-06-09")):
            play(where, Script(), actions=str(tmp_path / f"{name}.parquet"))
    with pytest.raises(ConfigError, match="actions must be"):
        play(where, Script(), actions=str(tmp_path / "absent.parquet"))


def test_what_becomes_a_symbol_that_the_run_lacks_is_refused(tmp_path: Path) -> None:
    days = (TUESDAY, WEDNESDAY)
    where = store(
        tmp_path,
        bars("OLD", [10.0] * 3),
        bars("NEW", [12.0] * 3, day=WEDNESDAY),
        *(bars("B", [1.0], day=day) for day in days),
    )
    rows = table({"symbol": "OLD", "session": WEDNESDAY, "kind": "rename", "to": "NEW"})
    with pytest.raises(
        DataError, match="NEW must be one of the run's symbols, was not, and OLD becomes it on 2024-01-03"
    ):
        play(where, Script(), TUESDAY, WEDNESDAY, symbols=["OLD", "B"], actions=rows)
    play(where, Script(), TUESDAY, TUESDAY, symbols=["OLD", "B"], actions=rows)
    gone = table({"symbol": "OLD", "session": WEDNESDAY, "kind": "rename", "to": "NOWHERE"})
    run = play(where, Script({("OLD", 0): lambda b: b.order("OLD", 1)}), TUESDAY, WEDNESDAY, actions=gone)
    assert run.positions["symbol"].to_list() == ["OLD", "OLD"]
