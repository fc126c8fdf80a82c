# tools/: scripts for the build, the quickstart and the tests.

EXTRA_DIST += tools/embed.awk tools/packages.sh
dist_noinst_SCRIPTS += tools/quickstart.sh tools/test.sh tools/runtimes.sh
