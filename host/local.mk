# host/: the program a person runs. Holds no arithmetic.

bin_PROGRAMS += videossm-cl
videossm_cl_SOURCES = host/main.c
nodist_EXTRA_videossm_cl_SOURCES = force_cxx_link.cc
videossm_cl_LDADD = models/libmodels.la $(PNG_LIBS) $(JANSSON_LIBS) $(FFMPEG_LIBS)
