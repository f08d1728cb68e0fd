# What the variables refuse. Nothing here reads a resource.

mock_provider "aws" {}

run "account_too_short" {
  command = plan
  variables {
    aws_account_id = "1234"
  }
  expect_failures = [var.aws_account_id]
}

run "zone_for_region" {
  command = plan
  variables {
    aws_region = "us-east-1a"
  }
  expect_failures = [var.aws_region]
}

run "upper_case_name" {
  command = plan
  variables {
    name = "BatchWorker"
  }
  expect_failures = [var.name]
}

run "alias_for_key" {
  command = plan
  variables {
    kms_key_arn = "arn:aws:kms:us-east-1:123456789012:alias/mine"
  }
  expect_failures = [var.kms_key_arn]
}

run "no_images" {
  command = plan
  variables {
    keep_images = 0
  }
  expect_failures = [var.keep_images]
}

run "half_a_day" {
  command = plan
  variables {
    untagged_days = 0.5
  }
  expect_failures = [var.untagged_days]
}

run "reserved_tag" {
  command = plan
  variables {
    tags = { "aws:cost" = "x" }
  }
  expect_failures = [var.tags]
}
