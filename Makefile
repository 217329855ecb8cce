# One-line callers of dev.py, which does the set-up too.
.PHONY: setup demo test bench

setup demo test bench:
	python3 dev.py $@
