output "job_queue_arn" {
  description = "ARN of the job queue."
  value       = aws_batch_job_queue.this.arn
}

output "job_definition_arn" {
  description = "ARN of the job definition, with its revision."
  value       = aws_batch_job_definition.this.arn
}

output "compute_environment_arn" {
  description = "ARN of the compute environment."
  value       = aws_batch_compute_environment.this.arn
}

output "log_group" {
  description = "Log group of the jobs."
  value       = aws_cloudwatch_log_group.jobs.name
}

output "image" {
  description = "Image that the nodes run."
  value       = local.image
}

output "security_group_id" {
  description = "Security group of the nodes."
  value       = aws_security_group.nodes.id
}
