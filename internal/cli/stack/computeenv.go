package stack

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"

	"github.com/aws/aws-sdk-go-v2/service/batch"
	"github.com/aws/aws-sdk-go-v2/service/batch/types"
)

func (s *Stack) computeEnvironment(ctx context.Context, name string) (*types.ComputeEnvironmentDetail, error) {
	out, err := s.Batch.DescribeComputeEnvironments(ctx, &batch.DescribeComputeEnvironmentsInput{ComputeEnvironments: []string{name}})
	if err != nil {
		return nil, err
	}
	for _, d := range out.ComputeEnvironments {
		if d.Status != types.CEStatusDeleted {
			return &d, nil
		}
	}
	return nil, nil
}

// settled waits until the environment is not being changed, and answers it, nil if it is gone.
func (s *Stack) settledComputeEnvironment(ctx context.Context, name, what string) (d *types.ComputeEnvironmentDetail, err error) {
	err = s.until(ctx, what, func(ctx context.Context) (bool, error) {
		d, err = s.computeEnvironment(ctx, name)
		return err == nil && (d == nil || d.Status == types.CEStatusValid || d.Status == types.CEStatusInvalid), err
	})
	return d, err
}

func (s *Stack) validComputeEnvironment(ctx context.Context, name string) error {
	d, err := s.settledComputeEnvironment(ctx, name, "VALID")
	switch {
	case err != nil:
		return err
	case d == nil:
		return errors.New("it is gone again")
	case d.Status == types.CEStatusInvalid:
		return fmt.Errorf("it is INVALID: %s", deref(d.StatusReason))
	}
	return nil
}

func (s *Stack) applyComputeEnvironment(ctx context.Context, in *batch.CreateComputeEnvironmentInput, c *Change) error {
	want, err := s.placed(ctx, in)
	if err != nil {
		return err
	}
	is, err := s.settledComputeEnvironment(ctx, c.Name, "settled")
	if err != nil {
		return err
	}
	if is == nil {
		create := *want
		create.State = "" // it is created ENABLED: AWS Batch refuses another state
		out, err := s.Batch.CreateComputeEnvironment(ctx, &create)
		if err != nil {
			return err
		}
		c.ARN, c.Did = *out.ComputeEnvironmentArn, "created"
		if err := s.validComputeEnvironment(ctx, c.Name); err != nil {
			return err
		}
		if want.State != types.CEStateDisabled {
			return nil
		}
		if _, err := s.Batch.UpdateComputeEnvironment(ctx, &batch.UpdateComputeEnvironmentInput{ComputeEnvironment: &c.Name, State: want.State}); err != nil {
			return err
		}
		return s.validComputeEnvironment(ctx, c.Name)
	}
	c.ARN, c.Did = *is.ComputeEnvironmentArn, "unchanged"
	update, err := computeEnvironmentUpdate(want, is)
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
		if _, err := s.Batch.UpdateComputeEnvironment(ctx, update); err != nil {
			return err
		}
	}
	return s.validComputeEnvironment(ctx, c.Name)
}

// placed fills in the default VPC's subnets and security group, for which a file has the word "default" or, where AWS
// Batch demands them, nothing.
func (s *Stack) placed(ctx context.Context, in *batch.CreateComputeEnvironmentInput) (*batch.CreateComputeEnvironmentInput, error) {
	if in.ComputeResources == nil || in.Type == types.CETypeUnmanaged {
		return in, nil
	}
	isDefault := func(list []string) bool { return len(list) == 0 || len(list) == 1 && list[0] == "default" }
	resources := *in.ComputeResources
	if !isDefault(resources.Subnets) && !isDefault(resources.SecurityGroupIds) {
		return in, nil
	}
	if len(resources.SecurityGroupIds) == 0 && resources.LaunchTemplate != nil && !isDefault(resources.Subnets) {
		return in, nil // the launch template may have them
	}
	subnets, groups, err := s.Network.Default(ctx)
	if err != nil {
		return nil, fmt.Errorf("find the default VPC's subnets and security group: %w", err)
	}
	if isDefault(resources.Subnets) {
		resources.Subnets = subnets
	}
	if isDefault(resources.SecurityGroupIds) {
		resources.SecurityGroupIds = groups
	}
	placed := *in
	placed.ComputeResources = &resources
	return &placed, nil
}

// computeEnvironmentUpdate is the update that makes is what is wanted; nil if it is that already. Only what the file
// says is compared.
func computeEnvironmentUpdate(want *batch.CreateComputeEnvironmentInput, is *types.ComputeEnvironmentDetail) (*batch.UpdateComputeEnvironmentInput, error) {
	fixed := func(name string) error {
		return fmt.Errorf("its %s differs, which can not be changed in place: destroy it first, or give the new one another name", name)
	}
	switch {
	case want.Type != "" && want.Type != is.Type:
		return nil, fixed("type")
	case !covers(want.EksConfiguration, is.EksConfiguration):
		return nil, fixed("eksConfiguration")
	}
	u := &batch.UpdateComputeEnvironmentInput{ComputeEnvironment: want.ComputeEnvironmentName}
	changed := false
	if state := enabledCE(want.State); state != enabledCE(is.State) {
		u.State, changed = state, true
	}
	if want.Context != nil && deref(want.Context) != deref(is.Context) {
		u.Context, changed = want.Context, true
	}
	if want.UnmanagedvCpus != nil && !covers(want.UnmanagedvCpus, is.UnmanagedvCpus) {
		u.UnmanagedvCpus, changed = want.UnmanagedvCpus, true
	}
	if role := deref(want.ServiceRole); role != "" && role != deref(is.ServiceRole) {
		u.ServiceRole, changed = want.ServiceRole, true
	}
	if want.ComputeResources != nil && !covers(want.ComputeResources, is.ComputeResources) {
		resources, err := computeResourceUpdate(want.ComputeResources, is.ComputeResources)
		if err != nil {
			return nil, err
		}
		u.ComputeResources, changed = resources, true
	}
	if !changed {
		return nil, nil
	}
	return u, nil
}

// computeResourceUpdate has the members that differ.
func computeResourceUpdate(want, is *types.ComputeResource) (*types.ComputeResourceUpdate, error) {
	wanted, _ := canonical(want).(map[string]any)
	there, _ := canonical(is).(map[string]any)
	differing := make(map[string]any)
	for name, member := range wanted {
		if within(member, there[name]) {
			continue
		}
		wire := strings.ToLower(name[:1]) + name[1:]
		if fieldOf(computeResourceUpdateType, wire).Name == "" {
			return nil, fmt.Errorf("its computeResources.%s differs, which can not be changed in place: destroy it first, or give the new one another name", wire)
		}
		differing[name] = member
	}
	u := new(types.ComputeResourceUpdate)
	return u, json.Unmarshal(text(differing), u)
}

func enabledCE(s types.CEState) types.CEState {
	if s == "" {
		return types.CEStateEnabled
	}
	return s
}

func deref(s *string) string {
	if s == nil {
		return ""
	}
	return *s
}

func (s *Stack) destroyComputeEnvironment(ctx context.Context, c *Change) error {
	d, err := s.settledComputeEnvironment(ctx, c.Name, "settled")
	if err != nil {
		return err
	}
	if d == nil {
		c.Did = wasNotThere
		return nil
	}
	if d.State != types.CEStateDisabled {
		if _, err := s.Batch.UpdateComputeEnvironment(ctx, &batch.UpdateComputeEnvironmentInput{ComputeEnvironment: &c.Name, State: types.CEStateDisabled}); err != nil {
			return fmt.Errorf("disable it: %w", err)
		}
		if _, err := s.settledComputeEnvironment(ctx, c.Name, "disabled"); err != nil {
			return err
		}
	}
	// A queue that is being deleted still counts as a relationship for a while.
	err = s.until(ctx, "free to be deleted", func(ctx context.Context) (bool, error) {
		_, err := s.Batch.DeleteComputeEnvironment(ctx, &batch.DeleteComputeEnvironmentInput{ComputeEnvironment: &c.Name})
		return err == nil, unless(err, "resource is being modified")
	})
	if err != nil {
		return err
	}
	c.Did = "deleted"
	return s.until(ctx, "gone", func(ctx context.Context) (bool, error) {
		d, err := s.computeEnvironment(ctx, c.Name)
		if err == nil && d != nil && d.Status == types.CEStatusInvalid {
			return false, fmt.Errorf("it can not be deleted: %s", deref(d.StatusReason))
		}
		return err == nil && d == nil, err
	})
}

// unless drops an error of AWS Batch whose message contains text: AWS Batch has one code for all refusals.
func unless(err error, text string) error {
	var refused *types.ClientException
	if errors.As(err, &refused) && strings.Contains(refused.ErrorMessage(), text) {
		return nil
	}
	return err
}
