# tools/: scripts for the build, the quickstart and the tests.

EXTRA_DIST += tools/embed.awk
