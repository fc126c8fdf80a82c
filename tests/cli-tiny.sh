# SPDX-License-Identifier: Apache-2.0
#
# cli-tiny.sh - a model as small as one can be, for tests that make a video very often or very
# slowly; read with "." after cli-common.sh. make_tiny writes the folder $tiny. Its frames are 16x16,
# its first chunk 5 of them.
#
# A layer of each network of tests/golden/whole, one step, no encoder of the VAE, and a chunk of two
# latent frames, since the VAE decodes the first one of a video in its own way.

tiny=$work/tiny
whole=$source_folder/tests/golden/whole/model
cut_model=${program%/*}/tests/cut-model

# cut_file NAME BEGINNING...: a model file without the tensors whose names begin so.
cut_file() {
    name_of_cut=$1
    shift
    "$cut_model" "$whole/$name_of_cut" cut.safetensors "$@" &&
        exits 0 "$program" convert -q cut.safetensors -o "$tiny/$name_of_cut"
}

make_tiny() {
    mkdir -p "$tiny/google/umt5-xxl" &&
        cut_file diffusion_pytorch_model.safetensors blocks.1. &&
        cut_file models_t5_umt5-xxl-enc-bf16.pth blocks.1. &&
        cut_file Wan2.1_VAE.pth encoder. conv1. &&
        cp "$whole"/google/umt5-xxl/* "$tiny/google/umt5-xxl" && cat >"$tiny/config.json" <<EOF
{"_class_name": "WanModel", "model_type": "t2v", "patch_size": [1, 2, 2], "dim": 96,
 "ffn_dim": 256, "num_heads": 4, "num_layers": 1, "freq_dim": 256, "text_dim": 64, "text_len": 8,
 "in_dim": 16, "out_dim": 16, "eps": 1e-06, "num_frame_per_block": 2, "local_attn_size": 2,
 "sink_size": 0, "denoising_step_list": [1000], "timestep_shift": 5.0, "context_noise": 0,
 "memory": {"qk": "pre_rope", "norm_eps": 1e-06}}
EOF
}
