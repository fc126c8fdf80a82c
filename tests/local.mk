# tests/: one check_<family> per room, golden data, the whole program.

tests_ldadd = tests/libcheck_common.la models/libmodels.la $(CHECK_LIBS) $(JANSSON_LIBS)
tests_cflags = $(AM_CFLAGS) $(CHECK_CFLAGS)

check_LTLIBRARIES = tests/libcheck_common.la
tests_libcheck_common_la_SOURCES = tests/check_common.c tests/check_common.h
tests_libcheck_common_la_CFLAGS = $(tests_cflags)

# norm
check_PROGRAMS += tests/check_norm
TESTS += tests/check_norm
tests_check_norm_SOURCES = tests/check_norm.c
nodist_EXTRA_tests_check_norm_SOURCES = force_cxx_link.cc
tests_check_norm_CFLAGS = $(tests_cflags)
tests_check_norm_LDADD = $(tests_ldadd)
