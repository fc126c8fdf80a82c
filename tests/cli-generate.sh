#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
#
# cli-generate.sh - the program at work: equal runs, replay, outputs, interruption, full disks.

. "${srcdir:-.}/tests/cli-common.sh"
prompt="a blue square moves left and right on a sand background"
short="--seconds 0.75 --seed 7"

generate() { "$program" generate -m "$model" -p "$prompt" "$@"; }
same_folder() { diff -r "$1" "$2" >/dev/null; }
differ() { ! cmp -s "$1" "$2"; }
leaves_no_drafts() { ! find . -name '.*.part' | grep -q .; }
ends_well() { [ "$(tail -c 8 "$1" | od -An -tx1 | tr -d ' \n')" = 49454e44ae426082 ]; }
all_end_well() {
    for picture in "$1"/frame_*.png; do
        ends_well "$picture" || { echo "$picture is not complete"; return 1; }
    done
}
count_frames() { find "$1" -name 'frame_*.png' | grep -c .; }

# The pictures of a y4m file, from its size; its header has no frame count.
y4m_frames() {
    set -- "$1" $(head -n 1 "$1" | sed 's/YUV4MPEG2 W\([0-9]*\) H\([0-9]*\) .*/\1 \2/')
    header=$(head -n 1 "$1" | wc -c)
    rest=$(($(wc -c <"$1") - header))
    frame=$((6 + $2 * $3 * 3))
    [ $((rest % frame)) -eq 0 ] && echo $((rest / frame))
}

films=
generate -m nowhere -o x.mp4 2>stderr
if grep -q "without FFmpeg" stderr; then
    echo "built without FFmpeg: mp4 is not tested"
else
    films=yes
fi

# ---- Equal runs, all outputs ---------------------------------------------------------------------

film=${films:+-o a.mp4}
check "all outputs at once" exits 0 generate $short -o a $film -o a.png -o a.y4m
check "nothing on standard output" [ ! -s stdout ]
check "the seed is told" says "seed    7"
check "the outputs are told" says "a.y4m"
check "12 frames" [ "$(count_frames a)" -eq 12 ]
check "no 13th frame" [ ! -e a/frame_000012.png ]
check "12 frames of y4m" [ "$(y4m_frames a.y4m)" = 12 ]
check "no drafts are left" leaves_no_drafts
check "whole pictures" all_end_well a
film=${films:+-o b.mp4}
check "the same again, quietly" exits 0 generate $short -q -o b $film -o b.png -o b.y4m
check "--quiet is quiet" [ ! -s stderr ]
check "equal frames" same_folder a b
check "equal sheets" cmp a.png b.png
check "equal y4m" cmp a.y4m b.y4m
[ -z "$films" ] || check "equal mp4" cmp a.mp4 b.mp4
check "an existing folder" exits 0 generate --seconds 0.1 --seed 8 -q -o b
check "frames are replaced" differ a/frame_000000.png b/frame_000000.png
check "other frames stay" cmp a/frame_000011.png b/frame_000011.png
check "settings are in the picture" grep -aq '"seed":"7"' a/frame_000000.png
check "settings are there for people" grep -aq 'Seed: 7, Size: ' a/frame_000000.png
check "no device in the picture" sh -c '! grep -aqi -e opencl -e device -e cpu a/frame_000000.png'

check "the same again, offloaded" exits 0 generate $short -q -o o --offload
check "equal frames, offloaded" same_folder a o

# ---- Replay --------------------------------------------------------------------------------------

check "replay of a frame" exits 0 "$program" replay -m "$model" a/frame_000005.png -q -o c
check "replay of a frame gives the frames" same_folder a c
check "replay, offloaded" exits 0 "$program" replay -m "$model" a/frame_000005.png -q -o p --offload
check "gives the frames" same_folder a p
check "replay of the folder" exits 0 "$program" replay -m "$model" a/ -q -o d.y4m
check "replay of the folder gives the video" cmp a.y4m d.y4m
check "replay of the sheet" exits 0 "$program" replay -m "$model" a.png -q -o d.png
check "replay of the sheet gives the sheet" cmp a.png d.png
if [ -n "$films" ]; then
    check "replay of the film" exits 0 "$program" replay -m "$model" a.mp4 -q
    check "replay of the film gives the film" cmp a.mp4 a-replay.mp4
fi
sed 's/"model":"[0-9a-f]\{8\}/"model":"00000000/' a.png >other.png
check "halves in the cache" exits 0 generate --seconds 0.1 --seed 8 -q --kv f16 -o half.png
check "floats in the cache" exits 0 generate --seconds 0.1 --seed 8 -q --kv f32 -o float.png
check "halves make another video" differ half.png float.png
check "replay knows of halves" exits 0 "$program" replay -m "$model" half.png -q -o half2.png
check "replay with halves gives the sheet" cmp half.png half2.png
check "a damaged record is refused" fails 2 "other.png" "$program" replay -m "$model" other.png -o x
check "nothing was made from it" [ ! -e x ]

# ---- Settings make a difference ------------------------------------------------------------------

check "another seed" exits 0 generate --seconds 0.1 --seed 9 -q -o e
check "another seed, another video" differ a/frame_000000.png e/frame_000000.png
check "a switch of prompts" exits 0 generate $short -q -o f.y4m \
    --at 0.3 "a red circle moves up and down on a night background"
check "it begins the same" sh -c 'head -c 100000 a.y4m >h1; head -c 100000 f.y4m >h2; cmp -s h1 h2'
check "and goes on otherwise" differ a.y4m f.y4m
printf '[{"at": 0.3, "prompt": "%s"}, {"at": 0, "prompt": "%s"}]' \
    "a red circle moves up and down on a night background" "$prompt" >script.json
check "the same as a script" exits 0 \
    "$program" generate -m "$model" $short -q --script script.json -o g.y4m
check "gives the same" cmp f.y4m g.y4m
check "size and rate" exits 0 generate --size 64x48 --fps 8 --seconds 0.5 --seed 1 -q -o h.y4m
check "are as asked" sh -c 'head -n 1 h.y4m | grep -q "W64 H48 F8:1 "'
check "4 frames" [ "$(y4m_frames h.y4m)" = 4 ]
check "a random seed" exits 0 generate --seconds 0.1 -o i
check "is told" says "drawn at random"
check "a prompt after the end" exits 0 generate --seconds 0.1 --seed 1 -o i --at 50 later
check "is told" says "after the end"

# ---- Standard output, progress -------------------------------------------------------------------

check "y4m on standard output" exits 0 generate $short -o -
check "and nothing else there" cmp stdout a.y4m
check "progress on standard error" says "12/12 frames"
check "progress for programs" exits 0 generate $short -o i --progress json
check "is JSON on every line" sh -c '! grep -qv "^{\"event\":\".*}\$" stderr'
check "has a begin and an end" sh -c 'head -n 1 stderr | grep -q begin && tail -n 1 stderr |
    grep -q "\"status\":0"'
profile_adds_up() {
    python3 - "$1" <<'PYTHON'
import json, sys
lines = [json.loads(line) for line in open(sys.argv[1])]
profile, = [line for line in lines if line["event"] == "profile"]
families = {family["family"]: family for family in profile["families"]}
assert {"gemm", "attention", "conv", "memory", "norm", "rope", "pointwise", "pixels"} <= set(families)
assert "bench" not in families
assert abs(sum(family["share"] for family in families.values()) - 1) < 1e-3
assert 0 < profile["kernel_seconds"] <= profile["seconds"]
assert profile["peak_gflops"] > 0 and profile["copy_gbs"] > 0
for family in families.values():
    kernels = family["kernels"]
    assert sum(kernel["launches"] for kernel in kernels) == family["launches"] > 0
    assert abs(sum(kernel["seconds"] for kernel in kernels) - family["seconds"]) < 1e-3
    assert family["gflops"] > 0 and family["gbs"] > 0
PYTHON
}
check "a profile" exits 0 generate $short -o k.y4m --profile --progress json
check "adds up" profile_adds_up stderr
check "and changes no frame" cmp k.y4m a.y4m
check "a profile for people" exits 0 generate $short -o l.y4m --profile
check "names families" grep -q '^gemm .*%' stderr
check "no colour outside a terminal" sh -c '! grep -q "$(printf "\033")" stderr'

# ---- Full disks, closed pipes --------------------------------------------------------------------

if [ -c /dev/full ]; then
    check "full disk behind standard output" fails 1 "No space" \
        sh -c '"$0" "$@" >/dev/full' "$program" generate -m "$model" -p "$prompt" $short -q -o -
    for kind in y4m png ${films:+mp4}; do
        ln -s /dev/full "full.$kind"
        check "full disk, $kind" fails 1 "full.$kind" generate $short -q -o "full.$kind"
    done
fi
# The limit leaves room for what a device's compiler writes; 60 frames do not fit.
check "file too large" fails 1 "File too large" sh -c 'ulimit -f 2048; "$0" "$@"' \
    "$program" generate -m "$model" -p "$prompt" --seconds 600 --seed 7 -q -o large.y4m -o large
check "leaves no film" [ ! -e large.y4m ]
check "leaves whole frames" all_end_well large
check "leaves no draft" leaves_no_drafts
generate --seconds 600 --seed 7 -q -o - 2>stderr | head -c 1000 >/dev/null
check "a closed pipe ends the run, quietly" [ ! -s stderr ]
mkfifo pipe
head -c 1000 <pipe >/dev/null &
code=0
generate --seconds 600 --seed 7 -q -o - >pipe 2>stderr || code=$?
check "a closed pipe is a fault" [ "$code" -eq 1 ]
check "closed standard output" exits 1 \
    sh -c '"$0" "$@" >&-' "$program" generate -m "$model" -p "$prompt" $short -q -o -

# ---- Interruption --------------------------------------------------------------------------------

# start NAME OUTPUTS...: a long run in the background; $runner is its process.
start() {
    folder=$1
    shift
    "$program" generate -m "$model" -p "$prompt" --seconds 600 --seed 7 -q -o "$folder" "$@" \
        2>stderr </dev/null &
    runner=$!
}

# Waits for a file; a run that ends before is a failure.
wait_for() {
    patience=3000
    while [ ! -e "$1" ]; do
        kill -0 "$runner" 2>/dev/null && [ "$patience" -gt 0 ] || return 1
        patience=$((patience - 1))
        sleep 0.1
    done
}
ends_with() {
    code=0
    wait "$runner" || code=$?
    [ "$code" -eq "$1" ] || { echo "exit code $code, not $1"; return 1; }
}

# With nothing compiled yet: LLVM, inside many drivers, takes the signals while it compiles.
mkdir cache
XDG_CACHE_HOME=$work/cache POCL_CACHE_DIR=$work/cache "$program" generate -m "$model" \
    -p "$prompt" --seconds 600 --seed 7 -o n -o n.y4m 2>stderr </dev/null &
runner=$!
patience=600
while [ "$patience" -gt 0 ] && ! grep -q "^loading" stderr; do
    patience=$((patience - 1))
    sleep 0.1
done
sleep 0.3
kill -INT "$runner"
check "interrupted while kernels are compiled" ends_with 130
check "leaves no draft" leaves_no_drafts

start j -o j.y4m -o j.png ${films:+-o j.mp4}
check "a long run begins" wait_for j/frame_000000.png
check "files have no name before they are complete" [ ! -e j.y4m ]
kill -INT "$runner"
check "interrupted" ends_with 130
n=$(count_frames j)
check "the chunk was finished" [ "$n" -ge 9 ]
check "the run was not" [ "$n" -lt 9600 ]
check "as many frames of y4m" [ "$(y4m_frames j.y4m)" = "$n" ]
check "whole pictures" all_end_well j
check "a whole sheet" ends_well j.png
generate --seconds 600 --seed 7 -q -o - 2>stderr | head -c 100000 >whole
head -c 100000 j.y4m >begin
check "the frames are those of an undisturbed run" cmp begin whole
[ -z "$films" ] || check "a whole film" fails 5 "nowhere" "$program" replay j.mp4 -m nowhere -o x
check "no drafts" leaves_no_drafts

start k -o k.y4m
check "another begins" wait_for k/frame_000000.png
kill -TERM "$runner"
check "terminated" ends_with 130
check "as many frames" [ "$(y4m_frames k.y4m)" = "$(count_frames k)" ]

start l -o l.y4m -o l.png
check "a third begins" wait_for l/frame_000000.png
kill -INT "$runner"
sleep 0.02
kill -INT "$runner" 2>/dev/null
check "interrupted twice" ends_with 130
check "no drafts" leaves_no_drafts
check "whole pictures" all_end_well l

start m -o m.y4m
check "a fourth begins" wait_for m/frame_000000.png
kill -KILL "$runner"
check "killed" ends_with 137
check "whole pictures" all_end_well m
check "no video under its final name" [ ! -e m.y4m ]

finish
