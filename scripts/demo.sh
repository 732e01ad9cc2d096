#!/usr/bin/env bash
# Shows the whole of Attune at work: brings everything up in a new folder, installs the packs in examples/, runs them, and
# shows their results, logs and the log bucket. Ends everything that it started, and removes the folder.
#
#   scripts/demo.sh          or: make demo
#   scripts/demo.sh --keep   or: make demo KEEP=1 — leaves it running until Ctrl-C
#
# Needs bin/attune and what scripts/deps.sh provides. The exit status is 0 only when every step did what it should.
set -euo pipefail

repository=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
readonly repository
readonly attune=$repository/bin/attune
readonly examples=$repository/examples
# The first start makes the base image; on a slow line that takes a while.
readonly start_seconds=${ATTUNE_DEMO_START_SECONDS:-600}

keep=${KEEP:-}
[[ ${1:-} != --keep ]] || keep=1

main() {
  [[ -x $attune ]] || die "there is no $attune; run \`make build\`"
  "$examples/weather/fetch-wheels.sh"
  if ((EUID != 0)); then # Sandboxes need root.
    exec "$repository/scripts/as-root.sh" "$0" "$@"
  fi
  look
  # Images are too large for a /tmp in memory.
  folder=$(mktemp -d /var/tmp/attune-demo.XXXXXX)
  chmod 755 "$folder" # PostgreSQL has a user of its own, which must get to its part.
  trap finish EXIT
  trap 'exit 130' INT TERM

  start
  set_secrets
  install_packs
  run_actions
  run_in_order
  list_bucket
  farewell
}

# Steps and what they show look different on a terminal and in a pipe.
look() {
  bold='' faint='' green='' normal=''
  if [[ -t 1 && -z ${NO_COLOR:-} ]]; then
    bold=$'\e[1m' faint=$'\e[2m' green=$'\e[32m' normal=$'\e[0m'
  fi
}

step() { printf '\n%s%s%s\n' "$bold" "$*" "$normal"; }
say() { printf '%s\n' "$*"; }
typed() { printf '%s$ %s%s\n' "$faint" "$*" "$normal"; }

# told COMMAND… prints the command, as a person would type it, and runs it.
told() {
  typed "attune ${*//$repository\//}"
  "$attune" "$@"
}

die() {
  printf 'demo: %s\n' "$*" >&2
  exit 1
}

start() {
  step "Bring everything up in $folder"
  # In a session of its own, so that Ctrl-C reaches this script alone, which ends the service in order.
  : >"$folder/ready" # The loop below may look before the service's shell has made it.
  setsid "$attune" up --data-dir "$folder" --listen 127.0.0.1:0 >"$folder/ready" 2>"$folder/up.log" &
  service=$!
  local deadline=$((SECONDS + start_seconds))
  until grep -q '^ready ' "$folder/ready"; do
    kill -0 "$service" 2>/dev/null || die "attune up ended before it was ready"
    ((SECONDS < deadline)) || die "attune up was not ready after $start_seconds s"
    sleep 0.2
  done
  # shellcheck disable=SC1091 # Written by attune up.
  source "$folder/connections.env"
  # Programs see the arguments of others, so the token and the keys reach curl and s3cmd in files of ours alone.
  (umask 077 && printf 'Authorization: Bearer %s\n' "$ATTUNE_TOKEN" >"$folder/token.header")
  say "ready at $ATTUNE_URL, with PostgreSQL, MinIO and containerd of its own, after $SECONDS s"
}

# The values are random and nobody needs to see them: they go from one program's stdout to another's stdin.
set_secrets() {
  step 'Set a secret for each pack, on stdin'
  random_key | told secret set signing_key --pack weather
  random_key | told secret set webhook_secret --pack inventory
  random_key | told secret set seal_key --action tickets.normalize
}

random_key() { od -An -N32 -tx1 /dev/urandom | tr -d ' \n'; }

install_packs() {
  step 'Install a pack in Python, one in Node.js and one in bash'
  local pack
  for pack in weather inventory tickets; do
    told pack install "$examples/$pack" --wait
  done
  told pack list
}

run_actions() {
  step 'Run an action of each'
  run_action weather.report -p observations="$(<"$examples/weather/observations.xml")" -p frost_below:=-5
  run_action inventory.check -p inventory="$(<"$examples/inventory/inventory.yaml")"
  run_action tickets.normalize -p ticket:=@"$examples/tickets/ticket.json"
}

# run_action ACTION FLAG… runs it, and shows its result and the first page of its log from the API.
run_action() {
  local execution=$folder/execution.json id
  typed "attune run $1 -p … --wait"
  "$attune" run "$@" --wait --json >"$execution" || die "$1 did not complete: $(jq -c '{status, reason, failure}' "$execution")"
  id=$(jq -r .id "$execution")
  jq .result "$execution"
  typed "curl $ATTUNE_URL/api/v1/executions/$id/logs/stdout"
  api "executions/$id/logs/stdout" | jq .
}

api() { curl --fail --silent --show-error --header "@$folder/token.header" "$ATTUNE_URL/api/v1/$1"; }

# tickets.normalize has a concurrency limit of 1: its runs go one after the other, in the order of their submission.
run_in_order() {
  step 'Submit three runs of an action with a limit of 1'
  local ids=() id
  for _ in 1 2 3; do
    ids+=("$("$attune" run tickets.normalize -p ticket:=@"$examples/tickets/ticket.json")")
  done
  told queue tickets.normalize
  local run=0 finished=0 next_started next_finished
  for id in "${ids[@]}"; do
    "$attune" logs --follow "$id" >"$folder/order.log" 2>&1
    "$attune" execution show "$id" --json >"$folder/execution.json"
    [[ $(jq -r .status "$folder/execution.json") == completed ]] || die "run $id did not complete"
    next_started=$(microseconds .started_at)
    next_finished=$(microseconds .finished_at)
    printf 'run %d: started %s, finished %s\n' $((++run)) \
      "$(jq -r .started_at "$folder/execution.json")" "$(jq -r .finished_at "$folder/execution.json")"
    ((next_started >= finished)) || die "run $run started before the one in front of it had finished"
    finished=$next_finished
  done
  say 'each started after the one in front of it had finished'
}

microseconds() { date --date "$(jq -r "$1" "$folder/execution.json")" +%s%6N; }

list_bucket() {
  step "List the log bucket with a plain S3 client"
  (umask 077 && cat >"$folder/s3cfg") <<END
[default]
access_key = $AWS_ACCESS_KEY_ID
secret_key = $AWS_SECRET_ACCESS_KEY
host_base = ${ATTUNE_S3_ENDPOINT#*://}
host_bucket = ${ATTUNE_S3_ENDPOINT#*://}
use_https = $([[ $ATTUNE_S3_ENDPOINT == https:* ]] && echo True || echo False)
END
  typed "s3cmd ls --recursive s3://$ATTUNE_S3_LOG_BUCKET"
  s3cmd --config "$folder/s3cfg" ls --recursive "s3://$ATTUNE_S3_LOG_BUCKET" >"$folder/listing"
  cat "$folder/listing"
  local count
  count=$(grep -c '/executions/.*/manifest.json$' "$folder/listing")
  ((count == 6)) || die "the bucket has the logs of $count executions, not of 6"
}

farewell() {
  step "${green}Everything worked.$normal"
  if [[ -z $keep ]]; then
    say 'To go on from here: make demo KEEP=1, or make up'
    return
  fi
  cat <<END
Use it from another shell:   source $folder/connections.env
Read about the API:          $ATTUNE_URL/docs
Browse the logs with S3:     $ATTUNE_S3_ENDPOINT, bucket $ATTUNE_S3_LOG_BUCKET
End it and remove its data:  Ctrl-C
END
  trap 'exit 0' INT TERM # This is how a demo that stays is meant to end.
  wait "$service"
}

# finish ends what was started and removes what was made. After a failure the folder stays, for its logs; after Ctrl-C
# (130) nobody needs them.
finish() {
  local status=$? ended=0
  trap - EXIT INT TERM
  if [[ -n $service ]]; then
    kill -TERM "$service" 2>/dev/null || true
    wait "$service" || ended=$?
  fi
  if ((ended && ended != 130 && (!status || status == 130))); then # 130: told to end while it was starting.
    echo "demo: attune up ended with exit status $ended" >&2
    status=1
  fi
  if ((status && status != 130)); then
    tail -n 20 "$folder/up.log" >&2 || true
    printf 'demo: failed; what the service said is in %s\n' "$folder/up.log" >&2
    exit "$status"
  fi
  if grep -q " $folder" /proc/self/mountinfo; then
    die "something is still mounted below $folder"
  fi
  rm -rf --one-file-system "$folder"
  exit "$status"
}

service='' folder=''
main "$@"
