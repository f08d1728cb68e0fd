package cli

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/batchbox/batchbox/internal/control"
)

func TestSpotInterrupt(t *testing.T) {
	var asked []control.SpotInterruptRequest
	mux := http.NewServeMux()
	mux.HandleFunc("POST "+control.SpotInterruptPath, func(w http.ResponseWriter, r *http.Request) {
		var req control.SpotInterruptRequest
		if err := json.NewDecoder(r.Body).Decode(&req); err != nil {
			t.Error(err)
		}
		asked = append(asked, req)
		if req.Job == "gone" {
			http.Error(w, "job gone is not running", http.StatusConflict)
			return
		}
		if err := json.NewEncoder(w).Encode(control.SpotInterruptReply{Interrupted: len(asked)}); err != nil {
			t.Error(err)
		}
	})
	srv := httptest.NewServer(mux)
	defer srv.Close()
	t.Setenv("AWS_ACCESS_KEY_ID", "111122223333")
	t.Setenv("AWS_SECRET_ACCESS_KEY", "x")

	_, stderr, code := call(t, "", "spot", "interrupt", "a", "b:3", "--endpoint-url", srv.URL, "--region", "eu-west-1")
	if want := "interrupted 1 attempt of job a\ninterrupted 2 attempts of job b:3\n"; code != 0 || stderr != want {
		t.Errorf("exit code %d, stderr %q, want %q", code, stderr, want)
	}
	want := control.SpotInterruptRequest{Job: "b:3", Account: "111122223333", Region: "eu-west-1"}
	if len(asked) != 2 || asked[1] != want {
		t.Errorf("asked %+v, want %+v last", asked, want)
	}
	if _, stderr, code := call(t, "", "spot", "interrupt", "gone", "--endpoint-url", srv.URL); code != ExitFailed || stderr != "error: job gone is not running\n" {
		t.Errorf("exit code %d, stderr %q", code, stderr)
	}
	if _, stderr, code := call(t, "", "spot", "interrupt", "a", "--aws", "--region", "eu-west-1"); code != ExitUsage || !strings.Contains(stderr, "only an engine of batchbox") {
		t.Errorf("--aws: exit code %d, stderr %q", code, stderr)
	}
	if _, _, code := call(t, "", "spot", "interrupt"); code != ExitUsage {
		t.Errorf("without a job: exit code %d", code)
	}
}
