// Package rules is the part of Amazon EventBridge that belongs to AWS Batch: rules of the default event bus, whose patterns
// select events, and whose targets get them. Two kinds of target are provided, a log group of CloudWatch Logs and a job queue
// of AWS Batch.
package rules

import (
	"encoding/json"
	"fmt"
	"regexp"
	"strings"
	"sync"

	"github.com/batchbox/batchbox/internal/batch"
	"github.com/batchbox/batchbox/internal/events/pattern"
)

// Rule is a rule of the default event bus, with its targets.
type Rule struct {
	Name        string            `json:"name"`
	Description *string           `json:"description,omitempty"`
	Pattern     string            `json:"pattern"` // as it was sent
	State       string            `json:"state"`
	RoleARN     *string           `json:"roleArn,omitempty"`
	Tags        map[string]string `json:"tags,omitempty"`
	Targets     []Target          `json:"targets,omitempty"`
	// Since is the position in the event journal when the rule was enabled: it is for what happens after.
	Since int64 `json:"since"`
}

// The states of a rule.
const (
	Enabled = "ENABLED"
	// EnabledWithCloudTrail is ENABLED with events that batchbox has none of.
	EnabledWithCloudTrail = "ENABLED_WITH_ALL_CLOUDTRAIL_MANAGEMENT_EVENTS"
	Disabled              = "DISABLED"
)

// Target is what an event is sent to, and what of it is sent (API reference, Target). Members of kinds of targets that are
// not provided are not here.
type Target struct {
	ID               string            `json:"id"`
	ARN              string            `json:"arn"`
	RoleARN          *string           `json:"roleArn,omitempty"`
	Input            *string           `json:"input,omitempty"`
	InputPath        *string           `json:"inputPath,omitempty"`
	InputTransformer *InputTransformer `json:"inputTransformer,omitempty"`
	Batch            *BatchParameters  `json:"batch,omitempty"`
	// RetryPolicy is kept and shown; see Bus for when a delivery is repeated.
	RetryPolicy json.RawMessage `json:"retryPolicy,omitempty"`
}

// InputTransformer makes an input of values of the event.
type InputTransformer struct {
	Paths    map[string]string `json:"paths,omitempty"` // name of a variable -> JSON path
	Template string            `json:"template"`
}

// BatchParameters say which job a target submits.
type BatchParameters struct {
	JobDefinition string `json:"jobDefinition"`
	JobName       string `json:"jobName"`
	ArraySize     int32  `json:"arraySize,omitempty"`
	Attempts      int32  `json:"attempts,omitempty"`
}

// Code is what kind of refusal an Error is.
type Code uint8

// The codes of refusals.
const (
	Invalid Code = iota + 1
	InvalidPattern
	NotFound
	LimitExceeded
	Unsupported
)

// Error is a refused request; the message is for the caller.
type Error struct {
	Code    Code
	Message string
}

func (e *Error) Error() string { return e.Message }

func refuse(code Code, format string, args ...any) *Error {
	return &Error{code, fmt.Sprintf(format, args...)}
}

// The limits of the service (EventBridge User Guide, "Amazon EventBridge quotas").
const (
	maxRules   = 300
	maxTargets = 5
	maxTags    = 50
)

var nameRE = sync.OnceValue(func() *regexp.Regexp { return regexp.MustCompile(`^[.\-_A-Za-z0-9]{1,64}$`) })

// BusName is the one event bus there is.
const BusName = "default"

// BusARN is the default event bus's ARN, RuleARN that of a rule on it.
func BusARN(p batch.Partition) string { return p.ARN("events", "event-bus/"+BusName) }

// RuleARN is the ARN of a rule on the default event bus.
func RuleARN(p batch.Partition, name string) string { return p.ARN("events", "rule/"+name) }

// notFound is EventBridge's refusal of a rule that is not there.
func notFound(name string) *Error {
	return refuse(NotFound, "Rule %s does not exist on EventBus %s.", name, BusName)
}

// CheckBus refuses a bus that is not the default one, named or by its ARN; nil means it.
func CheckBus(p batch.Partition, name *string) error {
	if name == nil || *name == BusName || *name == BusARN(p) {
		return nil
	}
	return refuse(NotFound, "Event bus %s does not exist. batchbox has the bus %s.", *name, BusName)
}

// check looks at a rule as PutRule gives it.
func (r *Rule) check() error {
	if !nameRE().MatchString(r.Name) {
		return refuse(Invalid, "1 validation error detected: Value '%s' at 'name' failed to satisfy constraint: Member must satisfy regular expression pattern: [\\.\\-_A-Za-z0-9]+", r.Name)
	}
	switch r.State {
	case Enabled, Disabled, EnabledWithCloudTrail:
	default:
		return refuse(Invalid, "1 validation error detected: Value '%s' at 'state' failed to satisfy constraint: Member must satisfy enum value set: [ENABLED, DISABLED, ENABLED_WITH_ALL_CLOUDTRAIL_MANAGEMENT_EVENTS]", r.State)
	}
	if _, err := pattern.Parse([]byte(r.Pattern)); err != nil {
		return refuse(InvalidPattern, "Event pattern is not valid. Reason: %v", err)
	}
	return checkTags(r.Tags)
}

func checkTags(tags map[string]string) error {
	if len(tags) > maxTags {
		return refuse(LimitExceeded, "A rule can have %d tags.", maxTags)
	}
	for k, v := range tags {
		if n := len(k); n < 1 || n > 128 || len(v) > 256 || strings.HasPrefix(strings.ToLower(k), "aws:") {
			return refuse(Invalid, "Tag %q is not valid: a key has 1 to 128 characters and does not begin with aws:, a value has at most 256.", k)
		}
	}
	return nil
}

var (
	logGroupRE = sync.OnceValue(func() *regexp.Regexp { return regexp.MustCompile(`^log-group:([.\-_/#A-Za-z0-9]{1,512})(:\*)?$`) })
	queueRE    = sync.OnceValue(func() *regexp.Regexp { return regexp.MustCompile(`^job-queue/([A-Za-z0-9_-]{1,128})$`) })
)

// kind is what a target is.
type kind uint8

const (
	kindLogs kind = iota + 1
	kindBatch
)

// place takes a target's ARN apart: its kind, and the name of the log group or job queue. It must be in the rule's own
// account and region, as EventBridge wants it but for event buses.
func place(p batch.Partition, arn string) (kind, string, error) {
	parts := strings.SplitN(arn, ":", 6)
	if len(parts) != 6 || parts[0] != "arn" {
		return 0, "", refuse(Invalid, "Parameter %s is not valid. Reason: Provided Arn is not in correct format.", arn)
	}
	service, region, account, resource := parts[2], parts[3], parts[4], parts[5]
	if service != "logs" && service != "batch" {
		return 0, "", refuse(Unsupported, "Target %s: batchbox delivers events to log groups of CloudWatch Logs and to job queues of AWS Batch, not to %s.", arn, service)
	}
	if region != p.Region || account != p.Account {
		return 0, "", refuse(Invalid, "Parameter %s is not valid. Reason: The target is not in account %s and region %s, as its rule is.", arn, p.Account, p.Region)
	}
	if service == "logs" {
		if m := logGroupRE().FindStringSubmatch(resource); m != nil {
			return kindLogs, m[1], nil
		}
	} else if m := queueRE().FindStringSubmatch(resource); m != nil {
		return kindBatch, m[1], nil
	}
	return 0, "", refuse(Invalid, "Parameter %s is not valid. Reason: Provided Arn is not in correct format.", arn)
}

// check looks at a target as PutTargets gives it.
func (t *Target) check(p batch.Partition) error {
	if !nameRE().MatchString(t.ID) {
		return refuse(Invalid, "1 validation error detected: Value '%s' at 'targets.id' failed to satisfy constraint: Member must satisfy regular expression pattern: [\\.\\-_A-Za-z0-9]+", t.ID)
	}
	what, _, err := place(p, t.ARN)
	if err != nil {
		return err
	}
	inputs := 0
	for _, given := range []bool{t.Input != nil, t.InputPath != nil, t.InputTransformer != nil} {
		if given {
			inputs++
		}
	}
	if inputs > 1 {
		return refuse(Invalid, "Only one of Input, InputPath, or InputTransformer must be provided for target %s.", t.ID)
	}
	if _, err := newShaper(t); err != nil {
		return err
	}
	switch {
	case what == kindLogs && t.Batch != nil:
		return refuse(Invalid, "BatchParameters are not for target %s, which is no job queue.", t.ID)
	case what == kindBatch:
		return t.checkBatch()
	}
	return nil
}

func (t *Target) checkBatch() error {
	switch b := t.Batch; {
	case b == nil || b.JobDefinition == "" || b.JobName == "":
		return refuse(Invalid, "BatchParameters with JobDefinition and JobName are required for target %s.", t.ARN)
	case t.RoleARN == nil || *t.RoleARN == "":
		return refuse(Invalid, "RoleArn is required for target %s.", t.ARN)
	case b.ArraySize != 0 && (b.ArraySize < 2 || b.ArraySize > 10000):
		return refuse(Invalid, "ArrayProperties.Size of target %s must be between 2 and 10000.", t.ID)
	case b.Attempts < 0 || b.Attempts > 10:
		return refuse(Invalid, "RetryStrategy.Attempts of target %s must be between 1 and 10.", t.ID)
	}
	return nil
}

// compiled is a Rule ready to be used. It does not change.
type compiled struct {
	Rule
	pattern *pattern.Pattern
	targets []compiledTarget
}

type compiledTarget struct {
	*Target
	kind   kind
	name   string // of the log group or job queue
	shaper *shaper
}

func compile(p batch.Partition, r Rule) (*compiled, error) {
	c := &compiled{Rule: r}
	var err error
	if c.pattern, err = pattern.Parse([]byte(r.Pattern)); err != nil {
		return nil, fmt.Errorf("rule %s: %w", r.Name, err)
	}
	for i := range r.Targets {
		t := compiledTarget{Target: &r.Targets[i]}
		if t.kind, t.name, err = place(p, t.ARN); err != nil {
			return nil, fmt.Errorf("rule %s: %w", r.Name, err)
		}
		if t.shaper, err = newShaper(t.Target); err != nil {
			return nil, fmt.Errorf("rule %s: %w", r.Name, err)
		}
		c.targets = append(c.targets, t)
	}
	return c, nil
}

// enabled says whether the rule gets events at all.
func (c *compiled) enabled() bool { return c.State != Disabled && len(c.targets) > 0 }
