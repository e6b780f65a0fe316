"""Whether a feature tells what comes: by alphalens's answers, by the oracle, and laws."""

from __future__ import annotations

import datetime as dt
from collections import defaultdict
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st
from oracle import studies as slow
from test_laws import law

import bt
from bt.errors import UsageError

ANSWERS = Path(__file__).parent / "answers" / "alphalens"
DAYS = (dt.date(2024, 1, 2), dt.date(2024, 1, 3))


# ------------------------------------------------------------------------------------------------------------- alphalens


@pytest.fixture(scope="module")
def rows() -> pl.DataFrame:
    return pl.read_csv(ANSWERS / "rows.csv", try_parse_dates=True)


@pytest.fixture(scope="module")
def answers() -> dict[tuple[Any, ...], float | None]:
    table = pl.read_csv(ANSWERS / "answers.csv", schema_overrides={"session": pl.Date})
    return {row[:-1]: row[-1] for row in table.rows()}


def said(answers: dict[tuple[Any, ...], float | None], what: str) -> dict[tuple[Any, ...], float | None]:
    return {key[1:]: value for key, value in answers.items() if key[0] == what}


def test_alphalens_has_the_same_coefficients(rows: pl.DataFrame, answers: Any) -> None:
    found = bt.information_coefficient(rows, "feature", by="session")
    for (horizon, day, _), value in said(answers, "information_coefficient").items():
        assert found.filter(pl.col("session") == day)[f"ic_{horizon}"].item() == pytest.approx(value, abs=1e-12)


@pytest.mark.parametrize("demean", [False, True])
def test_alphalens_has_the_same_quantile_returns(rows: pl.DataFrame, answers: Any, demean: bool) -> None:
    found = bt.quantile_returns(rows, "feature", by="session", demean=demean)
    told = said(answers, "quantile_return_demeaned" if demean else "quantile_return")
    made = {(h, None, q): v for h, q, v in found.select("horizon", "quantile", "mean").rows()}
    assert made == {key: pytest.approx(value, abs=1e-12) for key, value in told.items()}
    if not demean:
        made = {(h, None, q): v for h, q, v in found.select("horizon", "quantile", "std_error").rows()}
        assert made == {key: pytest.approx(v, abs=1e-12) for key, v in said(answers, "quantile_std_error").items()}


def test_alphalens_has_the_same_turnover_and_autocorrelation(rows: pl.DataFrame, answers: Any) -> None:
    found = bt.turnover(rows, "feature", by="session")
    made = {(None, d, q): v for d, q, v in found.select("session", "quantile", "turnover").rows()}
    told = said(answers, "turnover")
    first = min(d for _, d, _ in told)
    assert made == {key: None if key[1] == first else pytest.approx(value) for key, value in told.items()}
    ranks = bt.rank_autocorrelation(rows, "feature", by="session")
    made = {(None, d, None): v for d, v in ranks.select("session", "autocorrelation").rows()}
    told = said(answers, "rank_autocorrelation")
    assert made == {key: None if value is None else pytest.approx(value, abs=1e-12) for key, value in told.items()}


# ------------------------------------------------------------------------------------------------------------ the oracle


@st.composite
def sectioned(draw: st.DrawFn) -> pl.DataFrame:
    """Moments of two sessions, up to nine symbols, with ties, nulls and what is not finite."""
    small = st.sampled_from((None, float("nan"), float("inf"), -1.0, 0.0, 0.5, 1.0, 2.0)) | st.floats(-2, 2)
    back = st.none() | st.sampled_from((-0.01, 0.0, 0.01, 0.02)) | st.floats(-0.1, 0.1)
    made = []
    for day in DAYS:
        for minute in range(draw(st.integers(0, 3))):
            for symbol in draw(st.lists(st.sampled_from("ABCDEFGHI"), unique=True)):
                when = dt.datetime.combine(day, dt.time(15, minute), tzinfo=dt.UTC)
                made.append((symbol, day, when, draw(small), draw(back), draw(back)))
    schema = {
        "symbol": pl.String, "session": pl.Date, "close_time": pl.Datetime("us", "UTC"), "x": pl.Float64, "ret_1m": pl.Float64,
        "ret_close": pl.Float64,
    }  # fmt: skip
    return pl.DataFrame(made, schema=schema, orient="row")


def values(frame: pl.DataFrame, column: str) -> slow.Values:
    """By moment and symbol, where it is finite; moments without any are there."""
    found: slow.Values = defaultdict(dict)
    for when, symbol, value in frame.sort("close_time").select("close_time", "symbol", column).rows():
        section = found[when]
        if value is not None and abs(value) < float("inf"):
            section[symbol] = value
    return dict(found)


def close(value: float | None) -> Any:
    return None if value is None else pytest.approx(value, abs=1e-9)


@law(100)
@given(sectioned())
def test_coefficients_are_the_oracles(frame: pl.DataFrame) -> None:
    feature, after = values(frame, "x"), values(frame, "ret_1m")
    expected = {}
    for when, section in feature.items():
        both = [s for s in section if s in after[when]]
        expected[when] = slow.spearman([section[s] for s in both], [after[when][s] for s in both])
    found = bt.information_coefficient(frame, "x", ["1m"])
    assert dict(found.select("close_time", "ic_1m").rows()) == {when: close(v) for when, v in expected.items()}
    (row,) = bt.decay(frame, "x", ["1m"]).rows(named=True)
    known = [v for v in expected.values() if v is not None]
    n, mean, _ = slow.summary(known)
    assert (row["count"], row["mean"]) == (n, close(mean))
    assert row["positive"] == (close(sum(v > 1e-12 for v in known) / n) if n else None) or any(
        abs(v) < 1e-9 for v in known
    )


@law(100)
@given(sectioned(), st.integers(2, 4), st.booleans())
def test_quantile_returns_are_the_oracles(frame: pl.DataFrame, n: int, demean: bool) -> None:
    found = bt.quantile_returns(frame, "x", ["close"], quantiles=n, demean=demean)
    expected = slow.quantile_means(values(frame, "x"), values(frame, "ret_close"), n, demean=demean)
    assert found["quantile"].to_list() == list(range(1, n + 1))
    for k, mean, count in found.select("quantile", "mean", "count").rows():
        assert (count, mean) == (len(expected[k]), close(slow.summary(expected[k])[1]))


@law(100)
@given(sectioned(), st.integers(2, 4), st.integers(1, 2), st.sampled_from(("session", None)))
def test_turnover_is_the_oracles(frame: pl.DataFrame, n: int, lag: int, within: Any) -> None:
    feature = values(frame, "x")
    moments = list(feature)

    def earlier(when: Any) -> Any:
        number = moments.index(when) - lag
        if number < 0 or (within and moments[number].date() != when.date()):
            return None
        return moments[number]

    found = bt.turnover(frame, "x", quantiles=n, lag=lag, within=within)
    made = {(when, k): v for when, k, v in found.select("close_time", "quantile", "turnover").rows()}
    assert made == {key: close(v) for key, v in slow.turnover(feature, n, earlier).items()}
    ranks = bt.rank_autocorrelation(frame, "x", lag=lag, within=within)
    expected = slow.autocorrelation(feature, earlier)
    assert dict(ranks.select("close_time", "autocorrelation").rows()) == {k: close(v) for k, v in expected.items()}


# ------------------------------------------------------------------------------------------------------------------ laws


def everything(frame: pl.DataFrame) -> list[pl.DataFrame]:
    study = bt.study(frame, "x", quantiles=3)
    return [
        study.decay, study.quantile_returns, study.spread, study.information_coefficient, study.turnover,
        study.rank_autocorrelation,
    ]  # fmt: skip


@law(60)
@given(sectioned(), st.permutations("ABCDEFGHI"), st.integers(0, 1000))
def test_names_and_order_of_symbols_change_nothing(frame: pl.DataFrame, names: list[str], seed: int) -> None:
    renamed = frame.with_columns(pl.col("symbol").replace_strict(dict(zip("ABCDEFGHI", names, strict=True))))
    other = renamed.sample(fraction=1.0, shuffle=True, seed=seed)
    for one, two in zip(everything(frame), everything(other), strict=True):
        assert one.equals(two)


@law(60)
@given(sectioned())
def test_a_feature_that_rises_with_another_has_its_ranks(frame: pl.DataFrame) -> None:
    cubed = frame.with_columns(pl.col("x") * 8)
    for one, two in zip(everything(frame), everything(cubed), strict=True):
        assert one.equals(two)


@law(60)
@given(sectioned())
def test_a_later_session_changes_nothing_of_an_earlier_one(frame: pl.DataFrame) -> None:
    first = frame.filter(pl.col("session") == DAYS[0])
    for ask in (bt.information_coefficient, bt.turnover, bt.rank_autocorrelation):
        whole = ask(frame, "x").filter(pl.col("close_time").dt.date() == DAYS[0])
        assert whole.equals(ask(first, "x"))


def test_what_tells_all_and_what_tells_nothing() -> None:
    frame = pl.DataFrame(
        {
            "symbol": list("ABCD"), "close_time": [dt.datetime(2024, 1, 2, 15, tzinfo=dt.UTC)] * 4, "x": [1, 2, 3, 4],
            "flat": [1.0] * 4, "ret_1m": [0.1, 0.2, 0.3, 0.4],
        }
    ).cast({"close_time": pl.Datetime("us", "UTC")})  # fmt: skip
    assert bt.information_coefficient(frame, "x")["ic_1m"].to_list() == [1.0]
    assert bt.information_coefficient(frame, "flat")["ic_1m"].to_list() == [None]
    assert bt.information_coefficient(frame, "x", min_names=5)["ic_1m"].to_list() == [None]
    assert bt.quantile_spread(frame, "x", quantiles=2)["mean"].to_list() == [pytest.approx(0.2)]
    assert bt.quantile_returns(frame, "flat", quantiles=2)["rows"].to_list() == [4, 0]  # ties are together
    assert bt.decay(frame, "x").select("mean", "count", "sessions").row(0) == (1.0, 1, None)


def test_a_study_is_shown() -> None:
    frame = pl.read_csv(ANSWERS / "rows.csv", try_parse_dates=True)
    study = bt.study(frame, "feature", by="session")
    assert isinstance(study, bt.Study)
    assert study.mean_turnover["quantile"].to_list() == [1, 2, 3, 4, 5]
    html = study._repr_html_()
    assert html.count("<table>") == 4
    assert "feature" in repr(study)


@pytest.mark.parametrize(
    ("ask", "told"),
    [
        (lambda f: bt.information_coefficient(f, "x", ["5m"]), "horizon '5m' must have a column ret_5m"),
        (lambda f: bt.information_coefficient(f.drop("ret_1m", "ret_close"), "x"), "must have forward returns"),
        (lambda f: bt.information_coefficient(f, "y"), "must have a column 'y'"),
        (lambda f: bt.information_coefficient(f, "x", by="sector"), "must have a column 'sector'"),
        (lambda f: bt.information_coefficient(f, "symbol"), "must be a number"),
        (lambda f: bt.information_coefficient(f, "x", min_names=1), "min_names must be a whole number >= 2"),
        (lambda f: bt.quantile_returns(f, "x", quantiles=1), "quantiles must be a whole number >= 2"),
        (lambda f: bt.turnover(f, "x", lag=0), "lag must be a whole number >= 1"),
        (lambda f: bt.turnover(f, "x", within="day"), "within must be"),
        (lambda f: bt.turnover(f.drop("session"), "x"), "must have a column 'session'; or say within=None"),
        (lambda f: bt.turnover(pl.concat([f, f]), "x"), "a symbol must have one row"),
        (lambda f: bt.turnover(f, "x", by="session"), "a symbol must have one row in a cross-section"),
        (lambda f: bt.study(f.with_columns(pl.lit(None).alias("close_time")), "x"), "must not be null"),
    ],
)
def test_what_is_refused(ask: Any, told: str) -> None:
    when = dt.datetime(2024, 1, 2, 15, tzinfo=dt.UTC)
    frame = pl.DataFrame(
        {
            "symbol": ["A", "B", "A", "B"], "session": [DAYS[0]] * 4, "close_time": [when, when, when + dt.timedelta(minutes=1), when + dt.timedelta(minutes=1)],
            "x": [1.0, 2.0, 3.0, 4.0], "ret_1m": [0.1, 0.2, 0.3, 0.4], "ret_close": [0.1, 0.2, 0.3, 0.4],
        }
    )  # fmt: skip
    with pytest.raises(UsageError, match=told):
        ask(frame)


@law(30)
@given(sectioned(), st.integers(2, 4))
def test_a_study_is_what_the_questions_answer(frame: pl.DataFrame, n: int) -> None:
    study = bt.study(frame, "x", ["close"], quantiles=n, within=None)
    assert study.decay.equals(bt.decay(frame, "x", ["close"]))
    assert study.quantile_returns.equals(bt.quantile_returns(frame, "x", ["close"], quantiles=n))
    assert study.spread.equals(bt.quantile_spread(frame, "x", ["close"], quantiles=n))
    assert study.information_coefficient.equals(bt.information_coefficient(frame, "x", ["close"]))
    assert study.turnover.equals(bt.turnover(frame, "x", quantiles=n, within=None))
    assert study.rank_autocorrelation.equals(bt.rank_autocorrelation(frame, "x", within=None))


@law(60)
@given(sectioned())
def test_sessions_are_one_observation_each(frame: pl.DataFrame) -> None:
    found = bt.information_coefficient(frame, "x", ["1m"]).drop_nulls("ic_1m")
    days = found.with_columns(day=pl.col("close_time").dt.date()).partition_by("day")
    means = [f["ic_1m"].mean() for f in days]
    n, _, t = slow.summary(means)
    (row,) = bt.decay(frame, "x", ["1m"]).rows(named=True)
    assert row["sessions"] == n
    if len({round(m, 9) for m in means}) == n:
        assert row["t_stat_sessions"] == (None if t is None else pytest.approx(t, rel=1e-6))


def test_rows_of_a_strategy_are_studied_too() -> None:
    frame = pl.read_csv(ANSWERS / "rows.csv", try_parse_dates=True)
    shown = frame.with_columns(known_at=pl.col("session").cast(pl.Datetime("us", "UTC"))).drop("session")
    found = bt.study(shown, "feature", within=None)
    assert found.information_coefficient.columns[0] == "known_at"
    by_session = bt.study(frame, "feature", by="session")
    assert found.quantile_returns.equals(by_session.quantile_returns)
    assert found.turnover.drop("known_at").equals(by_session.turnover.drop("session"))
