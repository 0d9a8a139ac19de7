#!/bin/sh
# Prints the path of a Python that has moto's server: the one at hand if it does, else one in the virtual environment $1,
# which is made once.
set -eu
has='import moto.server, moto.s3.models, werkzeug.serving, botocore.auth'
if python3 -c "$has" 2>/dev/null; then
    exec python3 -c 'import sys; print(sys.executable)'
fi
if ! "$1/bin/python" -c "$has" 2>/dev/null; then
    rm -rf "$1"
    python3 -m venv "$1"
    "$1/bin/pip" install --quiet --disable-pip-version-check 'moto[server,s3]>=5.1,<6' >&2
fi
echo "$1/bin/python"
