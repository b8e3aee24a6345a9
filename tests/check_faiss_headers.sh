#!/usr/bin/env bash
# Compiles (syntax only) what includes FAISS against the headers of a FAISS
# checkout: tests/check_faiss_headers.sh FAISS_CHECKOUT. What includes its GPU
# indexes, only where CUDA's headers are found beside nvcc.
set -euo pipefail
checkout=$(realpath "$1")
cd "$(dirname "$0")/.."
generated=$(mktemp -d)
trap 'rm -rf "$generated"' EXIT
mkdir -p "$generated/faiss_qbnorm/faiss"

script=
for part in MAJOR MINOR PATCH; do
  number=$(grep -oP "FAISS_VERSION_$part \K\d+" "$checkout/faiss/Index.h")
  script+="s/@QBNORM_FAISS_$part@/$number/g;"
done
search1=$(grep -c 'void search1(' "$checkout/faiss/Index.h" || true)
script+="s/@QBNORM_FAISS_HAS_SEARCH1@/$search1/g;"
sed "$script" faiss_qbnorm/faiss/built_against.h.in \
  >"$generated/faiss_qbnorm/faiss/built_against.h"

cuda=$(dirname "$(command -v nvcc || echo /none/none)")/../include
for source in faiss_qbnorm/{IndexQBNorm*,index_*,attach,faiss/*,fold/*}.cpp \
  faiss_qbnorm/cli/{attach,eval_index,faiss_file,fold,search}.cpp; do
  [[ $source != */gpu_candidates.cpp || -d $cuda ]] || continue
  g++ -std=c++20 -fopenmp -fsyntax-only -Wall -Wextra -Werror \
    -I. -I"$generated" -isystem "$checkout" -isystem "$cuda" "$source"
done
