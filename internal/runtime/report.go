package runtime

import "time"

// Report is what the owner of a task says about it: that it started, or that it ended. There is a Started report if its
// first essential container ever started, and there is always an Ended report. Both may come again after a reconnection:
// Started while the task runs, Ended until it is acknowledged.
type Report struct {
	Key string `json:"key"`
	// Kind says which of the two this is.
	Kind ReportKind `json:"kind"`
	// At is when it happened: the program's start for Started, the end of the last container for Ended.
	At time.Time `json:"at"`
	// StartedAt is set on an Ended report if the task's first essential container ever started.
	StartedAt time.Time `json:"startedAt,omitzero"`
	// Containers has an entry for each container of the task, in the task's order (Ended only).
	Containers []ContainerReport `json:"containers,omitempty"`
	// Lost is set on an Ended report when the task's fate is unknown: its owner died. Reason says what is known.
	Lost   bool   `json:"lost,omitempty"`
	Reason string `json:"reason,omitempty"`
}

// ReportKind tells the reports apart.
type ReportKind string

// The kinds of Report.
const (
	Started ReportKind = "started"
	Ended   ReportKind = "ended"
)

// ContainerReport is how one container of a task ended.
type ContainerReport struct {
	Name      string    `json:"name"`
	StartedAt time.Time `json:"startedAt,omitzero"`
	StoppedAt time.Time `json:"stoppedAt,omitzero"`
	// ExitCode is absent if the container never ran, save for two codes that engines report all the same: 126 or 127 of a
	// StartError, and 143 when a dependency kept it from starting (as the ECS agent reports that).
	ExitCode *int `json:"exitCode,omitempty"`
	OOM      bool `json:"oom,omitempty"`
	// StartError is the kind and text of why the container could not be started ("CannotStartContainerError: ..."), or, with
	// StartedAt set, of why the runtime lost it ("ContainerRuntimeError: ...").
	StartError string `json:"startError,omitempty"`
	// PID is the first process, for the curious.
	PID int `json:"pid,omitempty"`
	// Dropped counts the bytes of output given up in non-blocking mode. LogError says why output is missing otherwise.
	Dropped  int64  `json:"dropped,omitempty"`
	LogError string `json:"logError,omitempty"`
}
