#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
#
# cli-bench.sh - `videossm-cl bench` at small sizes: what it measures, prints, skips, compares and
# refuses. No time is judged.

. "${srcdir:-.}/tests/cli-common.sh"

# bench ARGUMENTS...: as quick as it gets.
bench() {
    "$program" bench --seconds 0.01 "$@"
}
# json EXPRESSION [FILE]: true when the Python expression of the report r and its results holds.
json() {
    python3 -c 'import json, sys
r = json.load(open(sys.argv[2]))
results = r["results"]
sys.exit(not eval("(" + sys.argv[1] + ")"))' "$1" "${2:-stdout}"
}
silent() { [ ! -s stderr ]; }
# fails_plainly TEXT COMMAND...: for a script: exits with 1 and says the text.
fails_plainly() {
    text=$1
    shift
    exits 1 "$@" && says "$text"
}

# ---- Every family --------------------------------------------------------------------------------

check "every family" exits 0 bench --json --op linear:33x48x64 --op linear:33x48x256:q4_k:gated \
    --op attention:2x17x70x32 --op delta:19x2x16 --op delta:19x2x16:channel --op read:19x2x16 \
    --op conv3d:16x24x2x9x11 --op norm:13x96 --op rms:13x96 --op channel-norm:50x24 \
    --op rope:2x3x4x2x32 --op rope:2x3x4x2x32:rms
check "nothing else is said" silent
cp stdout first.json
check "one result each, in order" json '[x["op"] for x in results] == """linear:33x48x64
    linear:33x48x256:q4_k:gated attention:2x17x70x32 delta:19x2x16 delta:19x2x16:channel
    read:19x2x16 conv3d:16x24x2x9x11 norm:13x96 rms:13x96 channel-norm:50x24
    rope:2x3x4x2x32 rope:2x3x4x2x32:rms""".split()'
check "the device and its peak" json 'r["device"] and r["peak_gflops"] > 0 and r["copy_gbs"] > 0'
check "every number" json 'all(x["chosen"] and x["variant"] and x["n"] >= 1 and x["spread"] >= 0 and
    0 < x["min_ms"] <= x["median_ms"] and x["gbs"] > 0 and x["fraction_of_peak"] > 0 and
    x["fraction_of_copy"] > 0 and x["peak_gflops"] > 0 for x in results)'
# FLOPs follow from the sizes alone.
check "operations are counted by the formula" json 'all(
    abs(x["gflops"] * x["median_ms"] * 1e6 / want - 1) < 1e-5 for x, want in zip(results, [
    2*33*48*64, 2*33*48*256, 4*2*17*70*32, 5*19*2*16*16, 5*19*2*16*16, 2*19*2*16*16,
    2*27*16*24*2*9*11]))'

check "both networks" exits 0 bench --json --op dit:1x4x6x2:bf16 --op vae:1x4x4x8 \
    --op dit-offload:1x4x6x3:bf16
check "are measured" json 'len(results) == 3 and all(x["chosen"] and x["median_ms"] > 0 and
    x["fraction_of_peak"] > 0 for x in results)'
# 6 tokens, 512 of text: projections, both attentions, FFN; patches, head and norms are 1 % of it.
check "a pass counts what a transformer does" json '1 <= results[0]["gflops"] *
    results[0]["median_ms"] * 1e6 / (2 * (2*6*1536*(6*1536 + 2*8960) + 4*6*1536*(6 + 512))) < 1.01'
check "odd rows" fails 2 "even" bench --op dit:1x3x6x1

# ---- Variants ------------------------------------------------------------------------------------

check "variants" exits 0 bench --json --op linear:33x48x64 --op attention:2x17x70x32 --variants
check "the first is the one that runs" json '
    results[0]["chosen"] and [x["variant"] for x in results if x["chosen"]] ==
    [next(y["variant"] for y in json.load(open("first.json"))["results"] if y["op"] == op)
     for op in ("linear:33x48x64", "attention:2x17x70x32")]'
check "there are several, each once" json 'len(results) > 3 and
    len({(x["op"], x["variant"]) for x in results}) == len(results)'
check "one by its name" exits 0 bench --json --op linear:33x48x64 --variant plain
check "is the second" json '[x["chosen"] for x in results] == [True, False] and
    results[1]["variant"] == "plain"'

# ---- Table and comparison ------------------------------------------------------------------------

check "the table" exits 0 bench --op norm:13x96
check "has a row" grep -q '^norm:13x96  *[0-9]' stdout
check "and the peak" grep -q '^peak: .*GFLOP/s.*GB/s' stdout
check "against an older report" exits 0 bench --json --op norm:13x96 --op rms:3x96 \
    --compare first.json
check "where it has the operation" json 'results[0]["against_old"] > 0 and
    "against_old" not in results[1]'
check "as a column" exits 0 bench --op norm:13x96 --compare first.json
check "with a title" grep -q 'x old' stdout
check "no report" fails 2 "no.json" sh -c "echo '{}' >no.json; '$program' bench --compare no.json"
check "no file" fails 2 "nowhere.json" bench --compare nowhere.json

# ---- Clocks --------------------------------------------------------------------------------------

if "$program" devices --json | python3 -c 'import json, sys
sys.exit(not any(d["type"] == "CPU" for d in json.load(sys.stdin)["devices"]))'; then
    check "the processor's time" exits 0 bench --json -d cpu --cpu-time --op rms:3x96
    check "gives numbers too" json 'results[0]["median_ms"] > 0 and r["peak_gflops"] > 0'
fi
check "no processor's time of a GPU" fails 2 "--cpu-time" env VS_LAUNCH_AS=gpu \
    "$program" bench --cpu-time --op rms:3x96

# ---- Peers ---------------------------------------------------------------------------------------

# Whoever is installed; nobody has to be.
check "beside others" exits 0 python3 "$source_folder/tools/bench_peers.py" --program "$program" \
    --op norm:16x64 --op linear:16x64x32 --op rms:3x8 --rounds 2 --seconds 0.01 --json peers.json
check "one row an operation" sh -c 'grep -c "^[a-z]*:[0-9x]*  *[0-9.]* " stdout | grep -qx 3'
peers_hold() {
    python3 -c 'import json
r = json.load(open("peers.json"))
assert [x["op"] for x in r["results"]] == ["norm:16x64", "linear:16x64x32", "rms:3x8"]
for x in r["results"]:
    assert x["median_ms"] > 0 and set(x["ratio"]) == set(x["peer_ms"]) <= set(r["peers"])
    assert all(ratio > 0 for ratio in x["ratio"].values())
assert set(r["results"][1]["ratio"]) == set(r["peers"])  # all of them multiply matrices'
}
check "ratios to all that are there" peers_hold
check "no such Python" fails_plainly "nowhere" python3 "$source_folder/tools/bench_peers.py" \
    --program "$program" --op norm:16x64 --torch nowhere

# ---- Too large, and wrong ------------------------------------------------------------------------

check "more than the device holds" exits 0 bench --json --op norm:1000000000x100000 --op rms:3x96
check "is skipped with a reason" json '"GiB" in results[0]["skipped"] and
    "median_ms" not in results[0] and results[1]["median_ms"] > 0'
check "sizes past all bounds" exits 0 bench --json \
    --op attention:1000000000x1000000000x1000000000x1000000000
check "are skipped too" json '"GiB" in results[0]["skipped"]'
check "unknown operation" fails 2 "did you mean 'linear'" bench --op linaer:1x2x3
check "nothing like it" fails 2 "bench --help" bench --op fourier:1x2x3
check "a size is missing" fails 2 "linear:ROWSxOUTxIN" bench --op linear:12x34
check "a size too many" fails 2 "linear:ROWSxOUTxIN" bench --op linear:1x2x3x4
check "no number" fails 2 "linear:ROWSxOUTxIN" bench --op linear:1xtwox3
check "zero" fails 2 "10^9" bench --op linear:1x0x3
check "unknown word" fails 2 "bf16" bench --op linear:1x2x3:f23
check "a word of another family" fails 2 "norm:ROWSxCHANNELS" bench --op norm:1x2:bf16
check "half a block" fails 2 "Q8_0" bench --op linear:1x2x3:q8_0
check "unknown device" fails 3 "nosuchdevice" bench -d nosuchdevice --op norm:1x1
check "no device" fails 3 "" env OCL_ICD_VENDORS="$work" "$program" bench --op norm:1x1

finish
