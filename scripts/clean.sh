#!/usr/bin/env bash
# Deletes what was built and the data folder in this clone. A data folder that is in use stays, and that is an error.
set -euo pipefail

cd "$(dirname "$0")/.."
readonly data=$PWD/data

in_use() {
  local link
  # Held by attune for as long as it runs.
  if [[ -e $data/lock ]] && ! flock --nonblock "$data/lock" true; then
    return
  fi
  # What a killed attune left: daemons, and containers with their mounts.
  for link in /proc/[0-9]*/cwd; do
    [[ $(readlink "$link" 2>/dev/null) != "$data"/* ]] || return 0
  done
  grep -qF " $data/" /proc/self/mounts
}

rm -rf bin
if [[ -d $data ]] && in_use; then
  echo "clean: attune, or what it started, still runs on $data: end it first (after a crash: start it and end it again)" >&2
  exit 1
fi
rm -rf "$data"
