package rules_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.uber.org/goleak"

	apibatch "github.com/batchbox/batchbox/internal/api/batch"
	"github.com/batchbox/batchbox/internal/batch"
	"github.com/batchbox/batchbox/internal/events"
	"github.com/batchbox/batchbox/internal/events/eventstest"
	"github.com/batchbox/batchbox/internal/events/rules"
	"github.com/batchbox/batchbox/internal/testenv"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

var home = eventstest.Home

// groups stands for CloudWatch Logs: it has the one group /events.
type groups struct {
	got  chan string
	mu   sync.Mutex
	fail int // writings that are still to fail
}

var errDisk = errors.New("the disk is full")

func (g *groups) Append(_ context.Context, s rules.Stream, list []rules.LogEvent) error {
	g.mu.Lock()
	defer g.mu.Unlock()
	switch {
	case g.fail > 0:
		g.fail--
		return errDisk
	case s.Group != "/events":
		return fmt.Errorf("%s: %w", s.Group, rules.ErrNoGroup)
	}
	for _, e := range list {
		g.got <- e.Message
	}
	return nil
}

// lab is an engine whose events go through a bus.
type lab struct {
	*eventstest.Lab
	bus  *rules.Bus
	logs *groups
	end  func()
}

func newLab(t *testing.T) *lab {
	l := &lab{Lab: eventstest.New(t), logs: &groups{got: make(chan string, 10000)}}
	l.open()
	return l
}

// open starts a bus on what the store has.
func (l *lab) open() {
	l.Helper()
	e := l.Engine
	bus, err := rules.Open(context.Background(), rules.Options{
		Docs: l.Store, Hub: l.Hub, Logs: l.logs, Now: time.Now, Logger: slog.New(slog.DiscardHandler),
		Jobs: func(ctx context.Context, p batch.Partition, request json.RawMessage) (string, error) {
			return apibatch.New(e, batch.Rules{}).Submit(ctx, p, request)
		},
	})
	if err != nil {
		l.Fatal(err)
	}
	l.bus = bus
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() {
		defer close(done)
		bus.Run(ctx)
	}()
	l.end = sync.OnceFunc(func() { cancel(); <-done })
	l.Cleanup(l.end)
}

func (l *lab) rule(name, pattern string) {
	l.Helper()
	if err := l.bus.PutRule(context.Background(), home, rules.Rule{Name: name, Pattern: pattern, State: rules.Enabled}); err != nil {
		l.Fatal(err)
	}
}

func (l *lab) target(rule string, t rules.Target) {
	l.Helper()
	if err := l.bus.PutTargets(context.Background(), home, rule, []rules.Target{t}); err != nil {
		l.Fatal(err)
	}
}

func (l *lab) take(n int) (list []string) {
	l.Helper()
	for range n {
		select {
		case m := <-l.logs.got:
			list = append(list, m)
		case <-time.After(testenv.Patience):
			l.Fatalf("after %d deliveries of %d nothing more came: %q", len(list), n, list)
		}
	}
	return list
}

func str(s string) *string { return &s }

const logGroup = "arn:aws:logs:eu-west-1:111122223333:log-group:/events"

var statusTarget = rules.Target{ID: "t", ARN: logGroup, InputPath: str("$.detail.status")}

func TestRuleDeliversToALogGroup(t *testing.T) {
	t.Parallel()
	l := newLab(t)
	l.Submit("q", "") // before the rule: not for it
	l.rule("ends", `{"source":["aws.batch"],"detail-type":["Batch Job State Change"],"detail":{"status":["SUCCEEDED","FAILED"]}}`)
	l.target("ends", statusTarget)
	l.rule("all", `{"source":[{"prefix":"aws."}]}`)
	l.target("all", rules.Target{ID: "t", ARN: logGroup + ":*", InputTransformer: &rules.InputTransformer{
		Paths: map[string]string{"s": "$.detail.status"}, Template: `{"timestamp": <aws.events.event.ingestion-time>, "message": "job is <s>"}`,
	}})
	l.rule("off", `{"source":["aws.batch"]}`)
	l.target("off", statusTarget)
	if err := l.bus.SetState(t.Context(), home, "off", rules.Disabled); err != nil {
		t.Fatal(err)
	}
	l.Finish(1, 3)
	if d := cmp.Diff([]string{"job is RUNNING", "job is FAILED", `"FAILED"`}, sorted(l.take(3))); d != "" {
		t.Error(d)
	}
}

// sorted puts what was told of running before the rest: streams are written one after another.
func sorted(list []string) []string {
	out := append([]string{}, list...)
	for i := range out {
		for j := i + 1; j < len(out); j++ {
			if (out[j] == "job is RUNNING") || (out[j] == "job is FAILED" && out[i] != "job is RUNNING") {
				out[i], out[j] = out[j], out[i]
			}
		}
	}
	return out
}

// TestRuleSubmitsAJob: the failure of a job submits another, with parameters of the event.
func TestRuleSubmitsAJob(t *testing.T) {
	t.Parallel()
	l := newLab(t)
	l.rule("again", `{"detail":{"status":["FAILED"],"jobName":["j"],"jobQueue":[{"suffix":"/q"}]}}`)
	l.target("again", rules.Target{
		ID: "t", ARN: home.BatchARN(batch.KindJobQueue, "other"), RoleARN: str("arn:aws:iam::111122223333:role/events"),
		Batch: &rules.BatchParameters{JobDefinition: "jd", JobName: "mend", Attempts: 2, ArraySize: 3},
		InputTransformer: &rules.InputTransformer{
			Paths:    map[string]string{"id": "$.detail.jobId", "attempts": "$.detail.attempts"},
			Template: `{"Parameters": {"failed": <id>, "attempts": <attempts>}, "ContainerOverrides": {"Environment": [{"Name": "JOB", "Value": <id>}]}}`,
		},
	})
	r := l.Hub.Read(-1, events.Filter{Queues: []string{"other"}})
	id := l.Submit("q", "")
	l.Finish(1, 1)
	first := eventstest.Next(t, r, 1)[0]
	shown, _, err := l.Hub.Render(t.Context(), &first)
	if err != nil {
		t.Fatal(err)
	}
	var job struct {
		JobName       string
		Parameters    map[string]string
		RetryStrategy struct{ Attempts int }
		Container     struct {
			Environment []struct{ Name, Value string }
		}
		ArrayProperties struct{ Size int }
	}
	if err := json.Unmarshal(shown.Detail, &job); err != nil {
		t.Fatal(err)
	}
	if job.JobName != "mend" || job.Parameters["failed"] != id || !strings.HasPrefix(job.Parameters["attempts"], "[{") || job.RetryStrategy.Attempts != 2 ||
		job.ArrayProperties.Size != 3 || len(job.Container.Environment) != 1 || job.Container.Environment[0].Value != id {
		t.Errorf("the job submitted is %s", shown.Detail)
	}
}

// TestDeliveryGoesOnAfterARestart: what happens while nobody delivers is delivered later, and a writing that fails is
// repeated.
func TestDeliveryGoesOnAfterARestart(t *testing.T) {
	t.Parallel()
	l := newLab(t)
	l.rule("all", `{"source":["aws.batch"]}`)
	l.target("all", statusTarget)
	l.target("all", rules.Target{ID: "gone", ARN: strings.Replace(logGroup, "/events", "/gone", 1)})
	l.Submit("q", "")
	if d := cmp.Diff([]string{`"RUNNABLE"`, `"STARTING"`}, l.take(2)); d != "" {
		t.Error(d)
	}
	l.end()
	l.Finish(1, 0)
	l.Stop()
	l.Start()
	l.logs.fail = 1
	l.open()
	if d := cmp.Diff([]string{`"RUNNING"`, `"SUCCEEDED"`}, l.take(2)); d != "" {
		t.Error(d)
	}
	rule, err := l.bus.Rule(home, "all")
	if err != nil || len(rule.Targets) != 2 {
		t.Errorf("after the restart: %+v, error %v", rule, err)
	}
}

func TestPublish(t *testing.T) {
	t.Parallel()
	l := newLab(t)
	l.rule("own", `{"source":["my.app"],"detail":{"n":[{"numeric":[">",1]}]}}`)
	l.target("own", rules.Target{ID: "t", ARN: logGroup, InputPath: str("$.detail.n")})
	for _, n := range []int{1, 2} {
		e := &events.Envelope{Version: "0", Source: "my.app", Detail: json.RawMessage(fmt.Sprintf(`{"n":%d}`, n))}
		if err := l.bus.Publish(t.Context(), home, e, time.Now()); err != nil {
			t.Fatal(err)
		}
	}
	if d := cmp.Diff([]string{"2"}, l.take(1)); d != "" {
		t.Error(d)
	}
	l.logs.fail = 1
	e := &events.Envelope{Source: "my.app", Detail: json.RawMessage(`{"n":3}`)}
	if err := l.bus.Publish(t.Context(), home, e, time.Now()); !errors.Is(err, errDisk) {
		t.Errorf("error %v", err)
	}
	if err := l.bus.Publish(t.Context(), batch.Partition{Account: home.Account, Region: "us-east-1"}, e, time.Now()); err != nil || len(l.logs.got) != 0 {
		t.Errorf("another region's event: error %v, delivered %d", err, len(l.logs.got))
	}
}

func TestRefusals(t *testing.T) {
	t.Parallel()
	l := newLab(t)
	ctx := t.Context()
	const any = `{"source":["x"]}`
	l.rule("r", any)
	put := func(r rules.Rule) error { return l.bus.PutRule(ctx, home, r) }
	targets := func(list ...rules.Target) error { return l.bus.PutTargets(ctx, home, "r", list) }
	role, queue := str("arn:aws:iam::111122223333:role/x"), home.BatchARN(batch.KindJobQueue, "q")
	parameters := &rules.BatchParameters{JobDefinition: "jd", JobName: "j"}
	many := make([]rules.Target, 6)
	for i := range many {
		many[i] = rules.Target{ID: fmt.Sprint(i), ARN: logGroup}
	}
	for _, tc := range []struct {
		name string
		err  error
		code rules.Code
		want string
	}{
		{"name", put(rules.Rule{Name: "a b", Pattern: any, State: rules.Enabled}), rules.Invalid, "'a b' at 'name'"},
		{"state", put(rules.Rule{Name: "a", Pattern: any, State: "ON"}), rules.Invalid, "'ON' at 'state'"},
		{"pattern", put(rules.Rule{Name: "a", Pattern: `{"a":1}`, State: rules.Enabled}), rules.InvalidPattern, "Event pattern is not valid. Reason: "},
		{"tags", put(rules.Rule{Name: "a", Pattern: any, State: rules.Enabled, Tags: map[string]string{"aws:x": ""}}), rules.Invalid, "aws:x"},
		{"rule of state", l.bus.SetState(ctx, home, "no", rules.Disabled), rules.NotFound, "Rule no does not exist on EventBus default."},
		{"rule of targets", l.bus.PutTargets(ctx, home, "no", nil), rules.NotFound, "Rule no does not exist"},
		{"rule of tags", l.bus.Tag(ctx, home, "no", nil, nil), rules.NotFound, "Rule no does not exist"},
		{"id", targets(rules.Target{ID: "a b", ARN: logGroup}), rules.Invalid, "'a b' at 'targets.id'"},
		{"arn", targets(rules.Target{ID: "a", ARN: "x"}), rules.Invalid, "not in correct format"},
		{"kind", targets(rules.Target{ID: "a", ARN: "arn:aws:lambda:eu-west-1:111122223333:function:f"}), rules.Unsupported, "not to lambda"},
		{"region", targets(rules.Target{ID: "a", ARN: strings.Replace(logGroup, "eu-west-1", "us-east-1", 1)}), rules.Invalid, "region eu-west-1"},
		{"no queue", targets(rules.Target{ID: "a", ARN: home.BatchARN("job-definition", "x:1")}), rules.Invalid, "not in correct format"},
		{"two inputs", targets(rules.Target{ID: "a", ARN: logGroup, Input: str("1"), InputPath: str("$")}), rules.Invalid, "Only one of"},
		{"parameters of a log group", targets(rules.Target{ID: "a", ARN: logGroup, Batch: parameters}), rules.Invalid, "no job queue"},
		{"queue without parameters", targets(rules.Target{ID: "a", ARN: queue, RoleARN: role}), rules.Invalid, "BatchParameters"},
		{"queue without a role", targets(rules.Target{ID: "a", ARN: queue, Batch: parameters}), rules.Invalid, "RoleArn is required"},
		{"array of one", targets(rules.Target{ID: "a", ARN: queue, RoleARN: role, Batch: &rules.BatchParameters{JobDefinition: "jd", JobName: "j", ArraySize: 1}}), rules.Invalid, "between 2 and 10000"},
		{"attempts", targets(rules.Target{ID: "a", ARN: queue, RoleARN: role, Batch: &rules.BatchParameters{JobDefinition: "jd", JobName: "j", Attempts: 11}}), rules.Invalid, "between 1 and 10"},
		{"six targets", targets(many...), rules.LimitExceeded, "5 targets"},
		{"bus", rules.CheckBus(home, str("own")), rules.NotFound, "own"},
	} {
		var refusal *rules.Error
		if !errors.As(tc.err, &refusal) || refusal.Code != tc.code || !strings.Contains(refusal.Message, tc.want) {
			t.Errorf("%s: %v, want %q", tc.name, tc.err, tc.want)
		}
	}
	if rule, err := l.bus.Rule(home, "r"); err != nil || len(rule.Targets) != 0 {
		t.Errorf("a refused request changed the rule: %+v, %v", rule, err)
	}
	for _, name := range []string{"default", rules.BusARN(home)} {
		if err := rules.CheckBus(home, &name); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestRulesAreKept(t *testing.T) {
	t.Parallel()
	l := newLab(t)
	ctx := t.Context()
	l.rule("a", `{"source":["x"]}`)
	l.target("a", statusTarget)
	if err := l.bus.Tag(ctx, home, "a", map[string]string{"k": "v", "l": "w"}, []string{"l"}); err != nil {
		t.Fatal(err)
	}
	if err := l.bus.DeleteRule(ctx, home, "a"); err == nil || !strings.Contains(err.Error(), "has targets") {
		t.Errorf("a rule with targets: %v", err)
	}
	l.rule("a", `{"source":["y"]}`) // again: targets and tags stay
	rule, err := l.bus.Rule(home, "a")
	if err != nil || rule.Pattern != `{"source":["y"]}` || len(rule.Targets) != 1 || rule.Tags["k"] != "v" || len(rule.Tags) != 1 {
		t.Errorf("%+v, error %v", rule, err)
	}
	missing, err := l.bus.RemoveTargets(ctx, home, "a", []string{"t", "none"})
	if err != nil || len(missing) != 1 || missing[0] != "none" {
		t.Errorf("missing %v, error %v", missing, err)
	}
	for range 2 {
		if err := l.bus.DeleteRule(ctx, home, "a"); err != nil {
			t.Error(err)
		}
	}
	l.end()
	l.open()
	if list := l.bus.Rules(home, func(*rules.Rule) bool { return true }); len(list) != 0 {
		t.Errorf("after a restart the deleted rule is there: %+v", list)
	}
}
