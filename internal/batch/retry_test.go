package batch

import (
	"strings"
	"testing"
)

// TestRetryStrategyTexts produces every refusal of the reference, section 5.
func TestRetryStrategyTexts(t *testing.T) {
	t.Parallel()
	const restricted = "Evaluate on exit condition contains restricted characters."
	rule := func(members string) string {
		return `retryStrategy={"attempts":2,"evaluateOnExit":[{` + members + `}]}`
	}
	for _, c := range []struct{ change, text string }{
		{`retryStrategy={}`, "RetryAttempts must be provided with retry strategy."},
		{`retryStrategy={"attempts":0}`, "Retry attempts must be between 1 and 10."},
		{`retryStrategy={"attempts":11}`, "Retry attempts must be between 1 and 10."},
		{`retryStrategy={"attempts":1,"evaluateOnExit":[{},{},{},{},{},{}]}`, "Evaluate on exit cannot have more than 5 entries."},
		{rule(`"action":"RETRY"`), "EvaluateOnExit should contain at least one of onExitCode, onReason or onStatusReason"},
		{rule(`"onReason":"","action":"RETRY"`), "EvaluateOnExit should contain at least one of onExitCode, onReason or onStatusReason"},
		{rule(`"onExitCode":"1a","action":"RETRY"`), restricted},
		{rule(`"onExitCode":"*1","action":"RETRY"`), restricted},
		{rule(`"onExitCode":"1.","action":"RETRY"`), restricted},
		{rule(`"onReason":"*x","action":"RETRY"`), restricted},
		{rule(`"onReason":"a*b","action":"RETRY"`), restricted},
		{rule(`"onReason":"Host (x)","action":"RETRY"`), restricted},
		{rule(`"onStatusReason":"a**","action":"RETRY"`), restricted},
		{rule(`"onStatusReason":"a_b","action":"RETRY"`), restricted},
		{rule(`"onStatusReason":"` + strings.Repeat("a", 513) + `","action":"RETRY"`), "Evaluate on exit condition cannot exceed 512 characters."},
		{rule(`"onExitCode":"1","action":"AGAIN"`), "Evaluate on exit action must be one of [RETRY, EXIT]."},
		{rule(`"onExitCode":"1"`), "Evaluate on exit action must be one of [RETRY, EXIT]."},
	} {
		t.Run(c.change[:min(len(c.change), 80)], func(t *testing.T) {
			t.Parallel()
			_, err := NewJobDefinition(edit(ec2Def, c.change))
			wantRefusal(t, err, Invalid, c.text)
		})
	}
	for _, ok := range []string{
		`"onStatusReason":"Host EC2*","action":"RETRY"`, `"onReason":"CannotPullContainerError:*","action":"retry"`, `"onReason":"*","action":"EXIT"`,
		`"onExitCode":"*","action":"exit"`, `"onExitCode":"137","onReason":"OutOfMemoryError: Container killed\tdue to memory usage","action":"Exit"`,
		`"onStatusReason":"` + strings.Repeat("a", 512) + `","action":"RETRY"`,
	} {
		if _, err := NewJobDefinition(edit(ec2Def, rule(ok))); err != nil {
			t.Errorf("%s: %v", ok, err)
		}
	}
}

// TestDecide is the algorithm of the reference, section 5.
func TestDecide(t *testing.T) {
	t.Parallel()
	failed := func(code int, statusReason, reason string) Outcome {
		return Outcome{Cause: Failure, StatusReason: statusReason, Reason: reason, ExitCode: code, HasExitCode: true}
	}
	pull := Outcome{Cause: Failure, StatusReason: "Task failed to start", Reason: "CannotPullContainerError: no such image"}
	spotOnly := []EvaluateOnExit{{OnStatusReason: "Your Spot Task was interrupted*", Action: "retry"}, {OnReason: "*", Action: "EXIT"}}
	codes := []EvaluateOnExit{{OnExitCode: "1*", OnStatusReason: "Essential*", Action: "EXIT"}, {OnExitCode: "2", Action: "EXIT"}}
	for _, c := range []struct {
		name    string
		rs      *RetryStrategy
		attempt int
		out     Outcome
		want    Decision
	}{
		{"no strategy", nil, 1, failed(1, "x", ""), Decision{false, -1}},
		{"one attempt", &RetryStrategy{Attempts: 1}, 1, failed(1, "x", ""), Decision{false, -1}},
		{"attempts left", &RetryStrategy{Attempts: 3}, 2, failed(1, "x", ""), Decision{true, -1}},
		{"last attempt", &RetryStrategy{Attempts: 3}, 3, failed(1, "x", ""), Decision{false, -1}},
		{"past the last attempt", &RetryStrategy{Attempts: 3}, 4, failed(1, "x", ""), Decision{false, -1}},
		{"last attempt asks no rule", &RetryStrategy{2, spotOnly}, 2, failed(143, ReasonSpotInterrupted, ""), Decision{false, -1}},
		{"timeout is never retried", &RetryStrategy{2, []EvaluateOnExit{{OnReason: "*", Action: "RETRY"}}}, 1, Outcome{Cause: TimedOut}, Decision{false, -1}},
		{"terminated or cancelled", &RetryStrategy{Attempts: 2}, 1, Outcome{Cause: Stopped}, Decision{false, -1}},
		{"undispatchable", &RetryStrategy{Attempts: 2}, 1, Outcome{Cause: Undispatchable}, Decision{false, -1}},
		{"Spot rule", &RetryStrategy{2, spotOnly}, 1, failed(143, ReasonSpotInterrupted, ""), Decision{true, 0}},
		{"lone star matches an absent reason", &RetryStrategy{2, spotOnly}, 1, failed(1, ReasonExited, ""), Decision{false, 1}},
		{"prefix of the reason", &RetryStrategy{2, []EvaluateOnExit{{OnReason: "CannotPullContainerError:*", Action: "EXIT"}}}, 1, pull, Decision{false, 0}},
		{"letter case counts", &RetryStrategy{2, []EvaluateOnExit{{OnReason: "cannotpull*", Action: "EXIT"}}}, 1, pull, Decision{true, -1}},
		{"no star: the whole text", &RetryStrategy{2, []EvaluateOnExit{{OnStatusReason: "Essential", Action: "EXIT"}}}, 1, failed(1, ReasonExited, ""), Decision{true, -1}},
		{"all conditions of a rule", &RetryStrategy{2, codes}, 1, failed(137, ReasonExited, ""), Decision{false, 0}},
		{"one condition fails", &RetryStrategy{2, codes}, 1, failed(137, "Host EC2 (x) terminated.", ""), Decision{true, -1}},
		{"second rule", &RetryStrategy{2, codes}, 1, failed(2, ReasonExited, ""), Decision{false, 1}},
		{"absent exit code", &RetryStrategy{2, []EvaluateOnExit{{OnExitCode: "0", Action: "EXIT"}}}, 1, pull, Decision{true, -1}},
		{"exit code 0 is one", &RetryStrategy{2, []EvaluateOnExit{{OnExitCode: "0", Action: "EXIT"}}}, 1, failed(0, "x", ""), Decision{false, 0}},
		{"absent value, prefix", &RetryStrategy{2, []EvaluateOnExit{{OnReason: "Out*", Action: "EXIT"}}}, 1, failed(1, "x", ""), Decision{true, -1}},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			if got := Decide(c.rs, c.attempt, c.out); got != c.want {
				t.Errorf("got %+v, want %+v", got, c.want)
			}
		})
	}
}

// FuzzRetry checks that what is accepted as a rule also decides by its own meaning.
func FuzzRetry(f *testing.F) {
	f.Add("Host EC2*", "Host EC2 (i-1) terminated.")
	f.Add("*", "")
	f.Add("1*", "137")
	f.Add("a*b", "ab")
	f.Add("", "x")
	f.Fuzz(func(t *testing.T, pattern, value string) {
		for _, r := range []EvaluateOnExit{{OnReason: pattern, Action: "EXIT"}, {OnStatusReason: pattern, Action: "EXIT"}, {OnExitCode: pattern, Action: "EXIT"}} {
			if r.check() != nil {
				continue
			}
			got := matchesCondition(pattern, value)
			star := strings.Index(pattern, "*")
			if star >= 0 && star != len(pattern)-1 {
				t.Fatalf("accepted %q with a star inside", pattern)
			}
			want := pattern == value && value != "" || pattern == "*" ||
				star > 0 && len(value) >= star && value[:star] == pattern[:star]
			if got != want {
				t.Fatalf("pattern %q, value %q: %v", pattern, value, got)
			}
		}
	})
}
