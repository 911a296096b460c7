# One line a target; `make` alone prints them.
export GOFLAGS ?= -buildvcs=false
export KUBECONFIG :=

V       ?= $(shell git describe --tags --always --dirty 2>/dev/null || echo v0.1.0-dev)
X       := github.com/hansa-io/hansa/internal/version
LDFLAGS := -s -w -X $(X).version=$(V) -X $(X).commit=$(shell git rev-parse HEAD 2>/dev/null)
GOTEST  := go test -timeout 20m
GO_SRC   = $(shell find api cmd config internal -name '*.go' -o -name '*.yaml') go.mod go.sum

.DEFAULT_GOAL := help
.PHONY: help build packages image dns-build dns-image dns-test demo bench bench-scale test fault test-all chart-test nodes-test node-build unit lint fmt gen gen-check lab lab-build lab-down clean

help: ## print the targets
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | awk -F':.*## ' '{printf "  %-12s %s\n", $$1, $$2}'

build: bin/hansa bin/kubefedctl lab-build ## build bin/hansa, bin/kubefedctl and bin/hansa-lab

bin/hansa bin/kubefedctl: bin/%: $(GO_SRC)
	go build -ldflags '$(LDFLAGS)' -o $@ ./cmd/$*

# Static binaries and, if this machine has them, the certificate authorities of the public; no shell, nothing else.
IMAGE      ?= ghcr.io/hansa-io/hansa:$(V)
IMAGE_ARCH ?= $(shell go env GOARCH)
CERTS      := $(wildcard /etc/ssl/certs/ca-certificates.crt)
image: $(GO_SRC) ## build bin/hansa-image.tar, a container image, without a container engine (IMAGE=NAME:TAG IMAGE_ARCH=arm64)
	CGO_ENABLED=0 GOOS=linux GOARCH=$(IMAGE_ARCH) go build -ldflags '$(LDFLAGS)' -o bin/linux-$(IMAGE_ARCH)/ ./cmd/hansa ./cmd/kubefedctl
	go run ./internal/image/mkimage -name $(IMAGE) -arch $(IMAGE_ARCH) -entrypoint /hansa -o bin/hansa-image.tar \
		bin/linux-$(IMAGE_ARCH)/hansa=/hansa bin/linux-$(IMAGE_ARCH)/kubefedctl=/kubefedctl $(addsuffix =/etc/ssl/certs/ca-certificates.crt,$(CERTS))

# CoreDNS as a library: a minute of CPU time the first time, on top of what the control plane has built.
dns-build: bin/hansa-dns ## build bin/hansa-dns, the DNS server for clusterset.local
bin/hansa-dns: $(filter-out %_test.go,$(wildcard dns/*.go)) dns/go.mod dns/go.sum
	cd dns && go build -ldflags '$(LDFLAGS)' -o ../$@ .

DNS_IMAGE ?= ghcr.io/hansa-io/hansa-dns:$(V)
dns-image: ## build bin/hansa-dns-image.tar, its container image (DNS_IMAGE=NAME:TAG IMAGE_ARCH=arm64)
	cd dns && CGO_ENABLED=0 GOOS=linux GOARCH=$(IMAGE_ARCH) go build -ldflags '$(LDFLAGS)' -o ../bin/linux-$(IMAGE_ARCH)/hansa-dns .
	go run ./internal/image/mkimage -name $(DNS_IMAGE) -arch $(IMAGE_ARCH) -entrypoint /hansa-dns -o bin/hansa-dns-image.tar \
		bin/linux-$(IMAGE_ARCH)/hansa-dns=/hansa-dns $(addsuffix =/etc/ssl/certs/ca-certificates.crt,$(CERTS))

dns-test: lab-build ## ask a real hansa-dns for every kind of name that it must know
	cd dns && go vet ./... && $(GOTEST) ./...

# Real control planes are a large build: the first takes about 15 minutes of CPU time and 4 GB of disk, later ones seconds.
lab-build: bin/hansa-lab ## build bin/hansa-lab, the control planes that everything is tested against
bin/hansa-lab: $(wildcard lab/*.go) lab/go.mod lab/go.sum lab/build.sh
	@echo "building real control planes into $@ (the first time takes some minutes)"
	lab/build.sh $@ && ln -sf hansa-lab bin/kubectl

# Nothing but `hansa-lab up --nodes=real` needs them.
node-build: bin/node/pause.tar ## build bin/node, the programs of the lab's real nodes
bin/node/pause.tar: $(wildcard lab/hansa-node/*.go lab/node/*/*.go) lab/go.mod lab/go.sum lab/build.sh lab/node/go.mod lab/node/go.sum lab/node/build.sh lab/node/packages.sh
	lab/node/build.sh bin/node

demo: build dns-build ## play the walkthrough on two real clusters, step by step, and what one service of both is (KEEP=1 leaves them running)
	go run ./test/demo

# Those that take longest begin first.
test: build lint gen-check packages ## everything that CI runs: vet, lint, unit and property tests, stories on the lab
	go vet ./...
	cd lab && $(GOTEST) -vet=off ./...
	$(MAKE) dns-test
	$(GOTEST) -p 2 ./test/story ./test/discovery ./test/takeover ./internal/cli $$(go list ./... | grep -v /test/fault)

packages:
	@test/packages.sh || true

fault: build ## what happens when members, links, the host or the control plane itself break (about 7 minutes)
	$(GOTEST) ./test/fault

test-all: test chart-test nodes-test ## the long suites as well
	HANSA_LONG=1 $(GOTEST) -timeout 60m ./test/fault ./internal/discovery/haproxy/drive
	HANSA_LONG=1 $(GOTEST) -v -run Scale ./internal/discovery
	cd dns && HANSA_LONG=1 $(GOTEST) -v -run Scale .

chart-test: build ## the Helm chart, with Helm's library on real API servers (the first build takes 2 minutes of CPU time)
	cd test/chart && go vet ./... && $(GOTEST) ./...

nodes-test: build ## the chart's own Pods on the lab's real nodes; skipped, with the reason, where those do not work
	@lab/node/packages.sh || { echo "skipped: the tests on real nodes"; exit 0; }; set -ex; \
	$(MAKE) node-build; $(MAKE) image IMAGE=hansa-lab.local/hansa:test; export HANSA_LONG=1; \
	$(GOTEST) -v -run RealNode ./internal/lab; cd test/chart; $(GOTEST) -v -run RealNodes .

unit: ## the tests that need no lab
	$(GOTEST) -short ./...

lint: bin/tools/golangci-lint ## run the linters
	bin/tools/golangci-lint run --allow-parallel-runners ./...

fmt: bin/tools/golangci-lint ## format the code
	bin/tools/golangci-lint fmt ./...

gen: bin/tools/controller-gen ## make the generated code and CRDs anew
	bin/tools/controller-gen object paths=./api/...
	bin/tools/controller-gen crd paths=./api/... output:crd:dir=config/crd
	go generate ./config ./charts ./internal/cli ./test/docs

gen-check: gen ## fail if generated files are not up to date
	@git diff --exit-code --stat -- api charts config docs/reference docs/errors || { echo "generated files have changed: commit what make gen made"; exit 1; }

bin/tools/%: tools/go.mod tools/go.sum
	cd tools && go build -o ../bin/tools/ tool

bench: build ## measure the federation beside the least that it could cost (BENCH="-n 1000 -members 2")
	go run ./bench $(BENCH)

bench-scale: build ## measure what more members cost, on simulated ones (BENCH="-members 10,100,1000 -n 100")
	go run ./bench/scale $(BENCH)

lab: lab-build ## start the clusters global and business and print how to reach them
	bin/hansa-lab up --nodes 1

lab-down: ## stop them
	bin/hansa-lab down

clean: ## remove what was built
	rm -rf bin
