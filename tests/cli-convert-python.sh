#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
#
# cli-convert-python.sh - what convert writes, opened with safetensors, torch and gguf; skipped where
# they are missing. $VS_TORCH_PYTHON is a Python that has them: python3 -m venv X &&
# X/bin/pip install numpy safetensors gguf torch
: "${srcdir:=.}"
python=${VS_TORCH_PYTHON:-python3}
command -v "$python" >/dev/null || { echo "SKIP: no $python"; exit 77; }
exec "$python" "$srcdir/tests/converted_elsewhere.py" "${VIDEOSSM_CL:-./videossm-cl}" "$srcdir" \
    "$PWD/tests/make-lora"
