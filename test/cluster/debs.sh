#!/usr/bin/env bash
# debs.sh [crio]: unpacks Debian's containerd, runc, CNI plugins and nft into the cache, once, and prints the folder that
# holds them; with crio, what CRI-O takes instead of containerd. Nothing is installed, and nothing starts.
set -euo pipefail

# Libraries are those that a slim Debian lacks. catatonit is what holds a pod's namespaces ("pause").
packages="catatonit containerd containernetworking-plugins nftables runc
	libbsd0 libedit2 libgmp10 libjansson4 libmd0 libmnl0 libnftables1 libnftnl11 libseccomp2 libxtables12"
[ "${1:-}" != crio ] || packages="conmon containernetworking-plugins runc skopeo libassuan0 libdevmapper1.02.1 libglib2.0-0 libgpgme11 libseccomp2"
cache=${XDG_CACHE_HOME:-$HOME/.cache}/podmirror/node-programs
folder=$cache/$(echo "$packages" | sha256sum | cut -c 1-12)

# The folder gets its name when it is whole.
[ ! -e "$folder" ] || { echo "$folder"; exit; }
mkdir -p "$cache"
exec 9>"$cache/lock"
flock 9
[ ! -e "$folder" ] || { echo "$folder"; exit; }

work=$(mktemp -d "$cache/XXXXXX")
trap 'rm -rf "$work"' EXIT
mkdir "$work/debs" "$work/folder"
cd "$work/debs"
download() { apt-get -q download $packages >../log 2>&1; }
# A fresh machine has no lists yet.
download || { apt-get -q update >/dev/null 2>&1; download; } || { cat ../log >&2; exit 1; }
for deb in *.deb; do dpkg -x "$deb" "$work/folder"; done
mv "$work/folder" "$folder"
echo "$folder"
