#!/bin/bash
# Becomes the action: sets its variables, and runs its file. Its parent run.sh has what comes after.
#
# The action finds PARAM_<name> and SECRET_<name> as shell variables that are not exported: strings as they are,
# anything else as compact JSON. Characters that cannot be in a variable's name become "_".
#
# Secrets pass through pipes between document.pl and built-in commands: a here-string can become a file, an argument can
# be seen.

set +o allexport
BASH_ARGV0=$1
set --

# Pairs of a variable and its value, each ended by a NUL. Variables such as PERL5OPT and LANG are meant for the action.
mapfile -d '' -t attune_pairs < <(exec -c /usr/bin/perl "${BASH_SOURCE%/*}/document.pl")
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

exec </dev/null
source "$0"
