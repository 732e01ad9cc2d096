#!/usr/bin/env bash
# Gives this machine what Attune needs: Debian packages, and the daemons at the versions below.
#
#   scripts/deps.sh            packages and daemons
#   scripts/deps.sh lint       the linter
#   scripts/deps.sh bin-dir    print where the daemons are
#   scripts/deps.sh lint-dir   print where the linter is
#
# What is built goes into the user's cache folder, so that every clone shares it. A second run finds everything there
# and says nothing. Knows Debian 12 and 13 and Ubuntu 24.04.
set -euo pipefail
umask 022

readonly containerd=github.com/containerd/containerd/v2 containerd_version=v2.4.2
readonly runc=github.com/opencontainers/runc runc_version=v1.5.2
readonly plugins=github.com/containernetworking/plugins plugins_version=v1.9.1
# A revision of gVisor's branch for `go install`.
readonly gvisor=gvisor.dev/gvisor gvisor_version=v0.0.0-20250503011706-39ed1f5ac29c
readonly minio=github.com/minio/minio minio_version=v0.0.0-20260212201848-7aac2a2c5b7c
readonly linter=github.com/golangci/golangci-lint/v2 linter_version=v2.15.0

# gcc, libc6-dev, libseccomp-dev and pkg-config build runc and the race detector; mmdebstrap and the keyring make base
# images, e2fsprogs the disks of builds; nftables and iproute2 are the sandboxes' network; curl, jq and s3cmd are for the demo. PostgreSQL is below.
readonly packages=(
  ca-certificates gcc libc6-dev libseccomp-dev pkg-config
  mmdebstrap debian-archive-keyring e2fsprogs nftables iproute2
  curl jq s3cmd
)

readonly cache=${ATTUNE_CACHE_DIR:-${XDG_CACHE_HOME:-$HOME/.cache}/attune}

say() { printf 'deps: %s\n' "$*"; }

die() {
  printf 'deps: %s\n' "$*" >&2
  exit 1
}

# quietly DESCRIPTION COMMAND… prints one line with the time it took, and the command's output only when it fails.
quietly() {
  local what=$1 log start=$SECONDS
  shift
  log=$(mktemp)
  if ("$@") >"$log" 2>&1; then
    say "$what: $((SECONDS - start)) s"
    rm -f "$log"
    return
  fi
  cat "$log" >&2
  rm -f "$log"
  die "$what: failed"
}

as_root() {
  if ((EUID == 0)); then
    "$@"
  elif command -v sudo >/dev/null; then
    sudo "$@"
  else
    die "this needs root, and there is no sudo: $*"
  fi
}

apt() {
  command -v apt-get >/dev/null || die "this is neither Debian nor Ubuntu; install what stands in ${packages[*]} postgresql"
  as_root env DEBIAN_FRONTEND=noninteractive apt-get -qq -o DPkg::Lock::Timeout=300 "$@"
}

missing_packages() {
  local package
  for package in "${packages[@]}"; do
    [[ $(dpkg-query --show --showformat='${db:Status-Status}' "$package" 2>/dev/null) == installed ]] || echo "$package"
  done
}

has_postgres() { compgen -G '/usr/lib/postgresql/*/bin/initdb' >/dev/null; }

# The package makes a cluster of its own and starts it. Attune runs a private one, so for this one installation that is
# switched off; the setting is put back afterwards.
install_postgres() {
  local server conf=/etc/postgresql-common/createcluster.conf
  server=$(apt-cache depends postgresql | sed -n 's/^ *Depends: \(postgresql-[0-9]*\)$/\1/p' | head -n 1)
  [[ -n $server ]] || die "no package with a PostgreSQL server is known to apt"
  quietly "install postgresql-common" apt install --no-install-recommends postgresql-common
  [[ -e $conf ]] || as_root touch "$conf"
  as_root cp -p "$conf" "$conf.attune"
  # Also when the installation is interrupted. (No RETURN trap: the shell may leave by exit.)
  trap "as_root mv '$conf.attune' '$conf'" EXIT
  as_root sed -i '/^ *create_main_cluster/d; $a create_main_cluster = false' "$conf"
  quietly "install $server" apt install --no-install-recommends "$server"
  as_root mv "$conf.attune" "$conf"
  trap - EXIT
}

install_packages() {
  local missing
  mapfile -t missing < <(missing_packages)
  if ((${#missing[@]} == 0)) && has_postgres; then
    return
  fi
  quietly "update the package lists" apt update
  if ((${#missing[@]})); then
    quietly "install ${missing[*]}" apt install --no-install-recommends "${missing[@]}"
  fi
  has_postgres || install_postgres
}

# The name holds all that decides what is in the folder.
bin_dir() {
  local pins="$containerd_version $runc_version $gvisor_version $plugins_version $minio_version $(uname -m)"
  echo "$cache/bin-$(sha256sum <<<"$pins" | head -c 12)"
}

lint_dir() { echo "$cache/lint-$linter_version-$(uname -m)"; }

# go_install DIR CGO PACKAGE@VERSION… builds outside of any module, whatever the user's settings are. Only runsc does not
# know its own version.
go_install() {
  local dir=$1 cgo=$2
  shift 2
  (cd / && env -u GOOS -u GOARCH GOBIN="$dir" GOWORK=off GOFLAGS=-trimpath CGO_ENABLED="$cgo" \
    go install -tags seccomp -ldflags "-s -w -X $gvisor/runsc/version.version=$gvisor_version" "$@")
}

build_daemons() {
  local to=$1
  say "build the daemons into $(bin_dir); the first time takes minutes"
  quietly "build runc $runc_version" go_install "$to" 1 "$runc@$runc_version"
  quietly "build containerd $containerd_version" go_install "$to" 0 \
    "$containerd"/cmd/{containerd,containerd-shim-runc-v2,ctr}@"$containerd_version"
  quietly "build gVisor $gvisor_version" go_install "$to" 0 "$gvisor/runsc@$gvisor_version"
  quietly "build the CNI plugins $plugins_version" go_install "$to" 0 \
    "$plugins"/plugins/{main/bridge,main/loopback,ipam/host-local,meta/firewall}@"$plugins_version"
  quietly "build MinIO $minio_version" go_install "$to" 0 "$minio@$minio_version"
}

check_daemons() {
  local dir=$1 name
  "$dir/runsc" --version >/dev/null 2>&1 || return 1
  for name in runc containerd containerd-shim-runc-v2 ctr minio; do
    "$dir/$name" -v >/dev/null 2>&1 || return 1
  done
  for name in bridge loopback host-local firewall; do
    CNI_COMMAND=VERSION "$dir/$name" </dev/null >/dev/null 2>&1 || return 1
  done
}

build_linter() {
  quietly "build golangci-lint $linter_version" go_install "$1" 0 "$linter/cmd/golangci-lint@$linter_version"
}

check_linter() { "$1/golangci-lint" version >/dev/null 2>&1; }

# provide DIR BUILD CHECK: the folder appears in one step, when everything in it has been built and runs. One that is
# there and does not run (built on another system) is built again.
provide() {
  local dir=$1 build=$2 check=$3 fresh
  if "$check" "$dir"; then
    return
  fi
  command -v go >/dev/null || die "Go is not in the PATH"
  mkdir -p "$cache"
  exec 9>"$cache/build.lock"
  flock 9
  # Who waited may find the work done.
  if "$check" "$dir"; then
    exec 9>&-
    return
  fi
  rm -rf "$cache"/build-*.tmp
  fresh=$(mktemp -d "$cache/build-XXXXXX.tmp")
  "$build" "$fresh" 9>&-
  "$check" "$fresh" || die "what was built for $dir does not run"
  chmod 755 "$fresh"
  rm -rf "$dir"
  mv -T "$fresh" "$dir"
  exec 9>&-
}

case ${1:-all} in
  all)
    install_packages
    provide "$(bin_dir)" build_daemons check_daemons
    # The name that attune looks under when nobody tells it.
    [[ $(readlink "$cache/bin" || true) == "$(basename "$(bin_dir)")" ]] || ln -sfnT "$(basename "$(bin_dir)")" "$cache/bin"
    ;;
  lint) provide "$(lint_dir)" build_linter check_linter ;;
  bin-dir) bin_dir ;;
  lint-dir) lint_dir ;;
  *) die "usage: $0 [all|lint|bin-dir|lint-dir]" ;;
esac
