# A VPC as stacks have it that bring their own: public and private subnets, ways out, rules of security groups in each of the
# provider's forms, endpoints for tasks without a way out, and what instances are launched from.

terraform {
  required_providers {
    aws = {
      source = "hashicorp/aws"
    }
  }
}

provider "aws" {
  default_tags {
    tags = { Project = "network", Owner = "default" }
  }
}

variable "bits" {
  type    = number
  default = 8
}

variable "https" {
  type    = number
  default = 443
}

variable "tag" {
  type    = string
  default = "one"
}

data "aws_region" "current" {}

data "aws_availability_zones" "all" {
  state = "available"
}

locals {
  zones = slice(data.aws_availability_zones.all.names, 0, 2)
}

resource "aws_vpc" "this" {
  cidr_block           = "10.20.0.0/16"
  enable_dns_hostnames = true

  # Its own value for a default tag.
  tags = { Name = "network", Owner = var.tag }
}

resource "aws_vpc_dhcp_options" "this" {
  domain_name         = "jobs.internal"
  domain_name_servers = ["AmazonProvidedDNS"]
}

resource "aws_vpc_dhcp_options_association" "this" {
  vpc_id          = aws_vpc.this.id
  dhcp_options_id = aws_vpc_dhcp_options.this.id
}

resource "aws_subnet" "public" {
  count = 2

  vpc_id                  = aws_vpc.this.id
  cidr_block              = cidrsubnet(aws_vpc.this.cidr_block, var.bits, count.index)
  availability_zone       = local.zones[count.index]
  map_public_ip_on_launch = true
}

resource "aws_subnet" "private" {
  count = 2

  vpc_id            = aws_vpc.this.id
  cidr_block        = cidrsubnet(aws_vpc.this.cidr_block, var.bits, 10 + count.index)
  availability_zone = local.zones[count.index]
}

resource "aws_internet_gateway" "this" {
  vpc_id = aws_vpc.this.id
}

resource "aws_route_table" "public" {
  vpc_id = aws_vpc.this.id

  route {
    cidr_block = "0.0.0.0/0"
    gateway_id = aws_internet_gateway.this.id
  }
}

resource "aws_route_table_association" "public" {
  count = 2

  subnet_id      = aws_subnet.public[count.index].id
  route_table_id = aws_route_table.public.id
}

resource "aws_eip" "nat" {
  domain     = "vpc"
  depends_on = [aws_internet_gateway.this]
}

resource "aws_nat_gateway" "this" {
  allocation_id = aws_eip.nat.id
  subnet_id     = aws_subnet.public[0].id
}

resource "aws_route_table" "private" {
  vpc_id = aws_vpc.this.id
}

resource "aws_route" "out" {
  route_table_id         = aws_route_table.private.id
  destination_cidr_block = "0.0.0.0/0"
  nat_gateway_id         = aws_nat_gateway.this.id
}

resource "aws_route_table_association" "private" {
  count = 2

  subnet_id      = aws_subnet.private[count.index].id
  route_table_id = aws_route_table.private.id
}

resource "aws_default_route_table" "this" {
  default_route_table_id = aws_vpc.this.default_route_table_id
  tags                   = { Name = "not used" }
}

resource "aws_default_security_group" "this" {
  vpc_id = aws_vpc.this.id
}

resource "aws_default_network_acl" "this" {
  default_network_acl_id = aws_vpc.this.default_network_acl_id

  ingress {
    rule_no    = 100
    protocol   = "-1"
    action     = "allow"
    cidr_block = "0.0.0.0/0"
    from_port  = 0
    to_port    = 0
  }
  egress {
    rule_no    = 100
    protocol   = "-1"
    action     = "allow"
    cidr_block = "0.0.0.0/0"
    from_port  = 0
    to_port    = 0
  }

  lifecycle {
    ignore_changes = [subnet_ids]
  }
}

resource "aws_network_acl" "private" {
  vpc_id     = aws_vpc.this.id
  subnet_ids = aws_subnet.private[*].id

  ingress {
    rule_no    = 100
    protocol   = "tcp"
    action     = "allow"
    cidr_block = aws_vpc.this.cidr_block
    from_port  = 1024
    to_port    = 65535
  }
}

resource "aws_network_acl_rule" "out" {
  network_acl_id = aws_network_acl.private.id
  rule_number    = 200
  egress         = true
  protocol       = "-1"
  rule_action    = "allow"
  cidr_block     = "0.0.0.0/0"
}

# Rules inside the group.
resource "aws_security_group" "inline" {
  name        = "inline"
  description = "Rules in blocks"
  vpc_id      = aws_vpc.this.id

  ingress {
    description = "HTTPS"
    from_port   = var.https
    to_port     = var.https
    protocol    = "tcp"
    cidr_blocks = [aws_vpc.this.cidr_block, "192.168.0.0/24"]
  }
  ingress {
    from_port = 0
    to_port   = 0
    protocol  = "-1"
    self      = true
  }
  egress {
    from_port        = 0
    to_port          = 0
    protocol         = "-1"
    cidr_blocks      = ["0.0.0.0/0"]
    ipv6_cidr_blocks = ["::/0"]
  }
}

# Rules as resources, the older form.
resource "aws_security_group" "rules" {
  name_prefix = "rules-"
  vpc_id      = aws_vpc.this.id

  lifecycle {
    create_before_destroy = true
  }
}

resource "aws_security_group_rule" "from_group" {
  type                     = "ingress"
  security_group_id        = aws_security_group.rules.id
  source_security_group_id = aws_security_group.inline.id
  protocol                 = "tcp"
  from_port                = var.https
  to_port                  = var.https
  description              = "From the other group"
}

resource "aws_security_group_rule" "out" {
  type              = "egress"
  security_group_id = aws_security_group.rules.id
  cidr_blocks       = ["0.0.0.0/0"]
  protocol          = "all"
  from_port         = 0
  to_port           = 0
}

# Rules as resources, the newer form.
resource "aws_security_group" "each" {
  name   = "each"
  vpc_id = aws_vpc.this.id
}

resource "aws_vpc_security_group_ingress_rule" "group" {
  security_group_id            = aws_security_group.each.id
  referenced_security_group_id = aws_security_group.each.id
  ip_protocol                  = "-1"
}

resource "aws_vpc_security_group_ingress_rule" "block" {
  security_group_id = aws_security_group.each.id
  cidr_ipv4         = aws_vpc.this.cidr_block
  ip_protocol       = "tcp"
  from_port         = var.https
  to_port           = var.https
  description       = "HTTPS from the VPC"
  tags              = { Name = "https" }
}

resource "aws_vpc_security_group_egress_rule" "prefix" {
  security_group_id = aws_security_group.each.id
  prefix_list_id    = aws_vpc_endpoint.s3.prefix_list_id
  ip_protocol       = "tcp"
  from_port         = 443
  to_port           = 443
}

resource "aws_vpc_endpoint" "s3" {
  vpc_id          = aws_vpc.this.id
  service_name    = "com.amazonaws.${data.aws_region.current.id}.s3"
  route_table_ids = [aws_route_table.private.id]
}

data "aws_vpc_endpoint_service" "registry" {
  service      = "ecr.dkr"
  service_type = "Interface"
}

data "aws_vpc_endpoint_service" "s3" {
  service      = "s3"
  service_type = "Gateway"
}

resource "aws_vpc_endpoint" "registry" {
  vpc_id              = aws_vpc.this.id
  service_name        = data.aws_vpc_endpoint_service.registry.service_name
  vpc_endpoint_type   = "Interface"
  subnet_ids          = aws_subnet.private[*].id
  security_group_ids  = [aws_security_group.each.id]
  private_dns_enabled = true
}

resource "aws_network_interface" "this" {
  subnet_id       = aws_subnet.private[0].id
  security_groups = [aws_security_group.each.id]
  description     = "spare"
}

# What instances are launched from.

data "aws_ami" "ecs" {
  most_recent = true
  owners      = ["amazon"]

  filter {
    name   = "name"
    values = ["al2023-ami-ecs-hvm-*-x86_64"]
  }
}

resource "aws_key_pair" "this" {
  key_name   = "network"
  public_key = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIJGmyn+FBMGcf9SGXmULlvTKkKrprGN3m2L8MnMgCxEH somebody@example.com"
}

resource "aws_placement_group" "this" {
  name     = "network"
  strategy = "cluster"
}

resource "aws_launch_template" "this" {
  name_prefix            = "network-"
  image_id               = data.aws_ami.ecs.id
  key_name               = aws_key_pair.this.key_name
  update_default_version = true
  user_data              = base64encode("#!/bin/sh\necho ECS_CLUSTER=${var.tag}\n")

  block_device_mappings {
    device_name = "/dev/xvda"

    ebs {
      volume_size           = 60
      volume_type           = "gp3"
      encrypted             = true
      delete_on_termination = true
    }
  }

  metadata_options {
    http_endpoint = "enabled"
    http_tokens   = "required"
  }

  tag_specifications {
    resource_type = "instance"
    tags          = { Name = "job" }
  }
}

# Looked up as other stacks do.

data "aws_vpc" "by_tag" {
  filter {
    name   = "tag:Name"
    values = [aws_vpc.this.tags.Name]
  }
}

data "aws_subnets" "private" {
  filter {
    name   = "vpc-id"
    values = [aws_vpc.this.id]
  }
  filter {
    name   = "map-public-ip-on-launch"
    values = [false]
  }

  depends_on = [aws_subnet.private, aws_subnet.public]
}

data "aws_subnet" "first" {
  id = aws_subnet.private[0].id
}

data "aws_security_group" "each" {
  name   = aws_security_group.each.name
  vpc_id = aws_vpc.this.id
}

data "aws_route_table" "public" {
  subnet_id  = aws_subnet.public[0].id
  depends_on = [aws_route_table_association.public]
}

data "aws_prefix_list" "s3" {
  prefix_list_id = aws_vpc_endpoint.s3.prefix_list_id
}

check "looked_up" {
  assert {
    condition     = data.aws_vpc.by_tag.id == aws_vpc.this.id
    error_message = "the VPC is found by its tag"
  }
  assert {
    condition     = toset(data.aws_subnets.private.ids) == toset(aws_subnet.private[*].id)
    error_message = "the private subnets are found"
  }
  assert {
    condition     = data.aws_route_table.public.id == aws_route_table.public.id && data.aws_subnet.first.vpc_id == aws_vpc.this.id && data.aws_security_group.each.id == aws_security_group.each.id
    error_message = "tables, subnets and groups are found"
  }
  assert {
    condition     = data.aws_vpc_endpoint_service.s3.service_type == "Gateway"
    error_message = "the service of S3 has gateways"
  }
}
