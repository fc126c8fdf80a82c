#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
#
# cli-valgrind.sh - a short run under valgrind has no error and no leak that tests/valgrind.supp does
# not lay at a driver's door. Skipped without valgrind, and in builds with a sanitizer, which do not
# bear it.

command -v valgrind >/dev/null || exit 77
. "${srcdir:-.}/tests/cli-common.sh"
grep -q __asan_init "$program" && exit 77
. "$source_folder/tests/cli-tiny.sh"

# clean ARGUMENTS...: the program ends well, and valgrind has nothing to say.
clean() {
    exits 0 valgrind -q --num-callers=40 --leak-check=full --error-exitcode=99 \
        --errors-for-leak-kinds=definite,indirect --show-leak-kinds=definite,indirect \
        --suppressions="$source_folder/tests/valgrind.supp" "$program" "$@" ||
        { sed 's/^/    /' stderr; return 1; }
}

# The first run compiles: what the driver's compiler does is none of ours.
check "a model" make_tiny
check "a chunk, to compile it" exits 0 "$program" generate -q -m "$tiny" -p "A red fox." --seed 7 \
    --size 16x16 --fps 16 --seconds 0.3 -o a.y4m
check "a chunk" clean generate -q -m "$tiny" -p "A red fox." --seed 7 --size 16x16 --fps 16 \
    --seconds 0.3 --keep run -o b.y4m -o frames -o sheet.png
check "has the same frames" cmp a.y4m b.y4m
check "a finished run" clean generate -q --resume run
check "inspect" clean inspect "$tiny"
check "convert" clean convert "$tiny/diffusion_pytorch_model.safetensors" -o c.gguf

finish
