#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
#
# cli-resume.sh - runs that are kept: killed at chosen moments, with damaged files, on other
# kernels, branched, made longer. Every video must equal that of an undisturbed run in all bytes.
# `cli-resume.sh long` kills at many random moments too (make check-long).

long=$1
: "${srcdir:=.}"
VS_TEST_MODEL=${VS_TEST_MODEL:-$srcdir/tests/golden/whole/model}
. "${srcdir}/tests/cli-common.sh"
first="A red fox walks through fresh snow."
second="A blue robot waves."

# generate OPTIONS...: 8 chunks of 3 latent frames, 96 frames or less; a window of 9.
generate() {
    "$program" generate -m "$model" --size 48x32 --fps 16 -p "$first" --seed 7 --seconds 5.5 \
        --at 2.5 "$second" -q "$@"
}
resume() { "$program" generate --resume "$@"; }
same_folder() { diff -r "$1" "$2" >/dev/null; }
leaves_no_drafts() { ! find . -name '.*.part' | grep -q .; }
copy_run() { rm -rf "$2" && cp -r "$1" "$2"; }

# dies AT OPTIONS...: killed when the file of that name is complete but for its name.
dies() {
    at=$1
    shift
    code=0
    VS_DIE_AT=$at generate "$@" 2>stderr </dev/null || code=$?
    [ "$code" -eq 137 ] || { echo "exit code $code, not 137: $at"; return 1; }
}

# Replaces a byte in the middle of a file by another.
damage() {
    size=$(wc -c <"$1")
    byte=$(od -An -tu1 -j $((size / 2)) -N 1 "$1" | tr -d ' ')
    printf "\\$(printf %o $(((byte + 1) % 256)))" |
        dd of="$1" bs=1 seek=$((size / 2)) conv=notrunc 2>/dev/null
}
truncate_file() {
    size=$(wc -c <"$1")
    dd if="$1" of="$1.short" bs=1 count=$((size - 100)) 2>/dev/null && mv "$1.short" "$1"
}

# ---- An undisturbed run --------------------------------------------------------------------------

check "a run without a folder" exits 0 generate -o a -o a.y4m -o a.png
check "a run that is kept" exits 0 generate -o b -o b.y4m --keep run --checkpoint-every 2
check "the same frames" same_folder a b
check "the same y4m" cmp a.y4m b.y4m
check "latents of 8 chunks" [ "$(find run/latents -name '*.safetensors' | grep -c .)" -eq 8 ]
check "the last two checkpoints" sh -c 'cd run && [ "$(echo checkpoint-*)" = \
    "checkpoint-000006.safetensors checkpoint-000008.safetensors" ]'
check "resuming what is finished" exits 0 resume run
check "is told" says "is complete"
check "the folder is taken" fails 2 "run is kept there already" generate -o c --keep run
check "and nothing was made" [ ! -e c ]
check "another output of a finished run" exits 0 resume run -q -o c.y4m
check "gives the video" cmp a.y4m c.y4m
rm b.y4m
check "an output that was lost" exits 0 resume run -q
check "is made again" cmp a.y4m b.y4m

# ---- Killed --------------------------------------------------------------------------------------

# Latents 000000: nothing is there. Checkpoint 2: latents are ahead of checkpoints. Latents 000004:
# the fifth chunk, made with the second prompt, is lost. A frame: frames are behind latents.
for at in 000000.safetensors checkpoint-000002.safetensors 000004.safetensors frame_000057.png; do
    rm -rf k k.y4m killed
    check "killed at $at" dies "$at" -o k -o k.y4m --keep killed --checkpoint-every 2
    check "no y4m yet, $at" [ ! -e k.y4m ]
    check "resumed, $at" exits 0 resume killed -q
    check "the same frames, $at" same_folder a k
    check "the same y4m, $at" cmp a.y4m k.y4m
    check "no drafts, $at" leaves_no_drafts
done

rm -rf k killed
check "killed, frames alone" dies 000006.safetensors -o k --keep killed
rm k/frame_000040.png
mkdir elsewhere
check "killed again while resuming" sh -c 'VS_DIE_AT=frame_000060.png "$0" generate --resume killed \
    -q 2>/dev/null; [ $? -eq 137 ]' "$program"
check "resumed elsewhere, with the kernels of GPUs" sh -c 'cd elsewhere &&
    VS_LAUNCH_AS=gpu "$0" generate --resume ../killed -q' "$program"
check "the same frames where they were" same_folder a k

check "killed, window and no state" dies 000005.safetensors --memory window --window 6 \
    -o w --keep window --checkpoint-every 2
check "resumed, window" exits 0 resume window -q
check "undisturbed, window" exits 0 generate --memory window --window 6 -o v
check "the same frames, window" same_folder v w

rm -rf k
check "killed, offloaded" dies 000004.safetensors --offload -o k --keep offloaded
check "which the record says" grep -q '"offload": true' offloaded/run.json
check "resumed, offloaded" exits 0 resume offloaded -q
check "the same frames, offloaded" same_folder a k
check "offloaded from now on" exits 0 resume run -q --offload -o o.y4m
check "the same y4m, offloaded" cmp a.y4m o.y4m

# ---- Faults of the device ------------------------------------------------------------------------

check "a launch fails" exits 0 env VS_FAIL=launch:1500 "$program" generate -m "$model" \
    --size 48x32 --fps 16 -p "$first" --seed 7 --seconds 5.5 --at 2.5 "$second" -o l.y4m
check "is told" says "the chunk made again"
check "changes no frame" cmp a.y4m l.y4m
rm -rf l killed
check "all launches fail from one on" fails 1 CL_OUT_OF_RESOURCES env VS_FAIL=launch:1500- \
    "$program" generate -m "$model" --size 48x32 --fps 16 -p "$first" --seed 7 --seconds 5.5 \
    --at 2.5 "$second" -o l -o l.y4m --keep killed
check "the way on is told" says "--resume"
n=$(wc -c <l.y4m)
head -c "$n" a.y4m >begin
check "what was made is right" cmp begin l.y4m
check "and not all" [ "$n" -lt "$(wc -c <a.y4m)" ]
check "resumed after it" exits 0 resume killed -q --max-kernel-ms 2
check "in short launches, the same frames" same_folder a l
check "the same y4m" cmp a.y4m l.y4m

# ---- Damage --------------------------------------------------------------------------------------

rm -rf d
check "killed, to be damaged" dies 000007.safetensors -o d --keep damaged --checkpoint-every 2
copy_run damaged copy
damage damaged/checkpoint-000006.safetensors
check "a damaged checkpoint" exits 0 resume damaged
check "is told" says "checkpoint-000006.safetensors: its content does not have the digest"
check "and the one before is taken" says "4 of them in the last checkpoint"
check "the same frames" same_folder a d
copy_run copy damaged
truncate_file damaged/checkpoint-000006.safetensors
damage damaged/checkpoint-000004.safetensors
damage damaged/latents/000005.safetensors
rm d/frame_000070.png
check "two bad checkpoints, bad latents" exits 0 resume damaged
check "the latents are told" says "latents/000005.safetensors"
check "the clean passes begin at the first chunk" says "0 of them in the last checkpoint"
check "the same frames" same_folder a d
copy_run copy damaged
cp run/checkpoint-000006.safetensors damaged
check "a checkpoint of another run" exits 0 resume damaged
check "is told" says "it belongs to another run"

edit_record() { sed "$1" copy/run.json >damaged/run.json; }
copy_run copy damaged
edit_record 's/"model": "[0-9a-f]\{8\}/"model": "00000000/'
check "another model" fails 5 "was made with model 00000000" resume damaged
edit_record 's/"version": "[^"]*"/"version": "0.0.1"/'
check "another version" fails 5 "was made by version 0.0.1 of the program" resume damaged
edit_record 's/"seed": "7"/"seed": -1/'
check "a changed record" fails 2 'no valid "seed"' resume damaged
printf '{"format": 1' >damaged/run.json
check "half a record" fails 2 "run.json: line 1" resume damaged
check "no run" fails 2 "holds no run" resume elsewhere
check "no folder" fails 2 "cannot open the run" resume nowhere

# ---- Branches, longer videos ---------------------------------------------------------------------

third="A green boat sails."
branch() { resume run -q --redo-from 3s -p "$third" "$@"; }
check "a branch" exits 0 branch -o e -o e.y4m --keep other
check "what it must give" exits 0 "$program" generate -m "$model" --size 48x32 --fps 16 --seed 7 \
    --seconds 5.5 -q -p "$first" --at 2.5 "$second" --at 3 "$third" -o f -o f.y4m
check "is what it gives" same_folder e f
check "in y4m too" cmp e.y4m f.y4m
check "it differs from the run" sh -c '! cmp -s a.y4m e.y4m'
check "which is as it was" same_folder a b
check "the branch is a run" exits 0 resume other -q -o g.y4m
check "of its own" cmp e.y4m g.y4m
check "a branch into the run's own frames" fails 2 "must stay" branch -o ./b/
check "a branch without an output" fails 2 "--output" branch
check "a branch after the end" fails 2 "the video has 5.5 s" \
    resume run --redo-from 6 -p "$third" -o x
check "a run's settings stay" fails 2 "--seed is settled by the run" resume run --seed 8

check "a longer video" exits 0 "$program" generate --extend run --seconds 1.5 -q
check "what it must give" exits 0 "$program" generate -m "$model" --size 48x32 --fps 16 --seed 7 \
    --seconds 7 --horizon 24 -q -p "$first" --at 2.5 "$second" -o h -o h.y4m
check "is what it gives" same_folder b h
check "in y4m too" cmp b.y4m h.y4m
check "by how much must be said" fails 2 "--seconds" "$program" generate --extend run

# ---- Two at once ---------------------------------------------------------------------------------

mkfifo pipe
resume other -q -o - >pipe 2>/dev/null &
runner=$!
exec 3<pipe
head -c 100 <&3 >/dev/null
check "a run that is being worked on" fails 2 "another process is working on" resume other -o x.y4m
exec 3<&-
wait "$runner"

# ---- Many moments --------------------------------------------------------------------------------

# start OPTIONS...: in the background; $runner is the program itself, not a shell around it.
start() {
    "$program" generate -q "$@" 2>/dev/null </dev/null &
    runner=$!
}

if [ "$long" = long ]; then
    for seed in 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20; do
        delay=$(awk -v seed=$seed 'BEGIN { srand(seed); printf "%.3f", 0.1 + rand() * 1.2 }')
        rm -rf k k.y4m killed
        start -m "$model" --size 48x32 --fps 16 -p "$first" --seed 7 --seconds 5.5 \
            --at 2.5 "$second" -o k -o k.y4m --keep killed --checkpoint-every 1
        n_killed=0
        sleep "$delay"
        while kill -KILL "$runner" 2>/dev/null && [ "$n_killed" -lt 3 ]; do
            wait "$runner" 2>/dev/null
            n_killed=$((n_killed + 1))
            [ -e killed/run.json ] || break
            start --resume killed
            sleep "$delay"
        done
        wait "$runner" 2>/dev/null
        if [ -e killed/run.json ]; then
            check "resumed after $delay s" exits 0 resume killed -q
            check "the same frames after $delay s" same_folder a k
            check "the same y4m after $delay s" cmp a.y4m k.y4m
        fi
    done
fi

finish
