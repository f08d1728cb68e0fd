#!/usr/bin/env bash
# Runs an array job from nothing to nothing: builds, starts an engine on a free port with a temporary data directory, pushes
# the image, creates the stack, submits the job, checks every child's log, and removes everything again, also after a
# failure or Ctrl-C. Needs Go, and no Docker, no AWS account and no network.
#
# Usage: scripts/run-e2e.sh [--target local|aws|auto] [--array-size N] [--input JSON] [--no-cleanup]
#
#   --target T      local: an engine on this machine; aws: AWS itself; auto, the default: AWS if AWS_ACCOUNT_ID and
#                   TF_VPC_ID are set and AWS_ENDPOINT_URL is not, else local
#   --array-size N  children, 2 by default; 0 or 1 submits a single job
#   --input JSON    {"message": "...", "items": [...]}, or {"message": "...", "range": {"from": 0, "to": 9}}
#   --no-cleanup    leave everything running, and say how to look at it and how to stop it
set -euo pipefail
# shellcheck source=lib.sh
source "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

target=auto cleanup=yes submit=()
while (($#)); do
  case $1 in
    -h | --help) help; exit 0 ;;
    --target) target=${2?--target needs a value}; shift 2 ;;
    --target=*) target=${1#*=}; shift ;;
    --array-size | --input) submit+=("$1" "${2?$1 needs a value}"); shift 2 ;;
    --array-size=* | --input=*) submit+=("$1"); shift ;;
    --no-cleanup) cleanup=no; shift ;;
    *) usage_error "unexpected argument '$1'" ;;
  esac
done
choose_target "$target"

# Nothing of the user's AWS configuration counts for a local run.
unset AWS_PROFILE AWS_DEFAULT_PROFILE AWS_SESSION_TOKEN AWS_IGNORE_CONFIGURED_ENDPOINT_URLS "${!AWS_ENDPOINT_URL@}"
export AWS_ACCESS_KEY_ID=batchbox AWS_SECRET_ACCESS_KEY=batchbox AWS_REGION=us-east-1

work=
data=
finish() {
  local status=$?
  trap - EXIT
  trap '' INT TERM # one Ctrl-C is enough; cleaning up is not to be interrupted by a second
  [[ -n $work ]] || exit "$status"
  if [[ $cleanup == no && -f $env_file ]]; then
    cat <<TEXT

Left running. To look at it:
  source $env_file
  $bin/batchbox jobs
  $bin/batchbox logs JOB
To stop it:
  $bin/batchbox stop --data-dir $data && rm -r $work
TEXT
    exit "$status"
  fi
  if [[ -f $env_file ]]; then
    step destroy "$bin/batchbox" destroy -f "$stack" || status=1
  fi
  if [[ -d $data ]]; then
    step stop "$bin/batchbox" stop --data-dir "$data" || status=1
    if ((status != 0)) && [[ -s $data/engine.log ]]; then
      printf -- '--- the engine said:\n' >&2
      cat "$data/engine.log" >&2
    fi
  fi
  rm -rf "$work"
  exit "$status"
}
trap finish EXIT
trap 'exit 130' INT
trap 'exit 143' TERM

step build "$root/scripts/build.sh"

work=$(mktemp -d "${TMPDIR:-/tmp}/batchbox-e2e.XXXXXX")
data=$work/data
export BATCHBOX_ENV_FILE=$work/env
env_file=$BATCHBOX_ENV_FILE

start_engine() {
  AWS_ENDPOINT_URL=$("$bin/batchbox" serve --detach --listen 127.0.0.1:0 --data-dir "$data" 2>"$work/serve") || {
    cat "$work/serve" >&2
    return 1
  }
  export AWS_ENDPOINT_URL
}
step engine start_engine
printf 'endpoint: %s\n' "$AWS_ENDPOINT_URL"
step push "$bin/batchbox" image build "$root/apps/batchworker" -t "$image" --platform host
step apply "$bin/batchbox" apply -f "$stack" --env-file "$env_file"
step submit "$root/scripts/submit.sh" ${submit[@]+"${submit[@]}"}
