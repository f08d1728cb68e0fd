# What providers are told: a role to assume, endpoints by service instead of the environment, the account that is allowed, another
# region for one resource, tags that are to be ignored. Nothing is skipped, so the provider checks credentials and account.

terraform {
  required_providers {
    aws = {
      source = "hashicorp/aws"
    }
  }
}

variable "endpoint" {
  type = string
}

variable "account" {
  type = string
}

provider "aws" {
  region = "us-east-1"
}

provider "aws" {
  alias               = "assumed"
  region              = "eu-central-1"
  allowed_account_ids = [var.account]

  assume_role {
    role_arn     = "arn:aws:iam::${var.account}:role/deployer"
    session_name = "terraform"
    external_id  = "some"
    tags         = { Team = "jobs" }
  }

  default_tags {
    tags = { Project = "assumed" }
  }

  ignore_tags {
    keys = ["CostCentre"]
  }

  endpoints {
    batch = var.endpoint
    iam   = var.endpoint
    logs  = var.endpoint
    sts   = var.endpoint
    ec2   = var.endpoint
  }
}

data "aws_caller_identity" "assumed" {
  provider = aws.assumed
}

data "aws_iam_session_context" "assumed" {
  provider = aws.assumed
  arn      = data.aws_caller_identity.assumed.arn
}

resource "aws_cloudwatch_log_group" "assumed" {
  provider = aws.assumed
  name     = "assumed"
}

# Of another region than its provider.
resource "aws_cloudwatch_log_group" "elsewhere" {
  provider = aws.assumed
  name     = "assumed"
  region   = "ap-southeast-2"
}

resource "aws_batch_scheduling_policy" "elsewhere" {
  region = "eu-west-1"
  name   = "elsewhere"

  fair_share_policy {
    compute_reservation = 1
    share_decay_seconds = 60
  }
}

output "caller" {
  value = data.aws_caller_identity.assumed.arn
}

output "issuer" {
  value = data.aws_iam_session_context.assumed.issuer_arn
}

output "groups" {
  value = [aws_cloudwatch_log_group.assumed.arn, aws_cloudwatch_log_group.elsewhere.arn]
}
