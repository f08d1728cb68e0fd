# What the resources are made of.

mock_provider "aws" {
  source = "./tests/mocks"
}

run "defaults" {
  assert {
    condition     = length(aws_batch_compute_environment.spot) == 0 && length(aws_batch_job_queue.this.compute_environment_order) == 1
    error_message = "there is no Spot by default"
  }
  assert {
    condition     = aws_batch_job_queue.this.scheduling_policy_arn == null
    error_message = "the queue is first in, first out by default"
  }
  assert {
    condition     = endswith(jsondecode(aws_batch_job_definition.this.container_properties).image, "/batchworker@sha256:0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef")
    error_message = "the image is named by the digest behind the tag"
  }
  assert {
    condition     = jsondecode(aws_batch_job_definition.this.container_properties).networkConfiguration.assignPublicIp == "ENABLED"
    error_message = "tasks get a public address by default"
  }
  assert {
    condition     = !contains(keys(jsondecode(aws_batch_job_definition.this.container_properties)), "ephemeralStorage")
    error_message = "there is no ephemeralStorage unless it is asked for"
  }
}

run "all_by_choice" {
  variables {
    image                 = "example.com/x:1"
    spot_max_vcpus        = 4
    fair_share            = { weights = { a = 1, "b*" = 0.5 } }
    ephemeral_storage_gib = 50
    retry_rules           = [{ action = "exit", on_exit_code = "3" }]
    attempts              = 3
    log_events            = true
  }

  assert {
    condition     = [for e in aws_batch_job_queue.this.compute_environment_order : e.order] == [1, 2]
    error_message = "both compute environments are in the queue"
  }
  assert {
    condition     = aws_batch_compute_environment.spot[0].compute_resources[0].type == "FARGATE_SPOT"
    error_message = "the Spot environment is of Spot"
  }
  assert {
    condition     = jsondecode(aws_batch_job_definition.this.container_properties).ephemeralStorage.sizeInGiB == 50
    error_message = "the size of the storage is passed on"
  }
  assert {
    condition     = jsondecode(aws_batch_job_definition.this.container_properties).image == "example.com/x:1"
    error_message = "an image of one's own is taken as it is"
  }
  assert {
    condition     = aws_batch_job_definition.this.retry_strategy[0].evaluate_on_exit[0].on_exit_code == "3"
    error_message = "rules are passed on"
  }
}
