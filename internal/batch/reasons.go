package batch

import "strings"

// Status reasons and container reasons, byte for byte (reference, section 3.5): clients match on them, and so do the
// patterns of evaluateOnExit.
const (
	ReasonExited            = "Essential container in task exited"
	ReasonTimeout           = "Job attempt duration exceeded timeout"
	ReasonDependencyFailed  = "Dependent Job failed"
	ReasonChildFailed       = "Array Child Job failed"
	ReasonSpotInterrupted   = "Your Spot Task was interrupted."
	ReasonTaskFailedToStart = "Task failed to start"
	ReasonOutOfMemory       = "OutOfMemoryError: Container killed due to memory usage"
	ReasonTooLarge          = "MISCONFIGURATION:COMPUTE_ENVIRONMENT_MAX_RESOURCE - CE(s) associated with the job queue cannot meet the CPU requirement of the job."

	// User Guide, "Jobs stuck in RUNNABLE due to invalid compute environments" and "... with undetermined root cause"; neither
	// can be the reason of a jobStateTimeLimitAction.
	ReasonEnvironmentsInvalid = "ACTION_REQUIRED - CE(s) associated with the job queue are invalid."
	ReasonUndetermined        = "UNDETERMINED - Batch job is blocked, root cause is undetermined."
)

// ReasonNoCapacity is shown for a RUNNABLE job at the head of its queue that the service, here this machine, has no room
// for. instanceType is the environment's resource type, where AWS names instance types.
func ReasonNoCapacity(instanceType string) string {
	return "CAPACITY:INSUFFICIENT_INSTANCE_CAPACITY - Service cannot fulfill the capacity requested for instance type [" + instanceType + "]"
}

// ReasonHostLost is the status reason of an attempt whose owner died: a supervisor that was killed, a machine that was
// reset. AWS names the EC2 instance; here the id is made of the task's, in the same form.
func ReasonHostLost(taskID string) string {
	return "Host EC2 (instance i-" + taskID[:min(17, len(taskID))] + ") terminated."
}

// maxReason is the longest container.reason (API ContainerDetail.reason).
const maxReason = 255

// ContainerReason cuts a container's reason to the length AWS allows.
func ContainerReason(text string) string {
	if len(text) <= maxReason {
		return text
	}
	return strings.ToValidUTF8(text[:maxReason], "")
}

// StartFailureReason is the status reason of an attempt that could not start: on Fargate the ECS stop reason itself where
// it is about pulling or setting up, else the general text (reference 3.5; how the texts divide is partly unverified).
func StartFailureReason(platform, startError string) string {
	if platform == Fargate &&
		(strings.HasPrefix(startError, "CannotPullContainerError") || strings.HasPrefix(startError, "ResourceInitializationError")) {
		return startError
	}
	return ReasonTaskFailedToStart
}
