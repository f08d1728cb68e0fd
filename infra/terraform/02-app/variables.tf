variable "aws_account_id" {
  description = "Account that the credentials must belong to; null accepts any."
  type        = string
  default     = null

  validation {
    condition     = var.aws_account_id == null || can(regex("^[0-9]{12}$", var.aws_account_id))
    error_message = "aws_account_id has 12 digits."
  }
}

variable "aws_region" {
  description = "Region of everything."
  type        = string
  default     = "us-east-1"
  nullable    = false

  validation {
    condition     = can(regex("^[a-z]{2}(-[a-z]+)+-[0-9]$", var.aws_region))
    error_message = "aws_region is a region's name, such as us-east-1."
  }
}

variable "name" {
  description = "Name of queue, job definition and policy, beginning of the other names, and value of the tag Project."
  type        = string
  default     = "batchworker"
  nullable    = false

  validation {
    # A role's name has 64 characters at most, and a security group's prefix 32 less than its name.
    condition     = can(regex("^[0-9A-Za-z][0-9A-Za-z_-]{0,39}$", var.name))
    error_message = "name is 1 to 40 letters, digits, '-' and '_', the first of them a letter or digit."
  }
}

variable "tags" {
  description = "Further tags of everything."
  type        = map(string)
  default     = {}
  nullable    = false

  validation {
    condition     = alltrue([for k in keys(var.tags) : !startswith(lower(k), "aws:")])
    error_message = "tags must not start with 'aws:', which AWS keeps to itself."
  }
}

# Network

variable "vpc_id" {
  description = "VPC of the tasks; null takes the region's default VPC."
  type        = string
  default     = null

  validation {
    condition     = var.vpc_id == null || can(regex("^vpc-[0-9a-f]+$", var.vpc_id))
    error_message = "vpc_id is a VPC's id, such as vpc-0123456789abcdef0."
  }
}

variable "subnet_ids" {
  description = "Subnets of the tasks, 16 at most; null takes those of the VPC."
  type        = set(string)
  default     = null

  validation {
    condition     = var.subnet_ids == null || try(length(var.subnet_ids) >= 1 && length(var.subnet_ids) <= 16, false)
    error_message = "subnet_ids are 1 to 16 subnets, or null."
  }
}

variable "assign_public_ip" {
  description = "Whether tasks get a public address. Without one, subnets need a NAT gateway or endpoints of ECR, S3 and CloudWatch Logs, else the pull of the image fails."
  type        = bool
  default     = true
  nullable    = false
}

# Compute environments and queue

variable "max_vcpus" {
  description = "Most vCPUs that jobs on Fargate use at a time."
  type        = number
  default     = 16
  nullable    = false

  validation {
    condition     = var.max_vcpus >= 1 && floor(var.max_vcpus) == var.max_vcpus
    error_message = "max_vcpus is a whole number, 1 or more."
  }
}

variable "spot_max_vcpus" {
  description = "Most vCPUs that jobs on Fargate Spot use at a time. Spot is tried before Fargate; 0 means no Spot."
  type        = number
  default     = 0
  nullable    = false

  validation {
    condition     = var.spot_max_vcpus >= 0 && floor(var.spot_max_vcpus) == var.spot_max_vcpus
    error_message = "spot_max_vcpus is a whole number, 0 or more."
  }
}

variable "queue_priority" {
  description = "Priority of the queue among those that share its compute environments; a higher one goes first."
  type        = number
  default     = 1
  nullable    = false

  validation {
    condition     = var.queue_priority >= 0 && floor(var.queue_priority) == var.queue_priority
    error_message = "queue_priority is a whole number, 0 or more."
  }
}

variable "fair_share" {
  description = "Scheduling policy of the queue; null means first in, first out. A change between the two replaces the queue, which ends its jobs. A smaller weight gets more of the queue."
  type = object({
    compute_reservation = optional(number, 0)
    share_decay_seconds = optional(number, 0)
    weights             = optional(map(number), {})
  })
  default = null

  validation {
    condition     = var.fair_share == null || try(var.fair_share.compute_reservation >= 0 && var.fair_share.compute_reservation <= 99, false)
    error_message = "fair_share.compute_reservation is 0 to 99."
  }
  validation {
    condition     = var.fair_share == null || try(var.fair_share.share_decay_seconds >= 0 && var.fair_share.share_decay_seconds <= 604800, false)
    error_message = "fair_share.share_decay_seconds is 0 to 604800, a week."
  }
  validation {
    condition     = var.fair_share == null || try(alltrue([for id, w in var.fair_share.weights : can(regex("^[0-9A-Za-z]{1,254}[*]?$", id)) && w >= 0.0001 && w <= 999.9999]), false)
    error_message = "fair_share.weights are numbers of 0.0001 to 999.9999 by share identifier: letters and digits, with one '*' at the end if it is a prefix."
  }
}

# Job definition

variable "repository_name" {
  description = "ECR repository of the image, as 01-ecr has made it. Not used with image."
  type        = string
  default     = "batchworker"
  nullable    = false
}

variable "image_tag" {
  description = "Tag of the image in repository_name. The job definition gets the digest behind it. Not used with image."
  type        = string
  default     = "latest"
  nullable    = false

  validation {
    condition     = can(regex("^[0-9A-Za-z_][0-9A-Za-z_.-]{0,127}$", var.image_tag))
    error_message = "image_tag is a tag without the repository: up to 128 letters, digits, '_', '.' and '-'."
  }
}

variable "image" {
  description = "Whole reference of an image, with tag or digest, from any registry; null takes repository_name and image_tag."
  type        = string
  default     = null

  validation {
    condition     = var.image == null || can(regex("^[^[:space:]@]+(:[0-9A-Za-z_][0-9A-Za-z_.-]{0,127}|@sha256:[0-9a-f]{64})$", var.image))
    error_message = "image ends in ':tag' or '@sha256:digest'."
  }
}

variable "vcpu" {
  description = "vCPUs of a job: 0.25, 0.5, 1, 2, 4, 8 or 16."
  type        = number
  default     = 0.25
  nullable    = false

  validation {
    condition     = contains([0.25, 0.5, 1, 2, 4, 8, 16], var.vcpu)
    error_message = "vcpu is 0.25, 0.5, 1, 2, 4, 8 or 16 on Fargate."
  }
}

variable "memory" {
  description = "Memory of a job in MiB, as Fargate offers it for vcpu."
  type        = number
  default     = 512
  nullable    = false

  validation {
    # An unknown vcpu is told by its own rule.
    condition = !contains([0.25, 0.5, 1, 2, 4, 8, 16], var.vcpu) || contains(
      {
        "0.25" = [512, 1024, 2048]
        "0.5"  = range(1024, 4096 + 1, 1024)
        "1"    = range(2048, 8192 + 1, 1024)
        "2"    = range(4096, 16384 + 1, 1024)
        "4"    = range(8192, 30720 + 1, 1024)
        "8"    = range(16384, 61440 + 1, 4096)
        "16"   = range(32768, 122880 + 1, 8192)
      }[contains([0.25, 0.5, 1, 2, 4, 8, 16], var.vcpu) ? tostring(var.vcpu) : "1"],
      var.memory,
    )
    error_message = <<-EOT
      Fargate does not offer this memory for this vcpu. In MiB, by vcpu: 0.25: 512, 1024 or 2048; 0.5: 1024 to 4096, 1: 2048 to 8192,
      2: 4096 to 16384 and 4: 8192 to 30720 in steps of 1024; 8: 16384 to 61440 in steps of 4096; 16: 32768 to 122880 in steps of 8192.
    EOT
  }
}

variable "architecture" {
  description = "Architecture of the image: X86_64 or ARM64."
  type        = string
  default     = "X86_64"
  nullable    = false

  validation {
    condition     = contains(["X86_64", "ARM64"], var.architecture)
    error_message = "architecture is X86_64 or ARM64."
  }
}

variable "ephemeral_storage_gib" {
  description = "Storage of a job in GiB, 21 to 200; null means Fargate's 20."
  type        = number
  default     = null

  validation {
    condition     = var.ephemeral_storage_gib == null || try(var.ephemeral_storage_gib >= 21 && var.ephemeral_storage_gib <= 200 && floor(var.ephemeral_storage_gib) == var.ephemeral_storage_gib, false)
    error_message = "ephemeral_storage_gib is a whole number from 21 to 200, or null for 20."
  }
}

variable "command" {
  description = "Command of the job; empty means the image's own. Ref::name stands for the parameter of this name."
  type        = list(string)
  default     = []
  nullable    = false
}

variable "parameters" {
  description = "Values of the parameters in command, for jobs submitted without their own."
  type        = map(string)
  default     = {}
  nullable    = false
}

variable "environment" {
  description = "Environment variables of the job."
  type        = map(string)
  default     = {}
  nullable    = false

  validation {
    condition     = alltrue([for n, v in var.environment : n != "" && v != "" && !startswith(n, "AWS_BATCH")])
    error_message = "environment has names and values that are not empty (AWS Batch drops empty ones), and no name that starts with AWS_BATCH."
  }
}

variable "attempts" {
  description = "How often a job is tried, 1 to 10."
  type        = number
  default     = 1
  nullable    = false

  validation {
    condition     = var.attempts >= 1 && var.attempts <= 10 && floor(var.attempts) == var.attempts
    error_message = "attempts is a whole number from 1 to 10."
  }
}

variable "retry_rules" {
  description = "What follows from how an attempt ended, by the first rule that fits: action is retry or exit. At most five; a job that none fits is retried."
  type = list(object({
    action           = string
    on_exit_code     = optional(string)
    on_reason        = optional(string)
    on_status_reason = optional(string)
  }))
  default  = []
  nullable = false

  validation {
    condition     = length(var.retry_rules) <= 5
    error_message = "retry_rules are five at most."
  }
  validation {
    condition     = alltrue([for r in var.retry_rules : contains(["retry", "exit"], r.action)])
    error_message = "retry_rules: action is 'retry' or 'exit', in lower case as the provider keeps it."
  }
  validation {
    condition     = alltrue([for r in var.retry_rules : r.on_exit_code != null || r.on_reason != null || r.on_status_reason != null])
    error_message = "retry_rules: each needs on_exit_code, on_reason or on_status_reason."
  }
  validation {
    condition     = alltrue([for r in var.retry_rules : r.on_exit_code == null || can(regex("^[0-9]+[*]?$|^[*]$", r.on_exit_code))])
    error_message = "retry_rules: on_exit_code is digits, with one '*' at the end if it is a prefix."
  }
  validation {
    condition = alltrue(flatten([
      for r in var.retry_rules : [
        for p in [r.on_reason, r.on_status_reason] : p == null || can(regex("^[0-9A-Za-z.:[:space:]]{0,511}[*]?$", p)) && p != ""
      ]
    ]))
    error_message = "retry_rules: on_reason and on_status_reason are letters, digits, '.', ':' and spaces, with one '*' at the end if it is a prefix."
  }
}

variable "timeout_seconds" {
  description = "Seconds after which an attempt is ended, 60 or more; null means never."
  type        = number
  default     = 3600

  validation {
    condition     = var.timeout_seconds == null || try(var.timeout_seconds >= 60 && floor(var.timeout_seconds) == var.timeout_seconds, false)
    error_message = "timeout_seconds is a whole number, 60 or more, or null."
  }
}

variable "job_policy_json" {
  description = "IAM policy of what the job itself may do, as JSON; null means nothing."
  type        = string
  default     = null

  validation {
    condition     = var.job_policy_json == null || can(jsondecode(var.job_policy_json).Statement)
    error_message = "job_policy_json is a policy document with a Statement, such as data.aws_iam_policy_document.x.json."
  }
}

# Logs and events

variable "log_retention_days" {
  description = "Days for which logs are kept, one of those that CloudWatch Logs offers."
  type        = number
  default     = 14
  nullable    = false

  validation {
    condition     = contains([1, 3, 5, 7, 14, 30, 60, 90, 120, 150, 180, 365, 400, 545, 731, 1096, 1827, 2192, 2557, 2922, 3288, 3653], var.log_retention_days)
    error_message = "log_retention_days is 1, 3, 5, 7, 14, 30, 60, 90, 120, 150, 180, 365, 400, 545, 731, 1096, 1827, 2192, 2557, 2922, 3288 or 3653."
  }
}

variable "log_events" {
  description = "Whether EventBridge writes each change of a job's state in this queue to a log group of its own."
  type        = bool
  default     = false
  nullable    = false
}
