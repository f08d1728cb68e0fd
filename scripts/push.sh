#!/usr/bin/env bash
# Builds the image of apps/batchworker, without Docker, and pushes it to the registry of the engine (AWS_ENDPOINT_URL, else
# http://127.0.0.1:4566).
#
# Usage: scripts/push.sh [--platform PLATFORMS]
#
#   --platform PLATFORMS  such as linux/amd64,linux/arm64; all of them without it
set -euo pipefail
# shellcheck source=lib.sh
source "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

platform=
while (($#)); do
  case $1 in
    -h | --help) help; exit 0 ;;
    --platform) platform=${2?--platform needs a value}; shift 2 ;;
    *) usage_error "unexpected argument '$1'" ;;
  esac
done

need_build
cd "$root"
"$bin/batchbox" image build ./apps/batchworker -t "$image" ${platform:+--platform "$platform"}
