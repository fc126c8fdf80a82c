#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
#
# cli-faults.sh - every allocation and every OpenCL call of a short run fails once: the program ends
# by itself, with the right code and a message, leaves no draft, and what it calls a success is the
# same video. With "long" all of them, else a sample.
#
# VS_FAULT_SAMPLES is the size of the sample of each. Leaks are for a build with
# --enable-sanitizers=address to find: there they change the exit code.
# Work in several threads makes numbers differ by a few from run to run.

long=${1:-}
. "${srcdir:-.}/tests/cli-common.sh"
model=$source_folder/tests/golden/whole/model
n_sampled=${VS_FAULT_SAMPLES:-14}

# make_video FOLDER OPTIONS...: one chunk, kept.
make_video() {
    rm -rf "$1"
    mkdir "$1"
    timeout 60 "$program" generate -m "$model" -p "A red fox." --seed 7 --size 32x32 --fps 16 \
        --seconds 0.5 --keep "$1/run" -o "$1/v.y4m" -o "$1/frames" -o "$1/s.png" >"$1/said" 2>&1
}

same_video() {
    cmp -s good/v.y4m "$1/v.y4m" && cmp -s good/s.png "$1/s.png" &&
        cmp -s good/frames/frame_000005.png "$1/frames/frame_000005.png"
}

# survives KIND NUMBER CODES: what it may end with, beside 0.
survives() {
    code=0
    VS_FAIL=$1:$2 make_video bad || code=$?
    if [ "$code" -eq 0 ]; then
        same_video bad && return 0
        why="another video"
    elif [ -n "$(find bad -name '.*.part')" ]; then
        why="a draft is left"
    else
        for allowed in $3; do
            [ "$code" -eq "$allowed" ] && grep -q 'videossm-cl: error: .' bad/said && return 0
        done
        why="code $code"
    fi
    echo "VS_FAIL=$1:$2: $why: $(tail -n 3 bad/said)" | tee -a failures
    return 1
}

# numbers N: all up to N, or a sample spread over them.
numbers() {
    [ "$long" = long ] && step=1 || step=$((($1 + n_sampled - 1) / n_sampled))
    seq "$step" "$step" "$1"
}

VS_FAIL_COUNT=$work/counts
export VS_FAIL_COUNT
check "a video" make_video good
unset VS_FAIL_COUNT
check "is counted" grep -q '^opencl [1-9]' counts
n_memory=$(sed -n 's/^memory //p' counts)
n_opencl=$(sed -n 's/^opencl //p' counts)

for i in $(numbers "$n_memory"); do
    check "allocation $i of $n_memory" survives memory "$i" 4
done
for i in $(numbers "$n_opencl"); do
    check "OpenCL call $i of $n_opencl" survives opencl "$i" "1 4"
done
# From one on: no second try helps.
for i in 1 100 $((n_opencl / 2)); do
    check "OpenCL calls from $i on" survives opencl "$i-" "1 4"
    check "allocations from $i on" survives memory "$i-" 4
done

finish
