#!/usr/bin/env bash
# Prints the folder in which `make up` keeps its data: data/ here, unless other users cannot get here. PostgreSQL and the
# sandboxes run as such, and home folders are often closed to them.
set -euo pipefail

here=$(realpath "$(dirname "$0")/..")
at=$here
while true; do
  if ! ((8#$(stat -c %a "$at") & 1)); then
    echo /var/lib/attune
    exit
  fi
  [[ $at != / ]] || break
  at=$(dirname "$at")
done
echo "$here/data"
