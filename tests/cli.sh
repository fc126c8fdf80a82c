#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
#
# cli.sh - the program without generating anything: help, usage, model files, devices, outputs.

. "${srcdir:-.}/tests/cli-common.sh"
commands=$("$program" help --complete) || exit 1

# ---- Help ----------------------------------------------------------------------------------------

narrow() { awk 'length($0) > 80 { exit 1 }' stdout; }
helps() { exits 0 "$@" && [ -s stdout ] && [ ! -s stderr ] && narrow; }
same_help() { "$program" help "$1" >a && "$program" "$1" --help >b && cmp -s a b; }

check "help" helps "$program" help
check "--help" helps "$program" --help
check "-h" helps "$program" -h
check "--version" helps "$program" --version
check "--version names the program" grep -q '^videossm-cl [0-9]*\.[0-9]*\.[0-9]' stdout
check "no command" exits 2 "$program"
for command in $commands; do
    check "$command --help" helps "$program" "$command" --help
    check "help $command" same_help "$command"
done
for command in generate plan replay devices inspect convert validate bench tune metrics; do
    check "$command -h with other options" helps "$program" "$command" -h --bogus
    check "$command: examples" grep -q '^Examples:' stdout
    for option in $("$program" help --complete "$command" | cut -f 1 | grep '^--'); do
        roff=$(echo "$option" | sed 's/^--/Fl Fl /')
        check "$option is in the man page" grep -q "$roff" "$source_folder/host/videossm-cl.1"
    done
done
check "help to a full disk" exits 1 sh -c '"$0" --help >/dev/full' "$program"
check "help to a closed descriptor" exits 1 sh -c '"$0" --help >&- || exit' "$program"

# ---- Usage ---------------------------------------------------------------------------------------

usage() {
    text=$1
    shift
    fails 2 "$text" "$program" "$@"
}
g="generate -m $model"

check "unknown command" usage "did you mean 'generate'" genrate
check "unknown command, far off" usage "unknown command" xyzzy
check "unknown option before a command" usage "--bogus" --bogus
check "unknown option" usage "did you mean --prompt" generate --promt x
check "unknown letter" usage "-Z" generate -Z
check "no prompt" usage "--prompt" $g -o out
check "no output" usage "--output" $g -p x
check "missing value" usage "--output needs a value" $g -p x -o
check "stray argument" usage "'stray'" $g -p x -o out stray
for value in nan inf 0 -1 1e999 16x 0x10 ''; do
    check "--fps '$value'" usage "--fps '$value'" $g -p x -o out --fps "$value"
    check "--seconds '$value'" usage "--seconds '$value'" $g -p x -o out --seconds "$value"
done
for value in -1 18446744073709551616 1.5 x ''; do
    check "--seed '$value'" usage "--seed '$value'" $g -p x -o out --seed "$value"
done
for value in 96 96x 97x64 96x60 0x0 96x64x3 96X64 99999999999x16; do
    check "--size $value" usage "--size '$value'" $g -p x -o out --size "$value"
done
check "--memory" usage "hybrid|sink|window|full" $g -p x -o out --memory all
check "--kv" usage "f32|f16" $g -p x -o out --kv f8
check "--noise" usage "philox|torch" $g -p x -o out --noise white
check "--progress" usage "auto|plain|json|none" $g -p x -o out --progress loud
check "--window 0" usage "--window" $g -p x -o out --window 0
check "--at with one value" usage "two values" $g -p x -o out --at 1
check "--at without a time" usage "--at 'soon'" $g -p x -o out --at soon y
check "no prompt at the beginning" usage "first prompt begins at 3" $g -o out --at 3 y
check "two prompts for one time" usage "two prompts" $g -p x -o out --at 3 y --at 3 z
check "a prompt that is not UTF-8" usage "not UTF-8" $g -p "$(printf 'a\377')" -o out
check "a prompt that is not UTF-8, later" usage "not UTF-8" $g -p x --at 1 "$(printf '\303')" -o out
check "two scripts of what to show" usage "--script" $g -p x --script s.json -o out
check "a script that is not there" usage "nowhere.json" $g --script nowhere.json -o out
echo '[{"at": 0, "prompt": "a"}, {"at": "1", "prompt": "b"}]' >s.json
check "a script with a wrong entry" usage '$[1].at' $g --script s.json -o out
check "other media" usage ".avi" $g -p x -o x.avi
check "an output twice" usage "given twice" $g -p x -o out -o out/
check "standard output twice" usage "given twice" $g -p x -o - -o -
check "nothing was made by wrong usage" [ ! -e out ]
check "replay without a file" usage "FILE" replay
check "replay of nothing" usage "nowhere.png" replay nowhere.png
echo "no picture" >text.png
check "replay of no video" usage "text.png" replay text.png -m "$model" -o out
check "devices with an argument" usage "'x'" devices x

# ---- Model files come before devices -------------------------------------------------------------

mkdir empty
no_device=$work/empty
check "missing model" fails 5 "nowhere" "$program" generate -m nowhere -p x -o out
check "missing model, missing device" fails 5 "nowhere" \
    env OCL_ICD_VENDORS="$no_device" "$program" generate -m nowhere -p x -o out
check "empty model folder" fails 5 "empty" "$program" generate -m empty -p x -o out
check "missing part" fails 5 "nowhere.safetensors" \
    "$program" generate -m "$model" --dit nowhere.safetensors -p x -o out
: >empty.safetensors
check "empty part" fails 5 "empty.safetensors" \
    env OCL_ICD_VENDORS="$no_device" "$program" generate -m "$model" --dit empty.safetensors \
    -p x -o out
check "missing model of the environment" fails 5 "nowhere" \
    env VIDEOSSM_MODEL=nowhere "$program" generate -p x -o out
check "no output of a run without model" [ ! -e out ]

# ---- Devices -------------------------------------------------------------------------------------

check "devices" exits 0 "$program" devices
check "one is the default" sh -c '[ "$(grep -c "(default)" stdout)" -eq 1 ]'
check "devices --json" exits 0 "$program" devices --json
check "one is the default in JSON" sh -c '[ "$(grep -c "\"default\": true" stdout)" -eq 1 ]'
check "no device" fails 3 "pocl-opencl-icd" env OCL_ICD_VENDORS="$no_device" "$program" devices
check "no device is explained" grep -q "no .icd file" stdout
check "generate without device" fails 3 "" \
    env OCL_ICD_VENDORS="$no_device" "$program" generate -m "$model" -p x -o out -o v.y4m
check "unknown device" fails 3 "nosuchdevice" \
    "$program" generate -m "$model" -p x -o out -o v.y4m --device nosuchdevice
check "no output of a run without device" sh -c '[ ! -e out ] && [ ! -e v.y4m ]'

# ---- Outputs -------------------------------------------------------------------------------------

: >file
check "a folder below a file" fails 1 "file" "$program" generate -m "$model" -p x -o file/out
check "a file where a folder should be" fails 1 "file" "$program" generate -m "$model" -p x -o file
check "a file in no folder" fails 1 "nowhere/v.y4m" \
    "$program" generate -m "$model" -p x -o out -o nowhere/v.y4m
check "the other output is not left" [ ! -e out ]
if [ "$(id -u)" -ne 0 ]; then
    mkdir closed && chmod 555 closed
    check "a closed folder" fails 1 "closed" "$program" generate -m "$model" -p x -o closed/v.y4m
    check "a closed folder for frames" fails 1 "closed" \
        "$program" generate -m "$model" -p x -o closed
fi

finish
