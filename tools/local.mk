# tools/: scripts for the build, the quickstart and the tests.

EXTRA_DIST += tools/embed.awk tools/packages.sh
dist_noinst_SCRIPTS += tools/quickstart.sh tools/test.sh tools/runtimes.sh

# Speed beside PyTorch, OpenBLAS and CLBlast: docs/performance.md
EXTRA_DIST += tools/bench_peer_workers.py docs/performance.md
dist_noinst_SCRIPTS += tools/bench_peers.py

# The GPU compilers' gate: every kernel and variant compiled offline for three vendors' chips.
EXTRA_DIST += tools/gpu_compilers.py tools/kernel_variants.txt
dist_noinst_SCRIPTS += tools/check_offline.py tools/get_ptxas.sh

.PHONY: check-offline
check-offline:
	sh $(top_srcdir)/tools/get_ptxas.sh offline-cache || true
	python3 $(top_srcdir)/tools/check_offline.py --root $(top_srcdir) --cache offline-cache
