#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
#
# cli-valgrind.sh - a short run under valgrind has no error and no leak that tests/valgrind.supp does
# not lay at a driver's door. Part of make check-long; skipped without valgrind.

command -v valgrind >/dev/null || exit 77
. "${srcdir:-.}/tests/cli-common.sh"
model=$source_folder/tests/golden/whole/model

clean() {
    exits 0 valgrind -q --num-callers=40 --leak-check=full --error-exitcode=99 \
        --errors-for-leak-kinds=definite,indirect --show-leak-kinds=definite,indirect \
        --suppressions="$source_folder/tests/valgrind.supp" "$program" "$@"
}

# The first run compiles: what the driver's compiler does is none of ours.
check "a chunk, to compile it" exits 0 "$program" generate -q -m "$model" -p "A red fox." --seed 7 \
    --size 32x32 --fps 16 --seconds 0.5 -o a.y4m
check "a chunk" clean generate -q -m "$model" -p "A red fox." --seed 7 --size 32x32 --fps 16 \
    --seconds 0.5 --keep run -o b.y4m -o frames -o sheet.png
check "has the same frames" cmp a.y4m b.y4m
check "a finished run" clean generate -q --resume run
check "inspect" clean inspect "$model"
check "convert" clean convert "$model/diffusion_pytorch_model.safetensors" -o c.gguf

finish
