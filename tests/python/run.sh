#!/usr/bin/env bash
# Runs the Python tests with FAISS's own package in the virtual environment that
# setup.sh makes; skipped (77) without it: tests/python/run.sh SOURCE PROGRAM
set -euo pipefail
python=$1/build/venv/bin/python
if ! "$python" -c 'import faiss, numpy' 2>/dev/null; then
  echo "no faiss-cpu in build/venv: ./setup.sh test installs it" >&2
  exit 77
fi
exec "$python" "$1/tests/python/test_folded.py" "$1" "$2"
