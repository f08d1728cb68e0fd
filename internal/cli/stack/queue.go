package stack

import (
	"context"
	"errors"
	"fmt"
	"reflect"
	"slices"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/batch"
	"github.com/aws/aws-sdk-go-v2/service/batch/types"
)

var computeResourceUpdateType = reflect.TypeFor[types.ComputeResourceUpdate]()

func (s *Stack) jobQueue(ctx context.Context, name string) (*types.JobQueueDetail, error) {
	out, err := s.Batch.DescribeJobQueues(ctx, &batch.DescribeJobQueuesInput{JobQueues: []string{name}})
	if err != nil {
		return nil, err
	}
	for _, d := range out.JobQueues {
		if d.Status != types.JQStatusDeleted {
			return &d, nil
		}
	}
	return nil, nil
}

func (s *Stack) settledJobQueue(ctx context.Context, name, what string) (d *types.JobQueueDetail, err error) {
	err = s.until(ctx, what, func(ctx context.Context) (bool, error) {
		d, err = s.jobQueue(ctx, name)
		return err == nil && (d == nil || d.Status == types.JQStatusValid || d.Status == types.JQStatusInvalid), err
	})
	return d, err
}

func (s *Stack) validJobQueue(ctx context.Context, name string) error {
	d, err := s.settledJobQueue(ctx, name, "VALID")
	switch {
	case err != nil:
		return err
	case d == nil:
		return errors.New("it is gone again")
	case d.Status == types.JQStatusInvalid:
		return fmt.Errorf("it is INVALID: %s", deref(d.StatusReason))
	}
	return nil
}

func (s *Stack) applyJobQueue(ctx context.Context, want *batch.CreateJobQueueInput, c *Change) error {
	is, err := s.settledJobQueue(ctx, c.Name, "settled")
	if err != nil {
		return err
	}
	if is == nil {
		out, err := s.Batch.CreateJobQueue(ctx, want)
		if err != nil {
			return err
		}
		c.ARN, c.Did = *out.JobQueueArn, "created"
		return s.validJobQueue(ctx, c.Name)
	}
	c.ARN, c.Did = *is.JobQueueArn, "unchanged"
	update, err := jobQueueUpdate(want, is)
	if err != nil {
		return err
	}
	tagged, err := s.tag(ctx, c.ARN, want.Tags, is.Tags)
	if err != nil {
		return err
	}
	if tagged {
		c.Did = "updated"
	}
	if update != nil {
		c.Did = "updated"
		if _, err := s.Batch.UpdateJobQueue(ctx, update); err != nil {
			return err
		}
	}
	return s.validJobQueue(ctx, c.Name)
}

func jobQueueUpdate(want *batch.CreateJobQueueInput, is *types.JobQueueDetail) (*batch.UpdateJobQueueInput, error) {
	if want.JobQueueType != "" && want.JobQueueType != is.JobQueueType {
		return nil, errors.New("its jobQueueType differs, which can not be changed in place: destroy it first, or give the new one another name")
	}
	u := &batch.UpdateJobQueueInput{JobQueue: want.JobQueueName}
	changed := false
	if state := enabledJQ(want.State); state != enabledJQ(is.State) {
		u.State, changed = state, true
	}
	if aws.ToInt32(want.Priority) != aws.ToInt32(is.Priority) {
		u.Priority, changed = want.Priority, true
	}
	if !slices.Equal(environments(want.ComputeEnvironmentOrder), environments(is.ComputeEnvironmentOrder)) {
		u.ComputeEnvironmentOrder, changed = want.ComputeEnvironmentOrder, true
	}
	if want.SchedulingPolicyArn != nil && deref(want.SchedulingPolicyArn) != deref(is.SchedulingPolicyArn) {
		u.SchedulingPolicyArn, changed = want.SchedulingPolicyArn, true
	}
	if want.ServiceEnvironmentOrder != nil && !same(want.ServiceEnvironmentOrder, is.ServiceEnvironmentOrder) {
		u.ServiceEnvironmentOrder, changed = want.ServiceEnvironmentOrder, true
	}
	if want.JobStateTimeLimitActions != nil && !same(want.JobStateTimeLimitActions, is.JobStateTimeLimitActions) {
		u.JobStateTimeLimitActions, changed = want.JobStateTimeLimitActions, true
	}
	if !changed {
		return nil, nil
	}
	return u, nil
}

func enabledJQ(s types.JQState) types.JQState {
	if s == "" {
		return types.JQStateEnabled
	}
	return s
}

// environments are the names of a queue's compute environments in their order.
func environments(order []types.ComputeEnvironmentOrder) []string {
	sorted := slices.SortedStableFunc(slices.Values(order), func(a, b types.ComputeEnvironmentOrder) int {
		return int(aws.ToInt32(a.Order)) - int(aws.ToInt32(b.Order))
	})
	var names []string
	for _, o := range sorted {
		names = append(names, short(deref(o.ComputeEnvironment)))
	}
	return names
}

func (s *Stack) destroyJobQueue(ctx context.Context, c *Change) error {
	d, err := s.settledJobQueue(ctx, c.Name, "settled")
	if err != nil {
		return err
	}
	if d == nil {
		c.Did = wasNotThere
		return nil
	}
	if d.State != types.JQStateDisabled {
		if _, err := s.Batch.UpdateJobQueue(ctx, &batch.UpdateJobQueueInput{JobQueue: &c.Name, State: types.JQStateDisabled}); err != nil {
			return fmt.Errorf("disable it: %w", err)
		}
		if _, err := s.settledJobQueue(ctx, c.Name, "disabled"); err != nil {
			return err
		}
	}
	err = s.until(ctx, "free to be deleted", func(ctx context.Context) (bool, error) {
		_, err := s.Batch.DeleteJobQueue(ctx, &batch.DeleteJobQueueInput{JobQueue: &c.Name})
		return err == nil, unless(err, "resource is being modified")
	})
	if err != nil {
		return err
	}
	c.Did = "deleted"
	return s.until(ctx, "gone", func(ctx context.Context) (bool, error) { // its jobs end first
		d, err := s.jobQueue(ctx, c.Name)
		return err == nil && d == nil, err
	})
}
