#!/bin/bash
# Fills wheels/ with the library that this pack uses, so that its installation asks no package index.
#
# Other people's code is not kept in this repository. Debian and Ubuntu carry the original archive of the library in
# their source packages; apt checks it against their signed index, and the digest below that it is the one we mean. apt works
# in a folder of its own here: the system's configuration and package lists stay as they are, nothing is installed, and
# root is not needed.
set -euo pipefail

name=xmltodict
version=0.13.0
source_package=python-xmltodict
sha256=d74f4099d42bcca273ffd3bc9766abaa8765960eabc4399f2a6ad48cb4f58ce0

sdist=$name-$version.tar.gz
wheels=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)/wheels
cache=${ATTUNE_CACHE_DIR:-${XDG_CACHE_HOME:-$HOME/.cache}/attune}/wheels

main() {
  mkdir -p "$wheels" "$cache"
  if ! is_right "$wheels/$sdist"; then
    is_right "$cache/$sdist" || fetch
    cp "$cache/$sdist" "$wheels/$sdist"
  fi
}

is_right() { [[ -f $1 ]] && sha256sum --check --status <<<"$sha256  $1"; }

fetch() {
  echo "fetching $name $version from the distribution's source packages" >&2
  work=$(mktemp -d)
  trap finish EXIT
  (cd "$work" && download) >"$work/log" 2>&1
  mv "$work/$sdist" "$cache/$sdist"
}

finish() {
  local status=$?
  if ((status)); then
    cat "$work/log" >&2
    echo "fetch-wheels: the original archive of $source_package $version could not be fetched" >&2
  fi
  rm -rf "$work"
}

# Downloads the library's archive, and nothing else of its source package, into the current folder.
download() {
  mkdir -p lists/partial cache/archives/partial parts
  chmod --recursive a+rX . # apt downloads as a user of its own when root starts it.
  local -a own=(-o Dir::State::Lists="$PWD/lists" -o Dir::Cache="$PWD/cache")
  sources >sources.list
  if [[ ! -s sources.list ]]; then # The system has no package lists at the moment.
    apt-get --quiet "${own[@]}" update
    sources "${own[@]}" >sources.list
  fi
  own+=(-o Dir::Etc::SourceList="$PWD/sources.list" -o Dir::Etc::SourceParts="$PWD/parts")
  apt-get --quiet "${own[@]}" update
  apt-get "${own[@]}" source --only-source --print-uris "$source_package" >uris
  local uri
  uri=$(sed -n "s/^'\([^']*\)' ${source_package}_$version\.orig\.tar\.gz .*/\1/p" uris)
  if [[ -z $uri ]]; then
    cat uris
    return 1
  fi
  /usr/lib/apt/apt-helper download-file "$uri" "$sdist" "SHA256:$sha256"
}

# Prints the distribution's own package sources, as far as apt has lists of them, as sources of source packages.
sources() {
  local ID
  source /etc/os-release
  # shellcheck disable=SC2016 # apt fills these in.
  apt-get "$@" indextargets --format '$(ORIGIN)|$(RELEASE)|$(COMPONENT)|$(REPO_URI)' 'Created-By: Packages' |
    awk -F '|' -v keyring="/usr/share/keyrings/$ID-archive-keyring.gpg" '
      ($1 == "Debian" || $1 == "Ubuntu") && $2 !~ /-/ && ($3 == "main" || $3 == "universe") {
        print "deb-src [signed-by=" keyring "] " $4 " " $2 " " $3
      }' | sort --unique
}

main
