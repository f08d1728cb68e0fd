// Package scenario is a small language for tests of what AWS Batch does: who submits what, what becomes of its containers,
// what a client then sees. One file runs on the engine's core, on the engine with its database, and, if it needs no hand on
// the clock, over HTTP with the AWS SDK and real programs.
//
//	# Reference 5: a retried job goes to the front of its queue.
//	environment ce FARGATE 1
//	queue q ce
//	definition jd 0.25
//	submit a q jd {"arrayProperties": {"size": 5}, "retryStrategy": {"attempts": 2}}
//	running a:0 a:1 a:2 a:3
//	exit a:1 3
//	running a:0 a:1 a:2 a:3
//	attempts a:1 1
//
// A line is a verb, its arguments, and for some verbs JSON or text up to the end of the line; a line that begins with white
// space goes on with the line before. In JSON, $name is the id of the job the scenario calls name, and $policy/name the ARN of a
// scheduling policy. The verbs, with what is optional in brackets:
//
//	environment NAME TYPE VCPUS [JSON]    FARGATE, FARGATE_SPOT, EC2 or SPOT; JSON has further members of the request
//	queue NAME ENVIRONMENTS [JSON]        separated by commas, in order; priority 1 unless the JSON has another
//	definition NAME VCPUS [JSON]          of a Fargate job of one container
//	nodes NAME COUNT MAIN [JSON]          of a multi-node job of nodes of one vCPU
//	call OPERATION JSON                   any other request about resources
//	submit NAME QUEUE DEFINITION [JSON]
//	cancel JOB REASON, terminate JOB REASON
//	refused TEXT                          the next line's request is refused, with a message that has TEXT in it
//	begin JOB                             its container's program starts
//	exit JOB CODE                         its program ends; it begins first if it has not
//	stopped JOB                           its container has been told to stop (it goes on until it is told to exit)
//	running [JOB...]                      those, and no others, have a container
//	expect JOB STATUS [REASON]
//	attempts JOB N                        so many attempts have ended
//	children JOB STATUS=N...              what an array's statusSummary says; what is not named is 0
//
// What follows needs powers that not every target has:
//
//	advance DURATION                      the time passes
//	fail JOB TEXT                         its container can't be started
//	lose JOB                              nobody knows what became of its container
//	interrupt JOB                         the Spot capacity under it is reclaimed
//	restart                               the engine is killed and started again
package scenario

import (
	"encoding/json"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/batchbox/batchbox/internal/batch"
)

// Step is one line of a scenario.
type Step struct {
	Line int
	Verb string
	Args []string
	Rest string // JSON or text
}

// Error is a line that can't be read, or did not hold.
type Error struct {
	File string
	Line int
	Err  error
}

func (e *Error) Error() string { return fmt.Sprintf("%s:%d: %v", e.File, e.Line, e.Err) }

// Unwrap is what went wrong.
func (e *Error) Unwrap() error { return e.Err }

// rest says what may follow a verb's arguments.
type rest uint8

const (
	nothing rest = iota
	mayJSON
	mustJSON
	mayText
	mustText
	words // any number of arguments more
)

type form struct {
	args int
	rest rest
	// check looks at the arguments.
	check func(args []string) error
}

var forms = map[string]form{
	"environment": {3, mayJSON, func(a []string) error { return oneOf(a[1], "FARGATE", "FARGATE_SPOT", "EC2", "SPOT") }},
	"queue":       {2, mayJSON, nil},
	"definition":  {2, mayJSON, nil},
	"nodes":       {3, mayJSON, func(a []string) error { return numbers(a[1:]...) }},
	"call":        {1, mustJSON, nil},
	"submit":      {3, mayJSON, func(a []string) error { return plainName(a[0]) }},
	"cancel":      {1, mustText, nil},
	"terminate":   {1, mustText, nil},
	"refused":     {0, mustText, nil},
	"begin":       {1, nothing, nil},
	"exit":        {2, nothing, func(a []string) error { return numbers(a[1]) }},
	"stopped":     {1, nothing, nil},
	"running":     {0, words, nil},
	"expect":      {2, mayText, func(a []string) error { return status(a[1]) }},
	"attempts":    {2, nothing, func(a []string) error { return numbers(a[1]) }},
	"children":    {1, words, func(a []string) error { _, err := counts(a[1:]); return err }},
	"advance":     {1, nothing, func(a []string) error { _, err := duration(a[0]); return err }},
	"fail":        {1, mustText, nil},
	"lose":        {1, nothing, nil},
	"interrupt":   {1, nothing, nil},
	"restart":     {0, nothing, nil},
}

// Parse reads a scenario. Errors are *Error.
func Parse(file string, text string) ([]Step, error) {
	var steps []Step
	for _, l := range lines(text) {
		step, err := parseLine(l.text)
		if err != nil {
			return nil, &Error{file, l.number, err}
		}
		step.Line = l.number
		steps = append(steps, step)
	}
	for i, s := range steps {
		if s.Verb == "refused" && (i+1 == len(steps) || !slices.Contains([]string{"submit", "cancel", "terminate", "call", "queue", "environment", "definition", "nodes", "interrupt"}, steps[i+1].Verb)) {
			return nil, &Error{file, s.Line, fmt.Errorf("refused: what comes next is no request")}
		}
	}
	return steps, nil
}

type line struct {
	number int
	text   string
}

// lines are those that say something, with what continues them.
func lines(text string) []line {
	var out []line
	open := false // the last line may be continued
	for i, s := range strings.Split(text, "\n") {
		said := strings.TrimSpace(s)
		switch {
		case said == "" || said[0] == '#':
			open = false
		case open && (s[0] == ' ' || s[0] == '\t'):
			out[len(out)-1].text += " " + said
		default:
			out = append(out, line{i + 1, said})
			open = true
		}
	}
	return out
}

func parseLine(text string) (Step, error) {
	verb, left := word(text)
	f, ok := forms[verb]
	if !ok {
		return Step{}, fmt.Errorf("there is no verb %q", verb)
	}
	step := Step{Verb: verb}
	for len(step.Args) < f.args || f.rest == words && left != "" {
		var arg string
		if arg, left = word(left); arg == "" {
			return Step{}, fmt.Errorf("%s wants %d arguments, there are %d", verb, f.args, len(step.Args))
		}
		step.Args = append(step.Args, arg)
	}
	step.Rest = left
	switch {
	case f.rest == nothing && left != "":
		return Step{}, fmt.Errorf("%s takes nothing after its %d arguments, and there is %q", verb, f.args, left)
	case (f.rest == mustJSON || f.rest == mustText) && left == "":
		return Step{}, fmt.Errorf("%s wants something after its %d arguments", verb, f.args)
	case (f.rest == mustJSON || f.rest == mayJSON) && left != "":
		var object map[string]json.RawMessage
		if err := json.Unmarshal([]byte(left), &object); err != nil {
			return Step{}, fmt.Errorf("%s: %w", verb, err)
		}
	}
	if f.check != nil {
		if err := f.check(step.Args); err != nil {
			return Step{}, fmt.Errorf("%s: %w", verb, err)
		}
	}
	return step, nil
}

// word cuts the first word off.
func word(text string) (first, left string) {
	text = strings.TrimSpace(text)
	i := strings.IndexAny(text, " \t")
	if i < 0 {
		return text, ""
	}
	return text[:i], strings.TrimSpace(text[i:])
}

// String is the step as it would be written.
func (s Step) String() string {
	out := strings.Join(append([]string{s.Verb}, s.Args...), " ")
	if s.Rest != "" {
		out += " " + s.Rest
	}
	return out
}

func oneOf(word string, allowed ...string) error {
	if slices.Contains(allowed, word) {
		return nil
	}
	return fmt.Errorf("%q is none of %s", word, strings.Join(allowed, ", "))
}

func numbers(args ...string) error {
	for _, a := range args {
		if n, err := strconv.Atoi(a); err != nil || n < 0 {
			return fmt.Errorf("%q is not a number", a)
		}
	}
	return nil
}

func plainName(name string) error {
	if strings.ContainsAny(name, ":#$\"") {
		return fmt.Errorf("%q is not the name of a job", name)
	}
	return nil
}

func status(name string) error {
	if _, ok := batch.ParseStatus(name); !ok {
		return fmt.Errorf("%q is not a state of jobs", name)
	}
	return nil
}

func duration(text string) (time.Duration, error) {
	d, err := time.ParseDuration(text)
	if err == nil && d < 0 {
		err = fmt.Errorf("%s is back in time", text)
	}
	return d, err
}

// counts reads STATUS=N words.
func counts(args []string) (map[string]int, error) {
	out := map[string]int{}
	for _, a := range args {
		name, number, _ := strings.Cut(a, "=")
		n, err := strconv.Atoi(number)
		if err := status(name); err != nil {
			return nil, err
		}
		if err != nil || n < 1 {
			return nil, fmt.Errorf("%q is not STATUS=N with a number from 1", a)
		}
		out[name] = n
	}
	return out, nil
}
