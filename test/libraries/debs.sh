#!/usr/bin/env bash
# debs.sh [SUITE…]: unpacks OpenSSL of other Debian suites into the cache, once, each with what it takes to run it there:
# SUITE is a folder for chroot. Prints the folder of them. Nothing is installed; apt's own state is left alone.
# A suite that the mirror does not have is said on stderr and passed by.
set -euo pipefail
source "$(dirname "$0")/../harness/debian.sh"

suites=${*:-bullseye bookworm trixie sid}
folder=${XDG_CACHE_HOME:-$HOME/.cache}/podmirror/libraries-2
packages() { # The library's name follows OpenSSL's ABI and the transition to 64-bit time_t.
	case $1 in
		bullseye) echo libssl1.1 openssl libc6 ;;
		bookworm) echo libssl3 openssl libc6 ;;
		*) echo libssl3t64 openssl libc6 libzstd1 zlib1g ;;
	esac
}

mkdir -p "$folder"
exec 9>"$folder/.lock"
flock 9

find_mirror >&2 || exit

fetch() { # FOLDER SUITE
	local work=$1 suite=$2
	mkdir "$work/folder"
	read_suite "$work" "$suite" &&
		(cd "$work/debs" && apt-get "${options[@]}" download $(packages "$suite")) || return
	for deb in "$work"/debs/*.deb; do dpkg-deb -x "$deb" "$work/folder" || return; done
	# Newer suites have the loader below /usr only, and the links to it in a package with much else.
	for link in lib lib64; do [ -e "$work/folder/$link" ] || ln -s "usr/$link" "$work/folder/$link" || return; done
}

for suite in $suites; do
	[ ! -e "$folder/$suite" ] || continue
	work=$(mktemp -d "$folder/.XXXXXX")
	# It gets its name when it is whole.
	if fetch "$work" "$suite" >"$work/log" 2>&1; then
		mv "$work/folder" "$folder/$suite"
	else
		echo "debs.sh: no $suite: $(why_not "$work/log")" >&2
	fi
	rm -rf "$work"
done
echo "$folder"
