#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
#
# cli-faults.sh - every allocation and every OpenCL call of a short run fails once: the program ends
# by itself, with the right code and a message, leaves no draft, and what it calls a success is the
# same video. With "long" all of them, else a sample.
#
# Each fault takes a process of its own, so the model is tiny. One program and the self-test's result
# are missing in the cache each time, so that compiling and storing fail too.
#
# VS_FAULT_SAMPLES is the size of the sample of each, VS_FAULT_JOBS how many run at a time. Leaks and
# what sanitizers say are for a build with --enable-sanitizers to find.
# Work in several threads makes numbers differ by a few from run to run, so "long" goes a little past
# the end.

long=${1:-}
: "${POCL_CACHE_DIR:=${XDG_CACHE_HOME:-$HOME/.cache}/pocl/kcache}"
export POCL_CACHE_DIR
. "${srcdir:-.}/tests/cli-common.sh"
. "$source_folder/tests/cli-tiny.sh"
n_sampled=${VS_FAULT_SAMPLES:-14}
if [ "$long" = long ]; then
    n_jobs=${VS_FAULT_JOBS:-$(getconf _NPROCESSORS_ONLN)}
else
    n_jobs=${VS_FAULT_JOBS:-1}
fi

# ---- A run ---------------------------------------------------------------------------------------

# forget CACHE: the self-test's result, and one program.
forget() {
    rm -rf "$1/videossm-cl/selftest" "$1/videossm-cl/programs/$missing"
}

# make_video FOLDER CACHE: one chunk, kept with a checkpoint, which time would decide on otherwise.
make_video() {
    rm -rf "$1"
    mkdir "$1"
    XDG_CACHE_HOME=$2 timeout 60 "$program" generate -m "$tiny" -p "A red fox." --seed 7 --size 16x16 \
        --fps 16 --seconds 0.3 --keep "$1/run" --checkpoint-every 1 -o "$1/v.y4m" -o "$1/frames" \
        -o "$1/s.png" >"$1/said" 2>&1
}

same_video() {
    cmp -s good/v.y4m "$1/v.y4m" && cmp -s good/s.png "$1/s.png" &&
        diff -r good/frames "$1/frames" >/dev/null
}

# survives KIND NUMBER CODES: what it may end with, beside 0. In $room, a folder of its own.
survives() {
    bad=$room/bad
    for try in 1 2; do
        forget "$room/cache"
        code=0
        VS_FAIL=$1:$2 make_video "$bad" "$work/$room/cache" || code=$?
        # As in cli-common.sh: a crash of LeakSanitizer says nothing of the program.
        grep -q "LeakSanitizer has encountered a fatal error" "$bad/said" || break
    done
    if grep -q 'ERROR: [A-Za-z]*Sanitizer\|: runtime error: ' "$bad/said"; then
        why="a sanitizer"
    elif [ "$code" -eq 0 ]; then
        same_video "$bad" && return 0
        why="another video"
    elif [ "$code" -eq 124 ]; then
        why="no end"
    elif [ -n "$(find "$bad" -name '.*.part')" ]; then
        why="a draft is left"
    else
        for allowed in $3; do
            [ "$code" -eq "$allowed" ] && grep -q 'videossm-cl: error: .' "$bad/said" && return 0
        done
        why="code $code"
    fi
    echo "VS_FAIL=$1:$2: $why: $(head -n 40 "$bad/said")"
    return 1
}

# ---- Many runs -----------------------------------------------------------------------------------

# fail_some JOB KIND N CODES: those of the first N, or of a sample of them, that are that job's.
fail_some() {
    room=room.$1
    last=$3
    step=$(((last + n_sampled - 1) / n_sampled))
    if [ "$long" = long ]; then
        last=$((last + last / 100))
        step=1
    fi
    n_failed=0
    n_passed=0
    for i in $(seq $((step * ($1 + 1))) $((step * n_jobs)) "$last"); do
        # The folder goes when the whole test is interrupted, and the job should.
        [ -d "$room" ] || exit 1
        check "$2 $i of $3" survives "$2" "$i" "$4"
    done
    echo "$n_passed $n_failed" >"$room/tally"
}

# fail_all KIND N CODES
fail_all() {
    job=0
    while [ "$job" -lt "$n_jobs" ]; do
        : >"room.$job/tally"
        fail_some "$job" "$@" &
        job=$((job + 1))
    done
    wait
    job=0
    while [ "$job" -lt "$n_jobs" ]; do
        read -r passed failed <"room.$job/tally" || {
            echo "FAIL: job $job came to no end"
            passed=0
            failed=1
        }
        n_passed=$((n_passed + passed))
        n_failed=$((n_failed + failed))
        job=$((job + 1))
    done
    echo "$1: $2 in all; so far $n_passed passed, $n_failed failed"
}

check "a model" make_tiny
check "a first video" make_video good "$work/cache"
missing=$(cd cache/videossm-cl/programs && find . -type f | sort | head -n 1)
check "programs are kept" [ -n "$missing" ]
job=0
while [ "$job" -lt "$n_jobs" ]; do
    mkdir "room.$job" && cp -rp cache "room.$job/cache"
    job=$((job + 1))
done
forget cache
VS_FAIL_COUNT=$work/counts
export VS_FAIL_COUNT
check "a video" make_video again "$work/cache"
unset VS_FAIL_COUNT
check "is the same" same_video again
check "is counted" grep -q '^opencl [1-9]' counts
n_memory=$(sed -n 's/^memory //p' counts)
n_opencl=$(sed -n 's/^opencl //p' counts)

rm -f stderr
fail_all memory "$n_memory" 4
fail_all opencl "$n_opencl" "1 4"
# From one on: no second try helps.
room=room.0
for i in 1 100 $((n_opencl / 2)); do
    check "OpenCL calls from $i on" survives opencl "$i-" "1 4"
    check "allocations from $i on" survives memory "$i-" 4
done

finish
