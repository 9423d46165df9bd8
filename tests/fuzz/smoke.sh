#!/usr/bin/env bash
# usage: smoke.sh FUZZER SEEDS_FOLDER: runs one fuzzer for LOCKD_FUZZ_SECONDS (30), starting from its seeds.
# What it finds stays in <working folder>/corpus/, so that the next run starts from there; an input that
# crashes is written to the working folder, and `FUZZER FILE` runs it again.
set -euo pipefail
fuzzer=$1
seeds=$2
corpus=corpus/$(basename "$fuzzer")
mkdir -p "$corpus"
folders=("$corpus")
if [[ -d $seeds ]]; then folders+=("$seeds"); fi
exec "$fuzzer" -max_total_time="${LOCKD_FUZZ_SECONDS:-30}" -timeout=10 -rss_limit_mb=1024 \
  -print_final_stats=1 "${folders[@]}"
