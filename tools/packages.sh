# SPDX-License-Identifier: Apache-2.0
#
# packages.sh - which Debian packages are needed, and installing those that are missing.
# Sourced by quickstart.sh and test.sh.

# To build and run. PoCL is the OpenCL device that every machine has.
build_packages="gcc g++ make autoconf automake libtool pkg-config
ocl-icd-opencl-dev libclblast-dev libpng-dev check libsentencepiece-dev libutf8proc-dev
libjansson-dev libzip-dev libavformat-dev libavcodec-dev libavutil-dev libswscale-dev
pocl-opencl-icd"

# To test as well: sanitizer runtimes and libFuzzer, valgrind, a second OpenCL implementation, and
# what reads the program's output.
test_packages="clang libclang-rt-dev valgrind ffmpeg mandoc procps python3 python3-pip oclgrind
mesa-opencl-icd xz-utils"

# The compilers of three vendors' GPUs, for make check-offline; get_ptxas.sh brings the fourth part.
gpu_packages="clang-15 llvm-15 llvm-19 rocm-device-libs libclc-15 intel-opencl-icd"

# Of the packages named as arguments, those that are not installed.
missing_packages() {
    for package in "$@"; do
        dpkg-query -W -f '${Status}' "$package" 2>/dev/null | grep -q 'ok installed' ||
            printf '%s ' "$package"
    done
}

# Installs what is missing of the arguments: as root, else through sudo, else by telling how.
install_packages() {
    if ! command -v dpkg-query >/dev/null 2>&1; then
        echo "This is no Debian system. Please install the equivalents of:" "$@" >&2
        echo "Going on in the hope that they are there." >&2
        return 0
    fi
    missing=$(missing_packages "$@")
    [ -z "$missing" ] && return 0
    echo "Installing: $missing"
    command="apt-get install -y --no-install-recommends $missing"
    if [ "$(id -u)" = 0 ]; then
        as_root=
    elif command -v sudo >/dev/null 2>&1 && sudo -n true 2>/dev/null; then
        as_root=sudo
    elif command -v sudo >/dev/null 2>&1 && [ -t 0 ]; then
        as_root=sudo
    else
        echo "Packages are missing and this is neither root nor sudo. Please have this run:" >&2
        echo "    apt-get update && $command" >&2
        return 1
    fi
    # Word splitting of the command is wanted.
    # shellcheck disable=SC2086
    $as_root env DEBIAN_FRONTEND=noninteractive sh -c \
        "apt-get update -qq && apt-get -qq -o Dpkg::Use-Pty=0 install -y --no-install-recommends $missing >/dev/null"
}
