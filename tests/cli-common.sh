# SPDX-License-Identifier: Apache-2.0
#
# cli-common.sh - what the tests of the whole program share; read with "." by them.
#
# $VIDEOSSM_CL is the program (default ./videossm-cl, in the build folder), $VS_TEST_MODEL the model
# (default the demo model of the source folder).

: "${srcdir:=.}"
program=${VIDEOSSM_CL:-./videossm-cl}
model=${VS_TEST_MODEL:-$srcdir/models/demo}
case $program in /*) ;; *) program=$PWD/$program ;; esac
case $model in /*) ;; *) model=$PWD/$model ;; esac
case $srcdir in /*) source_folder=$srcdir ;; *) source_folder=$PWD/$srcdir ;; esac

unset VIDEOSSM_MODEL NO_COLOR
LC_ALL=C
export LC_ALL

work=$(mktemp -d "${TMPDIR:-/tmp}/videossm-cli.XXXXXX") || exit 1
trap 'rm -rf "$work"' EXIT
trap 'exit 1' HUP INT TERM
cd "$work" || exit 1
# Tuning records of the machine's owner decide nothing here.
XDG_CONFIG_HOME=$work/config
export XDG_CONFIG_HOME

n_failed=0
n_passed=0

# check NAME COMMAND...: one test, passed when the command succeeds.
check() {
    name=$1
    shift
    if "$@"; then
        n_passed=$((n_passed + 1))
    else
        n_failed=$((n_failed + 1))
        echo "FAIL: $name"
        # What the program said last is what one needs to know.
        sed 's/^/    stderr: /' "$work/stderr" 2>/dev/null | head -n 5
    fi
}

# run COMMAND...: its output to ./stdout and ./stderr, its exit code to $code.
run() {
    code=0
    "$@" >stdout 2>stderr </dev/null || code=$?
    # LeakSanitizer may crash while a driver's threads end, which says nothing of the program.
    if grep -q "LeakSanitizer has encountered a fatal error" stderr; then
        code=0
        "$@" >stdout 2>stderr </dev/null || code=$?
    fi
}

# exits WANT COMMAND...: true when it exits with that code and, if not 0, says why.
exits() {
    want=$1
    shift
    run "$@"
    [ "$code" -eq "$want" ] || { echo "exit code $code, not $want: $*"; return 1; }
    [ "$want" -eq 0 ] || [ -s stderr ]
}

# says TEXT: true when standard error holds it.
says() {
    grep -qF -- "$1" stderr
}

# fails WANT TEXT COMMAND...: exits with that code and a message that holds the text.
fails() {
    wanted_code=$1
    text=$2
    shift 2
    exits "$wanted_code" "$@" && says "videossm-cl: error: " && says "$text"
}

finish() {
    echo "$n_passed passed, $n_failed failed"
    [ "$n_failed" -eq 0 ]
    exit
}
