# What scenarios share: finding the running stack, telling the reader what happens, and failing when it is not what it
# should be. To be sourced by bash with `set -euo pipefail`.
# shellcheck shell=bash
state=${LEASEHOLD_STATE_DIR:-.run}
[ -r "$state/stack.env" ] || { printf 'no stack runs: there is no %s/stack.env (start one: ./dev up)\n' "$state" >&2; exit 1; }
set -a
# shellcheck source=/dev/null
. "$state/stack.env"
set +a
unset PGHOST PGHOSTADDR PGPORT PGDATABASE PGUSER PGPASSWORD PGSERVICE PGOPTIONS

bold='' dim='' red='' green='' plain=''
if [ -t 1 ] && [ -z "${NO_COLOR-}" ]; then bold=$'\e[1m' dim=$'\e[2m' red=$'\e[31m' green=$'\e[32m' plain=$'\e[0m'; fi

number=0
heading() { number=$((number + 1)); printf '\n%s%d. %s%s\n' "$bold" "$number" "$1" "$plain"; }
said() { sed 's/^/   /'; }
command_line() { printf '   %s$ %s%s\n' "$dim" "$1" "$plain"; }
ok() { printf '   %s✓%s %s\n' "$green" "$plain" "$1"; }
fail() { printf '   %s✗ %s%s\n' "$red" "$1" "$plain" >&2; [ $# -lt 2 ] || said <<<"$2" >&2; exit 1; }
trap 'fail "unexpected failure in line $LINENO"' ERR
expect() { if [ "$2" = "$3" ]; then ok "$1"; else fail "$1: wanted '$2', got '$3'"; fi; }
# Runs a command that must fail, and leaves what it said in $refusal.
refused() { local what=$1; shift; if refusal=$("$@" 2>&1); then fail "$what: was allowed" "$refusal"; fi; said <<<"$refusal"; ok "$what"; }

labels=() times=()
now_us() { local t=${EPOCHREALTIME/[.,]/}; echo "$t"; }
timed() { labels+=("$1"); times+=("$2"); }
since() { echo $((($(now_us) - $1) / 1000)); }

sql() { psql -XAtq -v ON_ERROR_STOP=1 "$@"; }
table() { psql -Xq -v ON_ERROR_STOP=1 -P border=1 -P footer=off "$@" | said; }
masked() { sed -E 's#(://[^:]{0,16})[^:]*:[^@]+@#\1…:***@#'; }
instance() { local name=LEASEHOLD_PG_${1^^}; echo "${!name}"; }
tell_times() {
  local i
  for i in "${!labels[@]}"; do printf '   %s%*s%6d ms\n' "${labels[$i]}" $((58 - ${#labels[$i]})) '' "${times[$i]}"; done
}
# Until the command succeeds, for up to 30 s.
eventually() {
  local i
  for ((i = 0; i < 600; ++i)); do if "$@"; then return; fi; sleep 0.05; done
  fail "not within 30 s: $*"
}
