# Two commands matter: `make run` shows everything, `make test` proves it. Both install and build what is
# missing and no more. `make build` builds every program, `make test-long` repeats at length what `make test`
# does in short.
.PHONY: setup configure build test test-long run bench clean asan tsan
SHELL := /bin/bash
JOBS ?= $(shell nproc)

setup:
	@./setup

configure: setup
	@test -f build/build.ninja || cmake --preset release

build: configure
	@cmake --build --preset release -j $(JOBS)

run: configure
	@cmake --build --preset release -j $(JOBS) --target demo
	@tools/demo

test test-long: setup
	@./setup --test
	@test -f build/build.ninja || cmake --preset release
	@cmake --build --preset release -j $(JOBS) --target all tests
	@tools/run_tests $(if $(filter test-long,$@),--long)

bench: setup
	@./setup --test
	@./setup --bench
	@test -f build/build.ninja || cmake --preset release
	@cmake --build --preset release -j $(JOBS) --target all benchmarks
	@bench/run

asan tsan: setup
	@./setup --test
	@cmake --preset $@
	@cmake --build --preset $@ -j $(JOBS) --target all tests
	@ctest --preset $@ -j $(JOBS)

clean:
	rm -rf build build-*
