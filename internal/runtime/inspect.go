package runtime

import "time"

// ContainerState is how a container of a task is at the moment.
type ContainerState struct {
	Name   string          `json:"name"`
	Status ContainerStatus `json:"status"`
	// StartedAt and ExitCode are as in ContainerReport.
	StartedAt time.Time `json:"startedAt,omitzero"`
	StoppedAt time.Time `json:"stoppedAt,omitzero"`
	ExitCode  *int      `json:"exitCode,omitempty"`
	// Address is the container's own IPv4 address in a private network, as far as the runtime gave it one.
	Address string `json:"address,omitempty"`
	// Usage is what a running container uses, if it was asked for and the runtime can tell.
	Usage *Usage `json:"usage,omitempty"`
}

// ContainerStatus is the state of a container in the words of ECS (task metadata, "KnownStatus").
type ContainerStatus string

// The states of a container: CREATED until it runs.
const (
	StatusCreated ContainerStatus = "CREATED"
	StatusRunning ContainerStatus = "RUNNING"
	StatusStopped ContainerStatus = "STOPPED"
)

// Usage is what a container has used of the machine. Members a runtime does not know are zero.
type Usage struct {
	At time.Time `json:"at"`
	// CPU is processor time so far, all together, and of it in user and kernel mode.
	CPU    time.Duration `json:"cpu,omitempty"`
	User   time.Duration `json:"user,omitempty"`
	System time.Duration `json:"system,omitempty"`
	// In bytes. Memory counts the page cache, as the limit does.
	Memory      uint64 `json:"memory,omitempty"`
	MaxMemory   uint64 `json:"maxMemory,omitempty"`
	MemoryLimit uint64 `json:"memoryLimit,omitempty"`
	// MemoryStat is the control group's memory.stat, by its names.
	MemoryStat map[string]uint64 `json:"memoryStat,omitempty"`
	PIDs       uint64            `json:"pids,omitempty"`
	// Networks are the interfaces of a private network, by name; nil in the host's.
	Networks map[string]NetworkUsage `json:"networks,omitempty"`
}

// NetworkUsage counts what went through a network interface.
type NetworkUsage struct {
	RxBytes   uint64 `json:"rxBytes"`
	RxPackets uint64 `json:"rxPackets"`
	RxErrors  uint64 `json:"rxErrors"`
	RxDropped uint64 `json:"rxDropped"`
	TxBytes   uint64 `json:"txBytes"`
	TxPackets uint64 `json:"txPackets"`
	TxErrors  uint64 `json:"txErrors"`
	TxDropped uint64 `json:"txDropped"`
}

// Meter is implemented by a Handle that can tell what its container uses. It may be called at any time; that the container
// has ended is an error like any other.
type Meter interface {
	Usage() (*Usage, error)
}

// Addressed is implemented by a Handle whose container has an IPv4 address of its own; "" if this one has none.
type Addressed interface {
	Address() string
}
