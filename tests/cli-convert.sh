#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
#
# cli-convert.sh - the convert command: containers, shards, refusals, full disks, and the demo model
# that makes the same video in whatever form.

. "${srcdir:-.}/tests/cli-common.sh"
forms=$source_folder/tests/golden/files/dit_forms

convert() { "$program" convert "$@"; }
holds() { "$program" inspect "$1" | grep -q "$2"; }
leaves_no_drafts() { ! find . -name '.*.part' | grep -q .; }
tensors() { "$program" inspect "$1" | sed -n 's/^  tensors  *\([0-9]*\).*/\1/p'; }

# ---- Containers ----------------------------------------------------------------------------------

check "safetensors by its ending" exits 0 convert "$forms/dit_ema.pt" -o a.safetensors
check "it says what was written" says "89 tensors (89 BF16)"
check "nothing on standard output" [ ! -s stdout ]
check "safetensors" holds a.safetensors 'container   safetensors'
check "torch by its ending" exits 0 convert a.safetensors -o a.pt
check "torch" holds a.pt 'container   torch'
check "GGUF by its ending" exits 0 convert a.pt -o a.gguf -q
check "--quiet is quiet" [ ! -s stderr ]
check "GGUF" holds a.gguf 'container   GGUF'
check "back again" exits 0 convert a.gguf -o b.safetensors
check "equal files" cmp a.safetensors b.safetensors
check "--to" exits 0 convert a.pt -o model.bin --to gguf
check "equal files, whatever their names" cmp a.gguf model.bin
check "an unknown ending" fails 2 "give --to" convert a.pt -o model
check "no output" fails 2 "--output" convert a.pt
check "no input" fails 2 "needs FILE" convert -o b.gguf
check "a missing input" fails 5 "no such file" convert nowhere.pt -o b.gguf
check "progress as JSON" exits 0 convert a.pt -o c.gguf --progress json
check "with an end" grep -q '"event":"end","status":0,"bytes_done":[1-9]' stderr
check "a fault as JSON" exits 1 convert a.pt -o no/where.gguf --progress json
check "with a message" says '"status":1'

# ---- Formats and names ---------------------------------------------------------------------------

for dtype in f32 f16 bf16 q8_0 q4_k; do
    check "--dtype $dtype" exits 0 convert "$forms/dit_f32.safetensors" -o $dtype.gguf --dtype $dtype
    check "$dtype is inside" holds $dtype.gguf "$(echo $dtype | tr a-z A-Z) "
done
check "norms stay" holds q4_k.gguf 'norm_q.weight  *F32'
check "modulation stays" holds q4_k.gguf 'blocks.0.modulation  *F32'
check "embeddings stay" holds q4_k.gguf 'time_embedding.0.weight  *F32'
check "the head stays" holds q8_0.gguf 'head.head.weight  *F32'
check "rows of 256" holds q4_k.gguf 'blocks.0.ffn.2.weight  *Q4_K'
check "rows of 64" holds q4_k.gguf 'blocks.0.ffn.0.weight  *Q8_0'
check "blocks in safetensors" fails 2 "write GGUF" convert q8_0.gguf -o x.safetensors
check "but for other numbers" exits 0 convert q8_0.gguf -o x.safetensors --dtype f16
check "diffusers' names" exits 0 convert a.pt -o d.safetensors --names diffusers
check "are in the file" grep -q 'condition_embedder.time_proj.bias' d.safetensors
check "all of them" sh -c '! grep -q "self_attn" d.safetensors'
check "and read" holds d.safetensors 'Wan transformer'
check "back to the releases'" exits 0 convert d.safetensors -o e.safetensors
check "equal files, whatever the names between" cmp a.safetensors e.safetensors
check "names as they are" exits 0 convert "$forms/dit_ema.pt" -o k.safetensors --names keep
check "with prefixes" grep -q 'model.*patch_embedding' k.safetensors

# ---- Several files -------------------------------------------------------------------------------

mkdir shards
check "shards" exits 0 convert "$forms/dit_f32.safetensors" -o shards/dit.safetensors \
    --shard-size 200K
check "the index is told" says "shards/dit.safetensors.index.json"
check "an index" [ -s shards/dit.safetensors.index.json ]
n=$(find shards -name 'dit-0*.safetensors' | grep -c .)
check "named after their number" [ -s "shards/dit-00001-of-0000$n.safetensors" ]
check "no file of the whole" [ ! -e shards/dit.safetensors ]
check "all tensors" [ "$(tensors shards/dit.safetensors.index.json)" = 89 ]
check "joined by the index" exits 0 convert shards/dit.safetensors.index.json -o joined.pt
check "joined one by one" exits 0 convert shards/dit-0*.safetensors -o one.pt
check "equal files, however joined" cmp joined.pt one.pt
check "one shard needs no index" exits 0 convert a.pt -o shards/small.safetensors --shard-size 4G
check "and keeps its name" [ -s shards/small.safetensors ]
check "twice the same tensors" fails 5 "comes from" convert a.pt a.gguf -o x.pt
check "torch in shards" fails 2 "--shard-size" convert a.pt -o x.pt --shard-size 1M
check "GGUF in shards" exits 0 convert "$forms/dit_f32.safetensors" -o shards/dit.gguf \
    --shard-size 200K
check "is told" says "wrote shards/dit-00001-of-"
n_split=$(find shards -name 'dit-0*.gguf' | grep -c .)
first=shards/dit-00001-of-0000$n_split.gguf
second=shards/dit-00002-of-0000$n_split.gguf
check "no index, no file of the whole" [ "$(find shards -name 'dit.gguf*' | grep -c .)" = 0 ]
check "all tensors, of any file" [ "$(tensors "$second")" = 89 ]
check "in one file" exits 0 convert "$forms/dit_f32.safetensors" -o whole.gguf
check "joined by the first" exits 0 convert "$first" -o first.gguf
check "joined by the second" exits 0 convert "$second" -o second.gguf
check "equal files" cmp whole.gguf first.gguf
check "whichever was given" cmp whole.gguf second.gguf
check "all at once are too many" fails 5 "of a split GGUF one file" convert "$first" "$second" \
    -o x.gguf
check "onto another of its files" fails 2 "is the input" convert "$first" -o "$second"
cp "$second" renamed.gguf
check "another name" fails 5 "has to be named" "$program" inspect renamed.gguf
mv "$second" held
check "one is missing" fails 5 "no such file" "$program" inspect "$first"
cp "$first" "$second"
check "one twice" fails 5 "says of itself" "$program" inspect "$first"
echo text >"$second"
check "no GGUF" fails 5 "is no GGUF file" "$program" inspect "$first"
mv held "$second"
for size in 0 4X G 4GB -1 99999999999999999999G ""; do
    check "--shard-size '$size'" fails 2 "--shard-size" convert a.pt -o x.safetensors \
        --shard-size "$size"
done

# ---- What must not happen ------------------------------------------------------------------------

cp a.pt own.pt
ln -s own.pt link.pt
check "onto the input" fails 2 "is the input" convert own.pt -o own.pt
check "onto the input by a link" fails 2 "is the input" convert own.pt -o link.pt
check "onto a shard of the input" fails 2 "is the input" convert shards/dit.safetensors.index.json \
    -o "shards/dit-00001-of-0000$n.safetensors"
check "the input is untouched" cmp own.pt a.pt
check "a folder" fails 1 "is a folder" convert a.pt -o shards --to gguf
check "no such folder" fails 1 "make its folder first" convert a.pt -o no/where.pt
check "a full disk" fails 1 "writing '/dev/full'" convert a.pt -o /dev/full --to gguf
limited() { sh -c 'ulimit -f 200; exec "$0" "$@"' "$program" convert "$@"; }
echo old >kept.gguf
check "a limit on files" fails 1 "kept.gguf': File too large" limited a.pt -o kept.gguf
check "what was there stays" grep -q old kept.gguf
check "a limit within shards" fails 1 "writing" limited "$forms/dit_f32.safetensors" \
    -o shards/x.safetensors --shard-size 300K
check "no shard is left" sh -c '! ls shards/x* 2>/dev/null'
check "a pipe" sh -c '"$0" convert a.pt -o /dev/stdout --to gguf -q | cmp - a.gguf' "$program"
check "what was there is replaced" exits 0 convert a.pt -o kept.gguf
check "by the whole" cmp kept.gguf a.gguf
check "no drafts are left" leaves_no_drafts

# ---- The demo model ------------------------------------------------------------------------------

video() {
    "$program" generate -m "$model" -p "a red circle moves up and down" --seconds 0.5 --seed 3 -q "$@"
}
dit=$model/diffusion_pytorch_model.safetensors
check "the demo's video" exits 0 video -o demo.y4m
check "to torch, in diffusers' names" exits 0 convert "$dit" -o demo.pt --names diffusers
check "the text encoder to GGUF" exits 0 convert "$model/models_t5_umt5-xxl-enc-bf16.pth" -o t5.gguf
check "the VAE to diffusers' safetensors" exits 0 convert "$model/Wan2.1_VAE.pth" \
    -o vae.safetensors --names diffusers
check "from these" exits 0 video -o other.y4m --dit demo.pt --text-encoder t5.gguf \
    --vae vae.safetensors
check "the same video" cmp demo.y4m other.y4m
check "to Q4_K" exits 0 convert "$dit" -o demo.gguf --dtype q4_k
check "from Q4_K" exits 0 video -o small.y4m --dit demo.gguf
check "as many frames" [ "$(wc -c <small.y4m)" = "$(wc -c <demo.y4m)" ]

# ---- LoRA ----------------------------------------------------------------------------------------

make_lora=${program%/*}/tests/make-lora
"$make_lora" "$dit" peft.safetensors peft 4 0 1 && "$make_lora" "$dit" kohya.safetensors kohya 8 2 2 ||
    echo "no LoRA could be made"
loras="--lora peft.safetensors:0.5 --lora kohya.safetensors"
check "merged" exits 0 convert "$dit" -o merged.safetensors $loras
check "it says so" says "merged LoRA into 40 tensors"
check "a video of what was merged" exits 0 video -o merged.y4m -o merged.png --dit merged.safetensors
check "a video that merges" exits 0 video -o lora.y4m -o lora.png $loras
check "the same video" cmp merged.y4m lora.y4m
check "another than without" sh -c '! cmp -s lora.y4m demo.y4m'
check "the order counts" exits 0 convert "$dit" -o swapped.safetensors --lora kohya.safetensors \
    --lora peft.safetensors:0.5
check "in the last bits" sh -c '! cmp -s swapped.safetensors merged.safetensors'
check "the record has the LoRA" grep -aq '"name":"peft.safetensors","scale":0.5' lora.png
check "for people, too" grep -aq 'LoRA: peft.safetensors:0.5, LoRA: kohya.safetensors:1' lora.png
check "and none without" sh -c '! grep -aq LoRA merged.png'
check "replay" exits 0 "$program" replay lora.png -m "$model" $loras -q -o again.y4m
check "the same again" cmp lora.y4m again.y4m
check "replay of what was merged" exits 0 "$program" replay lora.png -m "$model" -q -o again.y4m \
    --dit merged.safetensors
check "the same once more" cmp lora.y4m again.y4m
check "replay without the LoRA" fails 5 "the LoRA 'peft.safetensors' at scale 0.5 and others" \
    "$program" replay lora.png -m "$model" -o no.y4m
check "replay with another scale" fails 5 "to be given with --lora" "$program" replay lora.png \
    -m "$model" -o no.y4m --lora peft.safetensors --lora kohya.safetensors
check "a run that is kept" exits 0 video --keep kept -o kept.y4m $loras
check "its record has the LoRA" grep -q 'kohya.safetensors"' kept/run.json
rm kept.y4m
check "resumed from another folder" exits 0 sh -c 'cd / && exec "$0" generate -q --resume "$1"' \
    "$program" "$PWD/kept"
check "the same from the record" cmp lora.y4m kept.y4m
check "a colon in a name" exits 0 cp peft.safetensors a:b
check "is part of it" exits 0 convert "$dit" -o x.safetensors --lora a:b -q
check "before the scale" exits 0 convert "$dit" -o y.safetensors --lora a:b:1 -q
check "1 is the default" cmp x.safetensors y.safetensors
check "a scale beyond all" fails 2 "FILE:SCALE" convert "$dit" -o x.gguf --lora peft.safetensors:1e9
check "a LoRA without a name" fails 2 "FILE:SCALE" convert "$dit" -o x.gguf --lora :1
check "a missing LoRA" fails 5 "nowhere.safetensors" convert "$dit" -o x.gguf \
    --lora nowhere.safetensors
check "a LoRA for another network" fails 5 "changes nothing" convert "$model/Wan2.1_VAE.pth" \
    -o x.gguf --lora peft.safetensors
check "for another size" fails 5 "does not fit" convert "$forms/dit_f32.safetensors" -o x.gguf \
    --lora peft.safetensors
check "no LoRA at all" fails 5 "no part of a LoRA" convert "$dit" -o x.gguf --lora "$dit"
finish
