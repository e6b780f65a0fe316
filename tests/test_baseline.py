"""The regression gate's judgement, on made-up figures: nothing is timed here."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from benchmarks import bench_check, figures
from benchmarks.baseline import Baseline, compared, failure, store, stored, table
from benchmarks.figures import Figure

BEFORE = {"read": 1.0, "replay": 2.0}
RATIOS = st.dictionaries(st.sampled_from(["read", "prepare", "replay", "fills"]), st.floats(0.01, 100.0), min_size=1)


def changes(now, tolerance=0.15):
    return {v.name: v.change for v in compared(BEFORE, now, tolerance)}


@pytest.mark.parametrize(
    ("now", "change"),
    [(2.31, "slower"), (2.29, "same"), (2.0, "same"), (1.71, "same"), (1.69, "faster")],
)
def test_a_figure_is_judged_by_its_ratio_to_the_stored_one(now, change):
    assert changes({"read": 1.0, "replay": now}) == {"read": "same", "replay": change}


def test_the_tolerance_is_a_fraction_of_the_baseline():
    assert changes({"read": 1.04, "replay": 2.2}, 0.05) == {"read": "same", "replay": "slower"}


def test_only_what_got_slower_shuts_the_gate():
    verdicts = compared(BEFORE, {"read": 0.5, "replay": 2.5})
    assert failure(compared(BEFORE, {"read": 0.5, "replay": 2.0})) == ""
    assert failure(verdicts) == (
        "bench-check: figures must be at most 1.15 x the baseline, were more: replay (1.25 x); "
        "what is slower for a good reason is stored by `just bench-baseline`"
    )


def test_a_figure_without_a_counterpart_shuts_the_gate():
    verdicts = compared(BEFORE, {"read": 1.0, "fills": 1.0})
    assert {v.name: v.change for v in verdicts} == {"read": "same", "fills": "new", "replay": "gone"}
    assert "only one of them has: fills, replay" in failure(verdicts)


def test_the_table_has_a_row_a_figure():
    lines = table(compared(BEFORE, {"read": 1.0, "replay": 3.0})).splitlines()
    assert lines[2:] == ["| read | 1.00 | 1.00 | 1.00 |  |", "| replay | 2.00 | 3.00 | 1.50 | slower |"]
    assert table(compared({}, {"read": 1.0})).splitlines()[2] == "| read |  | 1.00 |  | new |"


@given(RATIOS, st.floats(0.1, 10.0))
def test_the_same_ratios_pass_and_ratios_twice_as_high_fail(ratios, scale):
    assert failure(compared(ratios, ratios)) == ""
    verdicts = compared(ratios, {name: 2 * ratio for name, ratio in ratios.items()})
    assert all(name in failure(verdicts) for name in ratios)
    scaled = {name: ratio * scale for name, ratio in ratios.items()}
    assert (failure(compared(ratios, scaled)) == "") == all(scaled[n] <= ratios[n] * 1.15 for n in ratios)


def test_a_baseline_is_read_back_as_it_was_written(tmp_path):
    baseline = Baseline("500x10", {"read": 1.25}, {"python": "3.11.7"})
    store(baseline, tmp_path / "baseline.json")
    assert stored(tmp_path / "baseline.json") == baseline


@pytest.mark.parametrize("content", [None, "no json", "[]", json.dumps({"size": "S"})])
def test_a_missing_or_damaged_baseline_is_refused(tmp_path, content):
    path = tmp_path / "baseline.json"
    if content is not None:
        path.write_text(content)
    with pytest.raises(SystemExit, match="must .*`just bench-baseline` writes it"):
        stored(path)


def test_the_stored_baseline_has_every_figure():
    names = [figure.name for figure in bench_check.FIGURES]
    assert len(set(names)) == len(names)
    assert sorted(stored().ratios) == sorted(names)


# ------------------------------------------------------------------------------------------------------------- figures


READ = Figure("read", "benchmarks.some", "one", ("read", "order"))
FILLS = Figure("fills", "benchmarks.some", "one", ("replay",), "fills")


def answers(*seconds):
    return [{READ.job: {"read": s, "order": 1.0, "replay": 2.0, "fills": 4.0}} for s in seconds]


def test_a_figure_is_the_sum_of_its_stages_and_a_stage_not_entered_took_nothing():
    assert READ.seconds({"read": 1.0, "order": 0.5, "replay": 8.0}) == 1.5
    assert READ.seconds({"replay": 8.0}) == 0.0


def test_a_figure_is_the_median_of_the_runs():
    assert figures.median(READ, answers(1.0, 9.0, 2.0)) == 3.0


def test_a_table_tells_bars_a_second_and_the_cost_of_each():
    lines = figures.table([READ, FILLS], answers(1.0), bars=4_000_000).splitlines()
    assert lines[2:] == [
        "| read | 2.00 | 2.00 | 500 ns a bar |",
        "| fills | 2.00 | 2.00 | 500000.00 us of 4 fills |",
    ]


def test_a_ratio_is_of_the_least_seconds_to_the_least_calibration():
    rounds = list(zip((2.0, 1.0, 4.0), answers(2.0, 5.0, 7.0), strict=True))  # a neighbour comes and stays
    assert bench_check.ratios([READ, FILLS], rounds) == {"read": 3.0, "fills": 2.0}


def test_figures_of_one_job_are_read_off_one_process(monkeypatch):
    asked = []

    class Source:
        ingested, first, last = "store", "2024-01-02", "2024-01-03"

    def python(*arguments):
        asked.append(arguments)
        return figures.Used(3.0, 3.0, 100.0, {"read": 1.0, "seconds": {"load": 1.0}, "run": "folder"})

    monkeypatch.setattr(figures, "python", python)
    whole = Figure("whole", "benchmarks.other", "one", (figures.WHOLE,))
    (told,) = figures.repeated([READ, FILLS, whole], Source(), 1)
    assert [a[1] for a in asked] == ["benchmarks.some", "benchmarks.other"]
    assert asked[0] == ("-m", "benchmarks.some", "--child", "one", "store", "2024-01-02", "2024-01-03")
    assert told[whole.job] == {"read": 1.0, figures.WHOLE: 3.0}
    assert whole.seconds(told[whole.job]) == 3.0
