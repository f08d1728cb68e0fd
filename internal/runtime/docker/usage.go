package docker

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/moby/moby/api/types/container"
	"github.com/moby/moby/client"

	"github.com/batchbox/batchbox/internal/runtime"
)

var (
	_ runtime.Meter     = (*handle)(nil)
	_ runtime.Addressed = (*handle)(nil)
)

// Address implements runtime.Addressed.
func (h *handle) Address() string {
	if h.network == nil {
		return ""
	}
	return h.network.address
}

// Usage implements runtime.Meter.
func (h *handle) Usage() (*runtime.Usage, error) {
	ctx, cancel := context.WithTimeout(h.r.ctx, signalPatience)
	defer cancel()
	stats, err := h.r.api.ContainerStats(ctx, h.id, client.ContainerStatsOptions{})
	if err != nil {
		return nil, err
	}
	var s container.StatsResponse
	err = json.NewDecoder(stats.Body).Decode(&s)
	if err = errors.Join(err, stats.Body.Close()); err != nil {
		return nil, fmt.Errorf("statistics of container %s: %w", h.name, err)
	}
	if s.PidsStats.Current == 0 { // what daemons say of one that does not run
		return nil, errors.New("the container has ended")
	}
	u := &runtime.Usage{
		At:        s.Read,
		CPU:       time.Duration(s.CPUStats.CPUUsage.TotalUsage),
		User:      time.Duration(s.CPUStats.CPUUsage.UsageInUsermode),
		System:    time.Duration(s.CPUStats.CPUUsage.UsageInKernelmode),
		Memory:    s.MemoryStats.Usage,
		MaxMemory: s.MemoryStats.MaxUsage, MemoryLimit: s.MemoryStats.Limit, MemoryStat: s.MemoryStats.Stats,
		PIDs: s.PidsStats.Current,
	}
	for name, n := range s.Networks {
		if u.Networks == nil {
			u.Networks = map[string]runtime.NetworkUsage{}
		}
		u.Networks[name] = runtime.NetworkUsage{
			RxBytes: n.RxBytes, RxPackets: n.RxPackets, RxErrors: n.RxErrors, RxDropped: n.RxDropped,
			TxBytes: n.TxBytes, TxPackets: n.TxPackets, TxErrors: n.TxErrors, TxDropped: n.TxDropped,
		}
	}
	return u, nil
}
