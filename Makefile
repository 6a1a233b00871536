# Each target is a few lines; what would be longer is a Go program.

GO        ?= go
FUZZTIME  ?= 10s
TESTFLAGS ?=
VERSION   ?= $(shell git describe --tags --always --dirty 2>/dev/null || echo dev)
LDFLAGS   := -s -w -X main.version=$(VERSION)
COMMANDS  := patchcord localspeech callprobe
E2E       := $(GO) test -tags e2e -count=1 -timeout 25m ./internal/e2e/
SPEECH    := libflite1 libpocketsphinx3 pocketsphinx-en-us

# Many tests of these keep real time on real sockets: one package at a time.
# Both halves run even if the first has failed: one run names all that is wrong.
# A package has half an hour: under the race detector on a machine that is busy
# with others some have taken more than the ten minutes that go gives them.
UNTIL     := -timeout 30m
TIMED     := ./cmd/... ./telephony/... ./internal/load
UNTIMED    = $$($(GO) list ./... | grep -vE '/(cmd|telephony|internal/load)(/|$$)')

LINT      ?= $(GO) run github.com/golangci/golangci-lint/v2/cmd/golangci-lint@v2.15.0
VULNCHECK ?= $(GO) run golang.org/x/vuln/cmd/govulncheck@v1.1.4
SBOM      ?= $(GO) run github.com/CycloneDX/cyclonedx-gomod/cmd/cyclonedx-gomod@v1.9.0 bin -json -std -version '$(VERSION)'

export CGO_ENABLED := 0

.DEFAULT_GOAL := help
.PHONY: help demo run build test pg race fuzz e2e acoustic interop bench lint vuln sbom release speech

help: ## list the targets
	@grep -hE '^[a-z0-9]+:.*##' $(MAKEFILE_LIST) | sed -E 's/^([a-z0-9]+):.*## */\1\t/' | \
		while IFS="$$(printf '\t')" read -r name text; do printf '  make %-9s %s\n' "$$name" "$$text"; done

demo: speech build ## a real phone call on this machine, caller and agent both heard: no key, no server
	bin/patchcord demo $(ARGS)

run: build ## the engine: SIP, RTP, HTTP
	bin/patchcord serve $(ARGS)

build: ## the commands, into bin/
	@mkdir -p bin
	$(GO) build -trimpath -ldflags '$(LDFLAGS)' -o bin/ $(COMMANDS:%=./cmd/%)

test: ## all tests that need nothing but Go; what needs more is skipped by name
	$(GO) test $(UNTIL) $(TESTFLAGS) $(UNTIMED) || bad=1; \
	$(GO) test -p 1 $(UNTIL) $(TESTFLAGS) $(TIMED) || bad=1; exit $${bad:-0}

pg: ## the tests of the store on PostgreSQL too, on a server of their own (needs postgresql)
	.ci/postgres $(GO) test $(TESTFLAGS) ./store/...

race: ## the same tests under the race detector (needs gcc)
	CGO_ENABLED=1 $(GO) test -race $(UNTIL) $(TESTFLAGS) $(UNTIMED) || bad=1; \
	CGO_ENABLED=1 $(GO) test -race -p 1 $(UNTIL) $(TESTFLAGS) $(TIMED) || bad=1; exit $${bad:-0}

# A package is built and linked once for all its targets.
fuzz: ## every fuzz target for FUZZTIME (10s)
	@tmp=$$(mktemp -d); trap 'rm -rf "$$tmp"' EXIT; \
	for dir in $$(grep -rlE '^func Fuzz' --include='*_test.go' . | xargs -n1 dirname | sort -u); do \
		$(GO) test -c -fuzz . -o "$$tmp/fuzz" "$$dir" || { bad=1; continue; }; \
		known=$$($(GO) env GOCACHE)/fuzz/$$($(GO) list "$$dir"); \
		for fn in $$(grep -hoE '^func Fuzz[A-Za-z0-9_]*' "$$dir"/*_test.go | cut -c6-); do \
			echo "fuzz $$dir $$fn"; \
			(cd "$$dir" && "$$tmp/fuzz" -test.run '^$$' -test.fuzz "^$$fn\$$" -test.fuzztime $(FUZZTIME) \
				-test.fuzzcachedir "$$known") || bad=1; \
		done; \
	done; exit $${bad:-0}

# The peers first and by themselves: their tests judge tones for gaps. Of the
# others three at once: each has two recognisers, and two cores keep up with six.
e2e: build ## whole calls through the built binary, and peers that nobody here wrote
	$(E2E) -parallel 4 -run '^TestPeer' $(TESTFLAGS) || bad=1; \
	$(E2E) -parallel 3 -skip '^TestPeer' $(TESTFLAGS) || bad=1; exit $${bad:-0}

acoustic: build ## what noise, coughs, talk and echo do to calls, over tracks of ten minutes
	$(E2E) -parallel 4 -timeout 60m -v $(TESTFLAGS) \
		-run '^Test(Disturbances|MusicAndTalk|Echo|OnsetToSilence|PausesInside)' -track 10m

interop: build ## only the foreign peers of e2e: SIPp, baresip, sipsak, tshark, Chromium
	$(E2E) -parallel 4 -run '^TestPeer' -v $(TESTFLAGS)

bench: build ## benchmarks, then the load figures of the engine
	$(GO) test -run '^$$' -bench . -benchmem $(TESTFLAGS) ./...
	bin/patchcord bench --calls 100
	bin/patchcord bench --table

lint: ## golangci-lint at its pinned version (compiled on first use, a few minutes)
	$(LINT) run ./...
	$(LINT) run --build-tags e2e ./internal/e2e/...

vuln: ## known vulnerabilities in what is linked (needs the network)
	$(VULNCHECK) ./...

# CycloneDX, of the binary itself: what is linked, not what go.mod could bring.
sbom: build ## a bill of materials beside each binary in bin/: modules and their sums (needs the network once)
	@for c in $(COMMANDS); do $(SBOM) -output bin/$$c.cdx.json bin/$$c || exit 1; done
	$(GO) test -count=1 -run _SEC17 ./internal/archtest/

release: ## static binaries for linux/amd64 and linux/arm64 with their bills of materials, into dist/
	@for arch in amd64 arm64; do mkdir -p dist/linux-$$arch && \
		GOOS=linux GOARCH=$$arch $(GO) build -trimpath -ldflags '$(LDFLAGS)' -o dist/linux-$$arch/ $(COMMANDS:%=./cmd/%) || exit 1; \
		for c in $(COMMANDS); do $(SBOM) -output dist/linux-$$arch/$$c.cdx.json dist/linux-$$arch/$$c || exit 1; done; done
	@cd dist && sha256sum linux-*/* > SHA256SUMS && cat SHA256SUMS

# The local voice and recogniser are Debian packages, loaded at run time by bin/localspeech.
speech:
	@command -v dpkg >/dev/null || { echo "Not a Debian: make sure that $(SPEECH) are installed."; exit 0; }; \
	missing=$$(for p in $(SPEECH); do dpkg -s $$p >/dev/null 2>&1 || printf '%s ' $$p; done); \
	if [ -z "$$missing" ]; then exit 0; \
	elif [ "$$(id -u)" != 0 ]; then echo "The local voice and recogniser are missing. Run once: sudo apt-get install -y $$missing"; exit 1; \
	else echo "Installing the local voice and recogniser: $$missing"; apt-get update -qq && \
		DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends $$missing >/dev/null; fi
