#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
#
# run.sh SECONDS [BUILD] - shares that time among all fuzz targets, each starting from its seeds.
#
# BUILD is the folder of a build configured with CC=clang CXX=clang++ --enable-fuzzing (default: the
# current one). What is found stays in BUILD/tests/fuzz/found. Exit 1 when a target fails.
set -u
seconds=${1:?"usage: run.sh SECONDS [BUILD]"}
build=${2:-.}
here=$(CDPATH='' cd -- "$(dirname -- "$0")" && pwd)
failed=0
ran=0
targets=0
for program in "$build"/tests/fuzz/fuzz_*; do
    [ -f "$program" ] && [ -x "$program" ] && targets=$((targets + 1))
done
[ "$targets" -eq 0 ] || seconds=$(((seconds + targets - 1) / targets))
mkdir -p "$build/tests/fuzz/found"
for program in "$build"/tests/fuzz/fuzz_*; do
    [ -f "$program" ] && [ -x "$program" ] || continue
    name=$(basename "$program")
    corpus=$(mktemp -d) || exit 1
    case $name in
    fuzz_spiece) seeds=$corpus/seeds && mkdir "$seeds" &&
        for model in "$here"/../golden/parts/*/spiece.model; do
            cp "$model" "$seeds/$(basename "$(dirname "$model")")"
        done ;;
    *) seeds=$here/corpus/${name#fuzz_} ;;
    esac
    mkdir "$corpus/new"
    log=$build/tests/fuzz/found/$name.log
    if "$program" -max_total_time="$seconds" -timeout=30 -rss_limit_mb=2048 -close_fd_mask=1 \
        -artifact_prefix="$build/tests/fuzz/found/$name-" "$corpus/new" "$seeds" >"$log" 2>&1
    then
        echo "PASS $name: $(sed -n 's/^Done \([0-9]* runs\).*/\1/p' "$log")"
    else
        echo "FAIL $name: see $log"
        tail -n 30 "$log"
        failed=1
    fi
    ran=$((ran + 1))
    rm -rf "$corpus"
done
if [ "$ran" -eq 0 ]; then
    echo "no fuzz targets in $build; configure with CC=clang CXX=clang++ --enable-fuzzing" >&2
    exit 1
fi
exit "$failed"
