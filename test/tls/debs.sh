#!/usr/bin/env bash
# debs.sh: unpacks Debian's haproxy and Apache httpd into the cache, once, and prints the folder that holds them. Nothing
# is installed, and nothing starts.
set -euo pipefail

# Libraries are those that a slim Debian lacks.
packages="apache2-bin haproxy
	libapr1 libaprutil1 libbrotli1 libjansson4 liblua5.3-0 libnghttp2-14 libopentracing-c-wrapper0 libopentracing1"
cache=${XDG_CACHE_HOME:-$HOME/.cache}/podmirror/tls-servers
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
download() { apt-get -q -o APT::Sandbox::User=root download $packages >../log 2>&1; }
# A fresh machine has no lists yet.
download || { apt-get -q update >/dev/null 2>&1; download; } || { cat ../log >&2; exit 1; }
for deb in *.deb; do dpkg -x "$deb" "$work/folder"; done
mv "$work/folder" "$folder"
# So that those reach it who give up root.
chmod 755 "$folder"
echo "$folder"
