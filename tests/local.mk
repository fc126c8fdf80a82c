# tests/: one check_<family> per room, golden data, the whole program.

tests_ldadd = models/libmodels.la $(CHECK_LIBS) $(JANSSON_LIBS)
tests_cflags = $(AM_CFLAGS) $(CHECK_CFLAGS)

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
