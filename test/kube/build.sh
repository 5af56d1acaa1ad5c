#!/usr/bin/env bash
# Builds etcd and Kubernetes from Go modules into the cache, once per version, and prints the folder with the programs.
# About 8 minutes and 4 GiB on two cores, 160 MiB of which stay.
set -euo pipefail
cd "$(dirname "$0")/programs"

kubernetes=$(sed -n 's/^\tk8s.io\/kubernetes v//p' go.mod)
go=$(sed -n 's/^go //p' go.mod)
id=$(cat main.go go.mod go.sum | sha256sum | cut -c 1-12)
cache=${XDG_CACHE_HOME:-$HOME/.cache}/podmirror/kube
folder=$cache/$kubernetes-$id
programs="etcd kubectl kube-apiserver kube-controller-manager kube-scheduler kube-proxy kubelet"

mkdir -p "$cache"
exec 9>"$cache/lock"
flock 9
if [ ! -e "$folder/kube" ]; then
	command -v go >/dev/null || { echo "no Go: apt-get install golang-go" >&2; exit 1; }
	work=$(mktemp -d "$cache/build-XXXXXX")
	trap 'rm -rf "$work"' EXIT
	export GOCACHE=$work/cache GOMODCACHE=$work/modules GOFLAGS="-mod=readonly -modcacherw -buildvcs=false" CGO_ENABLED=0 GOTOOLCHAIN=local
	# Debian 12 has Go 1.19, from before Go fetched newer ones by itself; the toolchain is a module like any other.
	if [ "$(printf '%s\n' "$go" "$(go env GOVERSION | sed 's/^go//')" | sort -V | head -n 1)" != "$go" ]; then
		module=golang.org/toolchain@v0.0.1-go1.26.8.$(go env GOOS)-$(go env GOARCH)
		toolchain=$(cd / && GOFLAGS=-modcacherw go mod download -json "$module" | sed -n 's/^\t"Dir": "\(.*\)",$/\1/p')
		chmod +x "$toolchain"/bin/* "$toolchain"/pkg/tool/*/*
		export PATH=$toolchain/bin:$PATH GOROOT=$toolchain
	fi
	echo "building Kubernetes $kubernetes with $(go env GOVERSION), once, into $folder" >&2
	# Without its version a server says v0.0.0, and the others refuse it.
	version=k8s.io/component-base/version
	nice go build -trimpath -o "$work/kube" -ldflags "-s -w -X $version.gitVersion=v$kubernetes -X $version.gitMajor=1 \
		-X $version.gitMinor=$(cut -d. -f2 <<<"$kubernetes") -X $version.gitTreeState=clean" .
	mkdir -p "$folder"
	for program in $programs; do ln -sf kube "$folder/$program"; done
	mv "$work/kube" "$folder/kube"
fi
echo "$folder"
