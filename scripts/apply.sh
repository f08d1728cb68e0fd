#!/usr/bin/env bash
# Creates what a job needs, or brings it up to date, and writes the ARNs to .batchbox.env.
#
# In the engine (AWS_ENDPOINT_URL, else http://127.0.0.1:4566): compute environment, job queue and job definition of
# infra/local. With --terraform, or on AWS, the stack of infra/terraform: 01-ecr, the image, built and pushed without Docker,
# and 02-app.
#
# Usage: scripts/apply.sh [--target local|aws|auto] [--terraform]
#
#   --target T   auto, the default: AWS if AWS_ACCOUNT_ID and TF_VPC_ID are set and AWS_ENDPOINT_URL is not, else local
#   --terraform  use Terraform with the local target too
#
#   AWS_ACCOUNT_ID, AWS_REGION, TF_VPC_ID   where to work; needed for AWS
#   TF_VAR_...                              any variable of infra/terraform/02-app and 01-ecr
#   TF_STATE_DIR                            directory of the state, .terraform-state/TARGET without it
#   TF_STATE_BUCKET                         S3 bucket of the state instead; TF_STATE_REGION, TF_STATE_PREFIX: where in it
set -euo pipefail
# shellcheck source=lib.sh
source "$(dirname "${BASH_SOURCE[0]}")/lib.sh"
# shellcheck source=lib/terraform.sh
source "$root/scripts/lib/terraform.sh"

target=auto terraform=no
while (($#)); do
  case $1 in
    -h | --help) help; exit 0 ;;
    --target) target=${2?--target needs a value}; shift 2 ;;
    --terraform) terraform=yes; shift ;;
    *) usage_error "unexpected argument '$1'" ;;
  esac
done

choose_target "$target"
if [[ $target == aws || $terraform == yes ]]; then
  tf_settings
  [[ $target == local ]] || tf_estimate 1
  need_build
  step check tf_check
  tf_init
  tf_apply || {
    printf 'error: not all is there; what is there is in the state: run this again to go on, or %s to remove it\n' "$root/scripts/destroy.sh --target $target" >&2
    exit 1
  }
else
  need_build
  step apply "$bin/batchbox" apply -f "$stack" --env-file "$env_file"
fi
printf 'To use it in your shell: source %s\n' "$env_file"
