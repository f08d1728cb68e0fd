# shellcheck shell=bash
# Sourced by the scripts beside it: where the repository is, which target is meant, and a line for each step.

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
bin=$root/bin
# shellcheck disable=SC2034 # for the scripts
stack=$root/infra/local image=batchworker:latest
# What apply.sh has made, for the other scripts and for your shell.
env_file=${BATCHBOX_ENV_FILE:-$root/.batchbox.env}

# help prints the comment at the head of the script, which is its help.
help() {
  local line
  while IFS= read -r line; do
    case $line in
      '#!'*) ;;
      '#'*) line=${line#\#}; printf '%s\n' "${line# }" ;;
      *) break ;;
    esac
  done <"$0"
}

usage_error() {
  printf 'error: %s\nSee %s --help.\n' "$1" "$0" >&2
  exit 2
}

# no_arguments is for scripts that take none but --help.
no_arguments() {
  case ${1-} in
    '') ;;
    -h | --help) help; exit 0 ;;
    *) usage_error "unexpected argument '$1'" ;;
  esac
}

# now_us is the time in microseconds; bash before 5.0 knows whole seconds only.
now_us() {
  local t=${EPOCHREALTIME:-${SECONDS}.000000}
  printf '%s' "${t//[.,]/}"
}

# step NAME COMMAND... runs the command and prints a line with the time it took.
step() {
  local name=$1 start took status=0
  shift
  start=$(now_us)
  "$@" || status=$?
  took=$((($(now_us) - start) / 100000))
  if ((status == 0)); then
    printf '%s: %d.%d s\n' "$name" $((took / 10)) $((took % 10))
  else
    printf '%s: failed after %d.%d s\n' "$name" $((took / 10)) $((took % 10)) >&2
  fi
  return "$status"
}

# need_build builds what is not there yet.
need_build() {
  [[ -x $bin/batchbox && -x $bin/test-runner ]] || step build "$root/scripts/build.sh"
}

# load_env reads what apply.sh has written.
load_env() {
  if [[ ! -f $env_file ]]; then
    printf 'error: %s is not there: run scripts/apply.sh first\n' "$env_file" >&2
    exit 2
  fi
  # shellcheck source=/dev/null
  source "$env_file"
}

# choose_target TARGET sets the variables target and why.
choose_target() {
  case $1 in
    local | aws) target=$1 why="--target $1" ;;
    auto)
      if [[ -n ${AWS_ENDPOINT_URL-} ]]; then
        target=local why="AWS_ENDPOINT_URL is set"
      elif [[ -n ${AWS_ACCOUNT_ID-} && -n ${TF_VPC_ID-} ]]; then
        target=aws why="AWS_ACCOUNT_ID and TF_VPC_ID are set, and no AWS_ENDPOINT_URL"
      else
        target=local why="AWS_ACCOUNT_ID and TF_VPC_ID are not both set"
      fi
      ;;
    *) usage_error "--target is '$1': it is local, aws or auto" ;;
  esac
  printf 'target: %s (%s)\n' "$target" "$why"
}
