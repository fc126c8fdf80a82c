# cl/: OpenCL itself. Knows nothing of tensors' meaning.

noinst_LTLIBRARIES += cl/libcl.la
cl_libcl_la_SOURCES = \
	cl/alloc.c cl/alloc.h \
	cl/buffer.c cl/buffer.h \
	cl/choices.c cl/choices.h \
	cl/context.c cl/context.h \
	cl/device.c cl/device.h \
	cl/disk_cache.c cl/disk_cache.h \
	cl/fault.c cl/fault.h \
	cl/huge_pages.c cl/huge_pages.h \
	cl/kernel_dir.c cl/kernel_dir.h \
	cl/launch.c cl/launch.h \
	cl/opencl.c cl/opencl.h \
	cl/profile.c cl/profile.h \
	cl/program.c cl/program.h \
	cl/program_cache.c cl/program_cache.h \
	cl/recording.c cl/recording.h \
	cl/scratch.c cl/scratch.h \
	cl/sha256.c cl/sha256.h \
	cl/software_fma.c cl/software_fma.h \
	cl/status.c cl/status.h
cl_libcl_la_LIBADD = $(OPENCL_LIBS)
