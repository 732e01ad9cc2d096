#!/bin/bash
# Runs one action written for bash.
#
#     bash run.sh actions/forecast.sh
#
# The document on stdin is {"secrets": {}, "parameters": {}, "execution": {"id", "action", "attempt", "env"}}; action.sh
# reads it. Here is what remains when the action has ended.

attune_output=${ATTUNE_OUTPUT:-/tmp/output} attune_collected=${ATTUNE_COLLECTED:-/run/attune/collected}
mkdir -p "$attune_output" 2>/dev/null # but in a /tmp for no files at all

# SIGTERM reaches the whole process group. The action decides what it does; this shell waits for its end.
trap : TERM
# What bash would say here of a shell that a signal has ended, such as "Terminated", is not the action's.
exec 3>&2 2>/dev/null
/bin/bash "${BASH_SOURCE%/*}/action.sh" "$1" 2>&3 3>&-
attune_status=$?
exec 2>&3 3>&-
# Reports a full /tmp, since a command that hits the limit can only print it.
if ((attune_status != 0)) && [[ " $(exec stat --file-system --format='%a %d' /tmp) " == *" 0 "* ]]; then
  echo '{"disk_full":true}' >"$ATTUNE_FAILURE"
fi

# Writes the files in $ATTUNE_OUTPUT for the host: name, NUL, size, NUL, content. The host opens nothing that an action
# can write to. The bounds are those of the host.
attune_collect() {
  local files=100 room=$((64 << 20)) found name size first='' left_out=0
  while IFS= read -r -d '' found; do
    name=${found%/*} size=${found##*/}
    if ((files == 0 || size > room || ${#name} > 255)) || [[ ! -r $attune_output/$name ]]; then
      first=${first:-$attune_output/$name}
      ((left_out += 1))
      continue
    fi
    ((files--, room -= size))
    printf '%s\0%s\0' "$name" "$size"
    # Zeros fill up a file that has become shorter meanwhile.
    cat -- "$attune_output/$name" /dev/zero | head -c "$size"
  done < <(exec find "$attune_output" -type f -printf '%P/%s\0' | LC_ALL=C sort -z) >"$attune_collected"
  if ((left_out)); then
    echo "attune: not kept: $first; $left_out in all; the bounds are 100 readable files of 64 MiB together, with names of 255 bytes" >&2
  fi
}
shopt -s nullglob dotglob
attune_found=("$attune_output"/*)
if ((${#attune_found[@]})); then LC_ALL=C attune_collect; fi
exit "$attune_status"
