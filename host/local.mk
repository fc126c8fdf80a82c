# host/: the program a person runs. Holds no arithmetic but that of measuring finished videos.

noinst_LTLIBRARIES += host/libhost.la
host_libhost_la_SOURCES = \
	host/command.h host/report.c \
	host/options.c host/options.h \
	host/draft.c host/draft.h \
	host/signals.c host/signals.h \
	host/progress.c host/progress.h \
	host/prompts.c host/prompts.h \
	host/settings.c host/settings.h \
	host/png_file.c host/png_file.h \
	host/json_text.c host/json_text.h \
	host/sink.c host/sink.h \
	host/sink_png.c host/sink_sheet.c \
	host/sink_y4m.c host/sink_y4m.h \
	host/writer.c host/writer.h \
	host/kept.c host/kept_record.c host/kept.h \
	host/catch_up.c host/catch_up.h \
	host/resume.c host/resume.h \
	host/run.c host/run.h host/profile.c host/profile.h \
	host/given.c host/given.h host/stored.c host/stored.h \
	host/generate.c host/replay.c \
	host/plan.c host/plan_fit.c host/plan_time.c host/plan_text.c host/plan.h \
	host/missing.c host/missing.h host/devices.c \
	host/inspect.c host/inspect.h host/inspect_print.c host/inspect_json.c \
	host/convert.c host/lora_option.c host/lora_option.h \
	host/validate.c host/validate.h host/validate_demo.c host/validate_hashes.h \
	host/validate_text.c host/validate_compare.c host/report_html.c \
	host/bench.c host/bench.h host/bench_measure.c host/bench_text.c \
	host/tune.c host/tuning.c host/tuning.h \
	host/plot.c host/plot.h host/frames.c host/frames.h \
	host/meter.c host/meter.h host/meter_looks.c host/meter_motion.c host/meter_looks.h \
	host/metrics.c host/metrics_text.c host/metrics.h
nodist_host_libhost_la_SOURCES = host/tuning_shipped.c
if HAVE_FFMPEG
host_libhost_la_SOURCES += host/sink_mp4.c host/sink_mp4.h host/frames_video.c
endif
host_libhost_la_LIBADD = models/libmodels.la $(PNG_LIBS) $(JANSSON_LIBS) $(FFMPEG_LIBS)

# Tuning records as a string.
EXTRA_DIST += host/tuning.json
CLEANFILES += host/tuning_shipped.c
host/tuning_shipped.c: host/tuning.json
	$(AM_V_GEN)$(MKDIR_P) host && { echo '#include "host/tuning.h"' && \
	  echo 'const char host_tuning_shipped[] =' && \
	  sed 's/\\/\\\\/g; s/"/\\"/g; s/.*/    "&\\n"/' $(srcdir)/host/tuning.json && \
	  echo '    ;'; } >$@.tmp && mv $@.tmp $@

bin_PROGRAMS += videossm-cl
videossm_cl_SOURCES = host/main.c
nodist_EXTRA_videossm_cl_SOURCES = force_cxx_link.cc
videossm_cl_LDADD = host/libhost.la

# make bench: every operation at its real shape; BENCHFLAGS="--op linear -d cpu" for others
.PHONY: bench
bench: videossm-cl$(EXEEXT)
	./videossm-cl$(EXEEXT) bench $(BENCHFLAGS)

dist_man_MANS += host/videossm-cl.1
dist_bashcompletion_DATA = host/completion/videossm-cl
