package stack

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/batch"
	"github.com/aws/aws-sdk-go-v2/service/cloudwatchlogs"
)

// Stack makes and removes resources in one account and region.
type Stack struct {
	Batch   *batch.Client
	Logs    *cloudwatchlogs.Client
	Network Network
	// Done is told of each resource that has been seen to.
	Done func(Change)
	// Timeout bounds the wait for each resource to settle.
	Timeout time.Duration
}

// Network finds the subnets and the security groups that stand for "default".
type Network interface {
	Default(ctx context.Context) (subnets, securityGroups []string, err error)
}

// Change is what Apply or Destroy did about one resource.
type Change struct {
	Resource
	// Did says what, as a past participle: "created", "unchanged", "registered revision 2", "was not there".
	Did string
	// ARN is the resource's, where it has one and is there.
	ARN  string
	Took time.Duration
}

// Apply brings the resources about, in their order: it creates what is not there, changes what differs, leaves the rest
// alone, and waits until each can be used. A job definition that differs gets a new revision. It stops at the first error;
// applying again goes on from there.
func (s *Stack) Apply(ctx context.Context, resources []Resource) ([]Change, error) {
	var changes []Change
	known := make(names)
	for _, r := range resources {
		known.add(r.Kind, r.Name, "")
	}
	for _, r := range resources {
		start := time.Now()
		c := Change{Resource: r}
		var err error
		switch in := r.Input.(type) {
		case *cloudwatchlogs.CreateLogGroupInput:
			err = s.applyLogGroup(ctx, in, &c)
		case *batch.CreateSchedulingPolicyInput:
			err = s.applySchedulingPolicy(ctx, in, &c)
		case *batch.CreateConsumableResourceInput:
			err = s.applyConsumableResource(ctx, in, &c)
		case *batch.CreateComputeEnvironmentInput:
			err = s.applyComputeEnvironment(ctx, in, &c)
		case *batch.CreateJobQueueInput:
			err = s.applyJobQueue(ctx, known.localised(in), &c)
		case *batch.RegisterJobDefinitionInput:
			err = s.applyJobDefinition(ctx, in, &c)
		default:
			err = fmt.Errorf("no way to make a %T", in)
		}
		if err != nil {
			return changes, fmt.Errorf("%s %s (%s): %w", r.Kind, r.Name, r.File, err)
		}
		known.add(r.Kind, r.Name, c.ARN)
		c.Took = time.Since(start)
		s.Done(c)
		changes = append(changes, c)
	}
	return changes, nil
}

// Destroy takes the resources away, in the opposite order, and waits until they are gone. What is not there already is
// no error, so destroying can be repeated. A queue's jobs end with it, and all active revisions of a job definition are
// deregistered. It goes on after an error, so that as little as possible is left.
func (s *Stack) Destroy(ctx context.Context, resources []Resource) error {
	var errs []error
	for _, r := range slices.Backward(resources) {
		start := time.Now()
		c := Change{Resource: r}
		var err error
		switch r.Kind {
		case LogGroup:
			err = s.destroyLogGroup(ctx, &c)
		case SchedulingPolicy:
			err = s.destroySchedulingPolicy(ctx, &c)
		case ConsumableResource:
			err = s.destroyConsumableResource(ctx, &c)
		case ComputeEnvironment:
			err = s.destroyComputeEnvironment(ctx, &c)
		case JobQueue:
			err = s.destroyJobQueue(ctx, &c)
		case JobDefinition:
			err = s.destroyJobDefinition(ctx, &c)
		default:
			err = fmt.Errorf("no way to remove a %s", r.Kind)
		}
		if err != nil {
			errs = append(errs, fmt.Errorf("%s %s (%s): %w", r.Kind, r.Name, r.File, err))
			continue
		}
		c.Took = time.Since(start)
		s.Done(c)
	}
	return errors.Join(errs...)
}

// What became of a resource that was not there when it was to be removed.
const wasNotThere = "was not there"

// names are the resources of one Apply, and their ARNs once they have been made.
type names map[Kind]map[string]string

func (n names) add(k Kind, name, arn string) {
	if n[k] == nil {
		n[k] = make(map[string]string)
	}
	n[k][name] = arn
}

// localised has a queue name the compute environments and the scheduling policy that were made with it instead of those
// of the same names in the account its description comes from.
func (n names) localised(in *batch.CreateJobQueueInput) *batch.CreateJobQueueInput {
	local := *in
	local.ComputeEnvironmentOrder = slices.Clone(in.ComputeEnvironmentOrder)
	for i, o := range local.ComputeEnvironmentOrder {
		if o.ComputeEnvironment == nil {
			continue
		}
		if arn := n[ComputeEnvironment][short(*o.ComputeEnvironment)]; arn != "" {
			local.ComputeEnvironmentOrder[i].ComputeEnvironment = &arn
		}
	}
	if in.SchedulingPolicyArn != nil {
		if arn := n[SchedulingPolicy][short(*in.SchedulingPolicyArn)]; arn != "" {
			local.SchedulingPolicyArn = &arn
		}
	}
	return &local
}

// short is the name at the end of an ARN, or the name itself.
func short(arn string) string { return arn[strings.LastIndexByte(arn, '/')+1:] }

// until calls done, at growing intervals, until it answers true or an error.
func (s *Stack) until(ctx context.Context, what string, done func(context.Context) (bool, error)) error {
	ctx, cancel := context.WithTimeoutCause(ctx, s.Timeout, fmt.Errorf("not %s after %v", what, s.Timeout))
	defer cancel()
	for pause := 10 * time.Millisecond; ; pause = min(pause*3/2, 3*time.Second) {
		ok, err := done(ctx)
		if err != nil && ctx.Err() != nil {
			return context.Cause(ctx)
		}
		if ok || err != nil {
			return err
		}
		timer := time.NewTimer(pause)
		select {
		case <-ctx.Done():
			timer.Stop()
			return context.Cause(ctx)
		case <-timer.C:
		}
	}
}

// tag brings a resource's tags to what is wanted. A file without tags says nothing about them.
func (s *Stack) tag(ctx context.Context, arn string, want, is map[string]string) (changed bool, err error) {
	if want == nil || maps.Equal(want, is) {
		return false, nil
	}
	var gone []string
	for name := range is {
		if _, ok := want[name]; !ok && !strings.HasPrefix(name, "aws:") { // those are AWS's own
			gone = append(gone, name)
		}
	}
	if len(gone) > 0 {
		slices.Sort(gone)
		if _, err := s.Batch.UntagResource(ctx, &batch.UntagResourceInput{ResourceArn: &arn, TagKeys: gone}); err != nil {
			return false, err
		}
	}
	added := make(map[string]string)
	for name, value := range want {
		if old, ok := is[name]; !ok || old != value {
			added[name] = value
		}
	}
	if len(added) > 0 {
		if _, err := s.Batch.TagResource(ctx, &batch.TagResourceInput{ResourceArn: &arn, Tags: added}); err != nil {
			return false, err
		}
	}
	return len(gone)+len(added) > 0, nil
}
