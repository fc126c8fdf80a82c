# tests/: one check_<family> per room, golden data, the whole program.

tests_ldadd = models/libmodels.la $(CHECK_LIBS) $(JANSSON_LIBS)
tests_cflags = $(AM_CFLAGS) $(CHECK_CFLAGS)
