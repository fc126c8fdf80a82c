# tests/: one check_<family> per room, golden data, the whole program.

tests_ldadd = tests/libcheck_common.la models/libmodels.la $(CHECK_LIBS) $(JANSSON_LIBS)
tests_cflags = $(AM_CFLAGS) $(CHECK_CFLAGS)

check_LTLIBRARIES = tests/libcheck_common.la
tests_libcheck_common_la_SOURCES = tests/check_common.c tests/check_common.h
tests_libcheck_common_la_CFLAGS = $(tests_cflags)

# cl: what is kept on disk
check_PROGRAMS += tests/check_program_cache
TESTS += tests/check_program_cache
tests_check_program_cache_SOURCES = tests/check_program_cache.c
nodist_EXTRA_tests_check_program_cache_SOURCES = force_cxx_link.cc
tests_check_program_cache_CFLAGS = $(tests_cflags)
tests_check_program_cache_LDADD = $(tests_ldadd)

# recorded launches
check_PROGRAMS += tests/check_recording
TESTS += tests/check_recording
tests_check_recording_SOURCES = tests/check_recording.c
nodist_EXTRA_tests_check_recording_SOURCES = force_cxx_link.cc
tests_check_recording_CFLAGS = $(tests_cflags)
tests_check_recording_LDADD = $(tests_ldadd)

# the self-test of devices
dist_check_SCRIPTS += tests/cli-selftest.sh
TESTS += tests/cli-selftest.sh

# one video as hashes, for make check-device
noinst_PROGRAMS += tests/hash-video
tests_hash_video_SOURCES = tests/hash_video.c
nodist_EXTRA_tests_hash_video_SOURCES = force_cxx_link.cc
tests_hash_video_CFLAGS = $(AM_CFLAGS)
tests_hash_video_LDADD = models/libmodels.la

# make check-device: every family on every runtime, and videos with the stored hashes; refuses to
# skip. make check-long: longer videos. With -j the runtimes run side by side.
EXTRA_DIST += tests/hashes
dist_check_SCRIPTS += tests/check_device.sh
check_device = srcdir=$(srcdir) sh $(srcdir)/tests/check_device.sh
check_device_families = check-device-pocl check-device-intel check-device-rusticl \
	check-device-oclgrind
check_device_hashes = check-hashes-pocl check-hashes-intel check-hashes-rusticl
check_long_hashes = check-long-pocl check-long-intel check-long-rusticl
check_device_built = videossm-cl$(EXEEXT) $(check_PROGRAMS) tests/hash-video$(EXEEXT)
$(check_device_families): $(check_device_built)
	$(check_device) families $(@:check-device-%=%)
$(check_device_hashes): $(check_device_built)
	$(check_device) hashes $(@:check-hashes-%=%) $(srcdir)/tests/hashes/demo-3s.txt
check-as-gpu-pocl: $(check_device_built)
	$(check_device) hashes-as-gpu pocl $(srcdir)/tests/hashes/demo-3s.txt
check-offload-pocl: $(check_device_built)
	$(check_device) hashes-offload pocl $(srcdir)/tests/hashes/demo-3s.txt
$(check_long_hashes): $(check_device_built)
	$(check_device) hashes $(@:check-long-%=%) $(srcdir)/tests/hashes/demo-10s.txt
check-device: $(check_device_hashes) check-as-gpu-pocl check-offload-pocl $(check_device_families)
check-long: $(check_long_hashes)
# What minutes allow of it, beside a make check with PoCL: videos on all, families on some.
check-part-rusticl: $(check_device_built)
	VS_ONLY="window sink hybrid" $(check_device) hashes rusticl $(srcdir)/tests/hashes/demo-3s.txt
check-part-intel: $(check_device_built)
	VS_ONLY="norm gemm attention memory rope conv pointwise pixels convert" \
		$(check_device) families intel
check-part-as-gpu: $(check_device_built)
	VS_ONLY=hybrid $(check_device) hashes-as-gpu pocl $(srcdir)/tests/hashes/demo-3s.txt
check-part-oclgrind: $(check_device_built)
	VS_ONLY="norm memory pointwise pixels convert" $(check_device) families oclgrind
check-device-part: check-part-rusticl check-part-intel check-hashes-pocl check-hashes-intel \
	check-offload-pocl check-part-as-gpu check-part-oclgrind
.PHONY: check-device check-as-gpu-pocl check-offload-pocl check-long $(check_long_hashes) \
	$(check_device_families) $(check_device_hashes) check-device-part check-part-rusticl check-part-intel \
	check-part-as-gpu check-part-oclgrind

# norm
check_PROGRAMS += tests/check_norm
TESTS += tests/check_norm
tests_check_norm_SOURCES = tests/check_norm.c
nodist_EXTRA_tests_check_norm_SOURCES = force_cxx_link.cc
tests_check_norm_CFLAGS = $(tests_cflags)
tests_check_norm_LDADD = $(tests_ldadd)

# all families at random
check_PROGRAMS += tests/check_random
TESTS += tests/check_random
tests_check_random_SOURCES = tests/check_random.c tests/check_random.h \
	tests/check_random_families.c
nodist_EXTRA_tests_check_random_SOURCES = force_cxx_link.cc
tests_check_random_CFLAGS = $(tests_cflags)
tests_check_random_LDADD = $(tests_ldadd)

# tuning records
check_PROGRAMS += tests/check_tuning
TESTS += tests/check_tuning
tests_check_tuning_SOURCES = tests/check_tuning.c
nodist_EXTRA_tests_check_tuning_SOURCES = force_cxx_link.cc
tests_check_tuning_CFLAGS = $(tests_cflags)
tests_check_tuning_LDADD = $(tests_ldadd)
dist_check_SCRIPTS += tests/cli-tune.sh tests/cli-fast.sh
TESTS += tests/cli-tune.sh tests/cli-fast.sh

# host: options, records, outputs; the whole program
check_PROGRAMS += tests/check_host tests/check_missing tests/check_sinks
TESTS += tests/check_host tests/check_missing tests/check_sinks
check_files = tests/check_files.c tests/check_files.h
tests_check_host_SOURCES = tests/check_host.c $(check_files)
nodist_EXTRA_tests_check_host_SOURCES = force_cxx_link.cc
tests_check_host_CFLAGS = $(tests_cflags)
tests_check_host_LDADD = host/libhost.la $(CHECK_LIBS)
tests_check_missing_SOURCES = tests/check_missing.c $(check_files)
nodist_EXTRA_tests_check_missing_SOURCES = force_cxx_link.cc
tests_check_missing_CFLAGS = $(tests_cflags)
tests_check_missing_LDADD = host/libhost.la $(CHECK_LIBS)
tests_check_sinks_SOURCES = tests/check_sinks.c $(check_files)
nodist_EXTRA_tests_check_sinks_SOURCES = force_cxx_link.cc
tests_check_sinks_CFLAGS = $(tests_cflags)
tests_check_sinks_LDADD = host/libhost.la $(CHECK_LIBS)
check_PROGRAMS += tests/check_metrics
TESTS += tests/check_metrics
tests_check_metrics_SOURCES = tests/check_metrics.c $(check_files)
nodist_EXTRA_tests_check_metrics_SOURCES = force_cxx_link.cc
tests_check_metrics_CFLAGS = $(tests_cflags)
tests_check_metrics_LDADD = host/libhost.la $(CHECK_LIBS) $(PNG_LIBS)
dist_check_SCRIPTS += tests/cli-metrics.sh
TESTS += tests/cli-metrics.sh
dist_check_SCRIPTS += tests/cli.sh tests/cli-generate.sh tests/cli-validate.sh tests/cli-bench.sh
TESTS += tests/cli.sh tests/cli-generate.sh tests/cli-validate.sh tests/cli-bench.sh
EXTRA_DIST += tests/cli-common.sh tests/cli-tiny.sh

# plans
check_PROGRAMS += tests/check_plan
TESTS += tests/check_plan
tests_check_plan_SOURCES = tests/check_plan.c $(lora_builder)
nodist_EXTRA_tests_check_plan_SOURCES = force_cxx_link.cc
tests_check_plan_CFLAGS = $(tests_cflags)
tests_check_plan_LDADD = $(tests_ldadd)
dist_check_SCRIPTS += tests/cli-plan.sh
TESTS += tests/cli-plan.sh

# runs that are kept, killed and resumed
check_PROGRAMS += tests/check_state
TESTS += tests/check_state
tests_check_state_SOURCES = tests/check_state.c
nodist_EXTRA_tests_check_state_SOURCES = force_cxx_link.cc
tests_check_state_CFLAGS = $(tests_cflags)
tests_check_state_LDADD = $(tests_ldadd)
dist_check_SCRIPTS += tests/cli-resume.sh tests/cli-extend.sh
TESTS += tests/cli-resume.sh tests/cli-extend.sh
check-long-resume: videossm-cl$(EXEEXT)
	srcdir=$(srcdir) sh $(srcdir)/tests/cli-resume.sh long
check-long: check-long-resume
.PHONY: check-long-resume

# golden data: tests/golden-run DIR runs any folder of cases
noinst_PROGRAMS += tests/golden-run
tests_golden_run_SOURCES = tests/golden_run.c tests/golden.c tests/golden.h \
	tests/golden_private.h
nodist_EXTRA_tests_golden_run_SOURCES = force_cxx_link.cc
tests_golden_run_CFLAGS = $(AM_CFLAGS)
tests_golden_run_LDADD = models/libmodels.la $(JANSSON_LIBS)

# golden handlers: transformer
tests_golden_run_SOURCES += tests/golden_dit.c tests/golden_generate.c

# golden handlers: norm
tests_golden_run_SOURCES += tests/golden_norm.c
EXTRA_DIST += tests/golden tests/lsan.supp

# scripts: the layers, every golden case
dist_check_SCRIPTS += tests/check_includes.sh tests/check_golden.sh
TESTS += tests/check_includes.sh tests/check_golden.sh

# prompts: cleaning and tokenizer
check_PROGRAMS += tests/check_text
tests_check_text_SOURCES = tests/check_text.c
nodist_EXTRA_tests_check_text_SOURCES = force_cxx_link.cc
tests_check_text_LDADD = $(tests_ldadd)
tests_check_text_CFLAGS = $(tests_cflags)
TESTS += tests/check_text

# convert, gemm, pointwise
check_PROGRAMS += tests/check_convert tests/check_gemm tests/check_pointwise
TESTS += tests/check_convert tests/check_gemm tests/check_pointwise
tests_check_convert_SOURCES = tests/check_convert.c
nodist_EXTRA_tests_check_convert_SOURCES = force_cxx_link.cc
tests_check_convert_CFLAGS = $(tests_cflags)
tests_check_convert_LDADD = $(tests_ldadd)
tests_check_gemm_SOURCES = tests/check_gemm.c
nodist_EXTRA_tests_check_gemm_SOURCES = force_cxx_link.cc
tests_check_gemm_CFLAGS = $(tests_cflags)
tests_check_gemm_LDADD = $(tests_ldadd)
tests_check_pointwise_SOURCES = tests/check_pointwise.c
nodist_EXTRA_tests_check_pointwise_SOURCES = force_cxx_link.cc
tests_check_pointwise_CFLAGS = $(tests_cflags)
tests_check_pointwise_LDADD = $(tests_ldadd)
tests_golden_run_SOURCES += tests/golden_gemm.c tests/golden_pointwise.c

# conv, pixels
check_PROGRAMS += tests/check_conv tests/check_pixels
TESTS += tests/check_conv tests/check_pixels
tests_check_conv_SOURCES = tests/check_conv.c
nodist_EXTRA_tests_check_conv_SOURCES = force_cxx_link.cc
tests_check_conv_CFLAGS = $(tests_cflags)
tests_check_conv_LDADD = $(tests_ldadd)
tests_check_pixels_SOURCES = tests/check_pixels.c
nodist_EXTRA_tests_check_pixels_SOURCES = force_cxx_link.cc
tests_check_pixels_CFLAGS = $(tests_cflags)
tests_check_pixels_LDADD = $(tests_ldadd)

# the host's float64 functions
check_PROGRAMS += tests/check_math64
tests_check_math64_SOURCES = tests/check_math64.c
nodist_EXTRA_tests_check_math64_SOURCES = force_cxx_link.cc
tests_check_math64_LDADD = $(tests_ldadd)
tests_check_math64_CFLAGS = $(tests_cflags)
TESTS += tests/check_math64

# noise and the sampler's tables
check_PROGRAMS += tests/check_noise
tests_check_noise_SOURCES = tests/check_noise.c
nodist_EXTRA_tests_check_noise_SOURCES = force_cxx_link.cc
tests_check_noise_LDADD = $(tests_ldadd)
tests_check_noise_CFLAGS = $(tests_cflags)
TESTS += tests/check_noise

# golden handlers: text, noise, sampler
tests_golden_run_SOURCES += tests/golden_text.c

# text encoder
check_PROGRAMS += tests/check_umt5
tests_check_umt5_SOURCES = tests/check_umt5.c
nodist_EXTRA_tests_check_umt5_SOURCES = force_cxx_link.cc
tests_check_umt5_LDADD = $(tests_ldadd)
tests_check_umt5_CFLAGS = $(tests_cflags)
TESTS += tests/check_umt5

# files: number formats, readers of model files
check_PROGRAMS += tests/check_weights tests/check_hostile tests/check_hostile_torch
TESTS += tests/check_weights tests/check_hostile tests/check_hostile_torch
file_builder = tests/file_builder.c tests/file_builder.h
hostile = $(file_builder) tests/hostile.c tests/hostile.h
tests_check_weights_SOURCES = tests/check_weights.c $(file_builder)
nodist_EXTRA_tests_check_weights_SOURCES = force_cxx_link.cc
tests_check_weights_CFLAGS = $(tests_cflags)
tests_check_weights_LDADD = $(tests_ldadd)
tests_check_hostile_SOURCES = tests/check_hostile.c $(hostile)
nodist_EXTRA_tests_check_hostile_SOURCES = force_cxx_link.cc
tests_check_hostile_CFLAGS = $(tests_cflags)
tests_check_hostile_LDADD = $(tests_ldadd)
tests_check_hostile_torch_SOURCES = tests/check_hostile_torch.c $(hostile)
nodist_EXTRA_tests_check_hostile_torch_SOURCES = force_cxx_link.cc
tests_check_hostile_torch_CFLAGS = $(tests_cflags)
tests_check_hostile_torch_LDADD = $(tests_ldadd)
tests_golden_run_SOURCES += tests/golden_weights.c

# the whole program with damaged and hostile files, by a table
check_PROGRAMS += tests/check_damage
TESTS += tests/check_damage
tests_check_damage_SOURCES = tests/check_damage.c tests/damage_samples.c tests/damage_samples.h \
	$(file_builder)
nodist_EXTRA_tests_check_damage_SOURCES = force_cxx_link.cc
tests_check_damage_CFLAGS = $(tests_cflags)
tests_check_damage_LDADD = $(CHECK_LIBS)
EXTRA_DIST += tests/damage.txt
check-long-damage: videossm-cl$(EXEEXT) tests/check_damage$(EXEEXT)
	srcdir=$(srcdir) tests/check_damage$(EXEEXT) all
check-long: check-long-damage
.PHONY: check-long-damage

# faults of memory and of OpenCL; cut-model makes the model of few tensors
check_PROGRAMS += tests/cut-model
tests_cut_model_SOURCES = tests/cut_model.c $(lora_builder)
nodist_EXTRA_tests_cut_model_SOURCES = force_cxx_link.cc
tests_cut_model_CFLAGS = $(tests_cflags)
tests_cut_model_LDADD = $(tests_ldadd)
dist_check_SCRIPTS += tests/cli-faults.sh
TESTS += tests/cli-faults.sh
check-long-faults: videossm-cl$(EXEEXT) tests/cut-model$(EXEEXT)
	srcdir=$(srcdir) sh $(srcdir)/tests/cli-faults.sh long
check-long: check-long-faults
.PHONY: check-long-faults

# processes that share a cache; memory errors
dist_check_SCRIPTS += tests/cli-cache.sh tests/cli-valgrind.sh
TESTS += tests/cli-cache.sh tests/cli-valgrind.sh
EXTRA_DIST += tests/valgrind.supp
check-long-cache: videossm-cl$(EXEEXT)
	srcdir=$(srcdir) sh $(srcdir)/tests/cli-cache.sh long
check-long: check-long-cache
.PHONY: check-long-cache

# fuzz targets: model files, conversions, LoRA, states, prompts; tests/fuzz/run.sh runs them
if FUZZING
noinst_PROGRAMS += tests/fuzz/fuzz_safetensors tests/fuzz/fuzz_gguf tests/fuzz/fuzz_torch \
	tests/fuzz/fuzz_spiece tests/fuzz/fuzz_clean tests/fuzz/fuzz_config \
	tests/fuzz/fuzz_convert tests/fuzz/fuzz_lora tests/fuzz/fuzz_state tests/fuzz/fuzz_script \
	tests/fuzz/make_seeds
fuzz_ldflags = $(AM_LDFLAGS) -fsanitize=fuzzer
tests_fuzz_fuzz_safetensors_SOURCES = tests/fuzz/fuzz_safetensors.c tests/fuzz/fuzz_weights.h
nodist_EXTRA_tests_fuzz_fuzz_safetensors_SOURCES = force_cxx_link.cc
tests_fuzz_fuzz_safetensors_LDFLAGS = $(fuzz_ldflags)
tests_fuzz_fuzz_safetensors_LDADD = models/libmodels.la
tests_fuzz_fuzz_gguf_SOURCES = tests/fuzz/fuzz_gguf.c tests/fuzz/fuzz_weights.h
nodist_EXTRA_tests_fuzz_fuzz_gguf_SOURCES = force_cxx_link.cc
tests_fuzz_fuzz_gguf_LDFLAGS = $(fuzz_ldflags)
tests_fuzz_fuzz_gguf_LDADD = models/libmodels.la
tests_fuzz_fuzz_torch_SOURCES = tests/fuzz/fuzz_torch.c tests/fuzz/fuzz_weights.h $(file_builder)
nodist_EXTRA_tests_fuzz_fuzz_torch_SOURCES = force_cxx_link.cc
tests_fuzz_fuzz_torch_LDFLAGS = $(fuzz_ldflags)
tests_fuzz_fuzz_torch_LDADD = models/libmodels.la
tests_fuzz_fuzz_spiece_SOURCES = tests/fuzz/fuzz_spiece.c
nodist_EXTRA_tests_fuzz_fuzz_spiece_SOURCES = force_cxx_link.cc
tests_fuzz_fuzz_spiece_LDFLAGS = $(fuzz_ldflags)
tests_fuzz_fuzz_spiece_LDADD = models/libmodels.la
tests_fuzz_fuzz_clean_SOURCES = tests/fuzz/fuzz_clean.c
nodist_EXTRA_tests_fuzz_fuzz_clean_SOURCES = force_cxx_link.cc
tests_fuzz_fuzz_clean_LDFLAGS = $(fuzz_ldflags)
tests_fuzz_fuzz_clean_LDADD = models/libmodels.la
tests_fuzz_fuzz_config_SOURCES = tests/fuzz/fuzz_config.c
nodist_EXTRA_tests_fuzz_fuzz_config_SOURCES = force_cxx_link.cc
tests_fuzz_fuzz_config_LDFLAGS = $(fuzz_ldflags)
tests_fuzz_fuzz_config_LDADD = models/libmodels.la
tests_fuzz_fuzz_convert_SOURCES = tests/fuzz/fuzz_convert.c $(file_builder)
nodist_EXTRA_tests_fuzz_fuzz_convert_SOURCES = force_cxx_link.cc
tests_fuzz_fuzz_convert_LDFLAGS = $(fuzz_ldflags)
tests_fuzz_fuzz_convert_LDADD = models/libmodels.la
tests_fuzz_fuzz_lora_SOURCES = tests/fuzz/fuzz_lora.c tests/fuzz/fuzz_file.h $(file_builder)
nodist_EXTRA_tests_fuzz_fuzz_lora_SOURCES = force_cxx_link.cc
tests_fuzz_fuzz_lora_LDFLAGS = $(fuzz_ldflags)
tests_fuzz_fuzz_lora_LDADD = models/libmodels.la
tests_fuzz_fuzz_state_SOURCES = tests/fuzz/fuzz_state.c tests/fuzz/fuzz_file.h
nodist_EXTRA_tests_fuzz_fuzz_state_SOURCES = force_cxx_link.cc
tests_fuzz_fuzz_state_LDFLAGS = $(fuzz_ldflags)
tests_fuzz_fuzz_state_LDADD = models/libmodels.la
tests_fuzz_fuzz_script_SOURCES = tests/fuzz/fuzz_script.c tests/fuzz/fuzz_file.h
nodist_EXTRA_tests_fuzz_fuzz_script_SOURCES = force_cxx_link.cc
tests_fuzz_fuzz_script_LDFLAGS = $(fuzz_ldflags)
tests_fuzz_fuzz_script_LDADD = host/libhost.la
tests_fuzz_make_seeds_SOURCES = tests/fuzz/make_seeds.c $(file_builder)
endif
EXTRA_DIST += tests/fuzz/run.sh tests/fuzz/corpus

# Ten minutes of each, in a build of their own in fuzz-build/ unless this is one. A compiler that is
# missing is a visible skip here, and a failure in test.sh.
if FUZZING
check-long-fuzz: all
	sh $(srcdir)/tests/fuzz/run.sh -e $${VS_FUZZ_SECONDS:-600}
else
check-long-fuzz:
	@if command -v clang++ >/dev/null; then $(MAKE) check-fuzz-build; \
	else echo "SKIP: fuzzing needs clang"; fi
check-fuzz-build:
	mkdir -p fuzz-build
	cd fuzz-build && { test -f Makefile || $(abs_top_srcdir)/configure --quiet \
	  --enable-fuzzing --disable-shared CC=clang CXX=clang++ CFLAGS='-O1 -g' CXXFLAGS='-O1 -g'; }
	cd fuzz-build && $(MAKE) && sh $(abs_top_srcdir)/tests/fuzz/run.sh -e $${VS_FUZZ_SECONDS:-600}
distclean-local:
	rm -rf fuzz-build
endif
check-long: check-long-fuzz
.PHONY: check-long-fuzz check-fuzz-build

# files: what they are recognised as, and the command that tells
check_PROGRAMS += tests/check_inspect
TESTS += tests/check_inspect
tests_check_inspect_SOURCES = tests/check_inspect.c $(file_builder)
nodist_EXTRA_tests_check_inspect_SOURCES = force_cxx_link.cc
tests_check_inspect_CFLAGS = $(tests_cflags)
tests_check_inspect_LDADD = host/libhost.la $(tests_ldadd)

# attention, memory, rope
check_PROGRAMS += tests/check_attention tests/check_memory tests/check_rope
TESTS += tests/check_attention tests/check_memory tests/check_rope
tests_check_attention_SOURCES = tests/check_attention.c
nodist_EXTRA_tests_check_attention_SOURCES = force_cxx_link.cc
tests_check_attention_CFLAGS = $(tests_cflags)
tests_check_attention_LDADD = $(tests_ldadd)
tests_check_memory_SOURCES = tests/check_memory.c
nodist_EXTRA_tests_check_memory_SOURCES = force_cxx_link.cc
tests_check_memory_CFLAGS = $(tests_cflags)
tests_check_memory_LDADD = $(tests_ldadd)
tests_check_rope_SOURCES = tests/check_rope.c
nodist_EXTRA_tests_check_rope_SOURCES = force_cxx_link.cc
tests_check_rope_CFLAGS = $(tests_cflags)
tests_check_rope_LDADD = $(tests_ldadd)
tests_golden_run_SOURCES += tests/golden_attention.c tests/golden_memory.c tests/golden_rope.c

# golden handlers: conv, vae
tests_golden_run_SOURCES += tests/golden_conv.c tests/golden_vae.c

# VAE
check_PROGRAMS += tests/check_vae
TESTS += tests/check_vae
tests_check_vae_SOURCES = tests/check_vae.c $(file_builder)
nodist_EXTRA_tests_check_vae_SOURCES = force_cxx_link.cc
tests_check_vae_CFLAGS = $(tests_cflags)
tests_check_vae_LDADD = $(tests_ldadd)

# generator: whole runs
check_PROGRAMS += tests/check_generator
TESTS += tests/check_generator
tests_check_generator_SOURCES = tests/check_generator.c
nodist_EXTRA_tests_check_generator_SOURCES = force_cxx_link.cc
tests_check_generator_CFLAGS = $(tests_cflags)
tests_check_generator_LDADD = $(tests_ldadd)

# installcheck: what was installed works without the tree
EXTRA_DIST += tests/installed.c
CLEANFILES += tests/installed
installcheck-local:
	$(bindir)/videossm-cl --version
	$(bindir)/videossm-cl inspect $(pkgdatadir)/demo >/dev/null
	$(CC) -I$(includedir) -o tests/installed$(EXEEXT) $(top_srcdir)/tests/installed.c \
	  $(CFLAGS) $(VS_SANITIZE) -L$(libdir) -lvideossm -Wl,-rpath,$(libdir)
	tests/installed$(EXEEXT) $(pkgdatadir)/demo

# kernel_variants.txt against what the launchers build
dist_check_SCRIPTS += tests/check_variants.sh
TESTS += tests/check_variants.sh

# model files written anew: formats, containers, the command
check_PROGRAMS += tests/check_narrow tests/check_conversion
TESTS += tests/check_narrow tests/check_conversion
tests_check_narrow_SOURCES = tests/check_narrow.c
nodist_EXTRA_tests_check_narrow_SOURCES = force_cxx_link.cc
tests_check_narrow_CFLAGS = $(tests_cflags)
tests_check_narrow_LDADD = $(tests_ldadd)
tests_check_conversion_SOURCES = tests/check_conversion.c $(file_builder)
nodist_EXTRA_tests_check_conversion_SOURCES = force_cxx_link.cc
tests_check_conversion_CFLAGS = $(tests_cflags)
tests_check_conversion_LDADD = $(tests_ldadd)
dist_check_SCRIPTS += tests/cli-convert.sh tests/cli-convert-python.sh
TESTS += tests/cli-convert.sh tests/cli-convert-python.sh
EXTRA_DIST += tests/converted_elsewhere.py

# LoRA; make-lora writes one for the tests of the command
lora_builder = tests/lora_builder.c tests/lora_builder.h $(file_builder)
check_PROGRAMS += tests/check_lora tests/make-lora
TESTS += tests/check_lora
tests_check_lora_SOURCES = tests/check_lora.c $(lora_builder)
nodist_EXTRA_tests_check_lora_SOURCES = force_cxx_link.cc
tests_check_lora_CFLAGS = $(tests_cflags)
tests_check_lora_LDADD = $(tests_ldadd)
tests_make_lora_SOURCES = tests/make_lora.c $(lora_builder)
nodist_EXTRA_tests_make_lora_SOURCES = force_cxx_link.cc
tests_make_lora_CFLAGS = $(tests_cflags)
tests_make_lora_LDADD = $(tests_ldadd)

# the hybrid memory in groups of heads, and its files
check_PROGRAMS += tests/check_cache
TESTS += tests/check_cache
tests_check_cache_SOURCES = tests/check_cache.c
nodist_EXTRA_tests_check_cache_SOURCES = force_cxx_link.cc
tests_check_cache_CFLAGS = $(tests_cflags)
tests_check_cache_LDADD = $(tests_ldadd)

# what spares device memory: blocks of weights that come one by one
check_PROGRAMS += tests/check_offload
TESTS += tests/check_offload
tests_check_offload_SOURCES = tests/check_offload.c
nodist_EXTRA_tests_check_offload_SOURCES = force_cxx_link.cc
tests_check_offload_CFLAGS = $(tests_cflags)
tests_check_offload_LDADD = $(tests_ldadd)
