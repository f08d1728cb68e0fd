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
  description = "Region of the repository."
  type        = string
  default     = "us-east-1"
  nullable    = false

  validation {
    condition     = can(regex("^[a-z]{2}(-[a-z]+)+-[0-9]$", var.aws_region))
    error_message = "aws_region is a region's name, such as us-east-1."
  }
}

variable "name" {
  description = "Name of the repository, and value of the tag Project."
  type        = string
  default     = "batchworker"
  nullable    = false

  validation {
    condition     = can(regex("^[a-z0-9]+([._/-][a-z0-9]+)*$", var.name)) && length(var.name) >= 2 && length(var.name) <= 256
    error_message = "name is 2 to 256 lower-case letters and digits, with single '.', '_', '-' or '/' between them."
  }
}

variable "immutable_tags" {
  description = "Whether a tag can be pushed once only. Then push a new tag for each build."
  type        = bool
  default     = false
  nullable    = false
}

variable "scan_on_push" {
  description = "Whether ECR scans an image for known vulnerabilities when it is pushed."
  type        = bool
  default     = true
  nullable    = false
}

variable "kms_key_arn" {
  description = "KMS key that encrypts the images; null leaves them to ECR's own key (AES256). A change replaces the repository."
  type        = string
  default     = null

  validation {
    condition     = var.kms_key_arn == null || can(regex("^arn:[^:]+:kms:[^:]+:[0-9]{12}:key/.+$", var.kms_key_arn))
    error_message = "kms_key_arn is the ARN of a KMS key, not of an alias."
  }
}

variable "keep_images" {
  description = "Number of images kept; older ones expire."
  type        = number
  default     = 20
  nullable    = false

  validation {
    condition     = var.keep_images >= 1 && floor(var.keep_images) == var.keep_images
    error_message = "keep_images is a whole number, 1 or more."
  }
}

variable "untagged_days" {
  description = "Days after which an image without a tag expires."
  type        = number
  default     = 7
  nullable    = false

  validation {
    condition     = var.untagged_days >= 1 && floor(var.untagged_days) == var.untagged_days
    error_message = "untagged_days is a whole number, 1 or more."
  }
}

variable "force_delete" {
  description = "Whether destroying the repository destroys the images in it. Without it, destroy fails while there are any."
  type        = bool
  default     = true
  nullable    = false
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
