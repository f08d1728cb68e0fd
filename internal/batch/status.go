package batch

import "fmt"

// Status is a job's state. The zero value is no state.
type Status uint8

// The seven states of a job, in AWS's order.
const (
	Submitted Status = iota + 1
	Pending
	Runnable
	Starting
	Running
	Succeeded
	Failed
)

// NumStatuses is one more than the largest Status, for arrays indexed by it.
const NumStatuses = int(Failed) + 1

var statusNames = [NumStatuses]string{"", "SUBMITTED", "PENDING", "RUNNABLE", "STARTING", "RUNNING", "SUCCEEDED", "FAILED"}

// String is AWS's spelling.
func (s Status) String() string {
	if int(s) < NumStatuses {
		return statusNames[s]
	}
	return fmt.Sprintf("Status(%d)", uint8(s))
}

// ParseStatus reads AWS's spelling.
func ParseStatus(s string) (Status, bool) {
	for i := 1; i < NumStatuses; i++ {
		if statusNames[i] == s {
			return Status(i), true
		}
	}
	return 0, false
}

// Final says whether the state is never left.
func (s Status) Final() bool { return s == Succeeded || s == Failed }
