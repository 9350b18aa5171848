# What a developer types. `make help` lists it.

SHELL := /bin/sh
GO ?= go

VERSION ?= $(shell git describe --tags --always --dirty 2>/dev/null || echo dev)
LDFLAGS := -s -w -X main.version=$(VERSION)

# Tools are pinned here and built once into the user's cache.
CACHE := $(or $(XDG_CACHE_HOME),$(HOME)/.cache)/otelrunner
TOOLS := $(CACHE)/tools
GOLANGCI_LINT_VERSION := v2.15.0
GOTESTSUM_VERSION := v1.13.0
GOLANGCI_LINT := $(TOOLS)/golangci-lint-$(GOLANGCI_LINT_VERSION)
GOTESTSUM := $(TOOLS)/gotestsum-$(GOTESTSUM_VERSION)

# The race detector needs a C compiler; a machine without one still tests.
CC ?= cc
HAS_CC := $(shell command -v $(CC) >/dev/null 2>&1 && echo yes)
RACE := $(if $(HAS_CC),-race,)

.PHONY: help build helper toolbox test lint bench demo fuzz cross clean

help: ## list the targets
	@sed -n 's/^\([a-z]*\):.*## \(.*\)/  make \1\t\2/p' $(MAKEFILE_LIST) | expand -t 16

build: toolbox helper ## write bin/runner
	CGO_ENABLED=0 $(GO) build -trimpath -ldflags '$(LDFLAGS)' -o bin/runner ./cmd/runner

helper: ## build the first process of jobs' containers
	$(GO) generate ./sandbox/container/helperbin

toolbox: ## build the shell of the WASM sandbox
	cd sandbox/wasm/guest && $(GO) run ./build -o ../toolbox/bin/toolbox.wasm.gz

demo: toolbox ## run a job over the real protocol against a server in this process
	$(GO) run ./examples/demo

# More flags of gotestsum, for a machine where tests share their cores with others.
TESTFLAGS ?=

test: $(GOTESTSUM) toolbox helper ## run every test, with the race detector where there is a C compiler
	@$(if $(RACE),,echo 'SKIP race detector: no C compiler ($(CC)) on this machine')
	@mkdir -p bin
	$(GOTESTSUM) --format pkgname-and-test-fails --format-hide-empty-pkg --jsonfile bin/test.json $(TESTFLAGS) --packages ./... -- $(RACE) -timeout 25m
	cd sandbox/wasm/guest && $(GO) run ./build test ./...
	cd examples/kubernetes/schema && $(GO) test ./...

lint: $(GOLANGCI_LINT) ## gofmt, vet, golangci-lint, and the builds for other systems
	$(GOLANGCI_LINT) run ./...
	@$(MAKE) --no-print-directory cross

cross: ## build for the other systems
	@for target in linux/arm64 darwin/arm64 windows/amd64; do \
		echo "build $$target"; \
		CGO_ENABLED=0 GOOS=$${target%/*} GOARCH=$${target#*/} $(GO) build -o /dev/null ./cmd/runner || exit 1; \
		CGO_ENABLED=0 GOOS=$${target%/*} GOARCH=$${target#*/} $(GO) vet ./... || exit 1; \
	done

bench: helper toolbox ## print what the runner needs beside the floors measured in the same run
	cd runner/bench && $(GO) test -tags bench -count 1 -timeout 20m -run '^TestTable$$'

FUZZTIME ?= 30s
fuzz: ## run every fuzzer for FUZZTIME (30s)
	@for pkg in $$($(GO) list ./...); do \
		for name in $$($(GO) test -list '^Fuzz' $$pkg | grep '^Fuzz'); do \
			echo "$$pkg $$name"; \
			$(GO) test -run '^$$' -fuzz "^$$name\$$" -fuzztime $(FUZZTIME) $$pkg || exit 1; \
		done; \
	done

clean: ## remove what the targets wrote
	rm -rf bin

$(GOLANGCI_LINT):
	@mkdir -p $(TOOLS)
	GOBIN=$(TOOLS)/install $(GO) install github.com/golangci/golangci-lint/v2/cmd/golangci-lint@$(GOLANGCI_LINT_VERSION)
	mv $(TOOLS)/install/golangci-lint $@

$(GOTESTSUM):
	@mkdir -p $(TOOLS)
	GOBIN=$(TOOLS)/install $(GO) install gotest.tools/gotestsum@$(GOTESTSUM_VERSION)
	mv $(TOOLS)/install/gotestsum $@
