package batch_test

import (
	"errors"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	sdk "github.com/aws/aws-sdk-go-v2/service/batch"
	"github.com/aws/aws-sdk-go-v2/service/batch/types"
	"github.com/aws/smithy-go"
)

// TestEveryOperation calls each operation that the SDK's client has, with every member of its input filled in: each answers
// with its output or with a ClientException that has a text, and those that are not supported say so.
func TestEveryOperation(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.stack()
	client := reflect.ValueOf(r.Client)
	var operations, unsupported []string
	for i := range client.NumMethod() {
		name, method := client.Type().Method(i).Name, client.Method(i)
		if m := method.Type(); m.NumIn() != 3 || m.NumOut() != 2 || name == "Options" {
			continue
		}
		operations = append(operations, name)
		in := reflect.New(method.Type().In(1).Elem())
		fill(in.Elem())
		out := method.Call([]reflect.Value{reflect.ValueOf(ctx), in})
		err, _ := out[1].Interface().(error)
		var refusal smithy.APIError
		switch {
		case err == nil:
		case !errors.As(err, &refusal) || refusal.ErrorCode() != "ClientException" || refusal.ErrorMessage() == "":
			t.Errorf("%s: %v", name, err)
		case strings.Contains(refusal.ErrorMessage(), name+" is not supported: batchbox "):
			unsupported = append(unsupported, name)
		}
	}
	if len(operations) != 45 {
		t.Errorf("the SDK has %d operations: look at the new ones, and at this number: %v", len(operations), operations)
	}
	if want := []string{"CreateQuotaShare", "CreateServiceEnvironment", "SubmitServiceJob"}; !slices.Equal(unsupported, want) {
		t.Errorf("not supported are %v, want %v", unsupported, want)
	}
}

// fill gives every member a value of its type. No type of AWS Batch holds itself.
func fill(v reflect.Value) {
	switch v.Kind() {
	case reflect.Pointer:
		v.Set(reflect.New(v.Type().Elem()))
		fill(v.Elem())
	case reflect.Struct:
		for i := range v.NumField() {
			if v.Type().Field(i).IsExported() {
				fill(v.Field(i))
			}
		}
	case reflect.Slice:
		v.Set(reflect.MakeSlice(v.Type(), 1, 1))
		fill(v.Index(0))
	case reflect.Map:
		value := reflect.New(v.Type().Elem()).Elem()
		fill(value)
		v.Set(reflect.MakeMap(v.Type()))
		v.SetMapIndex(reflect.ValueOf("key"), value)
	case reflect.String:
		if values := v.MethodByName("Values"); values.IsValid() {
			v.Set(values.Call(nil)[0].Index(0))
			return
		}
		v.SetString("x")
	case reflect.Int32, reflect.Int64:
		v.SetInt(1)
	case reflect.Float32, reflect.Float64:
		v.SetFloat(1)
	case reflect.Bool:
		v.SetBool(true)
	}
}

// What is SageMaker's is not there, and whoever lists it is told so.
func TestNothingOfSageMaker(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.stack()
	if got := must(r.DescribeServiceEnvironments(ctx, &sdk.DescribeServiceEnvironmentsInput{}))(t); got.ServiceEnvironments == nil || len(got.ServiceEnvironments) != 0 {
		t.Errorf("service environments %v", got.ServiceEnvironments)
	}
	if got := must(r.ListServiceJobs(ctx, &sdk.ListServiceJobsInput{JobQueue: aws.String("q")}))(t); got.JobSummaryList == nil || len(got.JobSummaryList) != 0 {
		t.Errorf("service jobs %v", got.JobSummaryList)
	}
	if got := must(r.ListQuotaShares(ctx, &sdk.ListQuotaSharesInput{JobQueue: aws.String("q")}))(t); got.QuotaShares == nil || len(got.QuotaShares) != 0 {
		t.Errorf("quota shares %v", got.QuotaShares)
	}
	must(r.TerminateServiceJob(ctx, &sdk.TerminateServiceJobInput{JobId: aws.String("00000000-0000-4000-8000-000000000000"), Reason: aws.String("r")}))(t)
}

// Reference 3.1: the container instance of jobs on EC2, and none on Fargate.
func TestContainerInstance(t *testing.T) {
	t.Parallel()
	r, _, _ := refusalRig(t)
	res, got := r.post("RegisterJobDefinition", edit(onEC2, "jobDefinitionName", "on-ec2"))
	if res.StatusCode != 200 {
		t.Fatal(got)
	}
	out := must(r.SubmitJob(ctx, &sdk.SubmitJobInput{JobName: aws.String("j"), JobQueue: aws.String("ec2q"), JobDefinition: aws.String("on-ec2")}))(t)
	for started := range r.hand.started {
		job := r.describe(started.JobID)
		if job.PlatformCapabilities != nil { // a job on Fargate, of the rig
			if job.Container.ContainerInstanceArn != nil {
				t.Errorf("on Fargate: container instance %s", *job.Container.ContainerInstanceArn)
			}
			continue
		}
		task, instance := aws.ToString(job.Container.TaskArn), aws.ToString(job.Container.ContainerInstanceArn)
		cluster := strings.Split(task, "/")[1]
		if *job.JobId != *out.JobId || !strings.HasPrefix(instance, "arn:aws:ecs:eu-west-1:111122223333:container-instance/"+cluster+"/") || len(instance[strings.LastIndexByte(instance, '/')+1:]) != 32 {
			t.Errorf("%s: task %s, container instance %s", job.Status, task, instance)
		}
		r.end(started, 0)
		if job = r.describe(started.JobID); aws.ToString(job.Attempts[0].Container.ContainerInstanceArn) != instance || job.Status != types.JobStatusSucceeded {
			t.Errorf("afterwards: %s, %+v", job.Status, job.Attempts[0].Container)
		}
		return
	}
}

// Reference 3.8: arrayJobId lists children and multiNodeJobId nodes, while they run and afterwards; each says what it takes.
func TestListParts(t *testing.T) {
	t.Parallel()
	r, _, _ := refusalRig(t)
	array := r.submit("array", 2)
	nodes := *must(r.SubmitJob(ctx, &sdk.SubmitJobInput{JobName: aws.String("j"), JobQueue: aws.String("ec2q"), JobDefinition: aws.String("nodes")}))(t).JobId
	list := func(in *sdk.ListJobsInput, statuses ...types.JobStatus) string {
		t.Helper()
		var got []string
		for _, in.JobStatus = range statuses {
			for _, s := range must(r.ListJobs(ctx, in))(t).JobSummaryList {
				got = append(got, fmt.Sprintf("%s %g %s", (*s.JobId)[36:], *s.CapacityUsage[0].Quantity, *s.CapacityUsage[0].CapacityUnit))
			}
		}
		slices.Sort(got)
		return strings.Join(got, ", ")
	}
	check := func(when string) {
		t.Helper()
		any := types.JobStatus("").Values()
		for _, tc := range []struct {
			what, got, want string
		}{
			{"children of the array", list(&sdk.ListJobsInput{ArrayJobId: &array}, any...), ":0 0.25 VCPU, :1 0.25 VCPU"},
			{"nodes of the array", list(&sdk.ListJobsInput{MultiNodeJobId: &array}, any...), ""},
			{"nodes of the multi-node job", list(&sdk.ListJobsInput{MultiNodeJobId: &nodes}, any...), "#0 1 VCPU, #1 1 VCPU"},
			{"children of the multi-node job", list(&sdk.ListJobsInput{ArrayJobId: &nodes}, any...), ""},
		} {
			if tc.got != tc.want {
				t.Errorf("%s, %s: %q, want %q", when, tc.what, tc.got, tc.want)
			}
		}
	}
	check("unfinished")
	if got := list(&sdk.ListJobsInput{JobQueue: aws.String("ec2q")}, types.JobStatusStarting); got != " 2 VCPU" {
		t.Errorf("the multi-node job: %q", got)
	}
	for _, id := range []string{array, nodes} {
		must(r.TerminateJob(ctx, &sdk.TerminateJobInput{JobId: &id, Reason: aws.String("enough")}))(t)
	}
	for unfinished := 2; unfinished > 0; {
		select {
		case st := <-r.hand.started:
			r.end(st, 0)
		default:
			unfinished = 0
			for _, id := range []string{array, nodes} {
				if s := r.describe(id).Status; s != types.JobStatusFailed && s != types.JobStatusSucceeded {
					unfinished++
				}
			}
		}
	}
	check("finished")
}
