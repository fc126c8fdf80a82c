#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
#
# cli-metrics.sh - the metrics command: folders, videos, several of them, JSON, plot, bad input.

. "${srcdir:-.}/tests/cli-common.sh"

metrics() { "$program" metrics "$@"; }

# json EXPRESSION: true when it holds for the report r; passes where there is no python3.
json() {
    command -v python3 >/dev/null || return 0
    python3 -c "import json, sys; r = json.load(open('stdout')); sys.exit(not ($1))"
}

# picture COLOUR: a PNG of 16x16 pixels, or of 32x16.
picture() {
    case $1 in
    black) echo iVBORw0KGgoAAAANSUhEUgAAABAAAAAQCAIAAACQkWg2AAAAEElEQVR42mNgGAWjYBTAAAADEAAB1y2EYw \
        AAAABJRU5ErkJggg== ;;
    white) echo iVBORw0KGgoAAAANSUhEUgAAABAAAAAQCAIAAACQkWg2AAAAFElEQVR42mP4TyJgGNUwqmH4agAAr639 \
        H23ooMoAAAAASUVORK5CYII= ;;
    wide) echo iVBORw0KGgoAAAANSUhEUgAAACAAAAAQCAIAAAD4YuoOAAAAFUlEQVR42mNgGAWjYBSMglEwChgYAAYQAAE \
        MMFrqAAAAAElFTkSuQmCC ;;
    esac | tr -d ' ' | base64 -d
}

# ---- Folders -------------------------------------------------------------------------------------

mkdir still blinking one none mixed
for i in 0 1 2 3 4 5; do
    picture black >still/frame_00000$i.png
    picture $([ $((i % 2)) = 0 ] && echo black || echo white) >blinking/frame_00000$i.png
done
picture black >one/frame_000000.png
picture black >mixed/frame_000000.png
picture wide >mixed/frame_000001.png

check "a folder" exits 0 metrics still
check "a still one" grep -q '^still  *6  *0\.38  *1\.00000 .* no ' stdout
check "the table tells what is a stand-in" grep -q 'not comparable with published numbers' stdout
check "several" exits 0 metrics still/ blinking --fps 2
check "in one table" grep -q '^blinking  *6  *3\.00  *0\.00000 ' stdout
check "the first too" grep -q '^still/  *6  *3\.00  *1\.00000 ' stdout
check "no word on standard error" [ ! -s stderr ]
check "JSON" exits 0 metrics --json still blinking --fps 2
check "the numbers" json \
    '[v["temporal_flicker"] for v in r["videos"]] == [1, 0] and r["videos"][0]["fps"] == 2'
check "the course" json 'len(r["videos"][1]["seconds"]) == 3 and
    r["videos"][1]["seconds"][0]["mean"] == [127.5] * 3'
check "no contrast is null" json 'r["videos"][0]["contrast_end"] is None'
check "what they mean" json 'r["methods"]["subject_consistency"].startswith("stand-in")'
cp stdout first
check "again" exits 0 metrics --json still blinking --fps 2
check "gives the same bytes" cmp first stdout

# ---- Plot ----------------------------------------------------------------------------------------

mkdir '<&>'
cp blinking/* '<&>'
check "a plot" exits 0 metrics still blinking '<&>' --fps 1 --plot x.svg
check "with lines" grep -q '<polyline .*points="[0-9]' x.svg
check "with names" grep -q 'blinking</text>' x.svg
check "that cannot break it" grep -q '&lt;&amp;&gt;</text>' x.svg
if command -v python3 >/dev/null; then
    check "well formed" python3 -c 'import xml.dom.minidom as x; x.parse("x.svg")'
fi
check "other endings" fails 2 ".svg" metrics still --plot x.gif
check "a plot in no folder" fails 1 "nowhere/x.svg" metrics still --plot nowhere/x.svg

# ---- Videos --------------------------------------------------------------------------------------

# grey VALUE: one frame of 16x16 in three planes, the value in octal.
grey() {
    printf 'FRAME\n'
    head -c 256 /dev/zero | tr '\0' "\\$1"
    head -c 512 /dev/zero | tr '\0' '\200'
}
{ printf 'YUV4MPEG2 W16 H16 F4:1 C444\n'; for v in 020 353 020 353 020 353; do grey $v; done; } \
    >x.y4m
if metrics x.y4m 2>&1 | grep -q 'without FFmpeg'; then
    check "a video needs FFmpeg" fails 2 "give a folder" metrics x.y4m
else
    check "y4m" exits 0 metrics x.y4m
    check "black and white" grep -q '^x.y4m  *6  *1\.50  *0\.00000 ' stdout
    head -c 4000 x.y4m >half.y4m
    check "half of one" exits 0 metrics half.y4m
    check "its whole frames" grep -q '^half.y4m  *5 ' stdout
    echo 'not a video' >text.mp4
    check "no video" fails 2 "text.mp4" metrics text.mp4
    printf 'YUV4MPEG2 W100000 H100000 F4:1 C444\nFRAME\n' >huge.y4m
    check "a huge frame" fails 2 "huge.y4m" metrics huge.y4m
    printf 'YUV4MPEG2 W16 H16 F1:100 C444\n' >slow.y4m
    { cat slow.y4m; grey 020; grey 020; } >slower.y4m
    check "a rate out of range" fails 2 "--fps" metrics slower.y4m
    check "unless given" exits 0 metrics slower.y4m --fps 10
fi

# ---- Bad input -----------------------------------------------------------------------------------

check "nothing to measure" fails 2 "needs DIR|VIDEO" metrics
check "a missing file" fails 2 "nowhere" metrics nowhere
check "an empty folder" fails 2 "no PNG files" metrics none
check "one frame" fails 2 "two frames" metrics one
check "two sizes" fails 2 "a frame of 32x16 in a video of 16x16" metrics mixed
check "a device" fails 2 "neither a file nor a folder" metrics /dev/null
check "a rate" fails 2 "--fps" metrics still --fps 0.1
cp -r still damaged
head -c 60 still/frame_000003.png >damaged/frame_000003.png
check "a damaged frame" fails 2 "damaged/frame_000003.png" metrics damaged
check "the others are measured" exits 2 metrics damaged still
check "and shown" grep -q '^still ' stdout
check "in JSON too" exits 2 metrics --json damaged still
check "with the fault" json '"frame_000003" in r["videos"][0]["fault"] and
    r["videos"][1]["temporal_flicker"] == 1'

finish
