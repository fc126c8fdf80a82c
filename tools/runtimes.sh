#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
#
# runtimes.sh - real OpenCL implementations that run on any CPU, chosen one at a time.
#
#   eval "$(tools/runtimes.sh env NAME)"     select a runtime in this shell
#   tools/runtimes.sh run NAME COMMAND...    run one command with it
#   tools/runtimes.sh fetch                  only bring Intel's runtime
#
# NAME is pocl, intel, rusticl or oclgrind. PoCL, rusticl (package mesa-opencl-icd) and Oclgrind are
# Debian packages. Intel's CPU runtime comes from PyPI, without root: 280 MB are loaded once into
# $XDG_CACHE_HOME/videossm-cl/runtimes (or $VS_RUNTIMES_DIR) and each file is checked against the
# hash written here. A runtime that is not there is an error, never a silent other choice.
set -eu

folder=${VS_RUNTIMES_DIR:-${XDG_CACHE_HOME:-$HOME/.cache}/videossm-cl/runtimes}
icd_folder=${VS_ICD_DIR:-/etc/OpenCL/vendors}
oclgrind_library=${VS_OCLGRIND_LIBRARY:-/usr/lib/oclgrind/liboclgrind-rt-icd.so}

# Versions and hashes of the wheels; a new version gets a new folder.
intel_version=2026.2.0
intel_wheels() {
    cat <<'WHEELS'
intel-opencl-rt==2026.2.0 --hash=sha256:6b6215a420598b4999ee01caca6d5cbe106aa4155c46c52377619c5aafce9f67
intel-cmplr-lib-rt==2026.2.0 --hash=sha256:9f713083073a820d2496a6da8e8d4f3482aba6640f74521d25ea48dcebe72748
tbb==2023.2.0 --hash=sha256:7d80615b6e970f11671fa05b6eaa9483ac864fbfe525ac280271a78b37870b7c
tcmlib==1.6.0 --hash=sha256:46c2491988bfd18c4733eeb08aca6a386706a497b92cc51d155f37ddea003c14
WHEELS
}

fail() {
    echo "runtimes.sh: $*" >&2
    exit 1
}

# A python3 that has pip: the first of PATH, else the system's.
python_with_pip() {
    for python in python3 /usr/bin/python3; do
        "$python" -m pip --version >/dev/null 2>&1 && { echo "$python"; return 0; }
    done
    fail "pip is missing; please install the package python3-pip"
}

# Libraries of all wheels in one folder. The loader (libOpenCL) is left out, so that programs keep
# the system's, and so is what only compilers and debuggers want.
merge_wheels() {
    mkdir -p "$1/lib"
    for libraries in "$1"/wheels/*.data/data/lib; do
        [ -d "$libraries" ] || fail "a wheel without libraries; its layout has changed"
        mv "$libraries"/* "$1/lib/"
    done
    (
        cd "$1/lib"
        rm -f libOpenCL.so* icx-lto.so libtcm_debug.so* ./*-gdb.py
        # Wheels hold copies where a system has links.
        for name in *.so *.so.*; do
            for longer in "$name".?*; do
                if [ ! -L "$name" ] && [ -f "$longer" ] && cmp -s "$name" "$longer"; then
                    ln -sf "$longer" "$name"
                fi
            done
        done
    )
    rm -rf "$1/wheels"
}

fetch_intel() {
    target=$folder/intel-$intel_version
    [ -f "$target/vendors/intel.icd" ] && return 0
    [ "$(uname -s)-$(uname -m)" = Linux-x86_64 ] || fail "Intel's CPU runtime is for Linux on x86-64"
    python=$(python_with_pip)
    mkdir -p "$folder"
    # Made beside its place and moved there whole: two at once do no harm, nor does an end half-way.
    new=$(mktemp -d "$folder/new.XXXXXX")
    trap 'rm -rf "$new"' EXIT
    trap 'exit 1' HUP INT TERM
    echo "runtimes.sh: fetching Intel's OpenCL CPU runtime $intel_version into $target" >&2
    intel_wheels >"$new/wheels.txt"
    "$python" -m pip download --quiet --disable-pip-version-check --no-cache-dir --no-deps \
        --only-binary :all: --platform manylinux_2_28_x86_64 --require-hashes \
        --dest "$new" --requirement "$new/wheels.txt" >&2 || fail "pip could not fetch the wheels"
    for wheel in "$new"/*.whl; do
        "$python" -m zipfile -e "$wheel" "$new/wheels"
        rm -f "$wheel"
    done
    merge_wheels "$new"
    [ -f "$new/lib/libintelocl.so" ] || fail "the wheels hold no libintelocl.so"
    mkdir "$new/vendors"
    echo "$target/lib/libintelocl.so" >"$new/vendors/intel.icd"
    chmod 755 "$new"
    mv -T "$new" "$target" 2>/dev/null || [ -f "$target/vendors/intel.icd" ] ||
        fail "$target cannot be made"
}

# need FILE PACKAGE
need() {
    [ -e "$1" ] || fail "$1 is missing; please install the package $2"
}

# The shell lines that select runtime $1 and unselect the others.
environment() {
    vendors= libraries= rusticl= oclgrind=
    case $1 in
    pocl)
        vendors=$icd_folder/pocl.icd
        need "$vendors" pocl-opencl-icd
        ;;
    rusticl)
        vendors=$icd_folder/rusticl.icd
        need "$vendors" mesa-opencl-icd
        rusticl=llvmpipe
        ;;
    intel)
        fetch_intel
        vendors=$folder/intel-$intel_version/vendors
        libraries=$folder/intel-$intel_version/lib
        ;;
    oclgrind)
        need "$oclgrind_library" oclgrind
        mkdir -p "$folder/oclgrind"
        echo "$oclgrind_library" >"$folder/oclgrind/oclgrind.icd.$$"
        mv "$folder/oclgrind/oclgrind.icd.$$" "$folder/oclgrind/oclgrind.icd"
        vendors=$folder/oclgrind/oclgrind.icd
        oclgrind=1
        ;;
    *) fail "no runtime is called '$1'; there are pocl, intel, rusticl and oclgrind" ;;
    esac
    echo "export OCL_ICD_VENDORS='$vendors'"
    if [ -n "$libraries" ]; then
        echo "export LD_LIBRARY_PATH='$libraries'"
    else
        echo "unset LD_LIBRARY_PATH"
    fi
    [ -z "$rusticl" ] && echo "unset RUSTICL_ENABLE" || echo "export RUSTICL_ENABLE=$rusticl"
    # What `oclgrind --data-races --uninitialized` sets.
    [ -z "$oclgrind" ] && echo "unset OCLGRIND_DATA_RACES OCLGRIND_UNINITIALIZED" ||
        echo "export OCLGRIND_DATA_RACES=1 OCLGRIND_UNINITIALIZED=1"
}

case ${1:-} in
fetch) fetch_intel ;;
env) environment "${2:?which runtime: pocl, intel, rusticl or oclgrind}" ;;
run)
    lines=$(environment "${2:?which runtime: pocl, intel, rusticl or oclgrind}")
    shift 2
    eval "$lines"
    exec "$@"
    ;;
*) fail "usage: runtimes.sh fetch | env NAME | run NAME COMMAND...; NAME: pocl intel rusticl oclgrind" ;;
esac
