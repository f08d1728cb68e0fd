#!/usr/bin/env bash
# Runs an array job from nothing to nothing: builds, starts an engine on a free port with a temporary data directory, pushes
# the image, creates the stack, submits the job, checks every child's log, and removes everything again, also after a
# failure or Ctrl-C. Needs Go, and no Docker, no AWS account and no network. With --target aws it is the same on AWS, by the
# Terraform stack of infra/terraform, and costs money: the estimate is printed first, with account and region. The stack has a
# name and a state of its own there (TF_VAR_name, batchworker-e2e without it, and TF_STATE_DIR), beside that of apply.sh.
#
# Usage: scripts/run-e2e.sh [--target local|aws|auto] [--terraform] [--array-size N] [--input JSON] [--no-cleanup]
#
#   --target T      local: an engine on this machine; aws: AWS itself; auto, the default: AWS if AWS_ACCOUNT_ID and
#                   TF_VPC_ID are set and AWS_ENDPOINT_URL is not, else local
#   --terraform     with the local target: the stack of infra/terraform in the engine, by the AWS provider
#   --array-size N  children, 2 by default; 0 or 1 submits a single job
#   --input JSON    {"message": "...", "items": [...]}, or {"message": "...", "range": {"from": 0, "to": 9}}
#   --no-cleanup    leave everything running, and say how to look at it and how to stop it
#
# For AWS, AWS_ACCOUNT_ID, AWS_REGION and TF_VPC_ID are needed; apply.sh --help lists what else counts.
set -euo pipefail
# shellcheck source=lib.sh
source "$(dirname "${BASH_SOURCE[0]}")/lib.sh"
# shellcheck source=lib/terraform.sh
source "$root/scripts/lib/terraform.sh"

target=auto cleanup=yes terraform=no submit=() children=2
while (($#)); do
  case $1 in
    -h | --help) help; exit 0 ;;
    --target) target=${2?--target needs a value}; shift 2 ;;
    --target=*) target=${1#*=}; shift ;;
    --terraform) terraform=yes; shift ;;
    --array-size) children=${2?$1 needs a value}; submit+=("$1" "$2"); shift 2 ;;
    --array-size=*) children=${1#*=}; submit+=("$1"); shift ;;
    --input) submit+=("$1" "${2?$1 needs a value}"); shift 2 ;;
    --input=*) submit+=("$1"); shift ;;
    --no-cleanup) cleanup=no; shift ;;
    *) usage_error "unexpected argument '$1'" ;;
  esac
done
[[ $children =~ ^[0-9]{1,5}$ ]] || usage_error "--array-size is '$children', which is no number"
choose_target "$target"

work=
data=
stack_begun=no # whether Terraform may have created something
if [[ $target == aws ]]; then
  terraform=yes
  tf_own_stack
  tf_settings
  tf_estimate "$children"
else
  # Nothing of the user's AWS configuration counts for a local run, nor of the user's stack.
  unset AWS_PROFILE AWS_DEFAULT_PROFILE AWS_SESSION_TOKEN AWS_IGNORE_CONFIGURED_ENDPOINT_URLS "${!AWS_ENDPOINT_URL@}"
  unset TF_VPC_ID TF_STATE_BUCKET "${!TF_VAR_@}"
  export AWS_ACCESS_KEY_ID=batchbox AWS_SECRET_ACCESS_KEY=batchbox AWS_REGION=us-east-1
fi
finish() {
  local status=$?
  trap - EXIT
  trap '' INT TERM # one Ctrl-C is enough; cleaning up is not to be interrupted by a second
  [[ -n $work ]] || exit "$status"
  if [[ $cleanup == no && $target == aws && $stack_begun == yes ]]; then
    cat <<TEXT

Left in AWS. To submit again:
  BATCHBOX_ENV_FILE=$env_file $root/scripts/submit.sh
To remove it:
  $tf_again $root/scripts/destroy.sh --target aws && rm -r $work
TEXT
    exit "$status"
  fi
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
  if [[ $stack_begun == yes ]]; then
    tf_shielded=yes tf_destroy || {
      status=1
      [[ $target == local ]] || printf 'error: not all is removed from AWS; to try again: %s\n' "$tf_again $root/scripts/destroy.sh --target aws" >&2
    }
  elif [[ -f $env_file ]]; then
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
if [[ $target == local ]]; then
  step engine start_engine
  printf 'endpoint: %s\n' "$AWS_ENDPOINT_URL"
fi
if [[ $terraform == yes ]]; then
  if [[ $target == local ]]; then
    TF_STATE_DIR=$work/terraform
    tf_settings
  fi
  step check tf_check
  status=0
  tf_init || status=$?
  if ((status == no_provider)) && [[ $target == local && ${BATCHBOX_CI-} != 1 ]]; then
    exit 0
  fi
  ((status == 0)) || exit "$status"
  stack_begun=yes
  tf_apply
  step 'second plan' tf_settled
else
  step push "$bin/batchbox" image build "$root/apps/batchworker" -t "$image" --platform host
  step apply "$bin/batchbox" apply -f "$stack" --env-file "$env_file"
fi
step submit "$root/scripts/submit.sh" ${submit[@]+"${submit[@]}"}
