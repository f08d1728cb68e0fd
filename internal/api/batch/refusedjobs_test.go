package batch_test

import "strings"

const submission = `{"jobName":"j","jobQueue":"q","jobDefinition":"jd"}`

// refusedJobs are the refusals of sections 3 and 4, and of what a submission overrides.
func refusedJobs(array, single string) []refusal {
	const (
		submit     = "SubmitJob"
		unknown    = "00000000-0000-4000-8000-000000000000"
		ec2Job     = `{"jobName":"j","jobQueue":"ec2q","jobDefinition":"nodes"}`
		severalJob = `{"jobName":"j","jobQueue":"q","jobDefinition":"several"}`
		override   = "containerOverrides."
	)
	job := func(section, text string, pairs ...any) refusal {
		return invalid(section, submit, edit(submission, pairs...), text)
	}
	state := func(section, text string, pairs ...any) refusal {
		return bare(section, submit, edit(submission, pairs...), text)
	}
	nodes := func(text string, pairs ...any) refusal { return invalid("8", submit, edit(ec2Job, pairs...), text) }
	after := func(ids ...string) list {
		return repeat(len(ids), func(i int) any { return obj{"jobId": ids[i]} })
	}
	one := func(pairs ...any) list { return list{edited(obj{}, pairs...)} }
	filter := func(name string, values ...any) string {
		return edit(`{"jobQueue":"q"}`, "filters", list{obj{"name": name, "values": values}})
	}
	need := func(kind, value string) list { return list{obj{"type": kind, "value": value}} }
	return []refusal{
		// 3.3: submission.
		state("3.3", "JobQueue none not found.", "jobQueue", "none"),
		state("3.3", arnBase+"job-queue/closed is not enabled", "jobQueue", "closed"),
		state("3.3", arnBase+"job-definition/jd:1 does not exist", "jobQueue", arnBase+"job-definition/jd:1"),
		state("3.3", "JobDefinition name none does not exist or is not in ACTIVE status", "jobDefinition", "none"),
		state("3.3", "JobDefinition name jd:9 does not exist or is not in ACTIVE status", "jobDefinition", "jd:9"),
		state("3.3", "JobDefinition name gone:1 does not exist or is not in ACTIVE status", "jobDefinition", "gone:1"),
		state("3.3", "JobDefinition name gone does not exist or is not in ACTIVE status", "jobDefinition", "gone"),
		state("3.3", "Job Queue is attached to Compute Environment that can not run Jobs with capability FARGATE.", "jobQueue", "ec2q"),
		state("3.3", "Job Queue is attached to Compute Environment that can not run Jobs with capability EC2.", "jobDefinition", "nodes"),
		state("8", "Job Queue is attached to Compute Environment that can not run multi-node parallel jobs.", "jobQueue", "spotq", "jobDefinition", "nodes"),
		job("3.1", "Job name should match valid pattern", "jobName", "a b"),
		job("3.1", "Job name should match valid pattern", "jobName", strings.Repeat("a", 129)),
		job("3.3", "Array size must be between 2 and 10000, got 1.", "arrayProperties.size", 1),
		job("3.3", "Array size must be between 2 and 10000, got 10001.", "arrayProperties.size", 10001),
		nodes("arrayProperties is not applicable for multi-node parallel jobs.", "arrayProperties.size", 2),
		state("3.3", "Job with shareIdentifier or schedulingPriority can onlybe submitted to job queue with fair share scheduling policy.", "shareIdentifier", "blue"),
		state("3.3", "Job with shareIdentifier or schedulingPriority can onlybe submitted to job queue with fair share scheduling policy.", "schedulingPriorityOverride", 1),
		state("3.3", "shareIdentifier must be specified.", "jobQueue", "fairq"),
		job("3.3", "ShareIdentifier name should match a valid pattern.", "jobQueue", "fairq", "shareIdentifier", "blue sky"),
		job("3.3", "Scheduling priority must be between 0 and 9999.", "jobQueue", "fairq", "shareIdentifier", "blue", "schedulingPriorityOverride", -1),
		job("3.3", "Retry attempts must be between 1 and 10.", "retryStrategy.attempts", 11),
		job("3.3", "Timeout attemptDurationSeconds must be at least 60.", "timeout.attemptDurationSeconds", 59),
		job("3.3", "Job size must be less than 30 KiB, got 31 KiB", override+"command", list{strings.Repeat("x", 30<<10)}),
		state("2.3", "Unable to substitute value. No parameter found for reference nowhere", "jobDefinition", "refs"),
		state("2.3", "Unable to substitute value. No parameter found for reference missing", override+"command", list{"Ref::missing"}),
		job("2.5", "1 validation error detected: Value at 'tags' failed to satisfy constraint: Member must have length less than or equal to 50", "tags", tagsOf(51)),
		state("7.4", "ConsumableResource none not found.", "consumableResourcePropertiesOverride", obj{"consumableResourceList": list{obj{"consumableResource": "none", "quantity": 1}}}),
		job("7.4", "Each ConsumableResourceProperty can have at most 5 consumableResources", "consumableResourcePropertiesOverride",
			obj{"consumableResourceList": repeat(6, func(i int) any { return obj{"consumableResource": string(rune('a' + i)), "quantity": 1} })}),

		// 3.3, 3.4: overrides.
		job("3.3", "nodeOverrides can only be used with a job definition that has nodeProperties.", "nodeOverrides.numNodes", 2),
		job("3.3", "ecsPropertiesOverride can only be used with a job definition that has ecsProperties.", "ecsPropertiesOverride", obj{"taskProperties": list{obj{}}}),
		job("3.3", "eksPropertiesOverride can only be used with a job definition that has eksProperties.", "eksPropertiesOverride", obj{"podProperties": obj{"metadata": obj{}}}),
		nodes("containerOverrides can only be used with a job definition that has containerProperties.", override+"command", list{"x"}),
		job("3.4", "Container overrides command must not contain an empty string.", override+"command", list{"run", ""}),
		job("3.7", "Environment variables cannot start with AWS_BATCH: AWS_BATCH_X", override+"environment", list{obj{"name": "AWS_BATCH_X", "value": "1"}}),
		job("3.4", "Cannot provide duplicates in resourceRequirements.", override+"resourceRequirements", append(need("VCPU", "1"), need("VCPU", "2")...)),
		job("2.3", "Fargate resource requirements (1.00 vCPU, 512 MiB) not valid.", override+"resourceRequirements", need("VCPU", "1")),
		job("3.4", "vcpus is not applicable for Fargate.", override+"vcpus", 1),
		invalid("3.4", submit, edit(severalJob, "ecsPropertiesOverride", obj{"taskProperties": list{obj{"containers": list{obj{"name": "other"}}}}}), "containerName other must reference a defined container."),
		nodes("Number of nodes must be between 1 and 1000.", "nodeOverrides.numNodes", 0),
		nodes("Number of nodes must be between 1 and 1000.", "nodeOverrides.numNodes", 1001),
		bare("8", submit, edit(ec2Job, "jobDefinition", "closednodes", "nodeOverrides.numNodes", 3), "Number of nodes can only be overridden if the job definition has a node range with an open end."),
		bare("8", submit, edit(ec2Job, "nodeOverrides.nodePropertyOverrides", one("targetNodes", "0:1", "containerOverrides", obj{})), "NodeOverride targets should match job definition. Non matching targets - 0:1"),
		nodes("targetNodes should contain only digits.", "nodeOverrides.nodePropertyOverrides", one("targetNodes", "x")),
		nodes("Overrides of node range 0: do not match the kind of its properties.", "nodeOverrides.nodePropertyOverrides", one("targetNodes", "0:", "ecsPropertiesOverride", obj{"taskProperties": list{}})),
		bare("1", submit, edit(ec2Job, "nodeOverrides.nodePropertyOverrides", one("targetNodes", "0:", "eksPropertiesOverride", obj{"podProperties": obj{}})), "batchbox does not run jobs on Amazon EKS: eksProperties is not supported"),
		bare("1", submit, edit(ec2Job, "jobDefinition", "pod"), "batchbox does not run jobs on Amazon EKS: eksProperties is not supported"),

		// 4: dependencies. Cycles of jobs can't be asked for: a job's id exists only after its submission.
		job("4", "Job cannot have more than 20 dependencies", "dependsOn", repeat(21, func(int) any { return obj{"jobId": single} })),
		state("4", "Dependent job "+unknown+" does not exist", "dependsOn", after(single, unknown)),
		state("4", "Dependent job nonsense does not exist", "dependsOn", after("nonsense")),
		state("4", "Dependent job "+array+":3 does not exist", "dependsOn", after(array+":3")),
		job("4", "Job dependency type AFTER is not valid. Valid values are: [N_TO_N, SEQUENTIAL]", "dependsOn", one("jobId", single, "type", "AFTER")),
		job("4", "Job dependency type SEQUENTIAL can only be used with array jobs.", "dependsOn", one("type", "SEQUENTIAL")),
		job("4", "Job dependency type N_TO_N can only be used with array jobs.", "dependsOn", one("jobId", array, "type", "N_TO_N")),
		job("4", "Job dependency type SEQUENTIAL must not have a jobId.", "arrayProperties.size", 3, "dependsOn", one("jobId", array, "type", "SEQUENTIAL")),
		job("4", "Job dependency jobId is required.", "dependsOn", list{obj{}}),
		job("4", "Job dependency jobId is required.", "arrayProperties.size", 3, "dependsOn", one("type", "N_TO_N")),
		state("4", "N_TO_N dependency "+array+" has array size 3, but this job has array size 2", "arrayProperties.size", 2, "dependsOn", one("jobId", array, "type", "N_TO_N")),
		state("4", "N_TO_N dependency "+single+" is not an array job", "arrayProperties.size", 3, "dependsOn", one("jobId", single, "type", "N_TO_N")),

		// 3.8, 3.9: listing and ending.
		invalid("3.8", "ListJobs", `{}`, "Exactly one of jobQueue, arrayJobId and multiNodeJobId must be specified."),
		invalid("3.8", "ListJobs", `{"jobQueue":"q","arrayJobId":"`+array+`"}`, "Exactly one of jobQueue, arrayJobId and multiNodeJobId must be specified."),
		bare("3.8", "ListJobs", `{"jobQueue":"none"}`, arnBase+"job-queue/none does not exist"),
		bare("3.8", "ListJobs", `{"jobQueue":"`+arnBase+`job-definition/jd:1"}`, arnBase+"job-definition/jd:1 does not exist"),
		invalid("3.8", "ListJobs", `{"jobQueue":"q","jobStatus":"DONE"}`, "Job status DONE is not valid. Valid values are: [SUBMITTED, PENDING, RUNNABLE, STARTING, RUNNING, SUCCEEDED, FAILED]"),
		invalid("3.8", "ListJobs", `{"jobQueue":"q","maxResults":0}`, "maxResults must be at least 1."),
		invalid("3.8", "ListJobs", edit(`{"jobQueue":"q"}`, "filters", repeat(2, func(int) any { return obj{"name": "JOB_NAME", "values": list{"a"}} })), "Only one filter can be used at a time."),
		invalid("3.8", "ListJobs", filter("JOB_NAME"), "Filter JOB_NAME must have exactly one value."),
		invalid("3.8", "ListJobs", filter("COLOUR", "red"), "Filter name COLOUR is not valid. Valid values are: [JOB_NAME, JOB_DEFINITION, BEFORE_CREATED_AT, AFTER_CREATED_AT, SHARE_IDENTIFIER]"),
		invalid("3.8", "ListJobs", filter("AFTER_CREATED_AT", "noon"), "Filter AFTER_CREATED_AT must be a number of milliseconds since the epoch, got noon."),
		invalid("3.8", "ListJobs", filter("JOB_DEFINITION", arnBase+"job-definition/jd*"), "Filter JOB_DEFINITION must be the name or ARN of a job definition, got "+arnBase+"job-definition/jd*."),
		invalid("3.9", "CancelJob", `{"jobId":"nonsense","reason":"r"}`, "Job id nonsense is not valid."),
		invalid("3.9", "TerminateJob", `{"jobId":"nonsense","reason":"r"}`, "Job id nonsense is not valid."),
		invalid("3.9", "TerminateJob", edit(`{"jobId":"`+single+`"}`, "reason", strings.Repeat("r", 1025)), "Reason must have between 1 and 1024 characters."),
		invalid("3.9", "CancelJob", `{"jobId":"`+single+`","reason":""}`, "Reason must have between 1 and 1024 characters."),
		invalid("1.5", "CancelJobs", edit(`{"reason":"r"}`, "jobs", repeat(51, func(int) any { return single })), "Number of jobs must be between 1 and 50."),
		invalid("1.5", "TerminateJobs", `{"jobs":[],"reason":"r"}`, "Number of jobs must be between 1 and 50."),
		invalid("1.5", "TerminateServiceJobs", edit(`{"reason":"r"}`, "jobs", repeat(51, func(int) any { return single })), "Number of jobs must be between 1 and 50."),
	}
}
