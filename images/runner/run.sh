#!/bin/bash
# Runs one action written for bash.
#
#     bash run.sh actions/forecast.sh
#
# The document on stdin is {"secrets": {}, "parameters": {}, "execution": {"id", "action", "attempt", "env"}}; action.sh
# reads it. Here is what remains when the action has ended.

# SIGTERM reaches the whole process group. The action decides what it does; this shell waits for its end.
trap : TERM
# What bash would say here of a shell that a signal has ended, such as "Terminated", is not the action's.
exec 3>&2 2>/dev/null
/bin/bash "${BASH_SOURCE%/*}/action.sh" "$1" 2>&3 3>&-
attune_status=$?
exec 2>&3 3>&-
# Reports that /tmp or the folder of the output is full, since a command that hits the limit can only print it.
if ((attune_status != 0)) && [[ $(exec stat --file-system --format=' %a %d ' /tmp "${ATTUNE_FAILURE%/*}") == *" 0 "* ]]; then
  echo '{"disk_full":true}' >"$ATTUNE_FAILURE"
fi
exit "$attune_status"
