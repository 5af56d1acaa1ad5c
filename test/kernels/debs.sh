#!/usr/bin/env bash
# debs.sh [NAME…]: unpacks Debian's kernels and a static busybox into the cache, once, installs QEMU where it is missing, and
# prints the folder: NAME/vmlinuz, NAME/release and busybox below it, and 6.1/lib/modules. No kernel is installed; apt's own
# lists are left alone.
# A kernel that the mirror does not have is said on stderr and in NAME.missing, and passed by.
# The newest is the newest of the day it came: remove its folder to have it fetched again.
set -euo pipefail
source "$(dirname "$0")/../harness/debian.sh"

names=${*:-5.10 6.1 6.12 newest}
folder=${XDG_CACHE_HOME:-$HOME/.cache}/podmirror/kernels
# The kernel of test/vm, which has drivers and file systems; the others need none.
with_modules=6.1
suites() { # That may carry it, the better ones first.
	case $1 in
		5.10) echo bullseye ;;
		6.1) echo bookworm ;;
		6.12) echo trixie bookworm-backports ;;
		newest) echo sid ;;
		*) echo "debs.sh: no kernel '$1'. Write some of 5.10 6.1 6.12 newest" >&2; exit 2 ;;
	esac
}

mkdir -p "$folder"
exec 9>"$folder/.lock"
flock 9
work=$(mktemp -d "$folder/.XXXXXX")
trap 'rm -rf "$work"' EXIT

if ! command -v qemu-system-x86_64 >/dev/null; then
	[ "$(id -u)" = 0 ] || { echo "missing Debian package: apt-get install qemu-system-x86" >&2; exit 1; }
	qemu() { DEBIAN_FRONTEND=noninteractive apt-get install -y -q --no-install-recommends qemu-system-x86 >"$work/log" 2>&1; }
	# A fresh machine has no lists yet, an older one has stale ones.
	qemu || { apt-get -q update >/dev/null 2>&1 || true; qemu; } || { tail -n 5 "$work/log" >&2; exit 1; }
fi

# The package with the kernel itself, behind the metapackages that follow it: linux-binary-… where linux-image-… is one of
# them. The cloud flavour is the same kernel with fewer drivers: a quarter of the download, and we need no driver.
image_of() { # METAPACKAGE
	local all
	all=$(apt-cache "${options[@]}" depends --recurse --no-recommends --no-suggests --no-conflicts --no-breaks --no-replaces --no-enhances "$1")
	grep -m 1 -E '^linux-binary-[0-9]' <<<"$all" || grep -m 1 -E '^linux-image-[0-9]' <<<"$all" || true
}

fetch() { # NAME SUITE
	local suite=$2 package
	read_suite "$work/$suite" "$suite" || return
	package=$(image_of linux-image-cloud-amd64)
	[ -n "$package" ] || { echo "E: $suite has no linux-image-cloud-amd64"; return 1; }
	case $1:$package in newest:* | "$1:linux-"*"-$1."*) ;; *) echo "E: $suite has $package, not Linux $1"; return 1 ;; esac
	(cd "$work/$suite/debs" && apt-get "${options[@]}" download "$package") || return
	mkdir -p "$work/$1/unpacked" "$work/$1/folder"
	dpkg-deb -x "$work/$suite/debs/"*.deb "$work/$1/unpacked" || return
	local image=("$work/$1/unpacked"/{boot,usr/lib/modules/*}/vmlinuz*)
	image=$(ls -d "${image[@]}" 2>/dev/null | head -n 1)
	[ -n "$image" ] || { echo "E: $package holds no vmlinuz"; return 1; }
	cp -L "$image" "$work/$1/folder/vmlinuz" && echo "$package" >"$work/$1/folder/release" || return
	[ "$1" != "$with_modules" ] || mv "$work/$1/unpacked/lib" "$work/$1/folder/lib"
}

for name in $names; do
	from=$(suites "$name")
	[ ! -e "$folder/$name" ] || [ "$name" = "$with_modules" -a ! -e "$folder/$name/lib" ] || continue
	rm -f "$folder/$name.missing"
	if ! find_mirror >"$work/log"; then
		tee "$folder/$name.missing" <"$work/log" >&2
		continue
	fi
	for suite in $from; do
		# It gets its name when it is whole.
		if fetch "$name" "$suite" >"$work/log" 2>&1; then
			rm -rf "${folder:?}/$name"
			mv "$work/$name/folder" "$folder/$name"
			rm -f "$folder/$name.missing"
			break
		fi
		echo "debs.sh: no Linux $name from $suite: $(why_not "$work/log")" | tee -a "$folder/$name.missing" >&2
	done
done

if [ ! -e "$folder/busybox" ]; then
	mkdir "$work/busybox"
	cd "$work/busybox"
	busybox() { apt-get -q -o APT::Sandbox::User=root download busybox-static >"$work/log" 2>&1; }
	busybox || { apt-get -q update >/dev/null 2>&1 || true; busybox; } || { tail -n 5 "$work/log" >&2; exit 1; }
	dpkg-deb -x ./*.deb .
	find . -type f -name busybox -path '*bin/*' -exec mv {} "$folder/busybox" \;
fi
echo "$folder"
