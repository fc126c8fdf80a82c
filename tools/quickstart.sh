#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
#
# quickstart.sh - from a fresh Debian to a minute of video: packages, build, generate.
#
# sh tools/quickstart.sh [PROMPT]     leaves everything in build/ and quickstart/; may be run again.
set -eu
root=$(cd "$(dirname "$0")/.." && pwd)
. "$root/tools/packages.sh"
cd "$root"

prompt=${1:-"a red circle and a white star take turns crossing a night background"}
out=$root/quickstart

step() { printf '\n== %s\n' "$*"; }

step "1/3 packages"
# shellcheck disable=SC2086
install_packages $build_packages

step "2/3 building videossm-cl"
[ -x configure ] || ./autogen.sh >build.log 2>&1 || { tail -n 20 build.log; exit 1; }
mkdir -p build
cd build
[ -f Makefile ] || ../configure --quiet >>../build.log 2>&1 || { tail -n 20 ../build.log; exit 1; }
make --quiet -j"$(nproc)" videossm-cl >>../build.log 2>&1 || { tail -n 20 ../build.log; exit 1; }
./videossm-cl --version

step "3/3 generating 60 seconds of video: $prompt"
mkdir -p "$out"
./videossm-cl generate -m "$root/models/demo" -p "$prompt" --seconds 60 --seed 7 \
    -o "$out/frames/" -o "$out/video.mp4" -o "$out/sheet.png"

step "done"
echo "video:         $out/video.mp4"
echo "frames:        $out/frames/frame_000000.png ... ($(find "$out/frames" -name 'frame_*.png' | wc -l) PNG files)"
echo "contact sheet: $out/sheet.png"
