#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
#
# run.sh [-e] SECONDS [BUILD [TARGET...]] - shares that time among the fuzz targets, each starting from
# its seeds; with -e each has all of it. A target is named as its folder of seeds is: gguf.
#
# BUILD is the folder of a build configured with CC=clang CXX=clang++ --enable-fuzzing (default: the
# current one). What is found stays in BUILD/tests/fuzz/found. Exit 1 when a target fails.
set -u
each=no
if [ "${1:-}" = -e ]; then
    each=yes
    shift
fi
seconds=${1:?"usage: run.sh [-e] SECONDS [BUILD [TARGET...]]"}
build=${2:-.}
shift
[ "$#" -eq 0 ] || shift
here=$(CDPATH='' cd -- "$(dirname -- "$0")" && pwd)
failed=0
ran=0
if [ "$#" -eq 0 ]; then
    for program in "$build"/tests/fuzz/fuzz_*; do
        [ -f "$program" ] && [ -x "$program" ] && set -- "$@" "${program##*/fuzz_}"
    done
fi
[ "$#" -eq 0 ] || [ "$each" = yes ] || seconds=$(((seconds + $# - 1) / $#))
mkdir -p "$build/tests/fuzz/found"
for target in "$@"; do
    name=fuzz_$target
    program=$build/tests/fuzz/$name
    corpus=$(mktemp -d) || exit 1
    case $name in
    fuzz_spiece) seeds=$corpus/seeds && mkdir "$seeds" &&
        for model in "$here"/../golden/parts/*/spiece.model; do
            cp "$model" "$seeds/$(basename "$(dirname "$model")")"
        done ;;
    *) seeds=$here/corpus/$target ;;
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
