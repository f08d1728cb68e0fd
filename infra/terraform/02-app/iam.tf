data "aws_caller_identity" "current" {}

data "aws_partition" "current" {}

locals {
  managed_policies = "arn:${data.aws_partition.current.partition}:iam::aws:policy/service-role"

  tasks_trust = jsonencode({
    Version = "2012-10-17"
    Statement = [{
      Effect    = "Allow"
      Action    = "sts:AssumeRole"
      Principal = { Service = "ecs-tasks.amazonaws.com" }
      # Nobody else's tasks.
      Condition = { StringEquals = { "aws:SourceAccount" = data.aws_caller_identity.current.account_id } }
    }]
  })
}

# What AWS Batch does: start tasks in ECS.
resource "aws_iam_role" "service" {
  name = "${var.name}-batch-service"
  assume_role_policy = jsonencode({
    Version = "2012-10-17"
    Statement = [{
      Effect    = "Allow"
      Action    = "sts:AssumeRole"
      Principal = { Service = "batch.amazonaws.com" }
    }]
  })
}

resource "aws_iam_role_policy_attachment" "service" {
  role       = aws_iam_role.service.name
  policy_arn = "${local.managed_policies}/AWSBatchServiceRole"
}

# What ECS does before and beside the job: pull the image, write the logs.
resource "aws_iam_role" "execution" {
  name               = "${var.name}-task-execution"
  assume_role_policy = local.tasks_trust
}

resource "aws_iam_role_policy_attachment" "execution" {
  role       = aws_iam_role.execution.name
  policy_arn = "${local.managed_policies}/AmazonECSTaskExecutionRolePolicy"
}

# What the job does: nothing in AWS, unless job_policy_json says so.
resource "aws_iam_role" "job" {
  name               = "${var.name}-job"
  assume_role_policy = local.tasks_trust
}

resource "aws_iam_role_policy" "job" {
  count = var.job_policy_json == null ? 0 : 1

  name   = "job"
  role   = aws_iam_role.job.id
  policy = var.job_policy_json
}
