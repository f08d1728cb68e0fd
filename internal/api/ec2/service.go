// Package ec2 is the part of the Amazon EC2 API that stacks with AWS Batch use: VPCs and what belongs to one, security
// groups, key pairs, launch templates, placement groups and tags, kept in the store. Nothing of it is a network: the
// resources are there for configurations that name them. From the start every region of an account has a default VPC.
//
// Requests and replies are those of the SDK's wire names (aws-sdk-go-v2/service/ec2 v1.344.2); codes and texts of errors
// follow https://docs.aws.amazon.com/AWSEC2/latest/APIReference/errors-overview.html and what clients have quoted in
// public; where a comment says "unverified" they are a guess. Quotas of EC2 are not enforced.
package ec2

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"net/http"
	"reflect"
	"time"

	"github.com/batchbox/batchbox/internal/awswire"
	"github.com/batchbox/batchbox/internal/batch"
	"github.com/batchbox/batchbox/internal/store"
)

// Options are what the API stands on.
type Options struct {
	Docs store.Docs
	// Now is the clock; time.Now if nil.
	Now func() time.Time
}

type api struct {
	docs   store.Docs
	now    func() time.Time
	random io.Reader
}

// New describes the service for an awswire.Mux.
func New(o Options) *awswire.Service {
	a := &api{docs: o.Docs, now: o.Now, random: rand.Reader}
	if a.now == nil {
		a.now = time.Now
	}
	s := &awswire.Service{
		Name: "ec2", Protocol: awswire.EC2Query, Version: "2016-11-15", Namespace: "http://ec2.amazonaws.com/doc/2016-11-15/",
		Refused: refusedOperations(), RefusedCode: "UnsupportedOperation", InternalCode: "InternalError", MapError: mapError,
	}
	for _, group := range [][]awswire.Operation{
		a.vpcOperations(), a.subnetOperations(), a.gatewayOperations(), a.routeOperations(), a.groupOperations(), a.ruleOperations(),
		a.aclOperations(), a.addressOperations(), a.endpointOperations(), a.interfaceOperations(), a.imageOperations(), a.placeOperations(), a.keyOperations(), a.templateOperations(), a.placementOperations(), a.tagOperations(), a.absentOperations(),
	} {
		s.Operations = append(s.Operations, group...)
	}
	return s
}

// refusedOperations are those of the common neighbours that are not provided. EC2 has some seven hundred more, which are
// answered as unknown.
func refusedOperations() map[string]string {
	m := map[string]string{}
	for why, operations := range map[string][]string{
		"batchbox runs containers and no instances": {
			"RunInstances", "StartInstances", "StopInstances", "RebootInstances", "TerminateInstances", "RequestSpotInstances", "RequestSpotFleet", "CreateFleet",
			"CreateImage", "RegisterImage", "CreateVolume", "AttachVolume", "CreateSnapshot", "DescribeInstanceTypes", "DescribeInstanceTypeOfferings",
			"AttachNetworkInterface", "DetachNetworkInterface", "AllocateHosts", "CreateCapacityReservation",
		},
		"batchbox has no network behind its VPCs": {
			"AssociateAddress", "CreateVpcPeeringConnection", "CreateVpnGateway", "CreateVpnConnection", "CreateCustomerGateway",
			"CreateTransitGateway", "CreateEgressOnlyInternetGateway", "CreateFlowLogs", "CreateManagedPrefixList", "AssociateVpcCidrBlock", "AssociateSubnetCidrBlock",
		},
	} {
		for _, op := range operations {
			m[op] = op + " is not supported: " + why + "."
		}
	}
	return m
}

func refuse(code, format string, args ...any) *awswire.Error {
	return &awswire.Error{Code: code, Message: fmt.Sprintf(format, args...)}
}

func invalid(format string, args ...any) *awswire.Error {
	return refuse("InvalidParameterValue", format, args...)
}

func missing(parameter string) *awswire.Error {
	return refuse("MissingParameter", "The request must contain the parameter %s", parameter)
}

// unsupported is the answer to a parameter of something batchbox does not have.
func unsupported(format string, args ...any) *awswire.Error {
	return refuse("UnsupportedOperation", format, args...)
}

func mapError(_ *awswire.Call, err error) *awswire.Error {
	if errors.Is(err, store.ErrUnavailable) {
		return &awswire.Error{
			Code: "Unavailable", Message: "the engine can not write its store; its log has the reason",
			Status: http.StatusServiceUnavailable, Server: true, Cause: err,
		}
	}
	return nil
}

// errDryRun is what a request with DryRun gets that would have worked.
var errDryRun = &awswire.Error{Code: "DryRunOperation", Message: "Request would have succeeded, but DryRun flag is set.", Status: http.StatusPreconditionFailed}

// tx is what a handler works with: what one account has in one region, as of one moment.
type tx struct {
	batch.Partition
	a *api
	r store.Reader
	w store.Writer // nil where nothing may be changed
}

// view makes an operation that reads.
func view[In, Out any](a *api, name string, handler func(t *tx, in *In) (*Out, error)) awswire.Operation {
	return awswire.Op(name, func(ctx context.Context, c *awswire.Call, in *In) (out *Out, err error) {
		t := &tx{Partition: batch.Partition{Account: c.Account, Region: c.Region}, a: a}
		if err := a.settle(ctx, t.Partition); err != nil {
			return nil, err
		}
		err = a.docs.View(ctx, func(r store.Reader) error {
			t.r = r
			out, err = handler(t, in)
			return err
		})
		if err == nil && dryRun(in) {
			err = errDryRun
		}
		return out, err
	})
}

// change makes an operation that writes: all of it or, if the handler returns an error, nothing. The handler holds up every
// other writer of the store, so it must be quick.
func change[In, Out any](a *api, name string, handler func(t *tx, in *In) (*Out, error)) awswire.Operation {
	return awswire.Op(name, func(ctx context.Context, c *awswire.Call, in *In) (*Out, error) {
		return update(ctx, a, c, in, handler)
	})
}

func update[In, Out any](ctx context.Context, a *api, c *awswire.Call, in *In, handler func(t *tx, in *In) (*Out, error)) (out *Out, err error) {
	t := &tx{Partition: batch.Partition{Account: c.Account, Region: c.Region}, a: a}
	err = a.docs.Update(ctx, func(w store.Writer) error {
		t.r, t.w = w, w
		if err := t.settle(); err != nil {
			return err
		}
		if out, err = handler(t, in); err != nil {
			return err
		}
		if dryRun(in) {
			return errDryRun
		}
		return nil
	})
	return out, err
}

// dryRun reads the member DryRun, which nearly every input has.
func dryRun(in any) bool {
	f := reflect.ValueOf(in).Elem().FieldByName("DryRun")
	if !f.IsValid() || f.IsNil() {
		return false
	}
	return f.Elem().Bool()
}

// done is the output of operations that only say that they worked.
type done struct {
	Return *bool
}

func succeed() *done { return &done{Return: ptr(true)} }

func str(s *string) string {
	if s == nil {
		return ""
	}
	return *s
}

func ptr[T any](v T) *T { return &v }

// optional is nil for "", the absent member.
func optional(s string) *string {
	if s == "" {
		return nil
	}
	return &s
}

func timeOf(ms int64) *time.Time { return ptr(time.UnixMilli(ms).UTC()) }
