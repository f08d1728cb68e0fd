resource "aws_cloudwatch_log_group" "jobs" {
  name              = "/batch/${var.name}"
  retention_in_days = var.log_retention_days
}

resource "aws_cloudwatch_log_group" "events" {
  count = var.log_events ? 1 : 0

  name              = "/aws/events/${var.name}"
  retention_in_days = var.log_retention_days
}

resource "aws_cloudwatch_log_resource_policy" "events" {
  count = var.log_events ? 1 : 0

  policy_name = "${var.name}-events"
  policy_document = jsonencode({
    Version = "2012-10-17"
    Statement = [{
      Effect    = "Allow"
      Action    = ["logs:CreateLogStream", "logs:PutLogEvents"]
      Principal = { Service = ["delivery.logs.amazonaws.com", "events.amazonaws.com"] }
      Resource  = "${aws_cloudwatch_log_group.events[0].arn}:*"
    }]
  })
}

resource "aws_cloudwatch_event_rule" "jobs" {
  count = var.log_events ? 1 : 0

  name        = "${var.name}-jobs"
  description = "Changes of job states in the queue ${var.name}"
  event_pattern = jsonencode({
    source      = ["aws.batch"]
    detail-type = ["Batch Job State Change"]
    detail      = { jobQueue = [aws_batch_job_queue.this.arn] }
  })
}

resource "aws_cloudwatch_event_target" "jobs" {
  count = var.log_events ? 1 : 0

  rule = aws_cloudwatch_event_rule.jobs[0].name
  arn  = aws_cloudwatch_log_group.events[0].arn

  depends_on = [aws_cloudwatch_log_resource_policy.events]
}
