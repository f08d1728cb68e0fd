package batch

import (
	"regexp"
	"strconv"
	"strings"
	"unicode/utf8"
)

// Bounds of retryStrategy and timeout (API reference, RetryStrategy, EvaluateOnExit, JobTimeout).
const (
	maxAttempts       = 10
	maxExitRules      = 5
	maxPatternLength  = 512
	minTimeoutSeconds = 60
)

// parseRetry reads a retryStrategy member; nil if there is none.
func parseRetry(o object) (*RetryStrategy, error) {
	rs, ok := o.object("retryStrategy")
	if !ok {
		return nil, nil
	}
	attempts, ok := rs.integer("attempts")
	switch {
	case !ok:
		return nil, Invalidf("RetryAttempts must be provided with retry strategy.")
	case attempts < 1 || attempts > maxAttempts:
		return nil, Invalidf("Retry attempts must be between 1 and %d.", maxAttempts) // unverified: text
	}
	rules := rs.objects("evaluateOnExit")
	if len(rules) > maxExitRules {
		return nil, Invalidf("Evaluate on exit cannot have more than %d entries.", maxExitRules) // unverified: text
	}
	out := &RetryStrategy{Attempts: int(attempts)}
	for _, r := range rules {
		rule := EvaluateOnExit{
			OnStatusReason: r.str("onStatusReason"), OnReason: r.str("onReason"), OnExitCode: r.str("onExitCode"), Action: r.str("action"),
		}
		if err := rule.check(); err != nil {
			return nil, err
		}
		out.EvaluateOnExit = append(out.EvaluateOnExit, rule)
	}
	return out, nil
}

// The characters of a condition (API reference, EvaluateOnExit): a '*' may stand at the end only.
var (
	reasonPattern   = regexp.MustCompile(`^[A-Za-z0-9.:\s]*\*?$`)
	exitCodePattern = regexp.MustCompile(`^[0-9]*\*?$`)
)

func (r EvaluateOnExit) check() error {
	if r.OnStatusReason == "" && r.OnReason == "" && r.OnExitCode == "" {
		return Invalidf("EvaluateOnExit should contain at least one of onExitCode, onReason or onStatusReason")
	}
	for _, c := range []struct {
		pattern string
		allowed *regexp.Regexp
	}{{r.OnStatusReason, reasonPattern}, {r.OnReason, reasonPattern}, {r.OnExitCode, exitCodePattern}} {
		if utf8.RuneCountInString(c.pattern) > maxPatternLength {
			return Invalidf("Evaluate on exit condition cannot exceed %d characters.", maxPatternLength)
		}
		if !c.allowed.MatchString(c.pattern) {
			return Invalidf("Evaluate on exit condition contains restricted characters.")
		}
	}
	if !r.retries() && !strings.EqualFold(r.Action, "EXIT") {
		return Invalidf("Evaluate on exit action must be one of [RETRY, EXIT].") // unverified: text
	}
	return nil
}

func (r EvaluateOnExit) retries() bool { return strings.EqualFold(r.Action, "RETRY") }

// Rules are where a test may have batchbox differ from AWS. The zero value is AWS's behaviour.
type Rules struct {
	// LeastTimeout is the smallest attemptDurationSeconds that is taken, in place of AWS's 60.
	LeastTimeout int
}

// parseTimeout reads a timeout member; 0 if there is none.
func (r Rules) parseTimeout(o object) (seconds int, err error) {
	least := int64(minTimeoutSeconds)
	if r.LeastTimeout > 0 {
		least = int64(r.LeastTimeout)
	}
	t, _ := o.object("timeout")
	n, ok := t.integer("attemptDurationSeconds")
	switch {
	case !ok:
		return 0, nil
	case n < least || n > 1<<31-1:
		return 0, Invalidf("Timeout attemptDurationSeconds must be at least %d.", least) // unverified: text
	}
	return int(n), nil
}

// Cause is why an attempt ended without success.
type Cause uint8

// The causes. Only a Failure is ever retried (user guide, "Automated job retries").
const (
	// Failure: the program failed, could not be started, or lost its host or its Spot capacity.
	Failure Cause = iota + 1
	TimedOut
	// Stopped: by TerminateJob, CancelJob, a time-limit action or the deletion of the queue.
	Stopped
	// Undispatchable: the job can't be turned into a task at all.
	Undispatchable
)

// Outcome is how an attempt ended, in the words exit rules are matched against.
type Outcome struct {
	Cause        Cause
	StatusReason string // of the attempt
	Reason       string // of the container; "" for none
	ExitCode     int
	HasExitCode  bool
}

// Decision says what follows an attempt that did not succeed: a further attempt, or the job's failure.
type Decision struct {
	Retry bool
	// Rule is the index of the exit rule that decided, or -1: no rule matched or none was asked.
	Rule int
}

// Decide applies a retry strategy (nil: one attempt) to the outcome of attempt number attempt, counted from 1. While
// attempts remain, the first matching rule decides, and a failure that no rule matches is retried.
func Decide(rs *RetryStrategy, attempt int, o Outcome) Decision {
	if rs == nil || o.Cause != Failure || attempt >= rs.Attempts {
		return Decision{Rule: -1}
	}
	for i, r := range rs.EvaluateOnExit {
		if r.matches(o) {
			return Decision{Retry: r.retries(), Rule: i}
		}
	}
	return Decision{Retry: true, Rule: -1}
}

func (r EvaluateOnExit) matches(o Outcome) bool {
	code := ""
	if o.HasExitCode {
		code = strconv.Itoa(o.ExitCode)
	}
	return matchesCondition(r.OnStatusReason, o.StatusReason) &&
		matchesCondition(r.OnReason, o.Reason) &&
		matchesCondition(r.OnExitCode, code)
}

// matchesCondition matches one condition of an exit rule, "" being no condition, against a value, "" being none.
//
// unverified: letter case counts, and a value that is absent is matched by a lone "*" only.
func matchesCondition(pattern, value string) bool {
	prefix, wild := strings.CutSuffix(pattern, "*")
	switch {
	case pattern == "" || pattern == "*":
		return true
	case value == "":
		return false
	case wild:
		return strings.HasPrefix(value, prefix)
	default:
		return value == pattern
	}
}
