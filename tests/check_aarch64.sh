#!/usr/bin/env bash
# Compiles what knows neither FAISS nor x86 for aarch64. Skipped (77) without
# Debian's g++-aarch64-linux-gnu.
set -euo pipefail
cd "$1"
compiler=aarch64-linux-gnu-g++
command -v "$compiler" >/dev/null || exit 77
headers=$(mktemp -d)
trap 'rm -rf "$headers"' EXIT
ln -s /usr/include/hwy /usr/include/xxhash.h "$headers"  # and nothing of this machine

for source in faiss_qbnorm/{core,cpu,eval,io}/*.cpp \
  faiss_qbnorm/{fit,search,make_engine}.cpp; do
  [[ $source != */product_onednn.cpp ]] || continue
  "$compiler" -std=c++20 -O1 -fopenmp -Wall -Wextra -Werror -ffp-contract=off \
    -I. -isystem "$headers" -c "$source" -o /dev/null
done
