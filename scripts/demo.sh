#!/usr/bin/env bash
# From nothing to verified analyses: makes .venv, installs, runs `rtma-diffda demo`. Overrides are passed on.
source "$(dirname "$0")/environment.sh" grib
exec .venv/bin/rtma-diffda demo "$@"
