#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
#
# cli-validate.sh - `videossm-cl validate`: what it prints, what it compares, and that a kernel
# with one wrong constant does not pass.

. "${srcdir:-.}/tests/cli-common.sh"
kernels=$source_folder/kernels

# ---- A quick run and its reports -----------------------------------------------------------------

# One JSON value, and nothing before or after it.
is_json() {
    python3 -c 'import json, sys; json.load(open(sys.argv[1]))' "$1"
}
silent() { [ ! -s stderr ]; }
# json EXPRESSION FILE: true when the Python expression of the report r holds.
json() {
    python3 -c 'import json, sys; r = json.load(open(sys.argv[2])); sys.exit(not eval("(" + sys.argv[1] + ")"))' \
        "$1" "$2"
}

check "quick run" exits 0 "$program" validate --quick --json -m "$model" --html report.html \
    --junit report.xml
check "nothing else is said" silent
check "JSON and nothing else" is_json stdout
cp stdout quick.json
check "names the device" json '"device" in r and r["device"] and r["driver"] and r["version"]' \
    quick.json
check "verdict" json 'r["verdict"] == "pass"' quick.json
check "every case has its numbers" json 'all(c["op"] and c["shape"] and len(c["sha256"]) == 64 and
    c["max_ulp"] >= 0 and c["max_rel"] >= 0 and c["verdict"] == "pass" for c in r["cases"])' quick.json
check "no case twice" json 'len({(c["op"], c["shape"]) for c in r["cases"]}) == len(r["cases"])' \
    quick.json
check "every family is there" json '{"exp", "gelu", "layernorm", "rmsnorm", "channel norm", "unit",
    "linear f32", "linear bf16", "linear f16", "linear q8_0", "linear q4_0", "linear q4_k",
    "attention", "rope", "gates", "router", "memory update", "memory read", "conv", "add",
    "patchify", "bytes", "check finite"} <= {c["op"] for c in r["cases"]}' quick.json
check "sums of {0,1} are exact" json 'all(c["max_ulp"] == 0 for c in r["cases"]
    if "{0,1}" in c["shape"] and c["op"] in ("linear f32", "conv"))' quick.json
check "every variant ran" json 'all("plain" in c["variants"] or c["variants"] == "winograd"
    for c in r["cases"] if c["op"].split()[0] in ("linear", "attention", "conv"))' quick.json
check "the demo has its hashes" json 'r["demo"]["verdict"] == "pass" and
    len(r["demo"]["latents_sha256"]) == 64 and len(r["demo"]["frames_sha256"]) == 64' quick.json

well_formed() {
    python3 -c 'import sys, xml.dom.minidom as m; m.parse(sys.argv[1])' "$1"
}
check "JUnit is XML" well_formed report.xml
check "JUnit counts tests" grep -q '<testsuite .*failures="0"' report.xml

# Void elements aside, the page is XML too; what it shows is inside it.
page_is_closed() {
    python3 - report.html <<'PYTHON'
import html.parser, sys
void = {"meta", "img", "br", "line", "circle"}
class Page(html.parser.HTMLParser):
    open_tags, problems = [], []
    def handle_starttag(self, tag, attributes):
        if tag not in void:
            self.open_tags.append(tag)
        for name, value in attributes:
            if name in ("src", "href") and not value.startswith("data:image/png;base64,"):
                self.problems.append(f"{tag} {name}={value}")
    def handle_startendtag(self, tag, attributes):
        pass
    def handle_endtag(self, tag):
        if tag not in void and (not self.open_tags or self.open_tags.pop() != tag):
            self.problems.append(f"</{tag}>")
page = Page()
text = open(sys.argv[1]).read()
page.feed(text)
if "http:" in text or "https:" in text or "@import" in text or "url(" in text:
    page.problems.append("points outside")
sys.exit("; ".join(page.problems + page.open_tags) or 0)
PYTHON
}
check "the page is closed and holds all it shows" page_is_closed
check "the page has a plot" grep -q '<polyline .*points="[0-9]' report.html
check "the page has frames" grep -q 'src="data:image/png;base64,iVBORw0KGgo' report.html

check "the table" exits 0 "$program" validate --quick --only attention
check "is no wider than a terminal" sh -c 'awk "length(\$0) > 80 { exit 1 }" stdout'
check "says what passed" grep -q '^attention .* pass$' stdout
check "one device twice is two reports" exits 0 "$program" validate --json --only unit --quick \
    --device 0 --device 0
check "in an array" json 'len(r) == 2 and r[0]["cases"] == r[1]["cases"]' stdout
cp stdout two.json

# PoCL takes less memory when asked to.
if "$program" validate --quick --only add | grep -q "^Portable Computing Language"; then
    check "what a device cannot hold" exits 0 env POCL_MEMORY_LIMIT=2 "$program" validate --json \
        --only large
    check "is skipped, with a reason" json 'len(r["cases"]) == 1 and r["cases"][0]["sha256"] is None
        and r["cases"][0]["verdict"] == "skip" and r["cases"][0]["reason"]' stdout
else
    echo "not on PoCL: no test of a device with little memory"
fi

# ---- Two machines --------------------------------------------------------------------------------

# edit EXPRESSION: quick.json with a change, as other.json.
edit() {
    python3 -c 'import json, sys; r = json.load(open("quick.json")); exec(sys.argv[1])
json.dump(r, open("other.json", "w"))' "$1"
}
# compare WANT EDIT [TEXT]
compare() {
    edit "$2" || return 1
    exits "$1" env OCL_ICD_VENDORS="$work" "$program" validate --compare quick.json other.json &&
        { [ -z "${3:-}" ] || says "$3"; }
}
find_case='c = next(c for c in r["cases"] if c["op"] == "rope")'
check "equal reports" compare 0 'r["device"] = "another"'
check "several devices in one report" exits 0 "$program" validate --compare two.json two.json
check "another hash" compare 6 "$find_case; c['sha256'] = 'f' * 64" "rope, "
check "a hash is missing" compare 6 "$find_case; del c['sha256']" "rope, "
check "a case is missing" compare 6 "$find_case; r['cases'].remove(c)" "rope, "
check "a case too many" compare 6 'r["cases"].append({"op": "new", "shape": "1", "sha256": "0"})' \
    "new, 1: no hash in quick.json"
check "other latents" compare 6 'r["demo"]["latents_sha256"] = "0" * 64' "demo, latents"
check "no demo" compare 6 'del r["demo"]' "demo, latents"
check "other frames" compare 6 'r["demo"]["frames_sha256"] = None' "demo, frames"
check "skipped for want of memory" compare 0 \
    "$find_case; c['sha256'] = None; c['verdict'] = 'skip'"
check "no report" compare 2 'r = {"cases": 1}' "not a report"
check "no JSON" fails 2 "report.html" "$program" validate --compare quick.json report.html
check "no file" fails 2 "nowhere.json" "$program" validate --compare quick.json nowhere.json
check "one file" fails 2 "two values" "$program" validate --compare quick.json

# ---- Usage ---------------------------------------------------------------------------------------

check "unknown operation" fails 2 "'linaer'" "$program" validate --only linaer
check "all and one" fails 2 "--all" "$program" validate --all --device 0
check "compare and run" fails 2 "--compare" "$program" validate --quick --compare quick.json quick.json
check "missing model" fails 5 "nowhere" "$program" validate -m nowhere
check "unknown device" fails 3 "nosuchdevice" "$program" validate --only add -d nosuchdevice
check "no device" fails 3 "" env OCL_ICD_VENDORS="$work" "$program" validate --only add
check "a page in no folder" fails 1 "nowhere/r.html" \
    "$program" validate --quick --only add --html nowhere/r.html

# ---- A broken kernel -----------------------------------------------------------------------------

# broken OPERATION FILE SCRIPT: a copy of kernels/ with one place changed by sed. A new folder each
# time, since drivers keep programs of their own without looking into what they include.
n_copies=0
broken() {
    n_copies=$((n_copies + 1))
    copy=$work/kernels-$n_copies
    cp -r "$kernels" "$copy" && chmod -R u+w "$copy"
    sed "$3" "$kernels/$2" >"$copy/$2"
    ! cmp -s "$kernels/$2" "$copy/$2" || { echo "nothing was changed"; return 1; }
    exits 6 env VS_KERNEL_DIR="$copy" "$program" validate --quick --only "$1" || return 1
    says ": $1, " && grep -q "^$1 .* fail\$" stdout
}
# One unit in the last place of a coefficient, one order of two products, two roundings for one.
check "exp, last bit of a coefficient" broken exp common/vmath.h 's/0x1.555554p-3f/0x1.555556p-3f/'
check "rmsnorm, another order" broken rmsnorm norm/norm.cl \
    's/(vload16(0, x + i) \* r) \* vload16(0, weight + i)/vload16(0, x + i) * (r * vload16(0, weight + i))/'
check "rope, two roundings for one" broken rope rope/rope.cl \
    's/fma(y.s0022446688aaccee, vload16(v, of_a), b)/(y.s0022446688aaccee * vload16(v, of_a) + b)/'
check "unchanged copy" exits 0 env VS_KERNEL_DIR="$kernels" "$program" validate --quick --only unit

finish
