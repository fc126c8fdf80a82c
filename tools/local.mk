# tools/: scripts for the build, the quickstart and the tests.

EXTRA_DIST += tools/embed.awk tools/packages.sh
dist_noinst_SCRIPTS += tools/quickstart.sh tools/test.sh tools/runtimes.sh

# Speed beside PyTorch, OpenBLAS and CLBlast: docs/performance.md
EXTRA_DIST += tools/bench_peer_workers.py docs/performance.md docs/quality.md
dist_noinst_SCRIPTS += tools/bench_peers.py

# Real sizes without the releases' files, what a run takes of memory, and docs/quality.md.
dist_noinst_SCRIPTS += tools/synthesize_checkpoint.py tools/measure_run.py \
	tools/compare_memories.py

# The GPU compilers' gate: every kernel and variant compiled offline for three vendors' chips.
EXTRA_DIST += tools/gpu_compilers.py tools/kernel_variants.txt
dist_noinst_SCRIPTS += tools/check_offline.py tools/get_ptxas.sh

# A compiler that is missing is a visible skip here, and a failure in test.sh. check-offline-all, a
# part of check-long, has variants for CPUs on every chip too.
check_offline = sh $(top_srcdir)/tools/get_ptxas.sh offline-cache || echo "no ptxas"; \
	python3 $(top_srcdir)/tools/check_offline.py --root $(top_srcdir) --cache offline-cache
check-offline:
	$(check_offline) || test $$? = 77
check-offline-all:
	$(check_offline) --all || test $$? = 77
check-long: check-offline-all
.PHONY: check-offline check-offline-all check-long
