#!/usr/bin/env bash
# Creates the compute environment, the job queue and the job definition of infra/local in the engine (AWS_ENDPOINT_URL,
# else http://127.0.0.1:4566), or brings them up to date, and writes their ARNs to .batchbox.env.
#
# Usage: scripts/apply.sh [--target local|aws|auto]
set -euo pipefail
# shellcheck source=lib.sh
source "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

target=auto
while (($#)); do
  case $1 in
    -h | --help) help; exit 0 ;;
    --target) target=${2?--target needs a value}; shift 2 ;;
    *) usage_error "unexpected argument '$1'" ;;
  esac
done

choose_target "$target"
need_build
step apply "$bin/batchbox" apply -f "$stack" --env-file "$env_file"
printf 'To use it in your shell: source %s\n' "$env_file"
