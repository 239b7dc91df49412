#!/usr/bin/env bash
# Makes .venv if absent, installs the test extra, checks the style and runs the tests. Arguments go to pytest.
source "$(dirname "$0")/environment.sh" test
.venv/bin/ruff check .
.venv/bin/ruff format --check .
exec .venv/bin/python -m pytest "$@"
