# Everything a person does in this repository. What needs root asks for it through sudo.

SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help

# Where `make up` keeps its data, and where it listens.
DATA_DIR ?= $(shell scripts/data-dir.sh)
LISTEN ?=
# Set, it keeps what make demo started until Ctrl-C.
KEEP ?=
# More for go test, such as -run or -v.
TESTFLAGS ?=
# How long make torture goes on, and the seed of the one history that it is to play again.
DURATION ?= 10m
SEED ?=

VERSION = $(shell git -c safe.directory="$(CURDIR)" describe --tags --always --dirty 2>/dev/null || echo unknown)
BIN_DIR = $(shell scripts/deps.sh bin-dir)
LINTER = $(shell scripts/deps.sh lint-dir)/golangci-lint

# How often the benchmarks run each side, how many finished executions its long history has, and which lines it
# measures (an expression); empty takes the defaults.
BENCH_PAIRS ?=
BENCH_HISTORY ?=
BENCH_ONLY ?=

.PHONY: help deps build up demo test torture lint fmt clean bench-scheduler bench-sandbox

help: ## Show this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-15s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

deps: ## Install and build what Attune needs on this machine
	@scripts/deps.sh

build: ## Build bin/attune, and bin/attune-shim, which belongs beside it (gcc and libseccomp: make deps)
	@CGO_ENABLED=0 go build -trimpath -buildvcs=false -ldflags "-X main.version=$(VERSION)" -o bin/attune ./cmd/attune
	CGO_ENABLED=1 go build -tags seccomp,netgo,osusergo -trimpath -buildvcs=false \
	  -ldflags '-s -w -linkmode external -extldflags -static' -o bin/attune-shim ./cmd/attune-shim

up: deps build ## Run Attune with private daemons in DATA_DIR, in the foreground
	@export ATTUNE_BIN_DIR="$(BIN_DIR)"
	exec scripts/as-root.sh bin/attune up --data-dir "$(DATA_DIR)" $(if $(LISTEN),--listen "$(LISTEN)")

demo: deps build ## Bring everything up, run the example packs, show what happened, and end it all (KEEP=1: stay)
	@export ATTUNE_BIN_DIR="$(BIN_DIR)" KEEP="$(KEEP)"
	exec scripts/demo.sh

test: deps build ## Run all tests, against daemons started for them
	@go mod download
	export ATTUNE_BIN_DIR="$(BIN_DIR)"
	exec scripts/as-root.sh go run ./internal/testservices -- go test -race -timeout 30m $(TESTFLAGS) ./...

bench-scheduler: ## Measure the queue side by side with River, in ten to twenty minutes (BENCH_PAIRS, BENCH_HISTORY, BENCH_ONLY)
	@cd bench
	go build -trimpath -buildvcs=false -o ../bin/bench-scheduler ./scheduler
	exec ../bin/bench-scheduler $(if $(BENCH_PAIRS),-pairs "$(BENCH_PAIRS)") $(if $(BENCH_HISTORY),-history "$(BENCH_HISTORY)") $(if $(BENCH_ONLY),-only "$(BENCH_ONLY)")

bench-sandbox: deps build ## Measure executions side by side with bare runc, in about half an hour (BENCH_PAIRS, BENCH_ONLY)
	@export ATTUNE_BIN_DIR="$(BIN_DIR)"
	(cd bench && go build -trimpath -buildvcs=false -o ../bin/bench-sandbox ./sandbox)
	exec scripts/as-root.sh bin/bench-sandbox -runc "$(BIN_DIR)/runc" $(if $(BENCH_PAIRS),-pairs "$(BENCH_PAIRS)") $(if $(BENCH_ONLY),-only "$(BENCH_ONLY)")

torture: deps build ## Disturb the queue for DURATION and judge every commit (SEED=n: one history again); then kill workers, and read hostile documents and archives, for as long
	@go mod download
	export ATTUNE_BIN_DIR="$(BIN_DIR)" ATTUNE_TORTURE_DURATION="$(if $(SEED),,$(DURATION))" ATTUNE_TORTURE_SEED="$(SEED)"
	scripts/as-root.sh go run ./internal/testservices -- go test -race -count=1 -v -timeout 24h \
		-run '$(if $(SEED),RandomHistories,.)' $(TESTFLAGS) ./scheduler
	go test -race -count=1 -v -timeout 24h -run RandomHostileArchives $(TESTFLAGS) ./imagebuilder/pack
	$(if $(SEED),exit 0)
	scripts/as-root.sh go run ./internal/testservices -- go test -count=1 -v -timeout 24h \
		-run OutliveTheWorker $(TESTFLAGS) ./cmd/attune/e2e
	go test -count=1 -v -timeout 24h -run RandomHostileDocuments $(TESTFLAGS) ./internal/jsonschema

lint: ## Run go vet and golangci-lint
	@scripts/deps.sh lint
	go vet ./...
	"$(LINTER)" run

fmt: ## Format the Go code
	@scripts/deps.sh lint
	"$(LINTER)" fmt

clean: ## Delete bin/ and data/, unless attune still runs on it
	@scripts/as-root.sh scripts/clean.sh

# A recipe is one script.
.ONESHELL:
