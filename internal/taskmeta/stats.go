package taskmeta

import (
	"context"
	"encoding/json"
	"net/http"
	goruntime "runtime"
	"time"

	"github.com/batchbox/batchbox/internal/runtime"
)

// dockerStats are Docker's statistics of a container, as the metadata endpoint passes them on (Docker Engine API, "Get
// container stats based on resource usage"). Members that batchbox does not count are left out rather than shown as zero.
type dockerStats struct {
	Read     time.Time                       `json:"read"`
	PreRead  time.Time                       `json:"preread"` // year 1 if it is the first time
	Name     string                          `json:"name"`
	ID       string                          `json:"id"`
	NumProcs int                             `json:"num_procs"` // of Windows
	PIDs     pidsStats                       `json:"pids_stats"`
	CPU      cpuStats                        `json:"cpu_stats"`
	PreCPU   cpuStats                        `json:"precpu_stats"`
	Memory   memoryStats                     `json:"memory_stats"`
	Networks map[string]runtimeNetworkValues `json:"networks,omitempty"`
}

type pidsStats struct {
	Current uint64 `json:"current,omitempty"`
}

type cpuStats struct {
	Usage struct {
		Total  uint64 `json:"total_usage"` // ns
		Kernel uint64 `json:"usage_in_kernelmode"`
		User   uint64 `json:"usage_in_usermode"`
	} `json:"cpu_usage"`
	// System is what all processors of the machine have spent so far, idle or not: the share of a container is computed by it.
	System uint64 `json:"system_cpu_usage,omitempty"` // ns
	Online int    `json:"online_cpus,omitempty"`
}

type memoryStats struct {
	Usage    uint64            `json:"usage,omitempty"`
	MaxUsage uint64            `json:"max_usage,omitempty"`
	Limit    uint64            `json:"limit,omitempty"`
	Stats    map[string]uint64 `json:"stats,omitempty"`
}

type runtimeNetworkValues struct {
	RxBytes   uint64 `json:"rx_bytes"`
	RxPackets uint64 `json:"rx_packets"`
	RxErrors  uint64 `json:"rx_errors"`
	RxDropped uint64 `json:"rx_dropped"`
	TxBytes   uint64 `json:"tx_bytes"`
	TxPackets uint64 `json:"tx_packets"`
	TxErrors  uint64 `json:"tx_errors"`
	TxDropped uint64 `json:"tx_dropped"`
}

// sample is a measurement that was told.
type sample struct {
	at  time.Time
	cpu cpuStats
}

func (s *Service) stats(ctx context.Context, _ int, t *task, i int) (any, error) {
	state := s.look(ctx, t, i, true)[i]
	if state.Usage == nil {
		return nil, errUnknown
	}
	return s.statsOf(t, i, state.Usage), nil
}

// taskStats has null for a container that does not run, as the endpoint has it.
func (s *Service) taskStats(ctx context.Context, _ int, t *task, asking int) (any, error) {
	all := map[string]*dockerStats{}
	for i, state := range s.look(ctx, t, asking, true) {
		id := s.shortID(t, i)
		if all[id] = nil; state.Usage != nil {
			all[id] = s.statsOf(t, i, state.Usage)
		}
	}
	return all, nil
}

// statsOf shows a measurement beside the one before: the last that was asked for.
func (s *Service) statsOf(t *task, i int, u *runtime.Usage) *dockerStats {
	now := &sample{at: u.At.UTC()}
	now.cpu.Usage.Total, now.cpu.Usage.Kernel, now.cpu.Usage.User = uint64(u.CPU), uint64(u.System), uint64(u.User)
	now.cpu.System, now.cpu.Online = uint64(machineTime()), goruntime.NumCPU()
	t.mu.Lock()
	before := t.samples[i]
	t.samples[i] = now
	t.mu.Unlock()
	d := &dockerStats{
		Read: now.at, Name: t.Task.Containers[i].Name, ID: s.shortID(t, i), PIDs: pidsStats{u.PIDs}, CPU: now.cpu,
		Memory: memoryStats{u.Memory, u.MaxMemory, u.MemoryLimit, u.MemoryStat},
	}
	if before != nil {
		d.PreRead, d.PreCPU = before.at, before.cpu
	}
	for name, n := range u.Networks {
		if d.Networks == nil {
			d.Networks = map[string]runtimeNetworkValues{}
		}
		d.Networks[name] = runtimeNetworkValues(n)
	}
	return d
}

// text answers with a JSON string, as the metadata endpoint tells of errors.
func text(w http.ResponseWriter, status int, message string) {
	body, _ := json.Marshal(message) // strings always marshal
	write(w, status, body)
}
