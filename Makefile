# `make help` lists the targets. `make run` needs Go alone; tools are pinned in tools.mod.

GO   ?= go
TOOL := $(GO) tool -modfile=tools.mod
SWAG := $(TOOL) swag init --quiet --packageName docs

# More flags for `go test` in `make test`, and how often `make race` runs each test.
TESTFLAGS ?=
COUNT     ?= 20

# More flags for `fanfare bench` in `make bench`.
BENCHFLAGS ?=

# How long `make fuzz` runs each target: a time, or a number of inputs such as 10000x.
FUZZTIME  ?= 10s

.DEFAULT_GOAL := help
.NOTPARALLEL:
.PHONY: help run build test monitoring race fuzz lint check bench soak microbench docs specs e2e fmt release \
	check-fmt check-docs check-mod check-cross check-cc check-prometheus specs-tools e2e-tools

help: ## List the targets
	@awk -F ':.*## ' '/^[a-z0-9]+:.*## / {printf "make %-10s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

run: build ## Run the server on 127.0.0.1:8080
	@exec bin/fanfare

build: ## Build the binary: bin/fanfare
	CGO_ENABLED=0 $(GO) build -o bin/fanfare .

# TestCluster is about NATS, and takes long: once is enough. Those for monitoring need a Prometheus.
test: check-cc ## Run the Go tests under the race detector, with and without epoll
	$(GO) test -race -timeout 10m -skip '$(monitoring)' $(TESTFLAGS) ./...
	FANFARE_TRANSPORT_MODE=goroutine $(GO) test -race -timeout 10m -skip '$(monitoring)|^TestCluster$$' $(TESTFLAGS) ./handlers ./app

monitoring: check-cc check-prometheus ## Run the Go tests of the dashboard and the alerts, with a Prometheus
	$(GO) test -race -timeout 10m -run '$(monitoring)' $(TESTFLAGS) ./app
	FANFARE_TRANSPORT_MODE=goroutine $(GO) test -race -timeout 10m -run '$(monitoring)' $(TESTFLAGS) ./app

race: check-cc ## Run the concurrent packages' tests again and again (COUNT=20)
	FANFARE_HISTORIES=300 FANFARE_REAL_HISTORIES=10 $(GO) test -race -timeout 30m -count $(COUNT) ./broker/... ./transport/...

fuzz: ## Fuzz what parses input, each for FUZZTIME=10s
	$(GO) test -run '^$$' -fuzz '^FuzzTopics$$' -fuzztime $(FUZZTIME) $(fuzzflags) ./models
	$(GO) test -run '^$$' -fuzz '^FuzzParseEvent$$' -fuzztime $(FUZZTIME) $(fuzzflags) ./models
	$(GO) test -run '^$$' -fuzz '^FuzzRequest$$' -fuzztime $(FUZZTIME) $(fuzzflags) ./handlers
	$(GO) test -run '^$$' -fuzz '^FuzzAuthenticate$$' -fuzztime $(FUZZTIME) $(fuzzflags) ./handlers/auth
	$(GO) test -run '^$$' -fuzz '^FuzzSubjects$$' -fuzztime $(FUZZTIME) $(fuzzflags) ./broker/natsengine
	$(GO) test -run '^$$' -fuzz '^FuzzHeaders$$' -fuzztime $(FUZZTIME) $(fuzzflags) ./broker/natsengine
	$(GO) test -run '^$$' -fuzz '^FuzzParser$$' -fuzztime $(FUZZTIME) $(fuzzflags) ./transport

lint: ## Run go vet and golangci-lint
	$(GO) vet ./...
	$(TOOL) golangci-lint run

# A number of inputs, since go test with a time fails now and then when the time is up
# (https://go.dev/issue/75804).
check: FUZZTIME = 20000x
check: check-fmt lint check-docs check-mod check-cross test monitoring fuzz specs e2e ## Run everything that CI runs

bench: build ## Measure the server beside the least that it can cost: docs/benchmarks.md (BENCHFLAGS=)
	bin/fanfare bench --commit "$$(git describe --always --dirty 2>/dev/null)" $(BENCHFLAGS)

soak: build ## Have 20,000 clients come and go for 10 minutes: docs/benchmarks.md (BENCHFLAGS=)
	bin/fanfare bench --scenario soak --duration 10m --commit "$$(git describe --always --dirty 2>/dev/null)" $(BENCHFLAGS)

microbench: ## Run the Go benchmarks
	$(GO) test -run '^$$' -bench . -benchmem ./...

release: ## Make the archives of a release of HEAD, with checksums and bills of materials: dist/
	$(GO) run ./deploy/release

docs: ## Generate what is generated in docs/: the OpenAPI files and the configuration's reference
	$(SWAG) --output docs
	$(GO) run ./docs/openapi docs
	$(GO) test -run '^TestConfigReference$$' ./app -update

specs: specs-tools docs/specs/node_modules/.package-lock.json ## Have public tools read the specifications in docs/
	cd docs/specs && npm test

e2e: build e2e-tools web/e2e/node_modules/.package-lock.json clients/js/node_modules/.package-lock.json ## Test the binary with Chromium, Node, Python and jq, and the JavaScript client
	cd web/e2e && FANFARE_BIN=$(CURDIR)/bin/fanfare npm test
	cd web/e2e && FANFARE_BIN=$(CURDIR)/bin/fanfare FANFARE_TRANSPORT_MODE=goroutine npm run test:sockets
	cd clients/js && FANFARE_BIN=$(CURDIR)/bin/fanfare npm test

fmt: ## Format the Go code
	@$(gofiles) | xargs -0 $(gofmt) -w

# The parts of `make check`.

monitoring = ^(TestDashboard|TestAlerts|TestPrometheus)$$

gofiles = find . -name node_modules -prune -o -name '*.go' -print0
gofmt   = "$$($(GO) env GOROOT)/bin/gofmt" -s

# To make an input that was found smaller may take a minute otherwise.
fuzzflags = -fuzzminimizetime 100x

check-fmt:
	@files=$$($(gofiles) | xargs -0 $(gofmt) -l) && \
	if [ -n "$$files" ]; then echo "not formatted, run make fmt:" >&2; echo "$$files" >&2; exit 1; fi

check-docs:
	@dir=$$(mktemp -d) && trap 'rm -rf "$$dir"' EXIT && $(SWAG) --output "$$dir" && $(GO) run ./docs/openapi "$$dir" && \
	for file in docs.go swagger.json swagger.yaml openapi.json; do \
		diff -u "docs/$$file" "$$dir/$$file" || { echo "docs/$$file is out of date, run make docs" >&2; exit 1; }; \
	done

check-mod:
	$(GO) mod tidy -diff

# What runs elsewhere, tests included; there, connections are served without epoll.
check-cross:
	GOOS=windows $(GO) vet ./...
	GOOS=darwin $(GO) vet ./...

# Installs the Debian packages in the shell variable missing: root does, others are told.
install = if [ -n "$$missing" ]; then \
		if [ "$$(id -u)" != 0 ] || ! command -v apt-get >/dev/null; then \
			echo "make $(1) needs these Debian packages, or the like:$$missing" >&2; exit 1; \
		fi; \
		export DEBIAN_FRONTEND=noninteractive; \
		apt-get update -q && apt-get install -q -y --no-install-recommends $$missing || { \
			echo "make $(1) could not install:$$missing" >&2; exit 1; }; \
	fi

# The race detector needs a C compiler.
check-cc:
	@missing= ; \
	set -- $$($(GO) env CC); command -v "$$1" >/dev/null || missing=" gcc libc6-dev"; \
	$(call install,test)

# The dashboard and the alerts are tested with a Prometheus, which the tests start themselves.
check-prometheus:
	@missing= ; \
	command -v promtool >/dev/null && command -v prometheus >/dev/null || missing=" prometheus"; \
	$(call install,monitoring)

# What the tests of the specifications need.
specs-tools:
	@missing= ; \
	command -v node >/dev/null || missing="$$missing nodejs"; \
	command -v npm >/dev/null || missing="$$missing npm"; \
	$(call install,specs)

# What the tests with a browser need.
e2e-tools:
	@missing= ; \
	command -v node >/dev/null || missing="$$missing nodejs"; \
	command -v npm >/dev/null || missing="$$missing npm"; \
	command -v jq >/dev/null || missing="$$missing jq"; \
	[ -n "$$CHROMIUM" ] || command -v chromium >/dev/null || command -v chromium-browser >/dev/null || \
		command -v google-chrome >/dev/null || missing="$$missing chromium"; \
	"$${PYTHON:-/usr/bin/python3}" -c 'import websockets' 2>/dev/null || missing="$$missing python3-websockets"; \
	$(call install,e2e)

%/node_modules/.package-lock.json: %/package-lock.json
	cd $* && npm ci --no-audit --no-fund
	@touch $@
