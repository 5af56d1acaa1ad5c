#!/usr/bin/env bash
# build.sh kube|cert-manager|coredns|helm|crio: builds programs for tests from Go modules into the cache, once per version of
# their sources, and prints the folder that holds them. On two cores, from nothing:
#   kube          etcd and Kubernetes         8 to 11 minutes, 4 GiB while it builds, 153 MiB that stay
#   cert-manager  its programs and its CRDs   2.5 to 4 minutes, 1.7 GiB while it builds, 71 MiB that stay
#   coredns       with few plugins            1.5 minutes, 53 MiB that stay
#   helm                                      2.5 minutes, 58 MiB that stay
#   crio          CRI-O and its pinns         2 minutes, 68 MiB that stay; takes a C compiler
set -euo pipefail

# Without its version a server says v0.0.0, and the others refuse it.
kube_flags() {
	local at=k8s.io/component-base/version
	echo "-X $at.gitVersion=v$1 -X $at.gitMajor=1 -X $at.gitMinor=$(cut -d. -f2 <<<"$1") -X $at.gitTreeState=clean"
}
# What a chart is told about the cluster when none is asked: without it, Kubernetes 1.20.
helm_flags() {
	local minor at flags="-X helm.sh/helm/v3/internal/version.version=v$1"
	minor=$(sed -n 's|^\s*k8s.io/client-go v0\.\([0-9]*\).*|\1|p' go.mod)
	for at in pkg/chartutil pkg/lint/rules; do
		flags+=" -X helm.sh/helm/v3/$at.k8sVersionMajor=1 -X helm.sh/helm/v3/$at.k8sVersionMinor=$minor"
	done
	echo "$flags"
}
# Custom resources are put beside the binary as its module has them.
cert_manager_files() {
	mkdir "$1/crds"
	cp "$(go list -m -f '{{.Dir}}' github.com/cert-manager/cert-manager)"/deploy/crds/*.yaml "$1/crds/"
}

# It filters system calls with libseccomp, whose headers and static library come from Debian's package, not installed.
crio_c() {
	(mkdir "$work/debs" && cd "$work/debs" && apt-get -q -o APT::Sandbox::User=root download libseccomp-dev >../log 2>&1) || { cat "$work/log" >&2; return 1; }
	dpkg -x "$work/debs/"*.deb "$work/root"
	export CGO_ENABLED=1 PKG_CONFIG_SYSROOT_DIR=$work/root
	PKG_CONFIG_PATH=$(echo "$work"/root/usr/lib/*/pkgconfig)
	export PKG_CONFIG_PATH
}
# What pins a pod's namespaces is a program in C.
crio_files() {
	cc -O2 -static -o "$1/pinns" "$(go list -m -f '{{.Dir}}' github.com/cri-o/cri-o)"/pinns/src/*.c
}

name=${1:-}
package=.
tags=
c=true
case $name in
kube) source=programs module=k8s.io/kubernetes flags=kube_flags files=true
	links="etcd kubectl kube-apiserver kube-controller-manager kube-scheduler kube-proxy kubelet" ;;
cert-manager) source=cert-manager module=github.com/cert-manager/cert-manager flags=true files=cert_manager_files links= ;;
coredns) source=coredns module=github.com/coredns/coredns flags=true files=true links= ;;
helm) source=helm module=helm.sh/helm/v3 package=helm.sh/helm/v3/cmd/helm flags=helm_flags files=true links= ;;
crio) source=crio module=github.com/cri-o/cri-o package=github.com/cri-o/cri-o/cmd/crio flags=true files=crio_files links= c=crio_c
	tags=containers_image_openpgp,containers_image_ostree_stub,exclude_graphdriver_btrfs,exclude_graphdriver_devicemapper,seccomp ;;
*) echo "usage: build.sh kube|cert-manager|coredns|helm|crio" >&2; exit 64 ;;
esac
cd "$(dirname "$0")/$source"

version=$(sed -n "s|^\(require \)\?\s*$module v\([^ ]*\).*|\2|p" go.mod)
go=$(sed -n 's/^go //p' go.mod)
# helm and crio have no main.go here: the main package is their module's own.
id=$(cat $([ ! -e main.go ] || echo main.go) go.mod go.sum | sha256sum | cut -c 1-12)
cache=${XDG_CACHE_HOME:-$HOME/.cache}/podmirror
folder=$cache/$name/$version-$id

# The folder gets its name when it is whole.
done_already() { [ -e "$folder/$name" ] && { echo "$folder"; exit; }; }
done_already || mkdir -p "$cache/$name"
# One build at a time, of whatever: each takes all cores and up to 3 GiB of memory.
exec 9>"$cache/go-build.lock"
flock 9
done_already || true

command -v go >/dev/null || { echo "no Go: apt-get install golang-go" >&2; exit 1; }
work=$(mktemp -d "$cache/$name/build-XXXXXX")
trap 'rm -rf "$work"' EXIT
export GOCACHE=$work/cache GOMODCACHE=$work/modules GOFLAGS="-mod=readonly -modcacherw -buildvcs=false" CGO_ENABLED=0 GOTOOLCHAIN=local
# Debian 12 has Go 1.19, from before Go fetched newer ones by itself; the toolchain is a module like any other.
if [ "$(printf '%s\n' "$go" "$(go env GOVERSION | sed 's/^go//')" | sort -V | head -n 1)" != "$go" ]; then
	toolchain=golang.org/toolchain@v0.0.1-go1.26.8.$(go env GOOS)-$(go env GOARCH)
	GOROOT=$(cd / && GOFLAGS=-modcacherw go mod download -json "$toolchain" | sed -n 's/^\t"Dir": "\(.*\)",$/\1/p')
	chmod +x "$GOROOT"/bin/* "$GOROOT"/pkg/tool/*/*
	export GOROOT PATH=$GOROOT/bin:$PATH
fi
$c
echo "building $name $version with $(go env GOVERSION), once, into $folder" >&2
mkdir "$work/folder"
nice go build -trimpath -tags "$tags" -o "$work/folder/$name" -ldflags "-s -w $($flags "$version")" "$package"
for link in $links; do ln -s "$name" "$work/folder/$link"; done
$files "$work/folder"
rm -rf "$folder"
mv "$work/folder" "$folder"
echo "$folder"
