#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
#
# check_variants.sh - tools/kernel_variants.txt says what is compiled for GPUs offline; here it is
# compared with what the launchers build for golden cases and, since those ask for no halves in the
# cache, for the family that writes them, as a CPU and as a GPU. With the argument FILE, which a whole
# `make check` wrote under VS_TRACE_BUILDS, a row that no test built is a fault.
command -v python3 >/dev/null || { echo "SKIP: python3 is not installed"; exit 77; }
srcdir=${srcdir:-.}
folder=$(mktemp -d) || exit 1
trap 'rm -rf "$folder"' EXIT

VS_TRACE_BUILDS=$folder/defaults
export VS_TRACE_BUILDS
for VS_LAUNCH_AS in cpu gpu; do
    export VS_LAUNCH_AS
    {
        tests/golden-run "$srcdir/tests/golden" whole/hybrid parts/umt5 ops/activations &&
            tests/check_pointwise
    } >"$folder/log" 2>&1 || {
        grep -v '^PASS' "$folder/log"
        exit 1
    }
done
python3 "$srcdir/tools/check_offline.py" --root "$srcdir" \
    --traces "$folder/defaults" ${1:+"$1"} || exit 1
echo "1 passed, 0 failed"
