# What the variables refuse. Nothing here reads a resource.

mock_provider "aws" {
  source = "./tests/mocks"
}

run "account_too_short" {
  command = plan
  variables {
    image          = "example.com/x:1"
    aws_account_id = "1234"
  }
  expect_failures = [var.aws_account_id]
}

run "zone_for_region" {
  command = plan
  variables {
    image      = "example.com/x:1"
    aws_region = "us-east-1a"
  }
  expect_failures = [var.aws_region]
}

run "name_with_a_slash" {
  command = plan
  variables {
    image = "example.com/x:1"
    name  = "team/worker"
  }
  expect_failures = [var.name]
}

run "reserved_tag" {
  command = plan
  variables {
    image = "example.com/x:1"
    tags  = { "aws:cost" = "x" }
  }
  expect_failures = [var.tags]
}

run "subnet_for_vpc" {
  command = plan
  variables {
    image  = "example.com/x:1"
    vpc_id = "subnet-0123456789abcdef0"
  }
  expect_failures = [var.vpc_id]
}

run "no_subnets" {
  command = plan
  variables {
    image      = "example.com/x:1"
    subnet_ids = []
  }
  expect_failures = [var.subnet_ids]
}

run "no_vcpus" {
  command = plan
  variables {
    image     = "example.com/x:1"
    max_vcpus = 0
  }
  expect_failures = [var.max_vcpus]
}

run "negative_spot" {
  command = plan
  variables {
    image          = "example.com/x:1"
    spot_max_vcpus = -1
  }
  expect_failures = [var.spot_max_vcpus]
}

run "negative_priority" {
  command = plan
  variables {
    image          = "example.com/x:1"
    queue_priority = -1
  }
  expect_failures = [var.queue_priority]
}

run "whole_queue_reserved" {
  command = plan
  variables {
    image      = "example.com/x:1"
    fair_share = { compute_reservation = 100 }
  }
  expect_failures = [var.fair_share]
}

run "decay_over_a_week" {
  command = plan
  variables {
    image      = "example.com/x:1"
    fair_share = { share_decay_seconds = 604801 }
  }
  expect_failures = [var.fair_share]
}

run "weight_of_nothing" {
  command = plan
  variables {
    image      = "example.com/x:1"
    fair_share = { weights = { a = 0 } }
  }
  expect_failures = [var.fair_share]
}

run "star_inside" {
  command = plan
  variables {
    image      = "example.com/x:1"
    fair_share = { weights = { "a*b" = 1 } }
  }
  expect_failures = [var.fair_share]
}

run "tag_with_repository" {
  command = plan
  variables {
    image     = "example.com/x:1"
    image_tag = "repo:latest"
  }
  expect_failures = [var.image_tag]
}

run "image_without_tag" {
  command = plan
  variables {
    image = "example.com/x"
  }
  expect_failures = [var.image]
}

run "three_vcpus" {
  command = plan
  variables {
    image = "example.com/x:1"
    vcpu  = 3
  }
  expect_failures = [var.vcpu]
}

run "quarter_with_three_gib" {
  command = plan
  variables {
    image  = "example.com/x:1"
    vcpu   = 0.25
    memory = 3072
  }
  expect_failures = [var.memory]
}

run "half_with_half_a_gib" {
  command = plan
  variables {
    image  = "example.com/x:1"
    vcpu   = 0.5
    memory = 512
  }
  expect_failures = [var.memory]
}

run "one_with_one_gib" {
  command = plan
  variables {
    image  = "example.com/x:1"
    vcpu   = 1
    memory = 1024
  }
  expect_failures = [var.memory]
}

run "two_between_steps" {
  command = plan
  variables {
    image  = "example.com/x:1"
    vcpu   = 2
    memory = 4608
  }
  expect_failures = [var.memory]
}

run "four_with_31_gib" {
  command = plan
  variables {
    image  = "example.com/x:1"
    vcpu   = 4
    memory = 31744
  }
  expect_failures = [var.memory]
}

run "eight_in_steps_of_one" {
  command = plan
  variables {
    image  = "example.com/x:1"
    vcpu   = 8
    memory = 17408
  }
  expect_failures = [var.memory]
}

run "sixteen_in_steps_of_four" {
  command = plan
  variables {
    image  = "example.com/x:1"
    vcpu   = 16
    memory = 36864
  }
  expect_failures = [var.memory]
}

run "architecture_of_docker" {
  command = plan
  variables {
    image        = "example.com/x:1"
    architecture = "arm64"
  }
  expect_failures = [var.architecture]
}

run "storage_of_20" {
  command = plan
  variables {
    image                 = "example.com/x:1"
    ephemeral_storage_gib = 20
  }
  expect_failures = [var.ephemeral_storage_gib]
}

run "empty_environment_value" {
  command = plan
  variables {
    image       = "example.com/x:1"
    environment = { A = "" }
  }
  expect_failures = [var.environment]
}

run "reserved_environment_name" {
  command = plan
  variables {
    image       = "example.com/x:1"
    environment = { AWS_BATCH_X = "1" }
  }
  expect_failures = [var.environment]
}

run "eleven_attempts" {
  command = plan
  variables {
    image    = "example.com/x:1"
    attempts = 11
  }
  expect_failures = [var.attempts]
}

run "upper_case_action" {
  command = plan
  variables {
    image       = "example.com/x:1"
    retry_rules = [{ action = "RETRY", on_exit_code = "1" }]
  }
  expect_failures = [var.retry_rules]
}

run "rule_for_nothing" {
  command = plan
  variables {
    image       = "example.com/x:1"
    retry_rules = [{ action = "exit" }]
  }
  expect_failures = [var.retry_rules]
}

run "exit_code_in_words" {
  command = plan
  variables {
    image       = "example.com/x:1"
    retry_rules = [{ action = "exit", on_exit_code = "one" }]
  }
  expect_failures = [var.retry_rules]
}

run "reason_with_a_dash" {
  command = plan
  variables {
    image       = "example.com/x:1"
    retry_rules = [{ action = "exit", on_reason = "out-of-memory" }]
  }
  expect_failures = [var.retry_rules]
}

run "six_rules" {
  command = plan
  variables {
    image       = "example.com/x:1"
    retry_rules = [for c in range(6) : { action = "exit", on_exit_code = tostring(c) }]
  }
  expect_failures = [var.retry_rules]
}

run "timeout_under_a_minute" {
  command = plan
  variables {
    image           = "example.com/x:1"
    timeout_seconds = 59
  }
  expect_failures = [var.timeout_seconds]
}

run "policy_in_words" {
  command = plan
  variables {
    image           = "example.com/x:1"
    job_policy_json = "read my bucket"
  }
  expect_failures = [var.job_policy_json]
}

run "eight_days" {
  command = plan
  variables {
    image              = "example.com/x:1"
    log_retention_days = 8
  }
  expect_failures = [var.log_retention_days]
}

run "largest_of_all" {
  command = plan
  variables {
    image                 = "example.com/x@sha256:0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"
    vcpu                  = 16
    memory                = 122880
    architecture          = "ARM64"
    ephemeral_storage_gib = 200
    attempts              = 10
    timeout_seconds       = null
    fair_share            = { weights = { "a*" = 0.0001, b = 999.9999 } }
    retry_rules           = [{ action = "retry", on_status_reason = "Task failed to start*" }, { action = "exit", on_reason = "*" }]
    job_policy_json       = jsonencode({ Version = "2012-10-17", Statement = [] })
  }
}
