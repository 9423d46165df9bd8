# shellcheck shell=bash disable=SC2034
# What tools/run, tools/test and .ci/run share. Sourced, never run; the caller has set -euo pipefail.

cd "$(dirname "${BASH_SOURCE[0]}")/.." || exit
root=$PWD
cores=$(nproc)

say() { printf '%s\n' "$*"; }
warn() { printf '%s\n' "$*" >&2; }
# die STATUS MESSAGE...
die() {
  local status=$1
  shift
  warn "$(basename "$0"): $*"
  exit "$status"
}

# Services and containers may come without a home directory; ccache needs a place then.
if [[ -z ${HOME:-} ]]; then export CCACHE_DIR=${CCACHE_DIR:-$root/build/ccache}; fi

# build_preset PRESET [TARGET...]: configures and builds; without targets everything.
build_preset() {
  local preset=$1
  shift
  local targets=()
  if [[ $# -gt 0 ]]; then targets=(--target "$@"); fi
  # Quick when nothing changed: cmake looks at its own files only.
  local log=build/configure-$preset.log
  mkdir -p build
  if ! cmake --preset "$preset" >"$log" 2>&1; then
    cat "$log" >&2
    return 1
  fi
  cmake --build --preset "$preset" -j "$cores" "${targets[@]}"
}

# run_tests PRESET CTEST-ARGUMENT...: runs tests of a built preset and sets `passed` and `failed`. A test that
# did not run counts as failed, and so does an empty set. Never fails itself: the caller looks at `failed`.
passed=0
failed=0
run_tests() {
  local preset=$1
  shift
  local report=$root/build/$preset/tests.xml
  rm -f "$report"
  ctest --test-dir "build/$preset" -j "$cores" --output-on-failure --no-tests=error \
    --output-junit "$report" "$@" </dev/null || true
  read -r passed failed < <(count_tests "$report")
}

count_tests() {
  python3 - "$1" <<'PYTHON' || echo "0 1"
import sys
import xml.etree.ElementTree

cases = xml.etree.ElementTree.parse(sys.argv[1]).getroot().findall("testcase")
passed = sum(case.get("status") == "run" for case in cases)
print(passed, len(cases) - passed or (0 if passed else 1))
PYTHON
}
