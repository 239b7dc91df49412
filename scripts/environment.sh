# Sourced by the other scripts: makes .venv at the top of the checkout if absent, and installs the package with the
# tested versions of constraints.txt. Usage: source scripts/environment.sh EXTRA
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
extra="${1:-grib}"
python="${PYTHON:-python3}"
if [ ! -x .venv/bin/python ]; then
    "$python" -c 'import sys; sys.exit(sys.version_info < (3, 11))' || {
        echo "rtma_diffda needs Python 3.11 or newer; '$python' is $("$python" --version 2>&1)." \
            "Name another one: PYTHON=python3.12 bash $0" >&2
        exit 2
    }
    "$python" -m venv .venv
fi
echo "Installing rtma_diffda[$extra] into .venv (about a minute the first time) …"
.venv/bin/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt --editable ".[$extra]"
