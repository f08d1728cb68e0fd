package server

import (
	"slices"
	"testing"
)

// TestSupervisorCommand: what the owner of the containers has to know of the engine's configuration reaches it.
func TestSupervisorCommand(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		cfg  Config
		want []string
	}{
		{Config{}, nil},
		{Config{NoCPUQuota: true}, []string{"--no-cpu-quota"}},
		{Config{Ephemeral: true}, []string{"--ephemeral"}},
		{Config{NoCPUQuota: true, Ephemeral: true}, []string{"--no-cpu-quota", "--ephemeral"}},
	} {
		tc.cfg.SupervisorCommand = append(make([]string, 0, 20), "batchbox", "supervisor") // with room, which is not ours
		tc.cfg.Retention.ImageBytes = 7
		s := &Server{cfg: tc.cfg, dir: "/d", runtime: RuntimeStatus{Name: "process"}}
		want := append([]string{"batchbox", "supervisor", "--data-dir", "/d", "--runtime", "process", "--image-bytes", "7"}, tc.want...)
		for range 2 {
			if got, err := s.supervisorCommand(); err != nil || !slices.Equal(got, want) {
				t.Errorf("%q, %v; want %q", got, err, want)
			}
		}
	}
}
