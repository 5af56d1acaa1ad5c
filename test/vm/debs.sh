#!/usr/bin/env bash
# debs.sh: fetches Debian 12's kernel with its modules (test/kernels/debs.sh), installs what a guest that shares this machine's
# files has to find there, where it is missing, and prints the folder: busybox, 6.1/vmlinuz and 6.1/lib/modules below it.
set -euo pipefail

packages="dbus e2fsprogs kmod systemd"
folder=$("$(dirname "$0")/../kernels/debs.sh" 6.1)
[ -e "$folder/6.1" ] || { cat "$folder/6.1.missing" >&2; exit 1; }

missing=$(for package in $packages; do dpkg-query -W -f '${Status}' "$package" 2>/dev/null | grep -q 'ok installed' || echo "$package"; done)
if [ -n "$missing" ]; then
	[ "$(id -u)" = 0 ] || { echo "missing Debian packages: apt-get install" $missing >&2; exit 1; }
	log=$(mktemp)
	trap 'rm -f "$log"' EXIT
	# Debian starts a server that it installs; here only the program is wanted.
	[ -e /usr/sbin/policy-rc.d ] || {
		printf '#!/bin/sh\nexit 101\n' >/usr/sbin/policy-rc.d
		chmod +x /usr/sbin/policy-rc.d
		trap 'rm -f "$log" /usr/sbin/policy-rc.d' EXIT
	}
	install() { DEBIAN_FRONTEND=noninteractive apt-get install -y -q --no-install-recommends $missing >"$log" 2>&1; }
	# A fresh machine has no lists yet, an older one has stale ones.
	install || { apt-get -q update >/dev/null 2>&1 || true; install; } || { tail -n 5 "$log" >&2; exit 1; }
fi

# As the package's own script does when the kernel is installed: what modules need each other.
release=$(ls "$folder/6.1/lib/modules")
[ -e "$folder/6.1/lib/modules/$release/modules.dep" ] || depmod -b "$folder/6.1" "$release"
echo "$folder"
