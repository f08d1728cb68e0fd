package batch

// ErrSubmitQueueUnknown refuses a submission to a job queue that does not exist; nameOrARN is as the request has it. The text
// was quoted from the service in an issue of the batchit project (#13).
func ErrSubmitQueueUnknown(nameOrARN string) error {
	return Refusedf("JobQueue %s not found.", nameOrARN)
}

// ErrSubmitDefinition refuses a submission under a job definition that does not exist or is INACTIVE; id is as the request
// has it. The text was quoted from the service in aws-samples/aws-genomics-workflows#84.
func ErrSubmitDefinition(id string) error {
	return Refusedf("JobDefinition name %s does not exist or is not in ACTIVE status", id)
}

// ErrQueueUnknown is the answer wherever a job queue is named that does not exist. Clients look for "does not exist".
func ErrQueueUnknown(p Partition, name string) error {
	return Refusedf("%s does not exist", p.BatchARN(KindJobQueue, name))
}

// ErrQueueDisabled refuses a submission to a queue that takes none.
//
// unverified: AWS's text (reference, section 15, question 1).
func ErrQueueDisabled(p Partition, name string) error {
	return Refusedf("%s is not enabled", p.BatchARN(KindJobQueue, name))
}

// ErrTooManyShares refuses a submission whose share identifier would be one more than a queue may have active.
//
// unverified: AWS's text, and that it refuses at submission (User Guide, "AWS Batch service quotas").
func ErrTooManyShares(queue string) error {
	return Refusedf("Job queue %s cannot have more than %d active share identifiers.", queue, MaxActiveShares)
}

// ErrEnvironmentUnknown is the answer wherever a compute environment is named that does not exist.
func ErrEnvironmentUnknown(p Partition, name string) error {
	return Refusedf("%s does not exist", p.BatchARN(KindComputeEnvironment, name))
}

// ErrDefinitionUnknown is the answer wherever a job definition is named that does not exist; id may lack the revision.
func ErrDefinitionUnknown(p Partition, id string) error {
	return Refusedf("%s does not exist", p.BatchARN(KindJobDefinition, id))
}

// ErrPolicyUnknown is the answer wherever a scheduling policy is named that does not exist.
func ErrPolicyUnknown(p Partition, name string) error {
	return Refusedf("%s does not exist", p.BatchARN(KindSchedulingPolicy, name))
}
