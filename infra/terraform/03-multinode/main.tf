data "aws_caller_identity" "current" {}

data "aws_partition" "current" {}

# Network

data "aws_vpc" "this" {
  id      = var.vpc_id
  default = var.vpc_id == null ? true : null
}

data "aws_subnets" "this" {
  filter {
    name   = "vpc-id"
    values = [data.aws_vpc.this.id]
  }

  lifecycle {
    postcondition {
      condition     = var.subnet_ids != null || length(self.ids) > 0
      error_message = "The VPC ${data.aws_vpc.this.id} has no subnets: choose another by vpc_id (TF_VPC_ID for the scripts)."
    }
    postcondition {
      condition     = var.subnet_ids == null || try(length(setsubtract(var.subnet_ids, self.ids)) == 0, false)
      error_message = "Not all of subnet_ids are in the VPC ${data.aws_vpc.this.id}: change subnet_ids or vpc_id."
    }
  }
}

locals {
  # A placement group is in one zone, and so are its instances: one subnet, unless more are asked for.
  subnets = var.subnet_ids != null ? var.subnet_ids : toset(slice(sort(data.aws_subnets.this.ids), 0, 1))
}

# Nodes connect to each other, and to whatever they like; nobody else connects to them.
resource "aws_security_group" "nodes" {
  name_prefix = "${var.name}-"
  description = "Nodes of ${var.name}"
  vpc_id      = data.aws_vpc.this.id

  ingress {
    description = "From the other nodes"
    from_port   = 0
    to_port     = 0
    protocol    = "-1"
    self        = true
  }

  egress {
    description = "Everything"
    from_port   = 0
    to_port     = 0
    protocol    = "-1"
    cidr_blocks = ["0.0.0.0/0"]
  }

  tags = { Name = var.name }

  # A group that a compute environment still names can't be deleted.
  lifecycle {
    create_before_destroy = true
  }
}

resource "aws_placement_group" "this" {
  count = var.placement_group ? 1 : 0

  name     = var.name
  strategy = "cluster"
}

# Roles

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
  policy_arn = "arn:${data.aws_partition.current.partition}:iam::aws:policy/service-role/AWSBatchServiceRole"
}

# What the instances do: join the cluster, pull images, write logs.
resource "aws_iam_role" "instance" {
  name = "${var.name}-instance"
  assume_role_policy = jsonencode({
    Version = "2012-10-17"
    Statement = [{
      Effect    = "Allow"
      Action    = "sts:AssumeRole"
      Principal = { Service = "ec2.${data.aws_partition.current.dns_suffix}" }
    }]
  })
}

resource "aws_iam_role_policy_attachment" "instance" {
  role       = aws_iam_role.instance.name
  policy_arn = "arn:${data.aws_partition.current.partition}:iam::aws:policy/service-role/AmazonEC2ContainerServiceforEC2Role"
}

resource "aws_iam_instance_profile" "instance" {
  name = "${var.name}-instance"
  role = aws_iam_role.instance.name

  depends_on = [aws_iam_role_policy_attachment.instance]
}

# What the job does: nothing in AWS, unless job_policy_json says so.
resource "aws_iam_role" "job" {
  name = "${var.name}-job"
  assume_role_policy = jsonencode({
    Version = "2012-10-17"
    Statement = [{
      Effect    = "Allow"
      Action    = "sts:AssumeRole"
      Principal = { Service = "ecs-tasks.amazonaws.com" }
      Condition = { StringEquals = { "aws:SourceAccount" = data.aws_caller_identity.current.account_id } }
    }]
  })
}

resource "aws_iam_role_policy" "job" {
  count = var.job_policy_json == null ? 0 : 1

  name   = "job"
  role   = aws_iam_role.job.id
  policy = var.job_policy_json
}

# Batch

# Multi-node jobs run neither on Fargate nor on Spot. The environment has no name here: see 02-app.
resource "aws_batch_compute_environment" "this" {
  type         = "MANAGED"
  service_role = aws_iam_role.service.arn

  compute_resources {
    type                = "EC2"
    allocation_strategy = "BEST_FIT_PROGRESSIVE"
    instance_role       = aws_iam_instance_profile.instance.arn
    instance_type       = var.instance_types
    min_vcpus           = 0
    max_vcpus           = var.max_vcpus
    subnets             = local.subnets
    security_group_ids  = [aws_security_group.nodes.id]
    placement_group     = one(aws_placement_group.this[*].name)
  }

  tags = { Name = var.name }

  # Without its rights, the role can't clean up when the environment is deleted, which then hangs.
  depends_on = [aws_iam_role_policy_attachment.service]

  lifecycle {
    create_before_destroy = true
  }
}

resource "aws_batch_job_queue" "this" {
  name     = var.name
  state    = "ENABLED"
  priority = var.queue_priority

  compute_environment_order {
    order               = 1
    compute_environment = aws_batch_compute_environment.this.arn
  }
}

resource "aws_cloudwatch_log_group" "jobs" {
  name              = "/batch/${var.name}"
  retention_in_days = var.log_retention_days
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
  image = var.image != null ? var.image : "${data.aws_ecr_repository.this[0].repository_url}@${data.aws_ecr_image.this[0].image_digest}"

  container = {
    image       = local.image
    command     = var.command
    jobRoleArn  = aws_iam_role.job.arn
    environment = [for n in sort(keys(var.environment)) : { name = n, value = var.environment[n] }]

    resourceRequirements = [
      { type = "VCPU", value = tostring(var.vcpu) },
      { type = "MEMORY", value = tostring(var.memory) },
    ]

    logConfiguration = {
      logDriver = "awslogs"
      options = {
        "awslogs-group"         = aws_cloudwatch_log_group.jobs.name
        "awslogs-region"        = var.aws_region
        "awslogs-stream-prefix" = var.name
      }
    }
  }

  # The first range is open, so that a job can be submitted with another number of nodes; the second one overrides it for the
  # main node, since it is narrower.
  ranges = concat(
    [{ targetNodes = "0:", container = local.container }],
    var.main_command == null ? [] : [{ targetNodes = "0", container = merge(local.container, { command = var.main_command }) }],
  )
}

# Never with create_before_destroy: destroying a job definition deregisters all its revisions, the new one too.
resource "aws_batch_job_definition" "this" {
  name           = var.name
  type           = "multinode"
  propagate_tags = true

  node_properties = jsonencode({
    mainNode            = 0
    numNodes            = var.nodes
    nodeRangeProperties = local.ranges
  })

  retry_strategy {
    attempts = var.attempts
  }

  dynamic "timeout" {
    for_each = var.timeout_seconds == null ? [] : [var.timeout_seconds]

    content {
      attempt_duration_seconds = timeout.value
    }
  }

  depends_on = [aws_iam_role_policy.job]
}
