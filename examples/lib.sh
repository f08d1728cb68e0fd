# shellcheck shell=bash
# Sourced by the run.sh of each example: an engine to run on, the image of the sample worker, and the end of both.

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
example=$(cd "$(dirname "${BASH_SOURCE[1]}")" && pwd)
batchbox=${BATCHBOX:-$root/bin/batchbox}

# begin PACKAGE [FLAG...] starts an engine of the example's own on a free port, with these flags, if AWS_ENDPOINT_URL names
# none; makes an image of the Go package; and creates what the example's JSON files describe.
begin() {
  local package=$1 said
  shift
  [[ -x $batchbox ]] || "$root/scripts/build.sh"
  data='' applied=''
  trap finish EXIT
  trap 'exit 130' INT
  trap 'exit 143' TERM
  if [[ -z ${AWS_ENDPOINT_URL-} ]]; then
    data=$(mktemp -d "${TMPDIR:-/tmp}/batchbox-example.XXXXXX")
    export AWS_ACCESS_KEY_ID=batchbox AWS_SECRET_ACCESS_KEY=batchbox AWS_REGION=us-east-1
    unset AWS_PROFILE AWS_SESSION_TOKEN
    AWS_ENDPOINT_URL=$("$batchbox" serve --detach --listen 127.0.0.1:0 --data-dir "$data" "$@" 2>"$data/serve.log") || {
      cat "$data/serve.log" >&2
      return 1
    }
    export AWS_ENDPOINT_URL
  fi
  said=$(cd "$root" && "$batchbox" image build "./$package" -t "${package##*/}:latest" --platform host 2>&1) || {
    printf '%s\n' "$said" >&2
    return 1
  }
  applied=yes
  "$batchbox" apply -f "$example" >/dev/null
}

finish() {
  local status=$?
  trap - EXIT INT TERM
  if [[ -n $applied ]]; then
    "$batchbox" destroy -f "$example" >/dev/null 2>&1 || true
  fi
  if [[ -n $data ]]; then
    "$batchbox" stop --data-dir "$data" >/dev/null 2>&1 || true
    rm -rf "$data"
  fi
  exit "$status"
}

# submit NAME ARG... submits a job and prints its id.
submit() {
  local name=$1
  shift
  "$batchbox" submit --name "$name" --detach "$@"
}

# status JOB prints a job's status.
status() { "$batchbox" jobs --json "$1" | sed -n 's/^      "status": "\([A-Z]*\)".*/\1/p'; }

# await JOB STATUS... waits until a job has one of the statuses.
await() {
  local job=$1 now='' want i
  shift
  for ((i = 0; i < 3000; i++)); do
    now=$(status "$job")
    for want in "$@"; do
      [[ $now == "$want" ]] && return
    done
    sleep 0.1
  done
  printf 'error: job %s is %s, and has not become %s in five minutes\n' "$job" "$now" "$*" >&2
  return 1
}

# ended JOB... waits until all jobs have ended.
ended() {
  local job
  for job; do
    await "$job" SUCCEEDED FAILED
  done
}

# show JOB... prints name, status, reason and attempts of jobs, without what differs from run to run.
show() {
  local job
  for job; do
    "$batchbox" jobs "$job" | sed -n -e 's/ ([0-9.hmµun]*s)$//' -e 's/^Job .*:\([0-9]*\)$/Child       \1/p' -e '/^\(Name\|Status\|Reason\|Attempt\|Children\)/p'
    echo
  done
}
