#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
#
# check_includes.sh - includes point down only (host > models > kernels > cl), and only cl/ sees
# OpenCL's header.
cd "${srcdir:-.}" || exit 1
bad=0

# forbid WHAT PATTERN FOLDER...: no file of the folders may include a match of the pattern.
forbid() {
    what=$1
    pattern=$2
    shift 2
    found=$(grep -rnE "^#include [\"<]($pattern)" --include='*.[ch]' --include='*.cc' "$@")
    if [ -n "$found" ]; then
        printf '%s:\n%s\n' "$what" "$found"
        bad=1
    fi
}

forbid "cl/ must not see the layers above it" '(kernels|models|host|tests)/' cl
forbid "kernels/ must not see the layers above it" '(models|host|tests)/' kernels
forbid "models/ must not see the layers above it" '(host|tests)/' models
forbid "host/ must not see the tests" 'tests/' host
forbid "only cl/ includes OpenCL" 'CL/' kernels models host
forbid "only the CLBlast provider includes CLBlast" 'clblast' cl models host
[ $bad = 0 ] && echo "1 passed, 0 failed"
exit $bad
