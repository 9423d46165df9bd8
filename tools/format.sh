#!/usr/bin/env bash
# Formats all C++ files in place; with --check only says which ones are not formatted, and fails.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

mode=(-i)
if [[ ${1:-} == --check ]]; then
  mode=(--dry-run -Werror)
elif [[ $# -gt 0 ]]; then
  echo "usage: tools/format.sh [--check]" >&2
  exit 2
fi
# One version for everyone: versions differ in taste.
find protocol consensus server client tools tests \( -name '*.h' -o -name '*.cc' \) -print0 |
  xargs -0 -r -n 20 -P 2 clang-format-14 "${mode[@]}"
