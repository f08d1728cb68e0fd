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
  description = "Name of queue, job definition and placement group, beginning of the other names, and value of the tag Project."
  type        = string
  default     = "batchworker-nodes"
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
  description = "VPC of the nodes; null takes the region's default VPC."
  type        = string
  default     = null

  validation {
    condition     = var.vpc_id == null || can(regex("^vpc-[0-9a-f]+$", var.vpc_id))
    error_message = "vpc_id is a VPC's id, such as vpc-0123456789abcdef0."
  }
}

variable "subnet_ids" {
  description = "Subnets of the nodes, 16 at most; null takes the first of the VPC by id. With a placement group all have to be in one zone."
  type        = set(string)
  default     = null

  validation {
    condition     = var.subnet_ids == null || try(length(var.subnet_ids) >= 1 && length(var.subnet_ids) <= 16, false)
    error_message = "subnet_ids are 1 to 16 subnets, or null."
  }
}

variable "placement_group" {
  description = "Whether the nodes' instances are placed close to each other, in one zone, by a placement group of the kind cluster."
  type        = bool
  default     = true
  nullable    = false
}

# Compute environment and queue

variable "instance_types" {
  description = "Types or families of the instances; each node has one of its own. A cluster placement group takes no burstable (t) types."
  type        = set(string)
  default     = ["m5.large"]
  nullable    = false

  validation {
    condition     = length(var.instance_types) >= 1
    error_message = "instance_types is at least one type or family, such as m5.large or c6i."
  }
  validation {
    condition     = alltrue([for t in var.instance_types : can(regex("^[a-z][a-z0-9-]*[0-9][a-z0-9-]*([.][a-z0-9-]+)?$", t))])
    error_message = "instance_types are types or families, such as m5.large or c6i."
  }
  validation {
    condition     = !var.placement_group || alltrue([for t in var.instance_types : !can(regex("^t[0-9]", t))])
    error_message = "instance_types: burstable ones (t) can't be in a cluster placement group: choose others, or set placement_group to false."
  }
}

variable "max_vcpus" {
  description = "Most vCPUs that the instances have at a time. It has to do for an instance for each node, else a job waits for ever."
  type        = number
  default     = 16
  nullable    = false

  validation {
    condition     = var.max_vcpus >= 1 && floor(var.max_vcpus) == var.max_vcpus
    error_message = "max_vcpus is a whole number, 1 or more."
  }
  validation {
    condition     = var.max_vcpus >= var.nodes * var.vcpu
    error_message = "max_vcpus is less than nodes times vcpu: a job would wait for ever."
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

variable "nodes" {
  description = "Number of nodes of a job, 2 to 1000. Node 0 is the main one. A job can be submitted with another number."
  type        = number
  default     = 2
  nullable    = false

  validation {
    condition     = var.nodes >= 2 && var.nodes <= 1000 && floor(var.nodes) == var.nodes
    error_message = "nodes is a whole number from 2 to 1000; with one node, 02-app is the better choice."
  }
}

variable "vcpu" {
  description = "vCPUs of each node, a whole number."
  type        = number
  default     = 1
  nullable    = false

  validation {
    condition     = var.vcpu >= 1 && floor(var.vcpu) == var.vcpu
    error_message = "vcpu is a whole number, 1 or more, on EC2."
  }
}

variable "memory" {
  description = "Memory of each node in MiB. An instance has less for containers than its type says."
  type        = number
  default     = 1024
  nullable    = false

  validation {
    condition     = var.memory >= 4 && floor(var.memory) == var.memory
    error_message = "memory is a whole number of MiB, 4 or more."
  }
}

variable "command" {
  description = "Command of the nodes; empty means the image's own."
  type        = list(string)
  default     = []
  nullable    = false
}

variable "main_command" {
  description = "Command of the main node; null means that it has the same as the others."
  type        = list(string)
  default     = null
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
  description = "How often a job is tried, 1 to 10. Only a failure of the main node counts."
  type        = number
  default     = 1
  nullable    = false

  validation {
    condition     = var.attempts >= 1 && var.attempts <= 10 && floor(var.attempts) == var.attempts
    error_message = "attempts is a whole number from 1 to 10."
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

# Logs

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
