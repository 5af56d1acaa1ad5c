# Sourced: packages of any Debian suite from this machine's own mirror, with lists and state of their own, so that the machine's
# stay as they are.

# Sets `mirror`: the first source whose Release file says it is Debian's main archive.
known_mirror() {
	mirror=$(apt-get indextargets --format '$(ORIGIN)|$(LABEL)|$(SITE)' 'Created-By: Packages' | sed -n 's/^Debian|Debian|//p' | head -n 1)
	[ -n "$mirror" ]
}
find_mirror() { # A fresh machine has no Release files yet.
	known_mirror || { apt-get -q update >/dev/null 2>&1 || true; known_mirror; } || { echo "debs.sh: no Debian archive among this machine's apt sources"; return 1; }
}

# Reads what the suite has; sets `options`, with which apt's commands mean it. Debs may lie in FOLDER/debs.
read_suite() { # FOLDER SUITE
	mkdir -p "$1"/{lists/partial,cache/archives/partial,debs,parts}
	echo "deb [signed-by=/usr/share/keyrings/debian-archive-keyring.gpg] $mirror $2 main" >"$1/sources.list"
	options=(-q -o Dir::Etc::SourceList="$1/sources.list" -o Dir::Etc::SourceParts="$1/parts" -o Dir::State::Lists="$1/lists"
		-o Dir::Cache="$1/cache" -o Dir::State::status=/dev/null -o Acquire::Check-Valid-Until=false -o Acquire::Languages=none
		-o APT::Sandbox::User=root -o APT::Architecture=amd64 -o APT::Architectures=amd64)
	apt-get "${options[@]}" -o APT::Update::Error-Mode=any update
}

# What the log of a failed fetch says of it, in a line.
why_not() { # LOG
	grep -m 1 '^E:' "$1" || tail -n 1 "$1"
}
