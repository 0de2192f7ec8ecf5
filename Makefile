# Two commands matter: `make run` shows everything, `make test` proves it. Both install what is missing.
.PHONY: setup build test run bench clean asan tsan
SHELL := /bin/bash
JOBS ?= $(shell nproc)

setup:
	@./setup

build: setup
	@test -f build/build.ninja || cmake --preset release
	@cmake --build --preset release -j $(JOBS)

test: build
	@tools/run_tests

run: build
	@tools/demo

bench: build
	@./setup --bench
	@bench/run

asan tsan: setup
	@cmake --preset $@
	@cmake --build --preset $@ -j $(JOBS)
	@ctest --preset $@ -j $(JOBS)

clean:
	rm -rf build build-*
