# kernels/: the operations, one room per family: launcher, oracle, GPU code.

noinst_LTLIBRARIES += kernels/libkernels.la
kernels_libkernels_la_SOURCES =
kernels_libkernels_la_LIBADD = cl/libcl.la $(CLBLAST_LIBS)
kernel_files =

# common: elementary functions, float64 tables, sums in the contract's order
kernels_libkernels_la_SOURCES += \
	kernels/common/vmath.h kernels/common/vmath_host.h kernels/common/reduce.h \
	kernels/common/span.h kernels/common/variant.h \
	kernels/common/math64.c kernels/common/math64.h
kernel_headers = kernels/common/vmath.h kernels/common/cell.clh kernels/common/reduce.clh \
	kernels/common/reduce_group.clh kernels/common/registers.clh kernels/common/prefetch.clh

# convert: number formats, rows of a table
kernels_libkernels_la_SOURCES += \
	kernels/convert/dtype.c kernels/convert/dtype.h \
	kernels/convert/narrow.c kernels/convert/narrow_q4_k.c kernels/convert/narrow.h \
	kernels/convert/convert.c kernels/convert/convert.h
kernel_files += kernels/convert/convert.cl
kernel_headers += kernels/convert/widen.clh

# norm: LayerNorm with modulation or affine, RMSNorm, unit length, channel norm of the VAE
kernels_libkernels_la_SOURCES += \
	kernels/norm/norm.c kernels/norm/norm_ref.c kernels/norm/norm.h
kernel_files += kernels/norm/norm.cl kernels/norm/norm_group.cl

# gemm: linear layers on weights of any format
kernels_libkernels_la_SOURCES += \
	kernels/gemm/gemm.c kernels/gemm/gemm_clblast.c kernels/gemm/gemm_internal.h \
	kernels/gemm/gemm_ref.c kernels/gemm/gemm.h
kernel_files += kernels/gemm/gemm.cl kernels/gemm/gemm_group.cl kernels/gemm/gemm_items.cl \
	kernels/gemm/gemm_epilogue.cl
kernel_headers += kernels/gemm/epilogue.clh kernels/gemm/rows.clh

# attention: self-attention over the ring cache, cross-attention, text encoder, VAE
kernels_libkernels_la_SOURCES += \
	kernels/attention/attention.c kernels/attention/attention_ref.c kernels/attention/attention.h
kernel_files += kernels/attention/attention.cl kernels/attention/attention_group.cl

# memory: gates, state update, read, router, fuse
kernels_libkernels_la_SOURCES += \
	kernels/memory/memory.c kernels/memory/memory_ref.c kernels/memory/memory.h
kernel_files += kernels/memory/memory.cl kernels/memory/memory_group.cl

# rope: rotary position embedding
kernels_libkernels_la_SOURCES += \
	kernels/rope/rope.c kernels/rope/rope_ref.c kernels/rope/rope.h
kernel_files += kernels/rope/rope.cl kernels/rope/rope_group.cl
kernel_headers += kernels/rope/rope.clh

# conv: convolutions of the VAE
kernels_libkernels_la_SOURCES += \
	kernels/conv/conv.c kernels/conv/conv_ref.c kernels/conv/conv.h \
	kernels/conv/winograd.c kernels/conv/winograd.h
kernel_files += kernels/conv/conv.cl kernels/conv/conv_group.cl kernels/conv/conv_items.cl \
	kernels/conv/winograd.cl
kernel_headers += kernels/conv/conv.clh

# pointwise: activations, sampler steps, patches, checks
kernels_libkernels_la_SOURCES += \
	kernels/pointwise/pointwise.c kernels/pointwise/pointwise_ref.c kernels/pointwise/pointwise.h
kernel_files += kernels/pointwise/pointwise.cl

# pixels: latents to the VAE and frames to bytes
kernels_libkernels_la_SOURCES += \
	kernels/pixels/pixels.c kernels/pixels/pixels_ref.c kernels/pixels/pixels.h
kernel_files += kernels/pixels/pixels.cl

# validate: every family against oracle and float64, for `videossm-cl validate`
kernels_libkernels_la_SOURCES += \
	kernels/validate/validate.c kernels/validate/validate.h \
	kernels/validate/trial.c kernels/validate/trial.h \
	kernels/validate/cases_vmath.c kernels/validate/cases_norm.c \
	kernels/validate/cases_linear.c kernels/validate/cases_attention.c \
	kernels/validate/cases_memory.c kernels/validate/cases_conv.c \
	kernels/validate/cases_pointwise.c kernels/validate/cases_large.c
kernel_files += kernels/validate/validate.cl

# bench: operations at given shapes, and what a device can do at most
kernels_libkernels_la_SOURCES += \
	kernels/bench/bench.h kernels/bench/op.c kernels/bench/families.c kernels/bench/peak.c
kernel_files += kernels/bench/bench.cl

# a device's known-answer test
kernels_libkernels_la_SOURCES += kernels/selftest.c kernels/selftest.h

# records of the fastest variants
kernels_libkernels_la_SOURCES += kernels/tuning.c kernels/tuning.h

# All OpenCL C as strings, #include lines resolved; see tools/embed.awk.
nodist_kernels_libkernels_la_SOURCES = kernels/sources.c kernels/sources.h
BUILT_SOURCES += kernels/sources.c kernels/sources.h
CLEANFILES += kernels/sources.c kernels/sources.h
EXTRA_DIST += $(kernel_files) kernels/common/cell.clh kernels/common/reduce.clh \
	kernels/common/reduce_group.clh kernels/common/prefetch.clh \
	kernels/common/registers.clh kernels/rope/rope.clh \
	kernels/convert/widen.clh kernels/gemm/epilogue.clh kernels/gemm/rows.clh \
	kernels/conv/conv.clh kernels/NUMERICS.md

kernels/sources.c: $(kernel_files) $(kernel_headers) tools/embed.awk
	$(AM_V_GEN)$(MKDIR_P) kernels && $(AWK) -f $(top_srcdir)/tools/embed.awk -v mode=source \
	  -v root=$(top_srcdir) $(kernel_files) > $@.tmp && mv $@.tmp $@
kernels/sources.h: $(kernel_files) tools/embed.awk
	$(AM_V_GEN)$(MKDIR_P) kernels && $(AWK) -f $(top_srcdir)/tools/embed.awk -v mode=header \
	  -v root=$(top_srcdir) $(kernel_files) > $@.tmp && mv $@.tmp $@
# Also when a single target is made, where BUILT_SOURCES do not act.
$(kernels_libkernels_la_OBJECTS): kernels/sources.h
