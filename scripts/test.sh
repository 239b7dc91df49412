#!/usr/bin/env bash
# Makes .venv if absent, installs the test extra, checks the style and runs the tests, a process a core and a file at a
# time in each. Arguments go to pytest.
source "$(dirname "$0")/environment.sh" test
.venv/bin/ruff check .
.venv/bin/ruff format --check .
export OMP_NUM_THREADS="${OMP_NUM_THREADS:-1}"
exec .venv/bin/python -m pytest -n auto --dist loadfile "$@"
