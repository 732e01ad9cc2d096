# Brings a ticket into the form that the tracker accepts, and seals it with a key that we share with the tracker.
#
# The runner has set PARAM_ticket (compact JSON) and SECRET_seal_key as shell variables. Neither is exported, so commands
# that start from here do not see them.
set -euo pipefail
shopt -s inherit_errexit

main() {
  local ticket seal
  ticket=$(normalize <<<"$PARAM_ticket")
  echo "ticket: $(jq -r '"\(.title) [\(.priority)] \(.tags | join(", "))"' <<<"$ticket")"
  seal=$(printf %s "$ticket" | hmac_sha256 SECRET_seal_key)
  # What $ATTUNE_RESULT holds when the action ends is its result.
  jq --arg seal "hmac-sha256:$seal" '{ticket: ., seal: $seal}' <<<"$ticket" >"$ATTUNE_RESULT"
}

# One spelling of everything: trimmed title, known priority, sorted lower-case tags; members in alphabetical order.
normalize() {
  jq --compact-output --sort-keys '
    {p1: "high", urgent: "high", high: "high", p3: "low", minor: "low", low: "low"} as $known
    | .title |= gsub("^\\s+|\\s+$"; "")
    | .priority = ($known[.priority // "" | ascii_downcase] // "normal")
    | .tags = (.tags // [] | map(ascii_downcase) | unique)'
}

# Prints the HMAC-SHA256 of stdin under the key in the named variable. `openssl dgst -hmac "$key"` is shorter, but shows
# the key to all users who list processes. Here it passes through builtins and pipes only.
hmac_sha256() {
  local -a key
  local inner='' outer='' i
  mapfile -t key < <(printf %s "${!1}" | bytes)
  if ((${#key[@]} > 64)); then
    mapfile -t key < <(printf %s "${!1}" | digest | unhex | bytes)
  fi
  for ((i = 0; i < 64; i++)); do
    printf -v inner '%s%02x' "$inner" $((${key[i]:-0} ^ 0x36))
    printf -v outer '%s%02x' "$outer" $((${key[i]:-0} ^ 0x5c))
  done
  {
    printf %s "$outer" | unhex
    { printf %s "$inner" | unhex; cat; } | digest | unhex
  } | digest
}

# One decimal number a line for each byte of stdin.
bytes() { od -An -v -w1 -tu1 | tr -d ' '; }

# SHA-256 of stdin, in hex.
digest() { sha256sum | cut -d ' ' -f 1; }

# The bytes that the hex digits on stdin stand for: printf reads \xhh as one.
# shellcheck disable=SC2059
unhex() { printf "$(sed 's/../\\x&/g')"; }

main
