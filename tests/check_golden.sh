#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# check_golden.sh - every golden case of the repository.
exec tests/golden-run "${srcdir:-.}/tests/golden"
