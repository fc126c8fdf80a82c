#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
#
# check_device.sh - every family of kernels, and whole videos, on one real OpenCL implementation.
#
#   check_device.sh families RUNTIME              check_<family>, all variants against the oracles
#   check_device.sh hashes RUNTIME FILE           videos whose hashes must be those of FILE
#   check_device.sh hashes-as-gpu RUNTIME FILE    the same with the kernels that GPUs get
#   check_device.sh hashes-offload RUNTIME FILE   the same with what spares device memory
#
# VS_ONLY holds names of families or memories when the others are to be left for another time. Run in
# the build folder; srcdir is the source folder, RUNTIME a name of tools/runtimes.sh. Nothing
# is skipped: a runtime that is missing fails, and so does another device than the one asked for.
# The tests must have built every row of tools/kernel_variants.txt; the few that a runtime cannot be
# made to build are printed as LEFT OUT, with the reason. Under oclgrind sizes are tiny, and a race,
# an access out of bounds or the use of a value never written fails too. Ends with
# `N passed, M failed`.
set -u
: "${srcdir:=.}"
what=${1:?families or hashes}
runtime=${2:?name of a runtime}
n_passed=0
n_failed=0
as=
options=
work=$(mktemp -d "${TMPDIR:-/tmp}/check-device.XXXXXX") || exit 1
trap 'rm -rf "$work"' EXIT
trap 'exit 1' HUP INT TERM

lines=$(sh "$srcdir/tools/runtimes.sh" env "$runtime") || exit 1
eval "$lines"
unset VS_TEST_DEVICE VS_KERNEL_DIR VS_TEST_SIZES VS_TEST_CASES
case $runtime in
pocl) platform="Portable Computing Language" ;;
intel) platform="Intel(R) OpenCL" ;;
rusticl) platform="rusticl" ;;
oclgrind)
    platform="Oclgrind"
    # Its check for values never written knows no "freeze", which the optimiser makes; programs
    # built without it have no business in the user's cache.
    VS_TEST_SIZES=tiny
    VS_TEST_CASES=12
    OCLGRIND_BUILD_OPTIONS="-cl-opt-disable -DVS_NO_PREFETCH"
    XDG_CACHE_HOME=$work/cache
    # It calls itself a GPU, and would not be given what CPUs get.
    VS_LAUNCH_AS=cpu
    export VS_TEST_SIZES VS_TEST_CASES OCLGRIND_BUILD_OPTIONS XDG_CACHE_HOME VS_LAUNCH_AS
    ;;
esac

# wanted NAME
wanted() {
    [ -z "${VS_ONLY:-}" ] && return 0
    case " $VS_ONLY " in *" $1 "*) return 0 ;; *) return 1 ;; esac
}

# result NAME STATUS SECONDS LOG
result() {
    if [ "$2" = 0 ]; then
        echo "PASS: $runtime $1 ($3 s)"
    else
        echo "FAIL: $runtime $1 ($3 s)"
        tail -n 25 "$4" | sed 's/^/    /'
    fi
}

./videossm-cl devices >"$work/devices" 2>&1
if [ "$(grep -c '^Platform' "$work/devices")" != 1 ] || ! grep -qF "$platform" "$work/devices"; then
    echo "FAIL: $runtime is not the one platform there is:"
    cat "$work/devices"
    exit 1
fi

# family NAME: runs tests/check_NAME and adds up what it says.
family() {
    log=$work/$1.log
    began=$(date +%s)
    status=0
    if [ "$runtime" = oclgrind ]; then
        OCLGRIND_LOG=$work/$1.oclgrind
        export OCLGRIND_LOG
        : >"$OCLGRIND_LOG"
        # The check for values never written of Oclgrind 21.10 crashes in itself on rows of quantised
        # weights, and counts the halves of a vector (v.lo, in reduce.clh) among them.
        case $1 in gemm | norm | rope | random) unset OCLGRIND_UNINITIALIZED ;; esac
    fi
    "tests/check_$1" >"$log" 2>&1 || status=1
    eval "$lines"
    counts=$(sed -n 's/.*Checks: \([0-9]*\), Failures: \([0-9]*\), Errors: \([0-9]*\).*/\1 \2 \3/p' \
        "$log" | tail -n 1)
    # A program that ended before it said anything has failed.
    # shellcheck disable=SC2086
    set -- "$1" ${counts:-1 1 0}
    n_bad=$(($3 + $4))
    if [ "$runtime" = oclgrind ] && [ -s "$OCLGRIND_LOG" ]; then
        cat "$OCLGRIND_LOG" >>"$log"
        n_bad=$((n_bad + 1))
        set -- "$1" $(($2 + 1))
    fi
    [ $status = 0 ] || [ $n_bad != 0 ] || n_bad=1
    [ $n_bad = 0 ] || status=1
    n_passed=$((n_passed + $2 - n_bad))
    n_failed=$((n_failed + n_bad))
    result "$1" $status $(($(date +%s) - began)) "$log"
}

# rows: each row of tools/kernel_variants.txt is to have been built by the tests above.
rows() {
    vectors=1 # of the device, as the launchers see it
    case $runtime in rusticl | oclgrind) vectors=0 ;; esac
    awk -v vectors=$vectors -v runtime="$runtime" '
        FNR == 1 { file++ }
        file == 1 { built[++n] = $0; next }
        /^#/ || !NF || /^(bench|validate)\// { next } # no family: bench and validate run them
        {
            found = 0
            for (i = 1; i <= n && !found; i++) {
                fields = split(built[i], trace)
                found = trace[2] == $1 && trace[3] == $2
                for (o = 4; o <= NF && found; o++) {
                    split($o, want, "=")
                    found = want[2] ~ /\.\.\.$/
                    for (t = 4; t <= fields && !found; t++) {
                        split(substr(trace[t], 3), have, "=")
                        found = have[1] == want[1] &&
                                index("," want[2] ",", "," have[2] ",") != 0
                    }
                }
            }
            if (found)
                next
            if ($2 ~ /^(activation|scatter_rows|winograd_)/ && ($0 !~ /VS_WIDTH=1( |$)/) != vectors)
                print "LEFT OUT: " runtime " " $0 " (width follows the vectors of the device)"
            else if (runtime == "rusticl" && ($2 ~ /_tile$/ || /^norm.norm.cl/ || $2 == "rope_row" ||
                                              /VS_TOKENS=6$/))
                print "LEFT OUT: " runtime " " $0 " (made of vectors; minutes to compile)"
            else if (runtime == "oclgrind" && $2 == "linear_epilogue")
                print "LEFT OUT: " runtime " " $0 " (follows CLBlast, too much to interpret)"
            else if (runtime == "oclgrind" && (/^conv.*VS_LANES=16/ ||
                                               /memory_update_group.*VS_HEAD_DIM=128$/))
                print "LEFT OUT: " runtime " " $0 " (too large to interpret; smaller ones are run)"
            else {
                print "no test built " $0
                bad = 1
            }
        }
        END { exit bad }' "$VS_TRACE_BUILDS" "$srcdir/tools/kernel_variants.txt" >"$work/rows.log"
    status=$?
    grep '^LEFT OUT' "$work/rows.log"
    n_passed=$((n_passed + 1 - status))
    n_failed=$((n_failed + status))
    result "every variant was built" $status 0 "$work/rows.log"
}

# hashes FILE: each line names memory, seconds and what the video must hash to.
hashes() {
    [ -s "$1" ] || { echo "FAIL: $1 holds no hashes"; n_failed=1; return; }
    while read -r memory seconds want; do
        wanted "$memory" || continue
        began=$(date +%s)
        log=$work/$memory.log
        # shellcheck disable=SC2086
        tests/hash-video $options "$srcdir/models/demo" "$seconds" "$memory" >"$log" 2>"$log.errors"
        status=1
        [ "$(cat "$log")" = "$memory $seconds $want" ] && status=0
        { echo "    wanted: $memory $seconds $want"; cat "$log.errors"; } >>"$log"
        n_passed=$((n_passed + 1 - status))
        n_failed=$((n_failed + status))
        result "video$as, $memory, $seconds s" $status $(($(date +%s) - began)) "$log"
    done <"$1"
}

case $what in
families)
    VS_TRACE_BUILDS=$work/builds
    export VS_TRACE_BUILDS
    for name in norm gemm attention memory rope conv pointwise pixels convert; do
        wanted $name && family $name
    done
    [ -n "${VS_ONLY:-}" ] || rows
    # rusticl compiles for seconds where others take a fraction; so many programs are beyond it.
    if [ "$runtime" = rusticl ]; then
        echo "LEFT OUT: rusticl random (compiling its programs takes too long)"
    elif wanted random; then
        family random
    fi
    ;;
hashes) hashes "${3:?file of hashes}" ;;
hashes-as-gpu)
    VS_LAUNCH_AS=gpu
    as=" as on a GPU"
    export VS_LAUNCH_AS
    hashes "${3:?file of hashes}"
    ;;
hashes-offload)
    options=--offload
    as=" with --offload"
    hashes "${3:?file of hashes}"
    ;;
*) echo "check_device.sh: families, hashes, hashes-as-gpu or hashes-offload, not '$what'" >&2; exit 1 ;;
esac
echo "$n_passed passed, $n_failed failed"
[ "$n_failed" = 0 ] && [ "$n_passed" != 0 ]
