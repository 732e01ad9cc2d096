#!/usr/bin/env bash
# Runs a command as root: directly, or through sudo with the environment kept.
#
# Root works in its own home and caches, so that nothing in the user's ever belongs to root. What Go has downloaded for the
# user is shared, because it is only read.
set -euo pipefail

# Where root's tools are; the PATH of a user of Debian lacks it.
export PATH=$PATH:/usr/local/sbin:/usr/sbin:/sbin

if ((EUID == 0)); then
  exec "$@"
fi
command -v sudo >/dev/null || {
  echo "this needs root, and there is no sudo: $*" >&2
  exit 1
}
exec sudo -E -H env -u GOCACHE -u GOENV -u GOPATH -u GOBIN -u XDG_CACHE_HOME -u ATTUNE_CACHE_DIR \
  "PATH=$PATH" "GOMODCACHE=$(go env GOMODCACHE)" "GOPROXY=$(go env GOPROXY)" "GOSUMDB=$(go env GOSUMDB)" \
  "GOFLAGS=$(go env GOFLAGS)" "GOTOOLCHAIN=$(go env GOTOOLCHAIN)" "$@"
