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

run "no_instance_types" {
  command = plan
  variables {
    image          = "example.com/x:1"
    instance_types = []
  }
  expect_failures = [var.instance_types]
}

run "upper_case_instance_type" {
  command = plan
  variables {
    image          = "example.com/x:1"
    instance_types = ["M5.large"]
  }
  expect_failures = [var.instance_types]
}

run "burstable_in_a_placement_group" {
  command = plan
  variables {
    image          = "example.com/x:1"
    instance_types = ["t3.large"]
  }
  expect_failures = [var.instance_types]
}

run "two_and_a_half_vcpus_at_most" {
  command = plan
  variables {
    image     = "example.com/x:1"
    max_vcpus = 2.5
  }
  expect_failures = [var.max_vcpus]
}

run "fewer_vcpus_than_nodes_need" {
  command = plan
  variables {
    image     = "example.com/x:1"
    max_vcpus = 7
    nodes     = 4
    vcpu      = 2
  }
  expect_failures = [var.max_vcpus]
}

run "negative_priority" {
  command = plan
  variables {
    image          = "example.com/x:1"
    queue_priority = -1
  }
  expect_failures = [var.queue_priority]
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

run "one_node" {
  command = plan
  variables {
    image = "example.com/x:1"
    nodes = 1
  }
  expect_failures = [var.nodes]
}

run "a_thousand_and_one_nodes" {
  command = plan
  variables {
    image     = "example.com/x:1"
    nodes     = 1001
    max_vcpus = 2000
  }
  expect_failures = [var.nodes]
}

run "half_a_vcpu" {
  command = plan
  variables {
    image = "example.com/x:1"
    vcpu  = 0.5
  }
  expect_failures = [var.vcpu]
}

run "three_mib" {
  command = plan
  variables {
    image  = "example.com/x:1"
    memory = 3
  }
  expect_failures = [var.memory]
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
    image           = "example.com/x@sha256:0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"
    nodes           = 1000
    vcpu            = 4
    max_vcpus       = 4000
    instance_types  = ["c6i", "m7i-flex.xlarge"]
    main_command    = ["--main"]
    timeout_seconds = null
    attempts        = 10
  }
}

run "burstable_without_a_placement_group" {
  command = plan
  variables {
    image           = "example.com/x:1"
    instance_types  = ["t3.large"]
    placement_group = false
  }
}
