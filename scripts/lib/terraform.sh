# shellcheck shell=bash
# Sourced by apply.sh, destroy.sh and run-e2e.sh after lib.sh: the Terraform stack of infra/terraform, on AWS or on an engine.
#
# State is in files below .terraform-state/TARGET, or TF_STATE_DIR; with TF_STATE_BUCKET it is in this S3 bucket, in the
# region TF_STATE_REGION (else AWS_REGION), below the key TF_STATE_PREFIX (else batchbox).

# shellcheck disable=SC2154 # lib.sh sets root, bin and env_file, choose_target sets target

# The status of what could not be tried because the AWS provider can't be had.
no_provider=69

# tf_settings checks the variables of the target, before anything is created, and passes them on to Terraform.
tf_settings() {
  local wrong=0 v
  complain() {
    printf 'error: %s\n' "$1" >&2
    wrong=1
  }
  if [[ $target == aws ]]; then
    [[ ${AWS_ACCOUNT_ID-} =~ ^[0-9]{12}$ ]] ||
      complain "AWS_ACCOUNT_ID is '${AWS_ACCOUNT_ID-}': set it to the 12 digits of the account to work in"
    [[ ${AWS_REGION-} =~ ^[a-z]{2}(-[a-z]+)+-[0-9]$ ]] ||
      complain "AWS_REGION is '${AWS_REGION-}': set it to the region to work in, such as us-east-1"
    [[ ${TF_VPC_ID-} =~ ^vpc-[0-9a-f]+$ ]] ||
      complain "TF_VPC_ID is '${TF_VPC_ID-}': set it to the id of a VPC of that region, such as vpc-0123456789abcdef0"
    for v in "${!AWS_ENDPOINT_URL@}"; do
      [[ -z ${!v} ]] || complain "$v is '${!v}', and the target is AWS itself: unset it, or use --target local"
    done
    export TF_VAR_aws_account_id=${AWS_ACCOUNT_ID-}
  else
    [[ -n ${AWS_ENDPOINT_URL-} ]] ||
      complain "AWS_ENDPOINT_URL is not set: set it to the engine's URL, such as http://127.0.0.1:4566"
    [[ -z ${TF_VPC_ID-} || $TF_VPC_ID =~ ^vpc-[0-9a-f]+$ ]] ||
      complain "TF_VPC_ID is '$TF_VPC_ID': it is the id of a VPC, such as vpc-0123456789abcdef0, or not set"
  fi
  command -v terraform >/dev/null || complain "terraform is not on PATH: install Terraform 1.9 or later"
  ((wrong == 0)) || exit 2

  if [[ $target == aws ]]; then
    # An endpoint_url of the profile would lead elsewhere, too.
    export AWS_IGNORE_CONFIGURED_ENDPOINT_URLS=true
  else
    # An engine on this machine needs no credentials of anybody; its containers are of this machine's architecture.
    export AWS_ACCESS_KEY_ID=${AWS_ACCESS_KEY_ID:-batchbox} AWS_SECRET_ACCESS_KEY=${AWS_SECRET_ACCESS_KEY:-batchbox}
    case $(uname -m) in
      aarch64 | arm64) export TF_VAR_architecture=${TF_VAR_architecture:-ARM64} ;;
    esac
  fi
  export AWS_REGION=${AWS_REGION:-us-east-1} TF_IN_AUTOMATION=1 TF_INPUT=0
  export TF_VAR_aws_region=$AWS_REGION
  [[ -z ${TF_VPC_ID-} ]] || export TF_VAR_vpc_id=$TF_VPC_ID
  tf_state=${TF_STATE_DIR:-$root/.terraform-state/$target}
  [[ $tf_state == /* ]] || tf_state=$PWD/$tf_state
}

# tf_own_stack gives an end-to-end run on AWS a name and a state of its own, so that it neither changes nor destroys what
# apply.sh has made; what is set already stays. tf_again is what to put before a command that is about the same stack.
tf_own_stack() {
  export TF_VAR_name=${TF_VAR_name:-batchworker-e2e}
  export TF_STATE_DIR=${TF_STATE_DIR:-$root/.terraform-state/aws-e2e}
  tf_again="TF_VAR_name=$TF_VAR_name TF_STATE_DIR=$TF_STATE_DIR"
  if [[ -n ${TF_STATE_BUCKET-} ]]; then
    export TF_STATE_PREFIX=${TF_STATE_PREFIX:-batchbox-e2e}
    tf_again+=" TF_STATE_BUCKET=$TF_STATE_BUCKET TF_STATE_PREFIX=$TF_STATE_PREFIX"
  fi
}

# tf_estimate CHILDREN prints account, region and what a run costs.
tf_estimate() {
  local children=$1 architecture=${TF_VAR_architecture:-X86_64} region arch cpu gb address note=''
  while IFS=$'\t' read -r region arch cpu gb address; do
    [[ $region != '#'* && $arch == "$architecture" ]] && break
  done < <(grep "^$AWS_REGION"$'\t' "$root/scripts/lib/prices.tsv" || grep '^us-east-1'$'\t' "$root/scripts/lib/prices.tsv")
  [[ $region == "$AWS_REGION" ]] || note=", by the prices of $region"
  printf 'account: %s, region: %s, VPC: %s\n' "$AWS_ACCOUNT_ID" "$AWS_REGION" "$TF_VPC_ID"
  awk -v n="$((children > 1 ? children : 1))" -v vcpu="${TF_VAR_vcpu:-0.25}" -v mib="${TF_VAR_memory:-512}" -v cpu="$cpu" -v gb="$gb" -v address="$address" -v note="$note" 'BEGIN {
    # Two minutes for each job: Fargate counts from the pull of the image on, and one minute at least.
    hours = n * 2 / 60
    printf "estimate: about USD %.4f for %d job(s) of %s vCPU and %s MiB, 2 minutes each: %.3f vCPU hours, %.3f GB hours (scripts/lib/prices.tsv, March 2026%s); logs and storage of the image come on top\n", hours * (vcpu * cpu + mib / 1024 * gb + address), n, vcpu, mib, hours * vcpu, hours * mib / 1024, note
  }'
}

# tf MODULE COMMAND ARG... runs terraform on the module, with data and state of this target. With tf_shielded=yes it is in a
# process group of its own, so that no Ctrl-C reaches it: Terraform minds one even where it was told to ignore it.
tf() {
  local module=$1
  shift
  if [[ ${tf_shielded-} == yes ]]; then
    # The shell's own notices of the job go nowhere.
    (
      exec 4>&2 2>/dev/null
      set -m
      TF_DATA_DIR=$tf_state/$module.data terraform -chdir="$root/infra/terraform/$module" "$@" </dev/null 2>&4 4>&- &
      wait $!
    )
  else
    TF_DATA_DIR=$tf_state/$module.data terraform -chdir="$root/infra/terraform/$module" "$@"
  fi
}

# tf_change MODULE apply|destroy changes what there is, and prints a line for each resource that is ready. The plan, and all
# else that terraform says, is in $tf_state/MODULE.COMMAND.log.
tf_change() {
  local module=$1 command=$2 status
  # The filters must outlive a Ctrl-C, as terraform does to save its state.
  if tf_logged tf "$module" "$command" -auto-approve -input=false -no-color | {
    trap '' INT TERM
    tee "$tf_state/$module.$command.log" |
      grep --line-buffered -E '^[^ ]+: (Creation|Modifications|Destruction) complete after |^(Interrupt received|Two interrupts)' || :
  }; then status=0; else status=${PIPESTATUS[0]}; fi
  return "$status"
}

# tf_check says what is wrong with the variables of both modules, and with credentials, account, region and VPC, before anything
# is created. The rules of the variables need no provider: Terraform checks them in a copy that has no resources.
tf_check() {
  local module dir options=()
  for module in 01-ecr 02-app; do
    dir=$tf_state/$module.rules
    mkdir -p "$dir"
    cp "$root/infra/terraform/$module/variables.tf" "$dir/"
    tf_logged env TF_DATA_DIR="$dir/.terraform" terraform -chdir="$dir" plan -input=false -no-color -lock=false >/dev/null || return 1
  done
  [[ $target == local ]] || options=(--aws --account "$AWS_ACCOUNT_ID")
  "$bin/batchbox" check ${options[@]+"${options[@]}"} ${TF_VPC_ID:+--vpc "$TF_VPC_ID"}
}

# tf_logged COMMAND... runs terraform and, if it fails, says which variable to change, as far as its words tell.
tf_logged() {
  local log=$tf_state/errors.log status=0
  # tee must outlive a Ctrl-C, as terraform does to save its state.
  {
    if "$@" 2>&1 >&3 3>&- | tee -i "$log" >&2 3>&-; then status=0; else status=${PIPESTATUS[0]}; fi
  } 3>&1
  ((status == 0)) || tf_hint "$(<"$log")"
  return "$status"
}

# tf_hint TEXT prints a line about what to change, for the errors that have an ordinary cause.
tf_hint() {
  local hint='' names
  case $1 in
    *'Invalid value for variable'*)
      names=$(sed -n 's/.*variable "\([a-z0-9_]*\)" {.*/TF_VAR_\1/p' <<<"$1" | sort -u | paste -sd ' ' -)
      hint="change ${names//TF_VAR_vpc_id/TF_VPC_ID}" ;;
    *'S3 bucket'*) hint='the state can not be kept there: change TF_STATE_BUCKET, TF_STATE_REGION or the credentials' ;;
    *ExpiredToken* | *RequestExpired* | *'token'*'expired'*)
      hint='the AWS credentials have expired: get new ones, such as by aws sso login, and run this again; it goes on where it stopped' ;;
    *'No valid credential sources'* | *InvalidClientTokenId* | *UnrecognizedClient* | *'failed to refresh cached credentials'* | *'no EC2 IMDS role found'*)
      hint='no good AWS credentials: see to AWS_PROFILE, or AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY' ;;
    *'AWS account ID not allowed'*) hint='the credentials are of another account than AWS_ACCOUNT_ID: change one of them' ;;
    *'no matching EC2 VPC found'* | *InvalidVpcID.NotFound*) hint='no such VPC in this region: change TF_VPC_ID or AWS_REGION' ;;
    *'has no subnets'*) hint='change TF_VPC_ID, or add a subnet to the VPC' ;;
    *'no such host'* | *'nvalid AWS Region'*) hint='no such region answers: change AWS_REGION, or see to the network' ;;
    *'Missing Resource Identity After Read'*)
      hint='somebody else has deleted it, and Terraform before 1.12 can not forget it: use a newer one, or terraform state rm it' ;;
    *'Error acquiring the state lock'*) hint='another run holds the state: wait for it, or, if it was killed, terraform force-unlock' ;;
    *RepositoryAlreadyExistsException* | *EntityAlreadyExists* | *ResourceAlreadyExistsException* | *'Object already exists'* | *'Duplicate'*)
      hint='the name is taken, by another stack or by a run whose state is lost: set TF_VAR_name to another, or remove what has the name' ;;
    *RepositoryNotEmptyException*) hint='there are images in the repository, and TF_VAR_force_delete is false: remove them, or set it to true' ;;
    *RepositoryNotFoundException* | *'reading ECR Repository ('*) hint='no such repository: change TF_VAR_repository_name, or leave it out for that of 01-ecr' ;;
    *ImageNotFoundException* | *'ECR Image'*) hint="no image has the tag in the repository: change TF_VAR_image_tag (now ${TF_VAR_image_tag-latest}), or push it" ;;
    *AccessDenied* | *UnauthorizedOperation* | *'not authorized to perform'*) hint='the credentials may not do this: they need its permission' ;;
    *DependencyViolation*) hint='something else uses what is to be deleted: remove that, and run this again' ;;
    *timeout*'Compute Environment'* | *'Compute Environment'*timeout*) hint='tasks are still ending: run this again in some minutes' ;;
    *'cannot be overwritten'* | *TAG_INVALID*)
      hint="tags are immutable, and ${TF_VAR_image_tag-} is another build's: commit what has changed, or set TF_VAR_image_tag" ;;
  esac
  [[ -z $hint ]] || printf 'hint: %s\n' "$hint" >&2
}

# tf_init makes both modules ready. Its status is $no_provider if no registry has the provider for us.
tf_init() {
  local module backend file options log start took
  start=$(now_us)
  mkdir -p "$tf_state"
  for module in 01-ecr 02-app; do
    options=()
    # A backend can't be chosen by a variable, only by a file, which Git ignores. It is put there in one piece, and only if it
    # is another one, so that runs beside this one find it whole.
    backend=local options=(-backend-config=path="$tf_state/$module.tfstate")
    if [[ -n ${TF_STATE_BUCKET-} ]]; then
      backend=s3 options=(-backend-config=bucket="$TF_STATE_BUCKET" -backend-config=region="${TF_STATE_REGION:-$AWS_REGION}"
        -backend-config=key="${TF_STATE_PREFIX:-batchbox}/$target/$module.tfstate")
    fi
    backend="terraform {
  backend \"$backend\" {}
}"
    file=$root/infra/terraform/$module/backend_override.tf
    if [[ ! -f $file || $(<"$file") != "$backend" ]]; then
      printf '%s\n' "$backend" >"$file.$$" && mv "$file.$$" "$file"
    fi
    log=$tf_state/$module.init.log
    if ! tf "$module" init -input=false -no-color -reconfigure "${options[@]}" >"$log" 2>&1; then
      if grep -qiE 'failed to (query available provider packages|install provider)|could not connect to registry|no available provider|provider registry' "$log"; then
        printf 'terraform: skipped, for the AWS provider cannot be had here (terraform init reached no registry that has it)\n' >&2
        return "$no_provider"
      fi
      cat "$log" >&2
      printf 'error: terraform init of %s failed\n' "$module" >&2
      tf_hint "$(<"$log")"
      return 1
    fi
  done
  # In place of step, whose line on a failure would follow that on a skip.
  took=$((($(now_us) - start) / 100000))
  printf 'init: %d.%d s\n' $((took / 10)) $((took % 10))
}

# tf_push builds the image and pushes it to the repository of 01-ecr. With immutable tags, each commit has its own.
tf_push() {
  local repository options=(--platform host)
  repository=$(tf 01-ecr output -raw repository_uri) || return 1
  if [[ $target == aws ]]; then
    options=(--aws --platform linux/amd64)
    [[ ${TF_VAR_architecture-} != ARM64 ]] || options=(--aws --platform linux/arm64)
  fi
  (cd "$root" && tf_logged "$bin/batchbox" image build ./apps/batchworker -t "$repository:$TF_VAR_image_tag" "${options[@]}")
}

tf_write_env() {
  local queue definition
  queue=$(tf 02-app output -raw job_queue_arn) && definition=$(tf 02-app output -raw job_definition_arn) || return 1
  {
    printf '# Written by scripts/apply.sh. To use it: source this file.\n'
    printf "export %s='%s'\n" JOB_QUEUE_ARN "$queue" JOB_DEFINITION_ARN "$definition" AWS_REGION "$AWS_REGION" AWS_DEFAULT_REGION "$AWS_REGION"
    [[ $target == aws ]] || printf "export %s='%s'\n" AWS_ENDPOINT_URL "$AWS_ENDPOINT_URL"
  } >"$env_file"
}

# tf_apply creates the stack, or brings it up to date, and writes its ARNs to $env_file.
tf_apply() {
  if [[ -z ${TF_VAR_image_tag-} ]]; then
    TF_VAR_image_tag=latest
    [[ ${TF_VAR_immutable_tags-} != true ]] || TF_VAR_image_tag=$(git -C "$root" rev-parse --short=12 HEAD)
  fi
  export TF_VAR_image_tag
  step 01-ecr tf_change 01-ecr apply || return 1
  if [[ -z ${TF_VAR_image-} ]]; then
    step push tf_push || return 1
    if [[ -z ${TF_VAR_repository_name-} ]]; then
      TF_VAR_repository_name=$(tf 01-ecr output -raw repository_name) || return 1
      export TF_VAR_repository_name
    fi
  fi
  step 02-app tf_change 02-app apply || return 1
  tf_write_env
}

# tf_settled makes sure that what was applied is all there is to apply.
tf_settled() {
  local module log status
  for module in 01-ecr 02-app; do
    log=$tf_state/$module.plan.log status=0
    tf "$module" plan -detailed-exitcode -input=false -no-color >"$log" 2>&1 || status=$?
    if ((status != 0)); then
      cat "$log" >&2
      ((status != 2)) || printf 'error: a second plan of %s is not empty\n' "$module" >&2
      return 1
    fi
  done
}

# tf_end_jobs ends the jobs of the queue, so that nothing has to wait for them. A queue that is gone has none.
tf_end_jobs() {
  local queue options=()
  queue=$(tf 02-app output -raw job_queue_arn 2>/dev/null) || return 0
  [[ $queue == arn:* ]] || return 0
  [[ $target == local ]] || options=(--aws)
  step 'end jobs' "$bin/batchbox" terminate --job-queue "$queue" --reason 'the stack is destroyed' ${options[@]+"${options[@]}"} ||
    printf 'jobs were not ended; destroying the queue ends them too\n' >&2
}

# tf_destroy removes what is in the state, and does nothing if nothing is. It runs in a trap, where a return without a number
# gives the status from before the trap: a failure would be a success.
tf_destroy() {
  local module list
  for module in 02-app 01-ecr; do
    list=$(tf "$module" state list 2>&1) || {
      if [[ $list != *'No state file was found'* ]]; then
        printf '%s\n' "$list" >&2
        return 1
      fi
      list=
    }
    if [[ -z $list ]]; then
      printf '%s: nothing to destroy\n' "$module"
      continue
    fi
    [[ $module != 02-app ]] || tf_end_jobs
    # An image of one's own needs no look into a repository that may have none.
    TF_VAR_image=${TF_VAR_image:-none:none} step "destroy $module" tf_change "$module" destroy || return 1
  done
  rm -f "$env_file"
}
