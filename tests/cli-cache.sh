#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
#
# cli-cache.sh - processes that share the cache of compiled programs, from an empty one on: two at a
# time, and one of them killed in the middle, give the video that one alone gives. With "long" the
# driver's own cache is empty too, and more moments are tried.

long=${1:-}
: "${POCL_CACHE_DIR:=${XDG_CACHE_HOME:-$HOME/.cache}/pocl/kcache}"
. "${srcdir:-.}/tests/cli-common.sh"
model=$source_folder/tests/golden/whole/model
delays=0.15
if [ "$long" = long ]; then
    POCL_CACHE_DIR=$work/cache/pocl
    delays="0.2 0.6 1.2 2.5"
fi
export POCL_CACHE_DIR
XDG_CACHE_HOME=$work/cache
export XDG_CACHE_HOME

# make_video NAME: becomes the program, so that $! is its number.
make_video() {
    exec "$program" generate -q -m "$model" -p "A red fox." --seed 7 --size 32x32 --fps 16 \
        --seconds 0.5 -o "$1.y4m" 2>"$1.said" </dev/null
}

check "one alone, without the cache" sh -c 'VS_CACHE=off "$0" generate -q -m "$1" -p "A red fox." \
    --seed 7 --size 32x32 --fps 16 --seconds 0.5 -o alone.y4m' "$program" "$model"
rm -rf cache

make_video a &
first=$!
make_video b &
second=$!
check "the first of two" wait "$first"
check "the second of two" wait "$second"
check "the first's video" cmp alone.y4m a.y4m
check "the second's video" cmp alone.y4m b.y4m
check "programs are kept" sh -c 'ls cache/videossm-cl/programs | grep -q .'
check "and no drafts of them" sh -c '! ls cache/videossm-cl/programs | grep -q ^new-'

# The killed one is somewhere among its programs: later each time.
for delay in $delays; do
    rm -rf cache
    make_video a &
    first=$!
    make_video b &
    second=$!
    sleep "$delay"
    kill -KILL "$first" 2>/dev/null
    wait "$first" 2>/dev/null
    check "the one that lives, $delay s" wait "$second"
    check "its video, $delay s" cmp alone.y4m b.y4m
    rm -f a.y4m
    make_video a &
    check "the next one, $delay s" wait $!
    check "the next one's video, $delay s" cmp alone.y4m a.y4m
done

finish
