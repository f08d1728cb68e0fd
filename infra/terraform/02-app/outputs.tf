output "job_queue_arn" {
  description = "ARN of the job queue."
  value       = aws_batch_job_queue.this.arn
}

output "job_definition_arn" {
  description = "ARN of the job definition, with its revision."
  value       = aws_batch_job_definition.this.arn
}

output "compute_environment_arns" {
  description = "ARNs of the compute environments, in the queue's order."
  value       = local.environments
}

output "log_group" {
  description = "Log group of the jobs."
  value       = aws_cloudwatch_log_group.jobs.name
}

output "event_log_group" {
  description = "Log group of the changes of job states; null without log_events."
  value       = one(aws_cloudwatch_log_group.events[*].name)
}

output "image" {
  description = "Image that jobs run."
  value       = local.image
}

output "job_role_name" {
  description = "Role of the job itself, to attach further policies to."
  value       = aws_iam_role.job.name
}

output "security_group_id" {
  description = "Security group of the tasks."
  value       = aws_security_group.tasks.id
}
