#!/usr/bin/env bash
# Undoes apply.sh: ends the queue's jobs and removes job definition, job queue and compute environment; with --terraform, or on
# AWS, all that apply.sh has made there, the images too. Safe to repeat.
#
# Usage: scripts/destroy.sh [--target local|aws|auto] [--terraform]
#
# The variables are those of apply.sh.
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
  [[ $target == local ]] || printf 'account: %s, region: %s\n' "$AWS_ACCOUNT_ID" "$AWS_REGION"
  need_build
  tf_init
  tf_destroy
  exit
fi
need_build
if [[ -f $env_file ]]; then
  load_env
fi
step destroy "$bin/batchbox" destroy -f "$stack"
rm -f "$env_file"
