#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
#
# test.sh - installs what the tests need and runs them all.
#
# sh tools/test.sh      1 make check, 2 make distcheck, 3 make check under AddressSanitizer and
# UBSan, 4 a minute of fuzzing, 5 the compilers of three vendors' GPUs, 6 videos and kernels on four
# OpenCL runtimes (part of make check-device). Builds lie in build-test/; may be run again. The
# last line is `N passed, M failed`, counting Check's checks, golden cases and scripts of all runs.
set -u
root=$(cd "$(dirname "$0")/.." && pwd)
. "$root/tools/packages.sh"
cd "$root" || exit 1
builds=$root/build-test
jobs=$(nproc)
passed=0
failed=0

step() { printf '\n== %s (%s)\n' "$*" "$(date +%H:%M:%S)"; }

# result NAME STATUS: counts a step that has no tests of its own.
result() {
    if [ "$2" = 0 ]; then
        passed=$((passed + 1))
        echo "PASS: $1"
    else
        failed=$((failed + 1))
        echo "FAIL: $1"
    fi
}

# build NAME CONFIGURE-ARGUMENTS...: configures and compiles build-test/NAME with its tests.
build() {
    name=$1
    shift
    mkdir -p "$builds/$name"
    (
        cd "$builds/$name" || exit 1
        [ -f Makefile ] || "$root/configure" --quiet "$@" || exit 1
        make --quiet -j"$jobs" && make --quiet -j"$jobs" check TESTS=
    ) >"$builds/$name.build.log" 2>&1
    status=$?
    [ $status = 0 ] || tail -n 30 "$builds/$name.build.log"
    result "build $name" $status
    return $status
}

# check NAME: runs make check there and adds up what its logs say.
check() {
    rm -f "$builds/$1.kernels"
    (cd "$builds/$1" && VS_TRACE_BUILDS=$builds/$1.kernels make -j"$jobs" check) \
        >"$builds/$1.check.log" 2>&1
    status=$?
    grep -E '^(PASS|FAIL|ERROR|SKIP|XPASS):' "$builds/$1.check.log"
    counts=$(cat "$builds/$1"/tests/*.log 2>/dev/null | awk '
        /Checks: [0-9]+, Failures: [0-9]+, Errors: [0-9]+/ {
            n = $0; sub(/.*Checks: /, "", n); f = $0; sub(/.*Failures: /, "", f)
            e = $0; sub(/.*Errors: /, "", e); bad += f + e; good += n - f - e }
        /^[0-9]+ passed, [0-9]+ failed/ { good += $1; bad += $3 }
        END { print good + 0, bad + 0 }')
    # shellcheck disable=SC2086
    set -- "$1" $counts
    passed=$((passed + $2))
    failed=$((failed + $3))
    if [ $status != 0 ]; then
        [ "$3" = 0 ] && failed=$((failed + 1))
        for log in "$builds/$1"/tests/*.trs; do
            grep -q ':test-result: *\(FAIL\|ERROR\)' "$log" && tail -n 40 "${log%.trs}.log"
        done
    fi
    echo "$1: $2 passed, $3 failed"
}

step "packages"
# shellcheck disable=SC2086
install_packages $build_packages $test_packages $gpu_packages || exit 1

# The tests are about the embedded default; another device is chosen with VS_TEST_DEVICE. Other
# packages above bring drivers too, and some of them do not bear AddressSanitizer.
if [ -z "${OCL_ICD_VENDORS:-}" ] && [ -e /etc/OpenCL/vendors/pocl.icd ]; then
    OCL_ICD_VENDORS=/etc/OpenCL/vendors/pocl.icd
    export OCL_ICD_VENDORS
fi

# What comes over the network besides packages is fetched while the processors compile.
mkdir -p "$builds/plain"
{
    sh "$root/tools/get_ptxas.sh" "$builds/plain/offline-cache"
    sh "$root/tools/runtimes.sh" fetch
} >"$builds/downloads.log" 2>&1 &
downloads=$!

step "configure"
./autogen.sh >autogen.log 2>&1 || { tail -n 20 autogen.log; exit 1; }

step "make check"
build plain && check plain

step "make distcheck"
(cd "$builds/plain" && make distcheck TESTS='tests/check_includes.sh' \
    DISTCHECK_CONFIGURE_FLAGS='--quiet CFLAGS=-O0 CXXFLAGS=-O0') >"$builds/distcheck.log" 2>&1
status=$?
[ $status = 0 ] || tail -n 30 "$builds/distcheck.log"
result "make distcheck" $status

step "make check under AddressSanitizer and UBSan"
ASAN_OPTIONS=detect_leaks=1:abort_on_error=0
LSAN_OPTIONS=suppressions=$root/tests/lsan.supp:print_suppressions=0
UBSAN_OPTIONS=print_stacktrace=1
export ASAN_OPTIONS LSAN_OPTIONS UBSAN_OPTIONS
build sanitized --enable-sanitizers=address,undefined --disable-shared CFLAGS='-O1 -g' \
    CXXFLAGS='-O1 -g' && check sanitized

step "fuzzing"
build fuzz --enable-fuzzing --disable-shared CC=clang CXX=clang++ CFLAGS='-O1 -g' \
    CXXFLAGS='-O1 -g' && {
    (cd "$builds/fuzz" && sh "$root/tests/fuzz/run.sh" 60) >"$builds/fuzz.log" 2>&1
    status=$?
    tail -n 12 "$builds/fuzz.log"
    result "fuzz targets, 60 seconds" $status
}

step "GPU compilers, offline"
(cd "$builds/plain" && srcdir=$root sh "$root/tests/check_variants.sh" ../plain.kernels) \
    >"$builds/variants.log" 2>&1
status=$?
[ $status = 0 ] || tail -n 30 "$builds/variants.log"
result "kernel_variants.txt names what is built" $status
wait "$downloads"
# Here a compiler that is missing is a failure, which the exit status says.
(cd "$builds/plain" && python3 "$root/tools/check_offline.py" --root "$root") \
    >"$builds/offline.log" 2>&1
status=$?
grep -E '^SKIP|FAIL|Error' "$builds/offline.log"
tail -n 1 "$builds/offline.log"
result "every kernel compiled for every GPU" $status

# What minutes allow of make check-device. Refuses to go on without a runtime.
step "make check-device, in part"
grep '^runtimes.sh: ' "$builds/downloads.log"
(cd "$builds/plain" && make -k -O -j"$jobs" check-device-part) >"$builds/check-device.log" 2>&1
status=$?
sed -n '/^PASS: /p; /^LEFT OUT: /p; /^FAIL: /,/^\(PASS\|[0-9]* passed\)/p; /^runtimes.sh: /p' \
    "$builds/check-device.log"
# shellcheck disable=SC2046
set -- $(awk '/^[0-9]+ passed, [0-9]+ failed/ { good += $1; bad += $3 }
    END { print good + 0, bad + 0 }' "$builds/check-device.log")
[ $status = 0 ] || [ "$2" != 0 ] || set -- "$1" 1
passed=$((passed + $1))
failed=$((failed + $2))
echo "check-device: $1 passed, $2 failed"

step "all tests"
echo "$passed passed, $failed failed"
[ "$failed" = 0 ] && [ "$passed" != 0 ]
