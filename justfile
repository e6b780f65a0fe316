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

# ruff: rules and formatting
lint:
    {{ bin }}/ruff check . && {{ bin }}/ruff format --check .

# let ruff repair what it can
fix:
    {{ bin }}/ruff check --fix . && {{ bin }}/ruff format .

# mypy --strict over bt/ and the sample strategies
types:
    {{ bin }}/mypy

# import-linter: layers, and one home per engine
layers:
    {{ bin }}/lint-imports --no-logo

# run the notebooks
notebooks:
    {{ bin }}/pytest -q -n 0 --nbmake notebooks

# everything that must hold before a change lands
ci:
    .ci/run

# write the embedded sample again, after bt/sample.py or bt/sample_files/ has changed
sample:
    rm -rf data && {{ bin }}/bt sample data
