#!/usr/bin/env bash
# Fails where a file of the library includes one of a layer above its own, or
# FAISS's headers below the FAISS face. A room may include itself.
set -euo pipefail
cd "$1"

layer() {
  case "$1" in
    core/*) echo 0 core ;;
    gallery.h | engine.h) echo 1 interfaces ;;
    io/*) echo 2 io ;;
    cpu/*) echo 2 cpu ;;
    fit.*) echo 2 fit ;;
    search.*) echo 2 search ;;
    eval/*) echo 3 eval ;;
    make_engine.*) echo 3 make_engine ;;
    faiss/*) echo 4 faiss ;;
    IndexQBNorm*) echo 5 index ;;
    cli/*) echo 6 cli ;;
    *) echo "$1 is in no layer: name it in tests/check_layers.sh" >&2; exit 1 ;;
  esac
}

status=0
while IFS=: read -r file included; do
  read -r from room <<<"$(layer "$file")"
  if [[ $included == faiss/* ]]; then
    [ "$from" -ge 4 ] || { echo "$file includes <$included>"; status=1; }
    continue
  fi
  read -r to other <<<"$(layer "${included#faiss_qbnorm/}")"
  [ "$room" = "$other" ] || [ "$to" -lt "$from" ] ||
    { echo "$file (layer $from) includes $included (layer $to)"; status=1; }
done < <(grep -rnoE '#include ["<](faiss_qbnorm|faiss)/[^">]+' . \
           --include='*.h' --include='*.cpp' |
         sed -E 's|^\./||; s|:[0-9]+:#include .|:|')
exit $status
