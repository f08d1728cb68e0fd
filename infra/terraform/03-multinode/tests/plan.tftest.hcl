# What the resources are made of.

mock_provider "aws" {
  source = "./tests/mocks"
}

run "defaults" {
  assert {
    condition     = aws_batch_compute_environment.this.compute_resources[0].type == "EC2"
    error_message = "multi-node jobs need EC2"
  }
  assert {
    condition     = aws_batch_compute_environment.this.compute_resources[0].subnets == toset(["subnet-1"])
    error_message = "the nodes are in one subnet, the first by id"
  }
  assert {
    condition     = aws_batch_compute_environment.this.compute_resources[0].placement_group == "batchworker-nodes"
    error_message = "the nodes are in a placement group by default"
  }
  assert {
    condition     = [for r in jsondecode(aws_batch_job_definition.this.node_properties).nodeRangeProperties : r.targetNodes] == ["0:"]
    error_message = "all nodes are alike by default"
  }
  assert {
    condition     = endswith(jsondecode(aws_batch_job_definition.this.node_properties).nodeRangeProperties[0].container.image, "@sha256:0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef")
    error_message = "the image is named by the digest behind the tag"
  }
}

run "a_main_node_of_its_own" {
  variables {
    image           = "example.com/x:1"
    nodes           = 4
    command         = ["join"]
    main_command    = ["lead"]
    placement_group = false
  }

  assert {
    condition     = [for r in jsondecode(aws_batch_job_definition.this.node_properties).nodeRangeProperties : "${r.targetNodes} ${r.container.command[0]}"] == ["0: join", "0 lead"]
    error_message = "the narrower range gives the main node its own command"
  }
  assert {
    condition     = jsondecode(aws_batch_job_definition.this.node_properties).numNodes == 4
    error_message = "the number of nodes is passed on"
  }
  assert {
    condition     = length(aws_placement_group.this) == 0
    error_message = "there is no placement group unless it is asked for"
  }
}
