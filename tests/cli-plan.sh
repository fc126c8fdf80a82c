#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
#
# cli-plan.sh - the plan command, limits of memory, and what runs take in truth.

. "${srcdir:-.}/tests/cli-common.sh"

plan() { "$program" plan -m "$model" "$@"; }
generate() { "$program" generate -m "$model" -p "a red circle" --seed 1 "$@"; }

# json EXPRESSION: true when it holds for the plan p; passes where there is no python3.
json() {
    command -v python3 >/dev/null || return 0
    python3 -c "import json, sys; p = json.load(open('stdout')); sys.exit(not ($1))"
}

# value NAME: a number at the top of the plan in ./stdout.
value() {
    sed -n 's/^ "'"$1"'": \([0-9]*\),*$/\1/p' stdout
}

# ---- Plans ---------------------------------------------------------------------------------------

XDG_CACHE_HOME=$work/no-cache
export XDG_CACHE_HOME
check "a plan" exits 0 plan --seconds 60
check "by use" grep -q '^  KV cache  *1\.06 MiB$' stdout
check "by stage" grep -q '^Device memory while texts are encoded$' stdout
check "no word on standard error" [ ! -s stderr ]
check "nothing was compiled" [ ! -e no-cache/videossm-cl ]
unset XDG_CACHE_HOME
check "JSON" exits 0 plan --json --seconds 60
check "the video" json 'p["video"]["frames"] == 960 and p["fits"] and p["fault"] is None'
check "its memory" json 'p["device_bytes"] == p["making"]["needed"] ==
    sum(p["making"]["own"].values())'
check "its files" json 'p["disk"]["y4m"] == 960 * (6 + 3 * 96 * 64)'
check "memory that does not grow" json 'p["device_bytes"] < 60e6'
check "an hour" exits 0 plan --json --seconds 3600
check "takes as much" json 'p["device_bytes"] < 60e6 and p["video"]["frames"] == 57600'
check "half the keys" exits 0 plan --json --kv f16
check "take half" json 'p["making"]["own"]["KV cache"] < 600000'
check "weights that stay on the host" exits 0 plan --json --offload
check "leave few in place" json 'p["making"]["mapped"]["weights"] < 800000 and
    p["making"]["own"]["weights"] > 2e6'
check "two prompts" exits 0 plan -p x --at 2 y
check "what generate takes" exits 0 plan -p x -o video.mp4 --keep run --checkpoint-every 3
check "and writes no video" [ ! -e video.mp4 ]
check "and keeps nothing" [ ! -e run ]

# ---- What does not fit ---------------------------------------------------------------------------

check "too little memory" fails 4 "takes" plan --max-memory 8M
plan_says=$(cat stderr)
check "shows the plan" grep -q '^  KV cache' stdout
check "in JSON" exits 4 plan --json --max-memory 8M
check "with the fault" json 'not p["fits"] and "takes" in p["fault"] and
    p["device"]["memory_bytes"] == 8 << 20'
check "generate refuses" fails 4 "takes" generate --max-memory 8M -o video.y4m
check "in the same words" [ "$(cat stderr | tail -n 1)" = "$plan_says" ]
check "and leaves nothing" [ ! -e video.y4m ]
check "too small a buffer" fails 4 "at once" plan --max-alloc 64K
check "for generate too" fails 4 "at once" generate --max-alloc 64K -o video.y4m

# helps LIMITS...: the first options that a refusal proposes, and then the last, are enough.
helps() {
    exits 4 plan "$@" || return 1
    proposed=$(sed -n 's/.*it would fit with\(.*\)/\1/p' stderr)
    [ "$proposed" ] || return 1
    exits 0 plan "$@" ${proposed%% (*} || return 1
    proposed=${proposed##*, or}
    exits 0 plan "$@" ${proposed%% (*}
}
check "half the keys and values help" helps --window 40 --max-memory 57M
check "a smaller window helps" helps --kv f16 --window 60 --max-memory 56M
check "a smaller picture helps" helps --max-memory 40M
check "bands of rows keep buffers small" exits 0 plan --max-alloc 8M --size 256x144
check "it does for buffers" helps --max-alloc 4M --size 256x144
check "a window helps" helps --memory full --seconds 600 --max-memory 70M
check "a quarter of the picture helps" helps --window 40 --size 512x320 --max-memory 90M
check "all together help" helps --window 40 --size 512x320 --max-memory 72M
check "nothing helps" fails 4 "no smaller window or picture" plan --max-memory 1M

check "no size" fails 2 "--max-memory" plan --max-memory 8X
check "none" fails 2 "--max-alloc" generate --max-alloc 0 -o video.y4m
check "no device" fails 3 "" plan -d nosuchdevice

# ---- Kept runs -----------------------------------------------------------------------------------

# What the process itself takes of the host is not the same every time.
without_host() { sed '/"host_bytes"/d' "$1"; }

kept="--size 64x48 --seconds 1 --window 9 --kv f16"
check "a run that is kept" exits 0 generate $kept --keep kept -o kept.y4m
check "its options" exits 0 plan --json -p "a red circle" $kept
without_host stdout >wanted
cp kept/run.json run.json
touch kept/.draft.part
check "its plan" exits 0 "$program" plan --json --resume kept
check "has nothing left to make" json 'not any(p["work"].values())'
cp -r kept cut
rm cut/latents/* kept.y4m
check "one that is still to be made" exits 0 "$program" plan --json --resume cut
without_host stdout >planned
check "is planned like its options" cmp wanted planned
check "one that lacks its video" exits 0 "$program" plan --json --resume kept
check "is decoded, and not made" json 'p["past"]["chunks_there"] == 2 and
    "conv" in p["work"]["decode"] and "attention" not in p["work"]["denoise"]'
check "which is said" exits 0 "$program" plan --resume kept
check "in the table" grep -q "^Past: 2 chunks are there" stdout
check "its settings stay" fails 4 "the run's settings stay" "$program" plan --resume kept \
    --max-memory 1M
check "other limits" fails 4 "takes" "$program" plan --resume kept --max-memory 1M
check "its window cannot help" [ -z "$(grep -- --window stderr)" ]
check "made longer" exits 0 "$program" plan --json --extend kept --seconds 59
check "it has more frames" json 'p["video"]["frames"] == 960 and p["video"]["window"] == 9'
check "a branch" exits 0 "$program" plan --resume kept --redo-from 0.5 -p Other -o other.y4m
check "is nowhere yet" [ ! -e other.y4m ]
check "the run is as it was" cmp run.json kept/run.json
check "with what lies about" [ -e kept/.draft.part ]
check "offloaded" exits 0 "$program" plan --json --resume kept --offload
check "as generate would be" json 'p["making"]["own"]["weights"] > 2e6'
check "a run's settings stay" fails 2 "--window is settled by the run" plan --resume kept --window 6
check "another model" fails 5 "was made with model" \
    plan --resume kept -m "$source_folder/tests/golden/whole/model"
check "no run" fails 2 "holds no run" plan --resume nowhere
check "a video to begin with" exits 0 generate --size 64x48 --seconds 1 -q -o first.y4m
check "its size and length" exits 0 plan --json --extend first.y4m --seconds 1
check "and a second more" json 'p["video"]["frames"] == 25 and p["video"]["width"] == 64 and
    p["past"]["given_latent_frames"] == 3 and p["work"]["encode_given"]'
check "in the table" exits 0 plan --extend first.y4m --seconds 1
check "its memory" grep -q "^Device memory while frames are encoded" stdout
check "cannot be smaller" fails 4 "no smaller window fits" plan --extend first.y4m --seconds 1 \
    --max-memory 2M
check "for generate too" fails 4 "no smaller window fits" generate --extend first.y4m --seconds 1 \
    --max-memory 2M -o video.y4m
check "by how much" fails 2 "give --seconds" plan --extend first.y4m
mkfifo pipe
generate --seconds 1 --keep busy -q -o - >pipe 2>/dev/null &
exec 3<pipe
head -c 100 <&3 >/dev/null
check "a run that is being worked on" exits 0 "$program" plan --resume busy
check "keeps its latents" grep -q '^  latents  *[0-9]' stdout
exec 3<&-
wait

# ---- Time ----------------------------------------------------------------------------------------

check "no records" exits 0 plan
check "no time" grep -q "^  unknown: no tuning records say" stdout
check "a peak" exits 0 plan --json --measure
check "gives one" json 'p["time"]["source"] == "peak" and p["time"]["denoise_s"] > 0'
"$program" tune --seconds-per-shape 0.001 --op linear:64x64x64 --op attention:2x64x64x32 \
    --op conv3d:12x12x1x16x16 --op read:64x2x32 --op norm:64x64 >tuned 2>stderr
records=$(sed -n 's/^[0-9]* records in //p' tuned)
check "tuning says how fast" grep -q '"gflops": [0-9.]*[1-9]' "$records"
sed -i 's/"\(gflops\|gbs\)": [0-9.e+-]*/"\1": 2.0/' "$records"
check "records" exits 0 plan --json
check "give times" json 'p["time"]["source"] == "tuning records" and all(
    abs(p["time"][stage + "_s"] / sum(
        w["bytes" if family in ("norm", "rope", "pointwise", "pixels") else "flops"] / 2e9
        for family, w in p["work"][stage].items()) - 1) < 1e-3
    for stage in ("encode", "denoise", "decode"))'
check "in the table" exits 0 plan
check "with their source" grep -q "^Time, from tuning records" stdout
sed -i '/"op": "conv3d/,/}/s/"gflops"/"other"/' "$records"
check "none for convolutions" exits 0 plan
check "is too little" grep -q "^  unknown: no tuning records say" stdout
rm "$records"

# ---- What runs take ------------------------------------------------------------------------------

# The exact need is enough.
plan --json -p "a red circle" --seconds 1 >stdout
check "just enough" exits 0 generate --max-memory "$(value device_bytes)" --seconds 1 -o video.y4m
plan --json -p "a red circle" --seconds 1 --offload >stdout
check "just enough, offloaded" exits 0 generate --max-memory "$(value device_bytes)" --seconds 1 \
    --offload -o offloaded.y4m
check "the same video" cmp video.y4m offloaded.y4m

# ---- Small buffers -------------------------------------------------------------------------------

# 900 KiB hold neither a layer's keys in so large a window (918 and 909 KiB) nor the decoder's
# frames: heads go in groups, rows in bands. What one run kept, the other goes on with.
for options in "--window 51" "--window 101 --kv f16"; do
    check "large buffers, $options" exits 0 plan --json $options
    check "are wanted" json 'p["largest_buffer"]["bytes"] > 2e6'
    check "small ones can be" exits 0 plan --json $options --max-alloc 900K
    rm -rf large small large.y4m small.y4m
    check "a run" exits 0 generate $options --seconds 1 -o large.y4m --keep large \
        --checkpoint-every 1
    check "in small buffers" exits 0 generate $options --seconds 1 -o small.y4m --keep small \
        --checkpoint-every 1 --max-alloc 900K
    check "gives the same video" cmp large.y4m small.y4m
    check "a longer one" exits 0 "$program" generate --extend small --seconds 1
    check "in small buffers" exits 0 "$program" generate --extend large --seconds 1 \
        --max-alloc 900K
    check "is the same" cmp large.y4m small.y4m
done

# anonymous COMMAND...: the most anonymous memory of a command while it runs, in bytes, to $peak.
anonymous() {
    peak=0
    "$@" >stdout 2>stderr </dev/null &
    while kill -0 $! 2>/dev/null; do
        now=$(sed -n 's/^RssAnon:[^0-9]*\([0-9]*\).*/\1/p' "/proc/$!/status" 2>/dev/null)
        [ "${now:-0}" -gt "$peak" ] && peak=$now
        sleep 0.02
    done
    wait $! || return 1
    peak=$((peak * 1024))
}

# near A B: within a tenth.
near() {
    [ $(($1 * 10)) -ge $(($2 * 9)) ] && [ $(($1 * 10)) -le $(($2 * 11)) ]
}

plan --json -d cpu -p "a red circle" --size 256x144 --seconds 1 >stdout
planned=$(value host_bytes)
# On a CPU the device's memory is the process's own. A first run compiles, which takes more; so does
# AddressSanitizer.
if grep -q RssAnon /proc/self/status 2>/dev/null && grep -q '"name": "pthread' stdout &&
    ! grep -q __asan_init "$program"; then
    set -- "$program" generate -m "$model" -p "a red circle" -d cpu --size 256x144 --seconds 1 \
        -o video.y4m
    check "a run that compiles" exits 0 "$@"
    check "one to measure" anonymous "$@"
    echo "planned $planned bytes, measured $peak"
    check "within a tenth of the plan" near "$peak" "$planned"
fi

finish
