mock_provider "aws" {}

run "defaults" {
  command = plan

  assert {
    condition     = aws_ecr_repository.this.image_tag_mutability == "MUTABLE"
    error_message = "tags are mutable by default"
  }
  assert {
    condition     = aws_ecr_repository.this.encryption_configuration[0].encryption_type == "AES256"
    error_message = "encryption is AES256 without a key"
  }
  assert {
    condition     = jsondecode(aws_ecr_lifecycle_policy.this.policy).rules[1].selection.countNumber == 20
    error_message = "20 images are kept by default"
  }
}

run "immutable_with_key" {
  command = plan
  variables {
    immutable_tags = true
    kms_key_arn    = "arn:aws:kms:us-east-1:123456789012:key/11111111-2222-3333-4444-555555555555"
  }

  assert {
    condition     = aws_ecr_repository.this.image_tag_mutability == "IMMUTABLE"
    error_message = "immutable_tags makes tags immutable"
  }
  assert {
    condition     = aws_ecr_repository.this.encryption_configuration[0].encryption_type == "KMS"
    error_message = "a key means KMS"
  }
}

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
