# Recipes of one line each; `just` lists them. They use the environment that `just setup` makes.

set windows-shell := ["powershell.exe", "-NoProfile", "-Command"]

bin := if os_family() == "windows" { ".venv/Scripts" } else { ".venv/bin" }

# list the recipes
default:
    @just --list --unsorted

# make .venv and install the project with the developers' tools
setup:
    python3 tasks.py setup

# replay the embedded sample (README's first command)
main *ARGS:
    python3 tasks.py main {{ ARGS }}

# run the tests (README's second command)
test *ARGS:
    python3 tasks.py test {{ ARGS }}

# the equality suite on whole universes, against the oracle (some ten minutes; needs ../shared)
equality-full *ARGS:
    {{ bin }}/pytest -q -n 2 -m slow {{ ARGS }}

# bt against its judge on some 37,000 random markets, a hundred times as many as the default run: bars, orders, timers, actions, margins (half a CPU second each: some five hours of it)
props $BT_PROPS="40" *ARGS:
    {{ bin }}/pytest -q -n 2 tests/test_laws.py tests/test_order_laws.py tests/test_timers.py tests/test_action_laws.py tests/test_action_styles.py tests/test_margin.py {{ ARGS }}

# plant the bugs of tests/mutants.toml one by one and show which test catches each (some minutes)
mutants *ARGS:
    {{ bin }}/python tests/mutants.py {{ ARGS }}

# ruff: rules and formatting
lint:
    {{ bin }}/ruff check . && {{ bin }}/ruff format --check .

# let ruff repair what it can
fix:
    {{ bin }}/ruff check --fix . && {{ bin }}/ruff format .

# mypy --strict over bt/, the sample strategies and the gallery
types:
    {{ bin }}/mypy

# import-linter: layers, and one home per engine
layers:
    {{ bin }}/lint-imports --no-logo

# make the notebooks of their text, notebooks/*.py
pair:
    {{ bin }}/jupytext --quiet --update --to ipynb notebooks/*.py

# run the notebooks
notebooks:
    {{ bin }}/pytest -q -n 0 --nbmake notebooks

# how fast whole replays are (minutes; data goes to BT_BENCH or a temporary folder); with --memory, whether memory grows
bench *ARGS:
    {{ bin }}/python -m benchmarks.bench_whole {{ ARGS }}

# one stage alone: read, prepare, replay or fills
bench-stage STAGE *ARGS:
    {{ bin }}/python -m benchmarks.bench_{{ STAGE }} {{ ARGS }}

# where the CPU time of a replay goes, by stage
bench-stages *ARGS:
    {{ bin }}/python -m benchmarks.stages {{ ARGS }}

# what several workers gain in wall seconds (minutes; on a quiet machine)
bench-workers *ARGS:
    {{ bin }}/python -m benchmarks.bench_workers {{ ARGS }}

# what one feature more costs, beside the bare arithmetic (half an hour)
bench-features *ARGS:
    {{ bin }}/python -m benchmarks.bench_features {{ ARGS }}

# whether a stage got slower than benchmarks/baseline.json says (some minutes, on a quiet machine)
bench-check *ARGS:
    {{ bin }}/python -m benchmarks.bench_check {{ ARGS }}

# write benchmarks/baseline.json again, after a stage has changed for a good reason
bench-baseline *ARGS:
    {{ bin }}/python -m benchmarks.bench_check --store {{ ARGS }}

# bt beside other engines, each in an environment of its own that it makes: `just peers S M L XL` (hours; --only WORD for some)
peers *ARGS:
    {{ bin }}/python -m benchmarks.peers {{ ARGS }}

# bt's market, limit and stop orders beside backtrader's and backtesting.py's, fill by fill
peers-orders:
    {{ bin }}/python -m benchmarks.peers.orders

# build the documentation as a site in site/; a link that leads nowhere fails
docs *ARGS:
    {{ bin }}/mkdocs build --strict {{ ARGS }}

# take docs/report.png and docs/report-trades.png again (needs Chromium)
report-pictures:
    {{ bin }}/python docs/report_pictures.py

# draw docs/equity.svg again, after results have changed
picture:
    {{ bin }}/python docs/picture.py

# everything that must hold before a change lands
ci:
    .ci/run

# write the embedded sample again, after bt/sample.py or bt/sample_files/ has changed
sample:
    rm -rf data && {{ bin }}/bt sample data
