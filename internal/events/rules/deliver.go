package rules

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/google/uuid"

	"github.com/batchbox/batchbox/internal/batch"
	"github.com/batchbox/batchbox/internal/events"
	"github.com/batchbox/batchbox/internal/events/pattern"
)

// Run delivers state changes of jobs to the targets of the rules that match them, until ctx is done or the hub is closed.
func (b *Bus) Run(ctx context.Context) {
	f := events.Follower{Hub: b.o.Hub, Name: "EventBridge rules", Deliver: b.deliverPage, Idle: b.idle}
	f.Run(ctx)
}

// idle says that no rule waits for anything.
func (b *Bus) idle() bool {
	b.mu.RLock()
	defer b.mu.RUnlock()
	for _, rules := range b.rules {
		for _, c := range rules {
			if c.enabled() {
				return false
			}
		}
	}
	return true
}

// waiting are the rules of a partition that want events, by name.
func (b *Bus) waiting(p batch.Partition) []*compiled {
	b.mu.RLock()
	defer b.mu.RUnlock()
	var list []*compiled
	for _, name := range sortedKeys(b.rules[p]) {
		if c := b.rules[p][name]; c.enabled() {
			list = append(list, c)
		}
	}
	return list
}

// deliverPage delivers events of the journal; done is how many need not be delivered again.
func (b *Bus) deliverPage(ctx context.Context, page []events.Event) (done int, err error) {
	d := delivery{bus: b}
	for i := range page {
		e := &page[i]
		var rules []*compiled
		for _, c := range b.waiting(e.View.Partition) {
			if e.ID > c.Since {
				rules = append(rules, c)
			}
		}
		if len(rules) == 0 {
			continue
		}
		shown, ok, err := b.o.Hub.Render(ctx, e)
		if err != nil {
			return d.done(i), err
		}
		if !ok {
			continue
		}
		d.current = i
		if err := d.deliver(ctx, e.View.Partition, rules, &shown, time.UnixMilli(e.At)); err != nil {
			return d.done(i), err
		}
	}
	if err := d.flush(ctx); err != nil {
		return d.done(len(page)), err
	}
	return len(page), nil
}

// Publish delivers an event that is not a job's. What fails for good is logged, what may pass is the error.
func (b *Bus) Publish(ctx context.Context, p batch.Partition, e *events.Envelope, at time.Time) error {
	d := delivery{bus: b}
	if err := d.deliver(ctx, p, b.waiting(p), e, at); err != nil {
		return err
	}
	return d.flush(ctx)
}

// delivery is the delivery of some events. What goes to log groups is collected, since each writing waits for the disk, and
// written before a job is submitted and at the end.
type delivery struct {
	bus     *Bus
	current int // number of the event being delivered

	pending []pendingLogs
	since   int // number of the first event of which something is pending
}

// pendingLogs is what is to be written to a stream.
type pendingLogs struct {
	Stream
	rule   string
	events []LogEvent
}

// done is how many of the first n events have been delivered whole.
func (d *delivery) done(n int) int {
	if len(d.pending) > 0 {
		return min(n, d.since)
	}
	return n
}

func (d *delivery) add(stream Stream, rule string, e LogEvent) {
	if len(d.pending) == 0 {
		d.since = d.current
	}
	for i := range d.pending {
		if d.pending[i].Stream == stream {
			d.pending[i].events = append(d.pending[i].events, e)
			return
		}
	}
	d.pending = append(d.pending, pendingLogs{stream, rule, []LogEvent{e}})
}

// flush writes what is pending.
func (d *delivery) flush(ctx context.Context) error {
	for len(d.pending) > 0 {
		first := &d.pending[0]
		err := d.bus.o.Logs.Append(ctx, first.Stream, first.events)
		switch {
		case errors.Is(err, ErrNoGroup):
			d.bus.o.Logger.Warn("events were not delivered", "events", len(first.events), "rule", first.rule, "log group", first.Group, "error", err)
		case err != nil:
			return fmt.Errorf("log group %s: %w", first.Group, err)
		}
		d.pending = d.pending[1:]
	}
	return nil
}

func (d *delivery) deliver(ctx context.Context, p batch.Partition, rules []*compiled, e *events.Envelope, at time.Time) error {
	raw, err := json.Marshal(e)
	if err != nil {
		return err
	}
	doc, err := pattern.Decode(raw)
	if err != nil {
		return err
	}
	for _, c := range rules {
		if !c.pattern.Match(doc) {
			continue
		}
		o := &occurrence{ruleName: c.Name, ruleARN: RuleARN(p, c.Name), ingested: d.bus.o.Now(), raw: raw}
		for i := range c.targets {
			t := &c.targets[i]
			err := d.send(ctx, p, t, o, at)
			var failed *failedError
			switch {
			case errors.As(err, &failed):
				d.bus.o.Logger.Warn("an event was not delivered", "event", e.ID, "rule", o.ruleARN, "target", t.ID, "arn", t.ARN, "error", failed.err)
			case err != nil:
				return fmt.Errorf("rule %s, target %s: %w", c.Name, t.ID, err)
			}
		}
	}
	return nil
}

// failedError is a delivery that would fail again.
type failedError struct{ err error }

func (e *failedError) Error() string { return e.err.Error() }
func (e *failedError) Unwrap() error { return e.err }

func (d *delivery) send(ctx context.Context, p batch.Partition, t *compiledTarget, o *occurrence, at time.Time) error {
	input, err := t.shaper.shape(o)
	if err != nil {
		return &failedError{err}
	}
	if t.kind == kindBatch {
		if err := d.flush(ctx); err != nil { // so that a failure of it can't have the job submitted twice
			return err
		}
		return d.bus.submit(ctx, p, t, input)
	}
	message := string(input)
	if t.InputTransformer != nil {
		if at, message, err = logEvent(input); err != nil {
			return &failedError{err}
		}
	}
	d.add(Stream{p, t.name, streamName(o.ruleARN)}, o.ruleARN, LogEvent{at, message})
	return nil
}

// streamName is the log stream of a rule. EventBridge's streams have names that are UUIDs; unverified: what they are made
// of, and when it begins another.
func streamName(ruleARN string) string {
	return uuid.NewMD5(uuid.NameSpaceURL, []byte(ruleARN)).String()
}

// logEvent reads the input of a log group that an input transformer has made: {"timestamp": ..., "message": ...}, of which
// the message is written (AWS CDK, LogGroupTargetInput).
func logEvent(input json.RawMessage) (at time.Time, message string, err error) {
	var e struct {
		Timestamp json.RawMessage `json:"timestamp"`
		Message   json.RawMessage `json:"message"`
	}
	if err := json.Unmarshal(input, &e); err != nil || e.Timestamp == nil || e.Message == nil {
		return at, "", errors.New(`the input of a log group that is transformed must be an object with "timestamp" and "message"`)
	}
	var ms int64
	var text string
	switch {
	case json.Unmarshal(e.Timestamp, &ms) == nil:
		at = time.UnixMilli(ms)
	case json.Unmarshal(e.Timestamp, &text) == nil:
		if at, err = time.Parse(time.RFC3339, text); err != nil {
			return at, "", fmt.Errorf("timestamp %q: %w", text, err)
		}
	default:
		return at, "", fmt.Errorf("timestamp %s is neither milliseconds nor a time", e.Timestamp)
	}
	if json.Unmarshal(e.Message, &message) != nil {
		message = string(e.Message)
	}
	return at, message, nil
}

// submit submits the target's job. Of the input, Parameters and ContainerOverrides count (Batch User Guide, "Pass event
// information to an AWS Batch target using the EventBridge input transformer").
func (b *Bus) submit(ctx context.Context, p batch.Partition, t *compiledTarget, input json.RawMessage) error {
	request := map[string]any{"jobName": t.Batch.JobName, "jobQueue": t.ARN, "jobDefinition": t.Batch.JobDefinition}
	if t.Batch.ArraySize > 0 {
		request["arrayProperties"] = map[string]any{"size": t.Batch.ArraySize}
	}
	if t.Batch.Attempts > 0 {
		request["retryStrategy"] = map[string]any{"attempts": t.Batch.Attempts}
	}
	var members struct {
		Parameters         map[string]any
		ContainerOverrides map[string]any
	}
	if t.Input != nil || t.InputPath != nil || t.InputTransformer != nil {
		if err := json.Unmarshal(input, &members); err != nil {
			return &failedError{fmt.Errorf("the input of a job must be an object with Parameters and ContainerOverrides: %w", err)}
		}
	}
	if members.Parameters != nil {
		parameters := make(map[string]string, len(members.Parameters))
		for k, v := range members.Parameters {
			parameters[k] = text(v)
		}
		request["parameters"] = parameters
	}
	if members.ContainerOverrides != nil {
		request["containerOverrides"] = lowerKeys(members.ContainerOverrides)
	}
	raw, err := json.Marshal(request)
	if err != nil {
		return &failedError{err}
	}
	id, err := b.o.Jobs(ctx, p, raw)
	var refusal *batch.Error
	if errors.As(err, &refusal) && refusal.Code != batch.Unavailable {
		return &failedError{err}
	}
	if err == nil {
		b.o.Logger.Debug("an event submitted a job", "target", t.ID, "job", id)
	}
	return err
}

// text is a value as a job's parameter.
func text(v any) string {
	if s, ok := v.(string); ok {
		return s
	}
	raw, err := json.Marshal(v)
	if err != nil {
		return fmt.Sprint(v) // it has been JSON before
	}
	return string(raw)
}

// lowerKeys writes the names of members as the Batch API has them: EventBridge's begin with capitals.
func lowerKeys(v any) any {
	switch v := v.(type) {
	case map[string]any:
		out := make(map[string]any, len(v))
		for k, inner := range v {
			if k != "" {
				k = strings.ToLower(k[:1]) + k[1:]
			}
			out[k] = lowerKeys(inner)
		}
		return out
	case []any:
		out := make([]any, len(v))
		for i, inner := range v {
			out[i] = lowerKeys(inner)
		}
		return out
	default:
		return v
	}
}
