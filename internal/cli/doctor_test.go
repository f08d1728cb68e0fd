package cli

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"testing"

	"github.com/batchbox/batchbox/internal/runtime"
	"github.com/batchbox/batchbox/internal/server"
)

func TestDoctor(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		name string
		all  []server.RuntimeStatus
		code int
		want string
	}{
		{
			"one works", []server.RuntimeStatus{
				{Name: "native", Err: errors.New("no user namespaces")},
				{Name: "process", Chosen: true, Capabilities: runtime.Capabilities{KillsDescendants: true, Notes: []string{"It does not isolate."}}},
			}, ExitOK,
			"  RUNTIME  WORKS  ISOLATES  ENFORCES\n  native   no               \n* process  yes    no        end of descendants\n" +
				"\nnative:\n  no user namespaces\n\nprocess:\n  - It does not isolate.\n",
		},
		{"none works", []server.RuntimeStatus{{Name: "native", Err: errors.New("no")}}, ExitFailed, "  RUNTIME  WORKS  ISOLATES  ENFORCES\n  native   no               \n\nnative:\n  no\n"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			var out bytes.Buffer
			cmd := newDoctor(&Streams{Out: &out}, func(context.Context) ([]server.RuntimeStatus, error) { return tc.all, nil })
			cmd.SetArgs(nil)
			cmd.SilenceErrors, cmd.SilenceUsage = true, true
			err := cmd.Execute()
			var code *exitError
			if got := errors.As(err, &code); got != (tc.code != ExitOK) {
				t.Errorf("error %v", err)
			}
			if out.String() != tc.want {
				t.Errorf("printed:\n%s\nwant:\n%s", out.String(), tc.want)
			}
		})
	}
}

func TestDoctorJSON(t *testing.T) {
	t.Parallel()
	var out bytes.Buffer
	cmd := newDoctor(&Streams{Out: &out}, func(context.Context) ([]server.RuntimeStatus, error) {
		return []server.RuntimeStatus{
			{Name: "native", Err: errors.New("no user namespaces")},
			{Name: "process", Chosen: true, Capabilities: runtime.Capabilities{Rootfs: runtime.RootfsFlat, KillsDescendants: true}},
		}, nil
	})
	cmd.SetArgs([]string{"--json"})
	if err := cmd.Execute(); err != nil {
		t.Fatal(err)
	}
	var got []map[string]any
	if err := json.Unmarshal(out.Bytes(), &got); err != nil {
		t.Fatalf("%v in %s", err, out.String())
	}
	if len(got) != 2 || got[0]["works"] != false || got[0]["reason"] != "no user namespaces" || got[0]["rootfs"] != nil ||
		got[1]["chosen"] != true || got[1]["rootfs"] != "flat" || got[1]["killsDescendants"] != true {
		t.Errorf("printed %s", out.String())
	}
}
