#!/bin/sh
# Prints the folder with OWASP CRS 4.25.0, and makes it when it is not there yet: outside the source tree, from
# the Go module that carries these rules (its checksum is in Go's public checksum database).
# CRS_DIR=<folder> names it instead. Needs `go` once.
set -eu
version=4.25.0
module=github.com/corazawaf/coraza-coreruleset/v4@v$version
folder=${CRS_DIR:-${XDG_CACHE_HOME:-$HOME/.cache}/podmirror/crs-$version}

if [ ! -f "$folder/LICENSE" ]; then
  command -v go >/dev/null || { echo "crs.sh: go is missing: no way to fetch $module. Install golang-go, or set CRS_DIR to a folder with its rules." >&2; exit 1; }
  source=$(cd / && go mod download -json "$module" | sed -n 's/^[[:space:]]*"Dir": "\(.*\)",$/\1/p')
  [ -d "$source/rules/@owasp_crs" ] || { echo "crs.sh: go mod download $module gave no folder with rules. Run it by hand and see what it says." >&2; exit 1; }
  mkdir -p "$(dirname "$folder")"
  new=$(mktemp -d "$folder.XXXXXX")
  trap 'rm -rf "$new"' EXIT
  cp "$source"/rules/@owasp_crs/* "$new/"
  chmod -R u+w,a+rX "$new"
  # libmodsecurity 3.0.9 wants actions, or an empty line, after the last rule of a chain.
  sed -i 's/^    SecRule TX:EARLY_BLOCKING "@eq 1"$/& "t:none"/' "$new"/*BLOCKING-EVALUATION.conf
  cp "$source/LICENSE" "$new/LICENSE"
  # Two at once are no harm: the second finds the folder there.
  mv -T "$new" "$folder" 2>/dev/null || [ -f "$folder/LICENSE" ]
fi
echo "$folder"
