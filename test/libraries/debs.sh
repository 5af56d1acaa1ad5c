#!/usr/bin/env bash
# debs.sh [SUITE…]: unpacks OpenSSL of other Debian suites into the cache, once, each with what it takes to run it there:
# SUITE is a folder for chroot. Prints the folder of them. Nothing is installed; apt's own state is left alone.
# A suite that the mirror does not have is said on stderr and passed by.
set -euo pipefail

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

# The mirror is this machine's own: the first source whose Release file says it is Debian's main archive.
mirror=$(apt-get indextargets --format '$(ORIGIN)|$(LABEL)|$(SITE)' 'Created-By: Packages' | sed -n 's/^Debian|Debian|//p' | head -n 1)
if [ -z "$mirror" ]; then # A fresh machine has no Release files yet.
	apt-get -q update >/dev/null 2>&1 || true
	mirror=$(apt-get indextargets --format '$(ORIGIN)|$(LABEL)|$(SITE)' 'Created-By: Packages' | sed -n 's/^Debian|Debian|//p' | head -n 1)
fi
[ -n "$mirror" ] || { echo "debs.sh: no Debian archive among this machine's apt sources" >&2; exit 1; }

fetch() { # SUITE: a private list and state, so that the machine's own stay as they are.
	local work=$1 suite=$2
	mkdir -p "$work"/{lists/partial,cache/archives/partial,debs,folder,parts}
	echo "deb [signed-by=/usr/share/keyrings/debian-archive-keyring.gpg] $mirror $suite main" >"$work/sources.list"
	local options=(-q -o Dir::Etc::SourceList="$work/sources.list" -o Dir::Etc::SourceParts="$work/parts" -o Dir::State::Lists="$work/lists"
		-o Dir::Cache="$work/cache" -o Dir::State::status=/dev/null -o Acquire::Check-Valid-Until=false -o Acquire::Languages=none
		-o APT::Sandbox::User=root -o APT::Architecture=amd64 -o APT::Architectures=amd64)
	apt-get "${options[@]}" -o APT::Update::Error-Mode=any update &&
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
		echo "debs.sh: no $suite: $(grep -m 1 '^E:' "$work/log" || tail -n 1 "$work/log")" >&2
	fi
	rm -rf "$work"
done
echo "$folder"
