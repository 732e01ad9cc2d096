#!/bin/bash
# Runs one action written for bash; the first process of its sandbox.
#
#     bash run.sh actions/forecast.sh
#
# The document on stdin is {"secrets": {}, "parameters": {}, "execution": {"id", "action", "attempt", "env"}}. The action
# finds PARAM_<name> and SECRET_<name> as shell variables that are not exported: strings as they are, anything else as
# compact JSON. Characters that cannot be in a variable's name become "_".
#
# Secrets pass through pipes between jq and built-in commands: a here-string can become a file, an argument can be seen.

set +o allexport
attune_script=$1
set --

# The kernel withholds SIGTERM from the first process of a sandbox unless it asks for it. It is passed on to the action,
# which runs in a fork of this shell: bash hears nothing while it waits for a command of its own.
attune_child= attune_early= attune_heard=
trap 'attune_heard=yes; if [[ $attune_child ]]; then kill -TERM "$attune_child"; else attune_early=yes; fi' TERM

# Pairs of a variable and its value, each ended by a NUL, which is taken out of the values themselves: bash could not
# hold it, and what follows it would pass for the next name. Names that fit as they are come last, so that they win.
mapfile -d '' -t attune_pairs < <(exec jq -j '
  def text: (if type == "string" then . else tojson end) | split("\u0000") | join("");
  def named($prefix): to_entries | sort_by(.key | test("^[A-Za-z0-9_]*$"))[]
    | $prefix + (.key | gsub("[^A-Za-z0-9_]"; "_")), (.value | text);
  (.execution // {}) as $execution
  | (($execution.env // {}) | to_entries[] | "env " + (.key | text), (.value | text)),
    "env ATTUNE_EXECUTION_ID", ($execution.id // "" | text),
    "env ATTUNE_ACTION_REF", ($execution.action // "" | text),
    "env ATTUNE_ATTEMPT", ($execution.attempt // "" | text),
    ((.parameters // {}) | named("PARAM_")),
    ((.secrets // {}) | named("SECRET_"))
  | . + "\u0000"')
if ! wait $!; then
  echo "attune: the document on stdin cannot be read" >&2
  exit 1
fi

for ((attune_i = 0; attune_i < ${#attune_pairs[@]}; attune_i += 2)); do
  case ${attune_pairs[attune_i]} in
  "env "*)
    if [[ ${attune_pairs[attune_i]#env } =~ ^[A-Za-z_][A-Za-z0-9_]*$ ]]; then
      export "${attune_pairs[attune_i]#env }=${attune_pairs[attune_i + 1]}"
    fi
    ;;
  *)
    # A variable of that name in the environment would stay exported, with the new value.
    unset -v "${attune_pairs[attune_i]}"
    printf -v "${attune_pairs[attune_i]}" %s "${attune_pairs[attune_i + 1]}"
    ;;
  esac
done
unset -v attune_pairs attune_i

(
  BASH_ARGV0=$attune_script
  unset -v "${!attune_@}"
  source "$0" </dev/null
) </dev/null &
attune_child=$!
if [[ $attune_early ]]; then kill -TERM "$attune_child"; fi
wait "$attune_child"
attune_status=$?
# A signal ends the wait before the action has ended; 127 means that it had ended all the same.
while [[ $attune_heard ]]; do
  attune_heard=
  wait "$attune_child"
  attune_again=$?
  ((attune_again == 127)) || attune_status=$attune_again
done
# Reports that /tmp or the folder of the output is full, since a command that hits the limit can only print it.
if ((attune_status != 0)) && [[ $(exec stat --file-system --format=' %a %d ' /tmp "${ATTUNE_FAILURE%/*}") == *" 0 "* ]]; then
  echo '{"disk_full":true}' >"$ATTUNE_FAILURE"
fi
exit "$attune_status"
