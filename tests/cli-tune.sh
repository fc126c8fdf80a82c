#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
#
# cli-tune.sh - `videossm-cl tune` at small sizes: records, their use, sharing, and what is refused.
# No time is judged.

. "${srcdir:-.}/tests/cli-common.sh"

linear=linear:33x48x64

tune() {
    "$program" tune --seconds-per-shape 0.01 "$@"
}
# chosen OPERATION: the variant that a run takes, to ./chosen.
chosen() {
    "$program" bench --seconds 0.001 --json --op "$1" >bench.json 2>stderr &&
        python3 -c 'import json; print(json.load(open("bench.json"))["results"][0]["variant"])' \
            >chosen
}
takes() {
    chosen "$linear" && [ "$(cat chosen)" = "$1" ] || { cat chosen; return 1; }
}
# records EXPRESSION FILE: true when the Python expression of the records r holds.
records() {
    python3 -c 'import json, sys
f = json.load(open(sys.argv[2]))
r = f["records"]
sys.exit(not eval("(" + sys.argv[1] + ")"))' "$1" "$2"
}
silent() { [ ! -s stderr ]; }
# prefer VARIANT: the user's own file says so.
prefer() {
    printf '{"tuning": 1, "records": [{"op": "%s", "variant": "%s"}]}\n' "$linear" "$1" >"$own"
}

# ---- Searching -----------------------------------------------------------------------------------

check "every family" exits 0 tune --op $linear --op attention:2x17x70x32 --op delta:19x2x16 \
    --op read:19x2x16 --op conv3d:16x24x2x9x11 --op norm:13x96 --op channel-norm:50x24
check "nothing else is said" silent
own=$(echo "$XDG_CONFIG_HOME"/videossm-cl/tuning/*.json)
check "progress is shown" grep -q '^\[ 7/7\] channel-norm:50x24 ' stdout
check "a record each" records 'len(r) == 7 and all(x["variant"] and x["against_rule"] >= 1
    for x in r)' "$own"
check "the device is named" records 'f["device"] and f["driver"] and f["version"]' "$own"
check "once more" exits 0 tune --op norm:13x96 --op norm:70x96
check "old records stay, new ones replace" records 'len(r) == 8 and
    [x["op"] for x in r].count("norm:13x96") == 1 and all(x["among"] > 1 for x in r)' "$own"
check "to a file" exits 0 tune --op $linear -o shared.json
check "which holds that alone" records '[x["op"] for x in r] == ["'$linear'"]' shared.json
check "the demo's shapes" exits 0 tune --shapes demo -o demo.json
check "are all there" records '{x["op"].split(":")[0] for x in r} ==
    set("linear attention delta read conv3d norm channel-norm".split())' demo.json
check "what the device cannot hold is skipped" exits 0 tune --op linear:1000000000x1000x1000 \
    -o huge.json
check "and says so" grep -q 'skipped: the device has' stdout

# ---- Use -----------------------------------------------------------------------------------------

rm "$own"
chosen "$linear"
rule=$(cat chosen)
prefer plain
check "a record decides" takes plain
prefer "tile 1x1"
check "an unknown variant is passed over" takes "$rule"
check "without a word" silent
printf '{"tuning": 1, "records": [{"op": "%s", "variant": "plain", "among": 2}]}\n' $linear >"$own"
check "and one that was fastest among fewer" takes "$rule"
echo '{"tuning": 1, "records": [' >"$own"
check "a damaged file is ignored" takes "$rule"
check "with a warning" says "videossm-cl: warning: $own: no JSON"
: >"$own"
check "an empty one too" takes "$rule"
echo '{"tuning": 1, "records": [7]}' >"$own"
check "and one of another kind" takes "$rule"
check "which is said" says "holds no tuning records"
prefer plain
check "videos stay the same" exits 0 "$program" validate --only "linear f32" --quick
rm "$own"

# ---- Sharing -------------------------------------------------------------------------------------

cat >shared.json <<EOS
{"tuning": 1, "device": "another", "records": [
 {"op": "$linear", "variant": "plain", "against_rule": 1.5},
 {"op": "norm:13x96", "variant": "no such"},
 {"op": "norm:13", "variant": "row"}]}
EOS
check "import" exits 0 tune --import shared.json
check "another device is mentioned" says "were measured on another"
check "what works is taken over" records '[(x["op"], x["variant"], x["against_rule"]) for x in r] ==
    [("'$linear'", "plain", 1.5)]' "$own"
check "the rest is passed over" test "$(grep -c 'passed over' stdout)" = 2
check "and used" takes plain
rm "$own"

# ---- Wrong bits ----------------------------------------------------------------------------------

# A variant that a CPU does not take by itself is off by its last bit.
cp -r "$source_folder/kernels" kernels && chmod -R u+w kernels
sed 's/\bfma(/1.00000012f * fma(/g' "$source_folder/kernels/gemm/gemm_group.cl" \
    >kernels/gemm/gemm_group.cl
VS_KERNEL_DIR=$work/kernels
export VS_KERNEL_DIR
check "other bits" exits 6 tune --op $linear -o broken.json
check "are refused by name" says \
    "the variant 'group 64x64' is refused: it gives other bits than '$rule'"
check "and not recorded" records 'not r[0]["variant"].startswith("group")' broken.json
printf '{"tuning": 1, "records": [{"op": "%s", "variant": "group 32x64"}]}\n' $linear >shared.json
check "nor imported" exits 6 tune --import shared.json -o broken2.json
check "at all" records 'r == []' broken2.json
unset VS_KERNEL_DIR

# ---- Refusals ------------------------------------------------------------------------------------

check "no records" fails 2 "holds no tuning records" tune --import bench.json
check "no such file" fails 2 "cannot read 'nowhere.json'" tune --import nowhere.json
check "both" fails 2 "--import measures nothing" tune --import shared.json --op $linear
check "no sizes" fails 2 "is no operation with its sizes" tune --op linear
check "no variants" fails 2 "but one way" tune --op rope:2x3x4x2x32
check "nowhere to write" fails 1 "nowhere/x.json" tune --op norm:13x96 -o /proc/nowhere/x.json

finish
