#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
#
# cli-extend.sh - videos that begin with the frames of another: what counts of them, what is taken
# from them, where they meet what was made, runs that are kept and killed, bad frames.

: "${srcdir:=.}"
VS_TEST_MODEL=${VS_TEST_MODEL:-$srcdir/tests/golden/whole/model}
. "${srcdir}/tests/cli-common.sh"
prompt="A red fox walks through fresh snow."

# 35 frames: the first 33 are 3 chunks of this model, the fourth is 12 more.
extend() { "$program" generate -m "$model" --extend "$@"; }
more() { extend "$@" --seconds 1 -q; }
same_folder() { diff -r "$1" "$2" >/dev/null; }
n_frames() { find "$1" -name 'frame_*.png' | grep -c .; }

# dies AT OPTIONS...: killed when the file of that name is complete but for its name.
dies() {
    at=$1
    shift
    code=0
    VS_DIE_AT=$at more "$@" 2>stderr </dev/null || code=$?
    [ "$code" -eq 137 ] || { echo "exit code $code, not 137: $at"; return 1; }
}

check "a video" exits 0 "$program" generate -m "$model" --size 48x32 --fps 16 --seed 7 \
    -p "$prompt" --seconds 2.2 -q -o f -o f.y4m

# ---- What is made --------------------------------------------------------------------------------

check "frames gone on with" exits 0 extend f --seconds 1 -p "$prompt" --seed 7 -o a -o a.y4m
check "what counts is said" says "begins with 33 frames (2.06 s) of 'f'; the last 2, short of a chunk"
check "a second more" [ "$(n_frames a)" -eq 49 ]
check "again, with prompt and seed of the frames" exits 0 more f/
check "gives the same frames beside them" same_folder a f-extended
check "with the kernels of GPUs, offloaded" exits 0 env VS_LAUNCH_AS=gpu "$program" generate \
    -m "$model" --extend f --seconds 1 -q --offload -o c.y4m
check "the same y4m" cmp a.y4m c.y4m
check "a launch fails while frames are encoded" exits 0 env VS_FAIL=launch:200 "$program" generate \
    -m "$model" --extend f --seconds 1 -o fault.y4m
check "they are encoded again" says "the frames encoded again"
check "to the same y4m" cmp a.y4m fault.y4m
check "all launches fail" fails 1 CL_OUT_OF_RESOURCES env VS_FAIL=launch:200- "$program" generate \
    -m "$model" --extend f --seconds 1 -o x.y4m
check "at another rate, with another prompt" exits 0 more f --fps 8 --size 48x32 -o d \
    -p "A blue robot waves."
check "8 frames more" [ "$(n_frames d)" -eq 41 ]

check "made again it cannot be" fails 2 "33 frames that were given" "$program" replay -m "$model" a
if more f.y4m -p "$prompt" --seed 7 -o e.y4m 2>&1 | grep -q 'without FFmpeg'; then
    check "a video needs FFmpeg" fails 2 "give a folder" extend f.y4m --seconds 1 -p x -o x.y4m
else
    check "a video file" exits 0 more f.y4m -p "$prompt" -o e
    check "a second more than its frames" [ "$(n_frames e)" -eq 49 ]
    check "has no prompt" fails 2 "no prompt; say" extend f.y4m --seconds 1
fi
# Sums over bytes of two y4m files: how far apart they are in dB.
distance() {
    cmp -l "$1" "$2" | awk -v n="$(wc -c <"$1")" '
        function value(octal) { return int(octal / 100) * 64 + int(octal / 10) % 10 * 8 + octal % 10 }
        { d = value($2) - value($3); sum += d * d }
        END { print (sum ? int(10 * log(255 * 255 * n / sum) / log(10)) : 99) }'
}

# The demo's VAE has learnt its pictures: 42 dB between frames and what they become, 36 the least
# of one, were measured. A step from one frame to the next is no longer where they meet.
demo=$source_folder/models/demo
check "a demo video" exits 0 "$program" generate -m "$demo" --seed 7 --seconds 2.0625 -q -o g.y4m \
    -o g -p "a red circle and a white star take turns crossing a night background"
check "gone on with" exits 0 "$program" generate -m "$demo" --extend g --seconds 0.25 -q -o h.y4m
n=$(wc -c <g.y4m)
head -c "$n" h.y4m >begin.y4m
check "begins with its frames" [ "$(distance g.y4m begin.y4m)" -ge 38 ]
frame=$(((n - $(head -n 1 g.y4m | wc -c)) / 33))
step() { # N: from frame N to the next
    tail -c +$((n - (33 - $1) * frame + 1)) h.y4m | head -c "$frame" >one
    tail -c +$((n - (32 - $1) * frame + 1)) h.y4m | head -c "$frame" >two
    distance one two
}
check "goes on where it ends" [ "$(step 32)" -ge $(($(step 31) - 2)) ]

# ---- Kept and killed -----------------------------------------------------------------------------

# Latents 000001: in the midst of the frames. 000003: the first chunk that was made. A frame: of
# those that were given, which are written when all are encoded.
for at in 000001.safetensors 000003.safetensors frame_000020.png; do
    rm -rf k k.y4m run
    check "killed at $at" dies "$at" f -o k -o k.y4m --keep run
    check "resumed, $at" exits 0 "$program" generate --resume run -q
    check "the same frames, $at" same_folder a k
    check "the same y4m, $at" cmp a.y4m k.y4m
done
rm run/latents/000002.safetensors run/latents/000003.safetensors
check "latents that were lost" exits 0 "$program" generate --resume run -o l.y4m
check "are made of the frames again" says "encoding the frames"
check "the same y4m" cmp a.y4m l.y4m
check "a branch" exits 0 "$program" generate --resume run --redo-from 2.1 -q -p "A blue robot waves." \
    -o m.y4m --keep branch
check "begins with the frames too" grep -q '"frames": 33' branch/run.json
check "none within the frames" fails 2 "begin behind them" "$program" generate --resume run \
    --redo-from 1 -p "$prompt" -o x.y4m
check "a run can be longer" exits 0 "$program" generate --extend run --seconds 0.5 -q
check "by 8 frames" [ "$(n_frames k)" -eq 57 ]
rm run/latents/000000.safetensors
check "no branch before they are there" fails 2 "lacks latents" "$program" generate --resume run \
    --redo-from 3 -p "$prompt" -o x.y4m
mv f/frame_000007.png held.png
again() { "$program" generate --resume run -o x.y4m; }
check "frames that are gone" fails 2 "other frames than when" again
cp f/frame_000008.png f/frame_000007.png
check "frames that have changed" fails 2 "other frames than when" again
mv f away
check "no frames" fails 2 "frames that are needed again" again
mv away f
mv held.png f/frame_000007.png
sed 's/"frames": "[^"]*"/"other": ""/' run/run.json >changed && cp changed run/run.json
check "a changed record" fails 2 'no valid "frames"' again

# ---- What cannot be ------------------------------------------------------------------------------

refused() { # TEXT OPTIONS...
    text=$1
    shift
    fails 2 "$text" extend "$@" && [ ! -e x.y4m ]
}
check "by how much" refused "give --seconds" f -o x.y4m
check "nowhere" refused "cannot read 'nowhere'" nowhere --seconds 1 -p "$prompt" -o x.y4m
mkdir none
check "nothing in it" refused "no PNG files" none --seconds 1 -p "$prompt" -o x.y4m
mkdir few
cp f/frame_00000[0-7].png few
check "too few" refused "has 8 frames; this model goes on from 9 or more" few --seconds 1 -o x.y4m
cp f/frame_000008.png few
printf 'no picture' >few/frame_000004.png
check "a damaged one" refused "few/frame_000004.png' is no readable PNG" few --seconds 1 -o x.y4m
cp g/frame_000004.png few/frame_000004.png
check "another size" refused "few/frame_000004.png': a frame of 96x64 in a video of 48x32" few \
    --seconds 1 -o x.y4m
rm few/*
# A PNG of 1x1.
echo iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAAAAAA6fptVAAAACklEQVR4nGNgAAAAAgABSK+kcQAAAABJRU5ErkJggg== |
    base64 -d >few/one.png
check "names of others have no prompt" refused "no prompt; say" few --seconds 1 -o x.y4m
check "an impossible size" refused "both sides must be multiples of 16" few --seconds 1 \
    -p "$prompt" -o x.y4m
check "a size that is not theirs" refused "the frames of 'f' are of 48x32" f --seconds 1 \
    --size 96x64 -o x.y4m
check "into themselves" refused "must stay" f --seconds 1 -o ./f/
check "too long" refused "s in all are more than" f --seconds 9999999 -o x.y4m
check "two ways at once" refused "give one of them" f --seconds 1 --resume run -o x.y4m
check "a branch of frames" refused "--redo-from needs the run" f --seconds 1 --redo-from 1 -o x.y4m

finish
