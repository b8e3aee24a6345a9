#!/usr/bin/env bash
# Fails where a file of the library includes one of a layer above its own, or
# FAISS's or CUDA's headers outside their rooms. A room may include itself; in
# cuda/ a prefix is a level (kernel_ > cta_ > warp_), and includes point down.
set -euo pipefail
cd "$1"

layer() {
  case "$1" in
    faiss_qbnorm/core/*) echo 0 core ;;
    faiss_qbnorm/gallery.h | faiss_qbnorm/engine.h) echo 1 interfaces ;;
    faiss_qbnorm/io/*) echo 2 io ;;
    faiss_qbnorm/cpu/*) echo 2 cpu ;;
    cuda/*) echo 2 cuda ;;
    faiss_qbnorm/make_engine.*) echo 3 make_engine ;;
    faiss_qbnorm/similarities/*) echo 3 similarities ;;
    faiss_qbnorm/fit.* | faiss_qbnorm/fit/*) echo 4 fit ;;
    faiss_qbnorm/search.* | faiss_qbnorm/rerank_dualdis.*) echo 3 search ;;
    faiss_qbnorm/eval/*) echo 5 eval ;;
    faiss_qbnorm/tune/*) echo 6 tune ;;
    faiss_qbnorm/faiss/*) echo 7 faiss ;;
    faiss_qbnorm/fold/*) echo 8 fold ;;
    faiss_qbnorm/IndexQBNorm* | faiss_qbnorm/index_*) echo 8 index ;;
    faiss_qbnorm/attach.*) echo 8 index ;;
    faiss_qbnorm/cli/*) echo 9 cli ;;
    faiss_qbnorm/examples/*) echo 9 examples ;;
    *) echo "$1 is in no layer: name it in tests/check_layers.sh" >&2; exit 1 ;;
  esac
}

status=0
wrong() {
  echo "$1 includes $2"
  status=1
}
while IFS=: read -r file included; do
  read -r from room <<<"$(layer "$file")"
  case "$included" in
    faiss/*)
      [ "$from" -ge 7 ] || wrong "$file" "<$included>"
      continue
      ;;
    cuda_* | cublas* | cub/*)
      [ "$room" = cuda ] || wrong "$file" "<$included>"
      continue
      ;;
  esac
  read -r to other <<<"$(layer "$included")"
  [ "$room" = "$other" ] || [ "$to" -lt "$from" ] ||
    wrong "$file (layer $from)" "$included (layer $to)"
  case "$file $included" in
    cuda/warp*" "cuda/cta_* | cuda/warp*" "cuda/kernel_* | \
      cuda/cta_*" "cuda/kernel_*) wrong "$file" "$included" ;;
  esac
done < <(grep -rnoE '#include ["<](faiss_qbnorm|faiss|cuda|cuda_[a-z0-9]+\.h|cublas_v2\.h|cub)[^">]*' \
           faiss_qbnorm cuda --include='*.h' --include='*.cpp' --include='*.cu' |
         sed -E 's|:[0-9]+:#include .|:|')
exit $status
