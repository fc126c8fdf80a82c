# models/: the generator: text encoder, transformer with hybrid memory, VAE, sampler; model files.

noinst_LTLIBRARIES += models/libmodels.la
models_libmodels_la_SOURCES =
models_libmodels_la_LIBADD = kernels/libkernels.la \
	$(SENTENCEPIECE_LIBS) $(UTF8PROC_LIBS) $(JANSSON_LIBS) $(ZIP_LIBS)

# files: containers, checked and mapped
models_libmodels_la_SOURCES += \
	models/weights.c models/weights.h \
	models/weights_internal.h \
	models/file_map.c models/file_map.h \
	models/safetensors.c \
	models/torch_zip.c \
	models/pickle.c models/pickle.h models/pickle_machine.h \
	models/pickle_tensors.c \
	models/gguf.c models/gguf.h \
	models/json_parse.c models/json_parse.h \
	models/names.c models/names.h \
	models/recognize.c models/recognize.h

# files: written anew
models_libmodels_la_SOURCES += \
	models/conversion.c models/conversion.h models/conversion_internal.h \
	models/write_safetensors.c models/write_torch.c models/write_gguf.c \
	models/lora.c models/lora_merge.c models/lora.h models/lora_internal.h

# text: cleaning, tokenizer, UMT5 encoder
models_libmodels_la_SOURCES += \
	models/clean.c models/clean.h \
	models/entities.c models/entities.h \
	models/tokenizer.c models/tokenizer.h \
	models/spiece.c models/spiece.h \
	models/sentencepiece.cc models/sentencepiece.h \
	models/umt5.c models/umt5.h

# noise and sampler
models_libmodels_la_SOURCES += \
	models/noise.c models/noise.h \
	models/scheduler.c models/scheduler.h

# VAE: streaming decode and encode
models_libmodels_la_SOURCES += \
	models/vae.c models/vae.h \
	models/vae_chain.c models/vae_chain.h \
	models/vae_blocks.c models/vae_blocks.h models/vae_steps.h \
	models/vae_bands.c models/vae_bands.h

# transformer, cache, and the loop over chunks
models_libmodels_la_SOURCES += \
	models/config.c models/config.h \
	models/model.c models/model_paths.c models/model.h \
	models/dit_math.h models/rollout.c \
	models/dit.c models/dit.h \
	models/dit_weights.c models/dit_weights.h \
	models/dit_stream.c models/dit_stream.h \
	models/cache.c models/cache.h \
	models/generator.c models/generator.h models/plan.c \
	models/encoder.c \
	models/run_plan.c models/run_plan.h \
	models/state.c models/state_file.c models/state_file.h

# bench: both networks with weights made up on the spot
models_libmodels_la_SOURCES += \
	models/bench.c models/bench.h \
	models/synthetic.c models/synthetic.h

lib_LTLIBRARIES += libvideossm.la
libvideossm_la_SOURCES =
nodist_EXTRA_libvideossm_la_SOURCES = force_cxx_library.cc
libvideossm_la_LIBADD = models/libmodels.la
libvideossm_la_LDFLAGS = $(AM_LDFLAGS) -version-info $(LIBVIDEOSSM_VERSION_INFO)

pkgconfig_DATA += models/libvideossm.pc
EXTRA_DIST += models/README.md

# demo: a small trained model, installed with the program
demodir = $(pkgdatadir)/demo
demotextdir = $(pkgdatadir)/demo/google/umt5-xxl
dist_demo_DATA = models/demo/README.md models/demo/config.json \
	models/demo/diffusion_pytorch_model.safetensors \
	models/demo/models_t5_umt5-xxl-enc-bf16.pth models/demo/Wan2.1_VAE.pth
dist_demotext_DATA = models/demo/google/umt5-xxl/spiece.model
