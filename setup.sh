#!/usr/bin/env bash
# faiss_qbnorm on Debian 12: ./setup.sh says what it does.
set -euo pipefail
cd "$(dirname "$0")"

packages=(g++ cmake ninja-build libfaiss-dev libopenblas-openmp-dev
  libgtest-dev libboost-context-dev libcli11-dev nlohmann-json3-dev
  libxxhash-dev libhwy-dev libdnnl-dev python3-venv)

usage() {
  cat <<END
./setup.sh demo   install what is missing, build, and show on real data what
                  IndexQBNorm does to a FAISS index
./setup.sh test   install what is missing, build, and run the tests, once as
                  released (where nvcc is found, with the CUDA engine) and once
                  under AddressSanitizer and UBSan; where PyPI is reached, with
                  its faiss-cpu too (in build/venv)

Both install Debian packages (${packages[*]})
and build under build/. Neither needs a GPU.
END
}

# Runs a command; shows what it printed only where it fails.
quietly() {
  local log
  log=$(mktemp)
  if ! "$@" >"$log" 2>&1; then
    cat "$log" >&2
    rm -f "$log"
    echo "setup.sh: failed: $*" >&2
    exit 1
  fi
  rm -f "$log"
}

install_packages() {
  local package missing=() as_root=()
  for package in "${packages[@]}"; do
    dpkg-query -W -f '${Status}' "$package" 2>/dev/null |
      grep -q 'ok installed' || missing+=("$package")
  done
  [ ${#missing[@]} -gt 0 ] || return 0
  [ "$(id -u)" -eq 0 ] || as_root=(sudo)
  echo "installing ${missing[*]}"
  quietly "${as_root[@]}" apt-get update
  quietly "${as_root[@]}" env DEBIAN_FRONTEND=noninteractive \
    apt-get install -y --no-install-recommends "${missing[@]}"
}

# FAISS's own Python package, for tests/python.
install_faiss_cpu() {
  local wanted=tests/python/requirements.txt installed=build/venv/installed.txt
  ! cmp -s "$wanted" "$installed" || return 0
  echo "installing $(paste -sd ' ' "$wanted") in build/venv"
  if python3 -m venv build/venv && build/venv/bin/python -m pip install \
    --retries 1 --timeout 15 -r "$wanted"; then
    cp "$wanted" "$installed"
  else
    echo "PyPI was not reached: the tests with its faiss-cpu are skipped" >&3
  fi 3>&1 >/dev/null 2>&1
}

build() {
  echo "building build/$1"
  quietly cmake --preset "$1"
  quietly cmake --build --preset "$1" --parallel "$(nproc)" "${@:2}"
}

run_tests() {
  local log=build/$1/ctest.log
  echo "testing build/$1"
  if ! ctest --preset "$1" >"$log" 2>&1; then
    grep -vE '^ +Start +[0-9]+:|  Passed  ' "$log" >&2
    exit 1
  fi
  grep -E 'tests passed|Total Test time' "$log"
  local on_gpu others
  on_gpu=$(grep -cE '/cuda_.*[*]{3}Skipped' "$log" || true)
  [ "$on_gpu" -eq 0 ] ||
    echo "skipped: $on_gpu tests of the CUDA engine, which found no device"
  others=$(grep -E 'Skipped|Not Run' "$log" | grep -v '/cuda_' || true)
  [ -z "$others" ] || echo "$others"
}

# Where CUDA's compiler is found, what is tested as released has the CUDA
# engine; the sanitizers' build never has.
has_nvcc() {
  export PATH=$PATH:/usr/local/cuda/bin
  command -v nvcc >/dev/null
}

case "${1-}" in
  demo)
    install_packages
    build release --target demo
    ./build/release/bench/demo
    ;;
  test)
    install_packages
    install_faiss_cpu
    fast=release
    if has_nvcc; then
      fast=cuda
    else
      echo "no nvcc found: the CUDA engine runs on the CPU only, in its tests"
    fi
    for preset in "$fast" asan; do
      build "$preset"
      run_tests "$preset"
    done
    ;;
  "")
    usage
    ;;
  *)
    usage >&2
    exit 2
    ;;
esac
