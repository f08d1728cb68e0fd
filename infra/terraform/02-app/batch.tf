# The compute environments have no name here: the provider's versions 5 and 6 spell this argument differently, and a generated
# one lets a replacement stand before the queue lets go of the old one.

resource "aws_batch_compute_environment" "spot" {
  count = var.spot_max_vcpus > 0 ? 1 : 0

  type         = "MANAGED"
  service_role = aws_iam_role.service.arn

  compute_resources {
    type               = "FARGATE_SPOT"
    max_vcpus          = var.spot_max_vcpus
    subnets            = local.subnets
    security_group_ids = [aws_security_group.tasks.id]
  }

  tags = { Name = "${var.name}-spot" }

  # Without its rights, the role can't clean up when the environment is deleted, which then hangs.
  depends_on = [aws_iam_role_policy_attachment.service]

  lifecycle {
    create_before_destroy = true
  }
}

resource "aws_batch_compute_environment" "fargate" {
  type         = "MANAGED"
  service_role = aws_iam_role.service.arn

  compute_resources {
    type               = "FARGATE"
    max_vcpus          = var.max_vcpus
    subnets            = local.subnets
    security_group_ids = [aws_security_group.tasks.id]
  }

  tags = { Name = var.name }

  depends_on = [aws_iam_role_policy_attachment.service]

  lifecycle {
    create_before_destroy = true
  }
}

resource "aws_batch_scheduling_policy" "this" {
  count = var.fair_share == null ? 0 : 1

  name = var.name

  fair_share_policy {
    compute_reservation = var.fair_share.compute_reservation
    share_decay_seconds = var.fair_share.share_decay_seconds

    dynamic "share_distribution" {
      for_each = var.fair_share.weights

      content {
        share_identifier = share_distribution.key
        weight_factor    = share_distribution.value
      }
    }
  }
}

# AWS Batch neither gives a queue its first scheduling policy nor takes one away: the queue has to be another.
resource "terraform_data" "queue_kind" {
  input = var.fair_share == null ? "first in, first out" : "fair share"
}

locals {
  environments = concat(aws_batch_compute_environment.spot[*].arn, [aws_batch_compute_environment.fargate.arn])
}

resource "aws_batch_job_queue" "this" {
  name                  = var.name
  state                 = "ENABLED"
  priority              = var.queue_priority
  scheduling_policy_arn = one(aws_batch_scheduling_policy.this[*].arn)

  dynamic "compute_environment_order" {
    for_each = local.environments

    content {
      order               = compute_environment_order.key + 1
      compute_environment = compute_environment_order.value
    }
  }

  lifecycle {
    replace_triggered_by = [terraform_data.queue_kind]
  }
}

data "aws_ecr_repository" "this" {
  count = var.image == null ? 1 : 0

  name = var.repository_name
}

data "aws_ecr_image" "this" {
  count = var.image == null ? 1 : 0

  repository_name = var.repository_name
  image_tag       = var.image_tag
}

locals {
  # By digest, so that an image pushed again under its old tag is a change.
  image = var.image != null ? var.image : "${data.aws_ecr_repository.this[0].repository_url}@${data.aws_ecr_image.this[0].image_digest}"

  container = {
    image            = local.image
    command          = var.command
    executionRoleArn = aws_iam_role.execution.arn
    jobRoleArn       = aws_iam_role.job.arn
    environment      = [for n in sort(keys(var.environment)) : { name = n, value = var.environment[n] }]

    # Of each type once, and as strings: AWS Batch returns them as they were sent.
    resourceRequirements = [
      { type = "VCPU", value = tostring(var.vcpu) },
      { type = "MEMORY", value = tostring(var.memory) },
    ]

    networkConfiguration = { assignPublicIp = var.assign_public_ip ? "ENABLED" : "DISABLED" }
    runtimePlatform      = { cpuArchitecture = var.architecture, operatingSystemFamily = "LINUX" }

    logConfiguration = {
      logDriver = "awslogs"
      options = {
        "awslogs-group"         = aws_cloudwatch_log_group.jobs.name
        "awslogs-region"        = var.aws_region
        "awslogs-stream-prefix" = var.name
      }
    }
  }
}

# Never with create_before_destroy: destroying a job definition deregisters all its revisions, the new one too.
resource "aws_batch_job_definition" "this" {
  name                  = var.name
  type                  = "container"
  platform_capabilities = ["FARGATE"]
  propagate_tags        = true
  parameters            = var.parameters

  # Without a size there is no ephemeralStorage: a null one would come back as none, which is a difference.
  container_properties = jsonencode(merge(
    local.container,
    { for size in var.ephemeral_storage_gib[*] : "ephemeralStorage" => { sizeInGiB = size } },
  ))

  retry_strategy {
    attempts = var.attempts

    dynamic "evaluate_on_exit" {
      for_each = var.retry_rules

      content {
        action           = evaluate_on_exit.value.action
        on_exit_code     = evaluate_on_exit.value.on_exit_code
        on_reason        = evaluate_on_exit.value.on_reason
        on_status_reason = evaluate_on_exit.value.on_status_reason
      }
    }
  }

  dynamic "timeout" {
    for_each = var.timeout_seconds == null ? [] : [var.timeout_seconds]

    content {
      attempt_duration_seconds = timeout.value
    }
  }

  # A job that starts as soon as it can be submitted finds rights and logs in place.
  depends_on = [aws_iam_role_policy_attachment.execution, aws_iam_role_policy.job]
}
