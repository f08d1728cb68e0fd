# AWS Batch as stacks have it that were not written for batchbox: every kind of compute environment and job definition, with the
# IAM, ECR, CloudWatch Logs and EventBridge around it, and the data sources that look them up again.

terraform {
  required_providers {
    aws = {
      source = "hashicorp/aws"
    }
  }
}

provider "aws" {
  default_tags {
    tags = { Project = "neighbours", Stage = "test" }
  }
}

variable "weight" {
  type    = number
  default = 0.5
}

variable "attempts" {
  type    = number
  default = 3
}

variable "image_type" {
  type    = string
  default = "ECS_AL2023"
}

variable "command" {
  type    = list(string)
  default = ["echo", "Ref::greeting"]
}

variable "days" {
  type    = number
  default = 30
}

data "aws_caller_identity" "this" {}
data "aws_partition" "this" {}
data "aws_region" "this" {}

data "aws_vpc" "default" {
  default = true
}

data "aws_subnets" "default" {
  filter {
    name   = "vpc-id"
    values = [data.aws_vpc.default.id]
  }
}

data "aws_security_group" "default" {
  name   = "default"
  vpc_id = data.aws_vpc.default.id
}

# IAM: documents by data source and by jsonencode, inline and managed, an exclusive attachment, a service-linked role.

data "aws_iam_policy_document" "trust" {
  for_each = toset(["batch", "ec2", "ecs-tasks", "events", "spotfleet"])

  statement {
    actions = ["sts:AssumeRole"]

    principals {
      type        = "Service"
      identifiers = ["${each.key}.amazonaws.com"]
    }
  }
}

resource "aws_iam_role" "this" {
  for_each = data.aws_iam_policy_document.trust

  name                 = "neighbours-${each.key}"
  path                 = "/neighbours/"
  description          = "Role of ${each.key}"
  assume_role_policy   = each.value.json
  max_session_duration = 7200
}

resource "aws_iam_role_policy_attachment" "this" {
  for_each = {
    batch     = "service-role/AWSBatchServiceRole"
    ec2       = "service-role/AmazonEC2ContainerServiceforEC2Role"
    ecs-tasks = "service-role/AmazonECSTaskExecutionRolePolicy"
    spotfleet = "service-role/AmazonEC2SpotFleetTaggingRole"
  }

  role       = aws_iam_role.this[each.key].name
  policy_arn = "arn:${data.aws_partition.this.partition}:iam::aws:policy/${each.value}"
}

resource "aws_iam_instance_profile" "this" {
  name = "neighbours"
  path = "/neighbours/"
  role = aws_iam_role.this["ec2"].name
}

data "aws_iam_policy_document" "job" {
  statement {
    sid       = "Read"
    actions   = ["s3:GetObject", "s3:ListBucket"]
    resources = ["arn:aws:s3:::data", "arn:aws:s3:::data/*"]

    condition {
      test     = "StringEquals"
      variable = "aws:ResourceAccount"
      values   = [data.aws_caller_identity.this.account_id]
    }
  }
}

resource "aws_iam_policy" "job" {
  name_prefix = "neighbours-"
  description = "What a job reads"
  policy      = data.aws_iam_policy_document.job.json
}

resource "aws_iam_role_policy_attachment" "job" {
  role       = aws_iam_role.this["ecs-tasks"].name
  policy_arn = aws_iam_policy.job.arn
}

resource "aws_iam_role_policy" "submit" {
  name = "submit"
  role = aws_iam_role.this["events"].id
  policy = jsonencode({
    Version   = "2012-10-17"
    Statement = [{ Effect = "Allow", Action = "batch:SubmitJob", Resource = "*" }]
  })
}

data "aws_iam_role" "again" {
  name = aws_iam_role.this["batch"].name
}

data "aws_iam_policy" "managed" {
  name = "AmazonECSTaskExecutionRolePolicy"
}

# ECR.

resource "aws_ecr_repository" "this" {
  name                 = "neighbours/worker"
  image_tag_mutability = "MUTABLE"
  force_delete         = true

  image_scanning_configuration {
    scan_on_push = true
  }
}

data "aws_ecr_lifecycle_policy_document" "this" {
  rule {
    priority    = 1
    description = "Few releases"

    selection {
      tag_status      = "tagged"
      tag_prefix_list = ["v"]
      count_type      = "imageCountMoreThan"
      count_number    = var.days
    }
  }
}

resource "aws_ecr_lifecycle_policy" "this" {
  repository = aws_ecr_repository.this.name
  policy     = data.aws_ecr_lifecycle_policy_document.this.json
}

resource "aws_ecr_repository_policy" "this" {
  repository = aws_ecr_repository.this.name
  policy = jsonencode({
    Version = "2012-10-17"
    Statement = [{
      Sid       = "Pull"
      Effect    = "Allow"
      Principal = { AWS = "arn:aws:iam::${data.aws_caller_identity.this.account_id}:root" }
      Action    = ["ecr:BatchGetImage", "ecr:GetDownloadUrlForLayer"]
    }]
  })
}

data "aws_ecr_repository" "again" {
  name = aws_ecr_repository.this.name
}

data "aws_ecr_repositories" "all" {
  depends_on = [aws_ecr_repository.this]
}

data "aws_ecr_authorization_token" "this" {}

# CloudWatch Logs.

resource "aws_cloudwatch_log_group" "jobs" {
  name_prefix       = "/neighbours/"
  retention_in_days = var.days
}

resource "aws_cloudwatch_log_stream" "first" {
  name           = "first"
  log_group_name = aws_cloudwatch_log_group.jobs.name
}

resource "aws_cloudwatch_log_metric_filter" "errors" {
  name           = "errors"
  log_group_name = aws_cloudwatch_log_group.jobs.name
  pattern        = "ERROR"

  metric_transformation {
    name      = "Errors"
    namespace = "Neighbours"
    value     = "1"
  }
}

data "aws_cloudwatch_log_group" "again" {
  name = aws_cloudwatch_log_group.jobs.name
}

# AWS Batch.

resource "aws_security_group" "jobs" {
  name   = "neighbours"
  vpc_id = data.aws_vpc.default.id
}

resource "aws_launch_template" "this" {
  name = "neighbours"

  block_device_mappings {
    device_name = "/dev/xvda"

    ebs {
      volume_size = 60
      volume_type = "gp3"
    }
  }
}

resource "aws_placement_group" "this" {
  name     = "neighbours"
  strategy = "cluster"
}

resource "aws_batch_compute_environment" "ec2" {
  type         = "MANAGED"
  service_role = aws_iam_role.this["batch"].arn

  compute_resources {
    type                = "EC2"
    allocation_strategy = "BEST_FIT_PROGRESSIVE"
    instance_role       = aws_iam_instance_profile.this.arn
    instance_type       = ["m5.large", "c6i"]
    min_vcpus           = 0
    desired_vcpus       = 0
    max_vcpus           = 64
    subnets             = [sort(data.aws_subnets.default.ids)[0]]
    security_group_ids  = [aws_security_group.jobs.id, data.aws_security_group.default.id]
    placement_group     = aws_placement_group.this.name
    tags                = { Name = "job", Kind = "ec2" }

    ec2_configuration {
      image_type = var.image_type
    }

    launch_template {
      launch_template_id = aws_launch_template.this.id
      version            = "$Latest"
    }
  }

  update_policy {
    job_execution_timeout_minutes = 30
    terminate_jobs_on_update      = false
  }

  depends_on = [aws_iam_role_policy_attachment.this]

  lifecycle {
    create_before_destroy = true
  }
}

resource "aws_batch_compute_environment" "spot" {
  type         = "MANAGED"
  state        = "ENABLED"
  service_role = aws_iam_role.this["batch"].arn

  compute_resources {
    type                = "SPOT"
    allocation_strategy = "SPOT_PRICE_CAPACITY_OPTIMIZED"
    bid_percentage      = 60
    spot_iam_fleet_role = aws_iam_role.this["spotfleet"].arn
    instance_role       = aws_iam_instance_profile.this.arn
    instance_type       = ["optimal"]
    min_vcpus           = 0
    max_vcpus           = 32
    subnets             = data.aws_subnets.default.ids
    security_group_ids  = [aws_security_group.jobs.id]

    launch_template {
      launch_template_name = aws_launch_template.this.name
    }
  }

  depends_on = [aws_iam_role_policy_attachment.this]
}

# Without a service role: AWS Batch's own.
resource "aws_batch_compute_environment" "fargate" {
  type = "MANAGED"

  compute_resources {
    type               = "FARGATE"
    max_vcpus          = 16
    subnets            = data.aws_subnets.default.ids
    security_group_ids = [aws_security_group.jobs.id]
  }
}

resource "aws_batch_compute_environment" "unmanaged" {
  type         = "UNMANAGED"
  service_role = aws_iam_role.this["batch"].arn
  depends_on   = [aws_iam_role_policy_attachment.this]
}

resource "aws_batch_scheduling_policy" "this" {
  name = "neighbours"

  fair_share_policy {
    compute_reservation = 5
    share_decay_seconds = 600

    share_distribution {
      share_identifier = "team*"
      weight_factor    = var.weight
    }
    share_distribution {
      share_identifier = "night"
      weight_factor    = 2.5
    }
  }
}

resource "aws_batch_job_queue" "ec2" {
  name                  = "neighbours-ec2"
  state                 = "ENABLED"
  priority              = 10
  scheduling_policy_arn = aws_batch_scheduling_policy.this.arn

  compute_environment_order {
    order               = 1
    compute_environment = aws_batch_compute_environment.spot.arn
  }
  compute_environment_order {
    order               = 2
    compute_environment = aws_batch_compute_environment.ec2.arn
  }

  job_state_time_limit_action {
    action           = "CANCEL"
    state            = "RUNNABLE"
    max_time_seconds = 3600
    reason           = "MISCONFIGURATION:JOB_RESOURCE_REQUIREMENT"
  }
}

resource "aws_batch_job_queue" "fargate" {
  name     = "neighbours-fargate"
  state    = "ENABLED"
  priority = 1

  compute_environment_order {
    order               = 1
    compute_environment = aws_batch_compute_environment.fargate.arn
  }
}

resource "aws_batch_job_definition" "fargate" {
  name                  = "neighbours-fargate"
  type                  = "container"
  platform_capabilities = ["FARGATE"]
  propagate_tags        = true
  scheduling_priority   = 50
  parameters            = { greeting = "hello" }

  container_properties = jsonencode({
    image            = "${aws_ecr_repository.this.repository_url}:latest"
    command          = var.command
    jobRoleArn       = aws_iam_role.this["ecs-tasks"].arn
    executionRoleArn = aws_iam_role.this["ecs-tasks"].arn
    # An order of the user's own, and the number types of a careless one.
    resourceRequirements = [
      { type = "MEMORY", value = "2048" },
      { type = "VCPU", value = "1" },
    ]
    environment = [
      { name = "Z", value = "1" },
      { name = "A", value = "2" },
    ]
    secrets = [
      { name = "PASSWORD", valueFrom = "arn:aws:secretsmanager:us-east-1:${data.aws_caller_identity.this.account_id}:secret:db-AbCdEf" },
      { name = "SETTING", valueFrom = "arn:aws:ssm:us-east-1:${data.aws_caller_identity.this.account_id}:parameter/setting" },
    ]
    fargatePlatformConfiguration = { platformVersion = "LATEST" }
    networkConfiguration         = { assignPublicIp = "ENABLED" }
    ephemeralStorage             = { sizeInGiB = 40 }
    runtimePlatform              = { cpuArchitecture = "X86_64", operatingSystemFamily = "LINUX" }
    logConfiguration = {
      logDriver = "awslogs"
      options = {
        awslogs-group         = aws_cloudwatch_log_group.jobs.name
        awslogs-region        = data.aws_region.this.id
        awslogs-stream-prefix = "job"
      }
      secretOptions = []
    }
  })

  retry_strategy {
    attempts = var.attempts

    evaluate_on_exit {
      action           = "RETRY"
      on_status_reason = "Host EC2*"
    }
    evaluate_on_exit {
      action       = "exit"
      on_exit_code = "1*"
      on_reason    = "*"
    }
  }

  timeout {
    attempt_duration_seconds = 120
  }
}

resource "aws_batch_job_definition" "ec2" {
  name                       = "neighbours-ec2"
  type                       = "container"
  deregister_on_new_revision = false

  container_properties = jsonencode({
    image   = "busybox"
    command = var.command
    vcpus   = 1
    memory  = 128
    volumes = [
      { name = "tmp", host = { sourcePath = "/tmp" } },
      { name = "shared", efsVolumeConfiguration = { fileSystemId = "fs-12345678", rootDirectory = "/", transitEncryption = "ENABLED" } },
    ]
    mountPoints = [{ sourceVolume = "tmp", containerPath = "/tmp", readOnly = false }]
    ulimits     = [{ hardLimit = 1024, name = "nofile", softLimit = 1024 }]
    linuxParameters = {
      initProcessEnabled = true
      sharedMemorySize   = 64
      tmpfs              = [{ containerPath = "/scratch", size = 16, mountOptions = ["rw"] }]
    }
    privileged             = false
    readonlyRootFilesystem = true
    user                   = "1000:1000"
    # The provider is to see no difference between what is empty and what is not there.
    environment = []
    secrets     = []
  })
}

resource "aws_batch_job_definition" "tasks" {
  name                  = "neighbours-tasks"
  type                  = "container"
  platform_capabilities = ["FARGATE"]

  ecs_properties = jsonencode({
    taskProperties = [{
      executionRoleArn     = aws_iam_role.this["ecs-tasks"].arn
      networkConfiguration = { assignPublicIp = "ENABLED" }
      containers = [
        {
          name      = "first"
          image     = "busybox"
          command   = ["sleep", "5"]
          essential = true
          dependsOn = [{ containerName = "second", condition = "COMPLETE" }]
          resourceRequirements = [
            { type = "VCPU", value = "1" },
            { type = "MEMORY", value = "2048" },
          ]
        },
        {
          name        = "second"
          image       = "busybox"
          command     = var.command
          essential   = false
          environment = [{ name = "B", value = "1" }, { name = "A", value = "2" }]
          resourceRequirements = [
            { type = "VCPU", value = "1" },
            { type = "MEMORY", value = "2048" },
          ]
        },
      ]
    }]
  })
}

resource "aws_batch_job_definition" "nodes" {
  name = "neighbours-nodes"
  type = "multinode"

  node_properties = jsonencode({
    mainNode = 0
    numNodes = 3
    nodeRangeProperties = [
      {
        targetNodes = "0"
        container = {
          image                = "busybox"
          command              = ["main"]
          resourceRequirements = [{ type = "VCPU", value = "1" }, { type = "MEMORY", value = "128" }]
        }
      },
      {
        targetNodes = "1:"
        container = {
          image                = "busybox"
          command              = var.command
          resourceRequirements = [{ type = "VCPU", value = "1" }, { type = "MEMORY", value = "128" }]
        }
      },
    ]
  })
}

data "aws_batch_compute_environment" "again" {
  name = aws_batch_compute_environment.ec2.name
}

data "aws_batch_job_queue" "again" {
  name = aws_batch_job_queue.ec2.name
}

data "aws_batch_scheduling_policy" "again" {
  arn = aws_batch_scheduling_policy.this.arn
}

data "aws_batch_job_definition" "again" {
  name       = aws_batch_job_definition.fargate.name
  depends_on = [aws_batch_job_definition.fargate]
}

# EventBridge: rules that submit a job.

resource "aws_cloudwatch_event_rule" "custom" {
  name = "neighbours-custom"
  event_pattern = jsonencode({
    source = ["neighbours"]
  })
}

resource "aws_cloudwatch_event_target" "custom" {
  rule     = aws_cloudwatch_event_rule.custom.name
  arn      = aws_batch_job_queue.fargate.arn
  role_arn = aws_iam_role.this["events"].arn

  batch_target {
    job_definition = aws_batch_job_definition.fargate.arn
    job_name       = "custom"
    array_size     = 4
    job_attempts   = 2
  }

  retry_policy {
    maximum_retry_attempts       = 3
    maximum_event_age_in_seconds = 3600
  }

  input = jsonencode({ Parameters = { greeting = "good night" } })
}

resource "aws_cloudwatch_event_rule" "failed" {
  name = "neighbours-failed"
  event_pattern = jsonencode({
    source      = ["aws.batch"]
    detail-type = ["Batch Job State Change"]
    detail      = { status = ["FAILED"] }
  })
}

resource "aws_cloudwatch_event_target" "failed" {
  rule     = aws_cloudwatch_event_rule.failed.name
  arn      = aws_batch_job_queue.fargate.arn
  role_arn = aws_iam_role.this["events"].arn

  batch_target {
    job_definition = aws_batch_job_definition.fargate.arn
    job_name       = "again"
  }

  input_transformer {
    input_paths    = { job = "$.detail.jobId" }
    input_template = "{\"Parameters\": {\"greeting\": <job>}}"
  }
}

check "looked_up" {
  assert {
    condition     = data.aws_batch_compute_environment.again.arn == aws_batch_compute_environment.ec2.arn && data.aws_batch_compute_environment.again.status == "VALID"
    error_message = "the compute environment is found, and valid"
  }
  assert {
    condition     = [for o in data.aws_batch_job_queue.again.compute_environment_order : o.compute_environment] == [aws_batch_compute_environment.spot.arn, aws_batch_compute_environment.ec2.arn]
    error_message = "the queue is found, with its environments in order"
  }
  assert {
    condition     = data.aws_batch_scheduling_policy.again.fair_share_policy[0].compute_reservation == 5
    error_message = "the scheduling policy is found"
  }
  assert {
    condition     = data.aws_batch_job_definition.again.arn == aws_batch_job_definition.fargate.arn && data.aws_batch_job_definition.again.scheduling_priority == 50
    error_message = "the job definition is found, at its newest revision"
  }
  assert {
    condition     = data.aws_ecr_repository.again.arn == aws_ecr_repository.this.arn && contains(data.aws_ecr_repositories.all.names, "neighbours/worker") && data.aws_ecr_authorization_token.this.user_name == "AWS"
    error_message = "the repository is found"
  }
  assert {
    condition     = data.aws_iam_role.again.arn == aws_iam_role.this["batch"].arn && endswith(data.aws_iam_policy.managed.arn, ":aws:policy/service-role/AmazonECSTaskExecutionRolePolicy")
    error_message = "role and managed policy are found"
  }
  assert {
    condition     = data.aws_cloudwatch_log_group.again.retention_in_days == var.days
    error_message = "the log group is found"
  }
}
