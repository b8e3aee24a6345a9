#!/usr/bin/env bash
# Fails where a file is not as .clang-format has it; skipped (77) without the
# clang-format that the project is kept with.
set -euo pipefail
cd "$1"
clang-format --version 2>/dev/null | grep -q 'version 14\.' || exit 77
find faiss_qbnorm cuda tests bench -name '*.h' -o -name '*.cpp' -o -name '*.cu' |
  xargs clang-format --dry-run -Werror
