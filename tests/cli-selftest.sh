#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
#
# cli-selftest.sh - a device that computes wrongly is refused, by name of what went wrong.
#
# The device is made wrong by kernels of one family whose results are off by their last bit: a copy
# of the OpenCL C under VS_KERNEL_DIR in which the family multiplies each fma by 1 + 2^-23.
set -u
. "${srcdir:=.}/tests/cli-common.sh"

XDG_CACHE_HOME=$work/cache
export XDG_CACHE_HOME
# PoCL's own cache is worth keeping.
[ -n "${POCL_CACHE_DIR:-}" ] || export POCL_CACHE_DIR="$HOME/.cache/pocl/kcache"

generate() {
    run "$program" generate -m "$model" -p "a red circle" --seconds 0.1 --seed 1 -o - "$@"
}

# break_family NAME: kernels/ with that family wrong.
break_family() {
    rm -rf "$work/kernels"
    cp -r "$source_folder/kernels" "$work/kernels"
    chmod -R u+w "$work/kernels"
    file=$work/kernels/$1/$1.cl
    case $1 in
    # Rounding to bytes hides a last bit.
    pixels) sed 's/\brint(/1.0f + rint(/' ;;
    *) sed 's/\bfma(/1.00000012f * fma(/g' ;;
    esac <"$file" >"$work/broken.cl"
    cmp -s "$file" "$work/broken.cl" && echo "$1 has not been broken"
    mv "$work/broken.cl" "$file"
}

# refuses FAMILY
refuses() {
    VS_KERNEL_DIR=$work/kernels
    export VS_KERNEL_DIR
    generate
    unset VS_KERNEL_DIR
    [ "$code" = 6 ] || { echo "exit code $code, not 6"; return 1; }
    [ ! -s stdout ] || { echo "frames were written"; return 1; }
    says "self-test of $1 failed" && says "--unsafe"
}

for family in pointwise norm gemm attention memory rope conv pixels; do
    break_family $family
    check "wrong $family is refused" refuses $family
done

# The kernels as they are pass from a folder as well, and the verdict is kept on disk only for
# kernels that are part of the program.
untouched() {
    rm -rf "$work/kernels"
    cp -r "$source_folder/kernels" "$work/kernels"
    VS_KERNEL_DIR=$work/kernels
    export VS_KERNEL_DIR
    generate
    unset VS_KERNEL_DIR
    [ "$code" = 0 ] && [ ! -d "$XDG_CACHE_HOME/videossm-cl/selftest" ]
}
check "right kernels pass" untouched

kept() {
    generate
    [ "$code" = 0 ] && [ "$(ls "$XDG_CACHE_HOME/videossm-cl/selftest" | wc -l)" = 1 ]
}
check "a device that passed is remembered" kept

unsafe() {
    break_family norm
    VS_KERNEL_DIR=$work/kernels
    export VS_KERNEL_DIR
    generate --unsafe
    unset VS_KERNEL_DIR
    [ "$code" = 0 ] && [ -s stdout ] && says "warning: --unsafe" && says "self-test of norm failed"
}
check "--unsafe goes on, with a warning" unsafe

echo "$n_passed passed, $n_failed failed"
[ "$n_failed" = 0 ]
