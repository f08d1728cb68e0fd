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
  vpc_subnets = sort(data.aws_subnets.this.ids)
  # Fargate takes 16 at most.
  subnets = var.subnet_ids != null ? var.subnet_ids : toset(slice(local.vpc_subnets, 0, min(16, length(local.vpc_subnets))))
}

# Nobody connects to a job; a job connects to whatever it likes.
resource "aws_security_group" "tasks" {
  name_prefix = "${var.name}-"
  description = "Tasks of ${var.name}"
  vpc_id      = data.aws_vpc.this.id

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
