#!/usr/bin/env bash
# Makes .venv with the locked dependencies and auditdeck itself, once; again whenever the lock changes.
set -euo pipefail
cd "$(dirname "$0")/.."

# Debian's interpreter is built with profile-guided optimisation, which is worth 40 % on the hot path.
python=${PYTHON:-}
if [ -z "$python" ]; then
    python=python3
    if /usr/bin/python3 -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then
        python=/usr/bin/python3
    fi
fi
if ! "$python" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then
    if [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null; then
        scripts/apt-install.sh python3 python3-venv
        python=/usr/bin/python3
    else
        echo "auditdeck needs Python 3.11 or newer; install it, or name it: make PYTHON=/path/to/python3" >&2
        exit 1
    fi
fi
if ! "$python" -c 'import ensurepip, venv' 2>/dev/null; then
    scripts/apt-install.sh python3-venv
fi

lock=requirements/dev.lock
stamp=.venv/.lock
if ! cmp -s "$lock" "$stamp"; then
    echo "setup: making .venv from $lock (once)" >&2
    "$python" -m venv --clear .venv
    .venv/bin/pip install --quiet --disable-pip-version-check --require-hashes -r "$lock"
    .venv/bin/pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation -e .
    cp "$lock" "$stamp"
fi
.venv/bin/python hatch_build.py
