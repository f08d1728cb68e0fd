package runtime

import (
	"errors"
	"io/fs"
	"syscall"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestSignalNumber(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		in   string
		want syscall.Signal
	}{
		{"SIGTERM", syscall.SIGTERM}, {"TERM", syscall.SIGTERM}, {"sigquit", syscall.SIGQUIT}, {"9", syscall.SIGKILL},
		{"SIGRTMIN+3", 37}, {"RTMAX-1", 63}, {"RTMIN", 34}, {"RTMIN-1", 0}, {"RTMIN+99", 0}, {"RTMIN+x", 0},
		{"0", 0}, {"65", 0}, {"-1", 0}, {"", 0}, {"SIG", 0}, {"SIGNAL", 0},
	} {
		got, err := SignalNumber(tc.in)
		if got != tc.want || (err == nil) != (tc.want != 0) {
			t.Errorf("SignalNumber(%q) = %d, %v; want %d", tc.in, got, err, tc.want)
		}
	}
}

func TestCompleteEnv(t *testing.T) {
	t.Parallel()
	given := append(make([]string, 0, 8), "A=1", "HOME=", "PATHS=x")
	got := CompleteEnv(given, "/root", "node-1")
	want := []string{"A=1", "HOME=", "PATHS=x", "PATH=" + DefaultPath, "HOSTNAME=node-1"}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	if other := CompleteEnv(given, "/root", "node-2"); got[4] != "HOSTNAME=node-1" || other[4] != "HOSTNAME=node-2" {
		t.Error("two results share memory")
	}
}

func TestStartError(t *testing.T) {
	t.Parallel()
	err := error(&StartError{Kind: KindCannotStart, Err: fs.ErrNotExist, ExitCode: 127})
	if want := "CannotStartContainerError: file does not exist"; err.Error() != want {
		t.Errorf("text %q, want %q", err, want)
	}
	if !errors.Is(err, fs.ErrNotExist) {
		t.Error("the cause is not found")
	}
}
