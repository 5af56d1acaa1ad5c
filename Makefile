# podmirror. `make` alone prints help. Needs: Debian 12, root, a kernel with cgroup2 and BPF (5.10 or newer).
SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help

# Slow builds live outside the tree, so that a fresh clone finds them; deleting the folder is always safe.
CACHE ?= $(or $(XDG_CACHE_HOME),$(HOME)/.cache)/podmirror
export CARGO_TARGET_DIR ?= $(CACHE)/target
export NODE_COMPILE_CACHE ?= $(CACHE)/node
export PATH := $(CURDIR)/node_modules/.bin:$(PATH)
# A service may have none; go and npm want one.
export HOME ?= $(shell getent passwd $$(id -u) | cut -d: -f6)
# Nothing here goes through a proxy but the package managers.
export no_proxy := 127.0.0.1,localhost,::1,$(no_proxy)

APT := build-essential ca-certificates clang curl git iproute2 libelf-dev libmodsecurity-dev nginx-light pkg-config procps python3 util-linux wrk zlib1g-dev
STATE := .state
RUST_SOURCES := $(shell find bpf processor/modsecurity -name '*.rs' -o -name '*.c' -o -name '*.h' -o -name Cargo.toml | grep -v /target/) processor/exchange.proto Cargo.toml Cargo.lock

##@ Use

.PHONY: help
help: ## Print this
	@awk 'BEGIN {FS = ":.*## "} /^##@/ {printf "\n%s\n", substr($$0, 5)} /^[a-z0-9-]+:.*## / {printf "  make %-12s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

.PHONY: demo
demo: build ## One machine, end to end: nginx mirrored, an attack recorded, the page to look at
	@node test/demo/demo.ts

.PHONY: cluster
cluster: kube cluster-parts ## Start a real Kubernetes of one node on this machine (needs root)
	@node test/cluster/main.ts up

.PHONY: cluster-env
cluster-env: ## Print what a shell needs to use it, for eval
	@node test/cluster/main.ts env

.PHONY: cluster-down
cluster-down: ## Take it away, whole
	@node test/cluster/main.ts down

.PHONY: certs
certs: $(STATE)/npm ## Make development certificates in ./.state/certs
	@node certs/main.ts $(STATE)/certs --names localhost,127.0.0.1

##@ Develop

.PHONY: build
build: $(STATE)/apt $(STATE)/npm cargo-folder bpf/podmirror.node processor/modsecurity/modsecurity.node crs ## Install what is missing and build the two native addons

.PHONY: check
check: build ## Types, lint and unit tests: the fast inner loop
	@node test/all.ts check

.PHONY: kube
kube: $(STATE)/npm ## Build a real Kubernetes and cert-manager for the tests, once (about 14 minutes on two cores)
	@test/kube/build.sh kube
	@test/kube/build.sh cert-manager

.PHONY: images
images: $(STATE)/npm ## Build the container images of manifests/images, and say how large they are (needs root)
	@node test/images/images.ts

# What a node has beside the above; about 4 minutes on two cores, once.
.PHONY: cluster-parts
cluster-parts: $(STATE)/npm
	@test/kube/build.sh coredns
	@test/kube/build.sh helm
	@test/cluster/debs.sh

# Kernels of four Debian suites, and QEMU: about a minute, once.
.PHONY: kernel-parts
kernel-parts: $(STATE)/npm
	@test/kernels/debs.sh >/dev/null

# A kernel with its modules, systemd, and QEMU; CRI-O.
.PHONY: node-vm-parts
node-vm-parts: $(STATE)/npm
	@test/vm/debs.sh >/dev/null
	@test/cluster/debs.sh crio >/dev/null
	@test/kube/build.sh crio

.PHONY: test
test: build kube cluster-parts ## Everything but other nodes: check, and real nginx, a real Kubernetes, real attacks, real faults, other kernels (needs root)
	@node test/all.ts check integration kernels e2e

.PHONY: kernels
kernels: build kernel-parts ## Only the capture on Linux 5.10, 6.1, 6.12 and Debian's newest, in QEMU (about 20 seconds each)
	@node test/all.ts kernels

.PHONY: node-vm
node-vm: build kube cluster-parts node-vm-parts ## Only the agent on a node with cgroup v2 and the systemd driver, a virtual machine, with containerd and with CRI-O (about 5 minutes each, needs root)
	@node test/all.ts node-vm

.PHONY: e2e
e2e: build kube cluster-parts ## Only what needs a whole Kubernetes
	@node test/all.ts e2e

.PHONY: bench
bench: build kube cluster-parts ## Cost for nginx, over TLS too, for the agent, for the API server, in a cluster; completeness; writes test/bench/*results.md
	@node test/bench/bench.ts
	@node test/bench/tls.ts
	@node test/bench/webhook.ts
	@node test/bench/cluster.ts

.PHONY: manifests
manifests: $(STATE)/npm ## Write manifests/base from the chart
	@node test/manifests/write-base.ts

.PHONY: format
format: build ## Let biome and rustfmt lay out the code
	@biome check --write . && cargo fmt

.PHONY: clean
clean: ## Remove what was built or installed into the tree (the cache stays)
	@rm -rf node_modules $(STATE) bpf/podmirror.node processor/modsecurity/modsecurity.node

##@ Parts

# Debian starts and enables a server that it installs; here only the program is wanted.
$(STATE)/apt: Makefile
	@mkdir -p $(STATE)
	@missing=$$(for p in $(APT); do dpkg-query -W -f '$${Status}' $$p 2>/dev/null | grep -q 'ok installed' || echo $$p; done); \
	command -v node >/dev/null && command -v npm >/dev/null || missing="$$missing nodejs npm"; \
	command -v go >/dev/null || missing="$$missing golang-go"; \
	command -v cargo >/dev/null || missing="$$missing cargo-web rustc-web"; \
	if [ -n "$$missing" ]; then \
		[ "$$(id -u)" = 0 ] || { echo "missing Debian packages: apt-get install" $$missing; exit 1; }; \
		echo "installing" $$missing; \
		apt-get update -q >$(STATE)/apt.log 2>&1 || true; \
		[ -e /usr/sbin/policy-rc.d ] || { printf '#!/bin/sh\nexit 101\n' >/usr/sbin/policy-rc.d; chmod +x /usr/sbin/policy-rc.d; trap 'rm -f /usr/sbin/policy-rc.d' EXIT; }; \
		DEBIAN_FRONTEND=noninteractive apt-get install -y -q --no-install-recommends $$missing >>$(STATE)/apt.log 2>&1 \
			|| { tail -n 20 $(STATE)/apt.log; echo "apt-get could not install" $$missing; exit 1; }; \
		case "$$missing" in *nginx*) ! command -v systemctl >/dev/null || systemctl disable nginx >/dev/null 2>&1 || true;; esac; \
	fi
	@touch $@

# Not `npm ci`: the lock file lacks the platforms of optional packages that the registry at hand did not have.
# npm's package "node" carries Node 24; the one that installs it may be older.
$(STATE)/npm: package.json package-lock.json $(STATE)/apt
	@npm install --no-save --no-fund --no-audit --loglevel=error
	@touch $@

# Cargo tells by dates what is to be built again, and two clones share its folder: to the one that comes second
# what the other built would look newer than its own sources.
.PHONY: cargo-folder
cargo-folder:
	@mkdir -p $(CARGO_TARGET_DIR)
	@[ "$$(cat $(CARGO_TARGET_DIR)/.tree 2>/dev/null)" = "$(CURDIR)" ] || { touch $(RUST_SOURCES); echo "$(CURDIR)" >$(CARGO_TARGET_DIR)/.tree; }

bpf/podmirror.node: $(RUST_SOURCES) | $(STATE)/apt cargo-folder
	@cargo build --release --locked -p podmirror-bpf
	@install -m 755 $(CARGO_TARGET_DIR)/release/libpodmirror_bpf.so $@

processor/modsecurity/modsecurity.node: $(RUST_SOURCES) | $(STATE)/apt cargo-folder
	@cargo build --release --locked -p podmirror-modsecurity
	@install -m 755 $(CARGO_TARGET_DIR)/release/libpodmirror_modsecurity.so $@

# OWASP CRS, a Go module, copied to the cache; quick when it is there.
.PHONY: crs
crs: | $(STATE)/apt
	@processor/rules/crs.sh >/dev/null
