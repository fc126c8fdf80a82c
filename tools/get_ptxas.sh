#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
#
# get_ptxas.sh FOLDER - NVIDIA's assembler for check_offline.py, from its package on PyPI into
# FOLDER, without root. Does nothing where a CUDA toolkit or an earlier run has brought one.
set -eu
folder=${1:?usage: get_ptxas.sh FOLDER}
version=13.0.88
hash=sha256:56fe502eb77625a12f25172caa3cdddb4e4c8ba2c8c17dba44b164761b380f03
[ -x "$folder/ptxas" ] && exit 0
command -v ptxas >/dev/null && exit 0
[ -x /usr/local/cuda/bin/ptxas ] && exit 0

wheels=$(mktemp -d)
trap 'rm -rf "$wheels"' EXIT
echo "nvidia-cuda-nvcc==$version --hash=$hash" >"$wheels/wanted.txt"
python3 -m pip download --quiet --disable-pip-version-check --no-deps --only-binary=:all: \
    --require-hashes -r "$wheels/wanted.txt" -d "$wheels"
mkdir -p "$folder"
python3 - "$wheels" "$folder" <<'EOF'
import glob, os, sys, zipfile
wheel, = glob.glob(sys.argv[1] + "/*.whl")
with zipfile.ZipFile(wheel) as archive:
    name, = (n for n in archive.namelist() if n.endswith("/bin/ptxas"))
    with open(sys.argv[2] + "/ptxas.new", "wb") as file:
        file.write(archive.read(name))
os.chmod(sys.argv[2] + "/ptxas.new", 0o755)
os.replace(sys.argv[2] + "/ptxas.new", sys.argv[2] + "/ptxas")
EOF
