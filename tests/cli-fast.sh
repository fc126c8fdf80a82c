#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
#
# cli-fast.sh - `--precision fast`: who computes what, what is recorded, what bound is held; and that
# none of it touches exact precision.

. "${srcdir:-.}/tests/cli-common.sh"

prompt="a blue square moves left and right on a sand background"
generate() {
    "$program" generate -m "$model" -p "$prompt" --seconds 0.1 --seed 7 "$@"
}
# launched KERNEL: the last run, with --profile --progress json, started it.
launched() {
    grep '"event":"profile"' stderr | grep -q "\"kernel\":\"$1\""
}
idle() { ! launched "$1"; }
silent() { [ ! -s stderr ]; }
json() {
    python3 -c 'import json, sys; r = json.load(open(sys.argv[2])); sys.exit(not eval("(" + sys.argv[1] + ")"))' \
        "$1" "$2"
}

# ---- Tuning --------------------------------------------------------------------------------------

linear=linear:33x48x64
tune() {
    "$program" tune --seconds-per-shape 0.01 "$@"
}
check "tune" exits 0 tune --precision fast --op $linear --op linear:5x7x32:bf16:gated
check "nothing is refused" silent
own=$(echo "$XDG_CONFIG_HOME"/videossm-cl/tuning/*.json)
check "records of that precision" json 'len(r["records"]) == 2 and
    all(x["precision"] == "fast" for x in r["records"])' "$own"
check "exact ones beside them" exits 0 tune --op $linear
check "stay apart" json 'len(r["records"]) == 3 and
    sorted(x.get("precision", "exact") for x in r["records"]) == ["exact", "fast", "fast"] and
    len({x["among"] for x in r["records"]}) == 2' "$own"
# The variant that a run takes, to ./chosen.
chosen() {
    "$program" bench --seconds 0.001 --json --op "$linear" "$@" >bench.json 2>stderr &&
        json 'print(r["results"][0]["variant"])' bench.json >chosen
    cat chosen
}
prefer() {
    printf '{"tuning": 1, "records": [{"op": "%s", "variant": "clblast"%s}]}\n' "$linear" "$1" >"$own"
}
rm "$own"
rule=$(chosen)
prefer ', "precision": "fast"'
check "a record decides" [ "$(chosen --precision fast)" = clblast ]
check "in fast precision alone" [ "$(chosen)" = "$rule" ]
prefer ''
check "not where it speaks of exact precision" [ "$(chosen)$(chosen --precision fast)" = "$rule$rule" ]
prefer ', "precision": "bold"'
check "nor of another" [ "$(chosen)$(chosen --precision fast)" = "$rule$rule" ]
prefer ', "precision": "fast"'
cp "$own" shared.json
rm "$own"
check "import" exits 0 tune --import shared.json
check "keeps the precision" json '[(x["variant"], x["precision"]) for x in r["records"]] ==
    [("clblast", "fast")]' "$own"

# ---- Videos --------------------------------------------------------------------------------------

rm "$own"
check "without records" exits 0 generate --precision fast --progress json --profile -o plain.y4m
check "own kernels serve" idle sgemm
check "and halves are kept" exits 0 generate --kv f16 -q -o half.y4m
check "so the bits are those of exact" cmp plain.y4m half.y4m
check "exact" exits 0 generate -q -o exact.y4m -o exact.png

# Every layer of the demo model's transformer, whatever its weights.
python3 - >"$own" <<'PYTHON'
import json
shapes = ["72x192x192", "72x512x192", "72x192x512", "72x64x192", "72x192x64"]
print(json.dumps({"tuning": 1, "records": [
    {"op": f"linear:{shape}:{dtype}", "variant": "clblast", "precision": "fast"}
    for shape in shapes for dtype in ("f32", "f16", "bf16")]}))
PYTHON
check "with records" exits 0 generate --precision fast --progress json --profile -o fast.y4m \
    -o fast.png
check "CLBlast serves" launched sgemm
check "the bytes are not promised" says "may give other bytes"
check "which the picture says" grep -aq ', Precision: fast (bits are not promised),' fast.png
check "and records" grep -aq '"precision":"fast"' fast.png
check "with halves" grep -aq '"kv":"f16"' fast.png
check "unless told otherwise" exits 0 generate --precision fast --kv f32 -q -o wide.png
check "so" grep -aq '"kv":"f32"' wide.png
check "replay" exits 0 "$program" replay -m "$model" fast.png --progress json --profile -o again.png
check "is as fast" launched sgemm
check "and gives the same here" cmp fast.png again.png
check "exact with such records" exits 0 generate --precision exact --progress json --profile \
    -o still.y4m -o still.png
check "does without CLBlast" idle sgemm
check "same frames" cmp exact.y4m still.y4m
check "same file" cmp exact.png still.png
check "says nothing of precision" sh -c '! grep -aqi precision exact.png stderr'

near() {
    python3 - fast.y4m half.y4m <<'PYTHON'
import sys
a, b = (open(name, "rb").read() for name in sys.argv[1:])
assert len(a) == len(b)
squares = sum((x - y) ** 2 for x, y in zip(a, b)) / len(a)
sys.exit(squares > 1)  # 48 dB
PYTHON
}
check "the frames are near" near

check "a kept run" exits 0 generate --precision fast --keep run -q -o kept.y4m
check "knows its precision" json 'r["settings"]["precision"] == "fast"' run/run.json
check "which is settled" fails 2 "--precision is settled by the run" "$program" generate -m "$model" \
    --extend run --seconds 0.5 --precision fast
# On a copy, since run() may have to try again.
check "and goes on so" exits 0 sh -c 'rm -rf longer && cp -r run longer && exec "$@"' - \
    "$program" generate -m "$model" --extend longer --seconds 0.5 --progress json --profile
check "with CLBlast" launched sgemm
check "a word that is none" fails 2 "exact|fast" generate --precision sloppy -o x.png

# ---- Validation ----------------------------------------------------------------------------------

rm "$own"
check "validate" exits 0 "$program" validate --precision fast --quick --only linear --json
check "by each kernel" json 'all("clblast" in c["variants"] and c["verdict"] == "pass"
    for c in r["cases"]) and len(r["cases"]) > 10' stdout
python3 -c 'import json
print([(c["shape"], c["sha256"]) for c in json.load(open("stdout"))["cases"]])' >fast.hashes
check "exact" exits 0 "$program" validate --quick --only linear --json
check "without CLBlast" json 'not any("clblast" in c["variants"] for c in r["cases"])' stdout
check "has the same hashes" sh -c 'python3 -c "import json
print([(c[\"shape\"], c[\"sha256\"]) for c in json.load(open(\"stdout\"))[\"cases\"]])" |
    cmp - fast.hashes'
check "the demo" exits 0 "$program" validate --precision fast --quick --only demo \
    --json -m "$model"
check "is made, and held against nothing" json 'r["demo"]["verdict"] == "skip" and
    len(r["demo"]["frames_sha256"]) == 64' stdout

# An error of 2^-12 is more than is stated, one of 2^-16 less.
# off FACTOR: a copy of kernels/ in which what follows CLBlast's product is off by that factor.
n_copies=0
off() {
    n_copies=$((n_copies + 1))
    VS_KERNEL_DIR=$work/kernels-$n_copies
    export VS_KERNEL_DIR
    cp -r "$source_folder/kernels" "$VS_KERNEL_DIR" && chmod -R u+w "$VS_KERNEL_DIR" &&
        sed "s/float value = y\[y_offset + i\];/float value = $1 * y[y_offset + i];/" \
            "$source_folder/kernels/gemm/gemm_epilogue.cl" >"$VS_KERNEL_DIR/gemm/gemm_epilogue.cl" &&
        ! cmp -s "$source_folder/kernels/gemm/gemm_epilogue.cl" "$VS_KERNEL_DIR/gemm/gemm_epilogue.cl"
}
check "a kernel that is farther off" off 1.000244140625f
check "fails" exits 6 "$program" validate --precision fast --quick --only "linear f32"
check "by name and bound" says " of the results from float64, where 6.1e-05 is allowed"
check "is nothing to exact precision" exits 0 "$program" validate --quick --only "linear f32"
check "is no candidate" exits 6 tune --precision fast --op $linear:residual -o broken.json
check "by name" says "the variant 'clblast' is refused: it gives numbers farther off than"
check "and not recorded" json 'r["records"][0]["variant"] != "clblast"' broken.json
check "nor imported" exits 6 tune --import shared.json -o broken2.json
check "at all" json 'r["records"] == []' broken2.json
check "a kernel within the bound" off 1.0000152587890625f
check "passes" exits 0 "$program" validate --precision fast --quick --only "linear f32"
unset VS_KERNEL_DIR

finish
