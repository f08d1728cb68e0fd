package awswire

import (
	"bufio"
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/batch"
	"github.com/aws/aws-sdk-go-v2/service/cloudwatchlogs"
	logstypes "github.com/aws/aws-sdk-go-v2/service/cloudwatchlogs/types"
	"github.com/aws/aws-sdk-go-v2/service/ecr"
	ecrtypes "github.com/aws/aws-sdk-go-v2/service/ecr/types"
	"github.com/aws/aws-sdk-go-v2/service/iam"
	iamtypes "github.com/aws/aws-sdk-go-v2/service/iam/types"
	"github.com/aws/aws-sdk-go-v2/service/sts"
)

const goldenRequestID = "00000000-0000-4000-8000-000000000001"

// Hand-declared shapes, as the EC2 and EventBridge APIs have them.
type (
	ec2Filter struct {
		Name   *string
		Values []string `awswire:"Value"`
	}
	ec2Tag            struct{ Key, Value *string }
	ec2DescribeVpcsIn struct {
		DryRun  *bool
		Filters []ec2Filter `awswire:"Filter"`
		VpcIds  []string    `awswire:"VpcId"`
	}
	ec2Vpc struct {
		VpcID     *string `awswire:"vpcId"`
		IsDefault *bool
		Tags      []ec2Tag `awswire:"tagSet"`
	}
	ec2DescribeVpcsOut struct {
		Vpcs []ec2Vpc `awswire:"vpcSet"`
	}
	ec2IPPermission struct {
		IPProtocol *string     `awswire:"ipProtocol"`
		Groups     []ec2Filter `awswire:"groups"`
		Renamed    *int32      `awswire:"wireName" ec2:"QueryName"`
	}
	ec2PermissionsIn struct {
		GroupID       *string           `awswire:"GroupId"`
		IPPermissions []ec2IPPermission `awswire:"ipPermissions"`
	}
	ec2PermissionsOut struct {
		Return        *bool             `awswire:"return"`
		IPPermissions []ec2IPPermission `awswire:"ipPermissions"`
	}
	eventsEntry struct {
		Source *string
		Time   *time.Time
		Detail json.RawMessage
	}
	eventsPutIn  struct{ Entries []eventsEntry }
	eventsPutOut struct {
		Entries []eventsEntry
		Failed  int32 `awswire:"FailedEntryCount"`
	}
	nothing struct{}
)

// goldenServices answer with what they were asked, or with the fault that a name asks for.
func goldenServices(t testing.TB) []*Service {
	t.Helper()
	fault := func(name string) error {
		switch name {
		case "refuse":
			return &Error{Code: "ClientException", Message: "no \"such\" <queue> & no é"}
		case "members":
			return &Error{Code: "ClientException", Message: "m", Members: map[string]any{"b": 1, "a": []string{"x"}}}
		case "server":
			return &Error{Code: "ServerException", Message: "disk full", Server: true, Cause: errors.New("ENOSPC")}
		case "mapped":
			return errors.New("mapped")
		case "unmapped":
			return errors.New("secret detail")
		case "panic":
			panic("secret panic")
		}
		return nil
	}
	batchSvc := &Service{
		RefusedCode: "ClientException", BadRequestCode: "ClientException", InternalCode: "ServerException",
		BadRequestText: func(c *Call, text string) string {
			return fmt.Sprintf("Error executing request, Exception : %s, RequestId: %s", text, c.RequestID)
		},
		MapError: func(c *Call, err error) *Error {
			if err.Error() == "mapped" {
				return &Error{Code: "ClientException", Message: "mapped for " + c.Operation}
			}
			return nil
		},
		Operations: []Operation{
			Op("SubmitJob", func(_ context.Context, c *Call, in *batch.SubmitJobInput) (*batch.SubmitJobOutput, error) {
				if err := fault(*in.JobName); err != nil {
					return nil, err
				}
				arn := fmt.Sprintf("arn:aws:batch:%s:%s:job/1 key %s", c.Region, c.Account, c.AccessKeyID)
				return &batch.SubmitJobOutput{JobName: in.JobName, JobId: aws.String("1"), JobArn: &arn}, nil
			}),
			Op("RegisterJobDefinition", func(_ context.Context, c *Call, _ *batch.RegisterJobDefinitionInput) (*json.RawMessage, error) {
				raw := json.RawMessage(append(append([]byte(`{"sent":`), c.Body...), '}'))
				return &raw, nil
			}),
			Op("DescribeJobs", func(_ context.Context, _ *Call, in *batch.DescribeJobsInput) (*struct{ Jobs []json.RawMessage }, error) {
				out := &struct{ Jobs []json.RawMessage }{Jobs: []json.RawMessage{}}
				for _, id := range in.Jobs {
					out.Jobs = append(out.Jobs, append(appendJSONString([]byte(`{"jobId": `), id), " }"...))
				}
				return out, nil
			}),
			Op("TagResource", func(_ context.Context, _ *Call, in *batch.TagResourceInput) (*batch.TagResourceOutput, error) {
				return nil, &Error{Code: "ClientException", Message: fmt.Sprintf("tag %s %v", *in.ResourceArn, in.Tags)}
			}),
			Op("UntagResource", func(_ context.Context, _ *Call, in *batch.UntagResourceInput) (*batch.UntagResourceOutput, error) {
				return nil, &Error{Code: "ClientException", Message: fmt.Sprintf("untag %s %q", *in.ResourceArn, in.TagKeys)}
			}),
			Op("ListTagsForResource", func(_ context.Context, _ *Call, in *batch.ListTagsForResourceInput) (*batch.ListTagsForResourceOutput, error) {
				return &batch.ListTagsForResourceOutput{Tags: map[string]string{"b": "2", "a": *in.ResourceArn}}, nil
			}),
			Op("CancelJob", func(context.Context, *Call, *batch.CancelJobInput) (*batch.CancelJobOutput, error) { return nil, nil }),
		},
		Refused: map[string]string{"TerminateServiceJobs": "service jobs are not provided", "GetJobQueueSnapshot": "GetJobQueueSnapshot is not provided"},
	}
	if err := batchSvc.ApplyModel(BatchModel()); err != nil {
		t.Fatal(err)
	}
	logsSvc := &Service{MissingCode: "InvalidParameterException", Operations: []Operation{
		Op("PutLogEvents", func(_ context.Context, _ *Call, in *cloudwatchlogs.PutLogEventsInput) (*cloudwatchlogs.PutLogEventsOutput, error) {
			switch *in.LogGroupName {
			case "/missing":
				return nil, &Error{Code: "ResourceNotFoundException", Message: "The specified log group does not exist."}
			case "/down":
				return nil, &Error{Code: "ServiceUnavailableException", Message: "stopping", Status: 503}
			}
			if len(in.LogEvents) == 0 {
				return &cloudwatchlogs.PutLogEventsOutput{}, nil
			}
			return &cloudwatchlogs.PutLogEventsOutput{NextSequenceToken: aws.String(fmt.Sprint(len(in.LogEvents), *in.LogEvents[0].Timestamp, *in.LogEvents[0].Message))}, nil
		}),
		Op("DescribeLogGroups", func(context.Context, *Call, *cloudwatchlogs.DescribeLogGroupsInput) (*cloudwatchlogs.DescribeLogGroupsOutput, error) {
			return &cloudwatchlogs.DescribeLogGroupsOutput{LogGroups: []logstypes.LogGroup{}}, nil
		}),
		Op("DeleteLogGroup", func(context.Context, *Call, *cloudwatchlogs.DeleteLogGroupInput) (*cloudwatchlogs.DeleteLogGroupOutput, error) {
			return nil, nil
		}),
	}}
	if err := logsSvc.ApplyModel(LogsModel()); err != nil {
		t.Fatal(err)
	}
	logsSvc.RefuseOthers(func(op string) string { return "batchbox does not provide logs:" + op + "." })
	ecrSvc := &Service{Operations: []Operation{
		Op("CreateRepository", func(_ context.Context, c *Call, in *ecr.CreateRepositoryInput) (*ecr.CreateRepositoryOutput, error) {
			return &ecr.CreateRepositoryOutput{Repository: &ecrtypes.Repository{
				RepositoryName: in.RepositoryName, RepositoryUri: aws.String(c.Scheme + "://" + c.Host),
				CreatedAt:                  aws.Time(time.UnixMilli(1700000000250)),
				ImageTagMutability:         in.ImageTagMutability,
				ImageScanningConfiguration: &ecrtypes.ImageScanningConfiguration{},
			}}, nil
		}),
		Op("ListTagsForResource", func(context.Context, *Call, *ecr.ListTagsForResourceInput) (*ecr.ListTagsForResourceOutput, error) {
			return &ecr.ListTagsForResourceOutput{Tags: []ecrtypes.Tag{{Key: aws.String("k"), Value: aws.String("")}}}, nil
		}),
		Op("UploadLayerPart", func(_ context.Context, _ *Call, in *ecr.UploadLayerPartInput) (*ecr.UploadLayerPartOutput, error) {
			return &ecr.UploadLayerPartOutput{UploadId: aws.String(string(in.LayerPartBlob))}, nil
		}),
	}}
	if err := ecrSvc.ApplyModel(ECRModel()); err != nil {
		t.Fatal(err)
	}
	iamSvc := &Service{Operations: []Operation{
		Op("CreateRole", func(_ context.Context, _ *Call, in *iam.CreateRoleInput) (*iam.CreateRoleOutput, error) {
			if err := fault(*in.RoleName); err != nil {
				return nil, err
			}
			if *in.RoleName == "exists" {
				return nil, &Error{Code: "EntityAlreadyExists", Status: 409, Message: "Role with name exists already exists."}
			}
			return &iam.CreateRoleOutput{Role: &iamtypes.Role{
				RoleName: in.RoleName, AssumeRolePolicyDocument: in.AssumeRolePolicyDocument, Tags: in.Tags,
				CreateDate: aws.Time(time.Unix(1700000000, 0)), MaxSessionDuration: in.MaxSessionDuration,
			}}, nil
		}),
		Op("DeleteRole", func(context.Context, *Call, *iam.DeleteRoleInput) (*iam.DeleteRoleOutput, error) { return nil, nil }),
		Op("UpdateRole", func(context.Context, *Call, *iam.UpdateRoleInput) (*iam.UpdateRoleOutput, error) { return nil, nil }),
		Op("ListRoles", func(context.Context, *Call, *iam.ListRolesInput) (*iam.ListRolesOutput, error) {
			return &iam.ListRolesOutput{Roles: []iamtypes.Role{}}, nil
		}),
		Op("GetAccountSummary", func(context.Context, *Call, *iam.GetAccountSummaryInput) (*iam.GetAccountSummaryOutput, error) {
			return &iam.GetAccountSummaryOutput{SummaryMap: map[string]int32{"Users": 2, "Groups": 1}}, nil
		}),
		Op("CreateDelegationRequest", func(_ context.Context, _ *Call, in *iam.CreateDelegationRequestInput) (*iam.CreateDelegationRequestOutput, error) {
			return &iam.CreateDelegationRequestOutput{DelegationRequestId: in.Description}, nil
		}),
	}}
	if err := iamSvc.ApplyModel(IAMModel()); err != nil {
		t.Fatal(err)
	}
	iamSvc.RefuseOthers(func(op string) string { return "batchbox does not provide it." })
	stsSvc := &Service{Operations: []Operation{
		Op("GetCallerIdentity", func(_ context.Context, c *Call, _ *sts.GetCallerIdentityInput) (*sts.GetCallerIdentityOutput, error) {
			out := &sts.GetCallerIdentityOutput{Account: &c.Account, UserId: &c.AccessKeyID}
			if c.Verified {
				out.Arn = aws.String("verified")
			}
			return out, nil
		}),
		func() Operation {
			op := Op("AssumeRoleWithWebIdentity", func(_ context.Context, c *Call, in *sts.AssumeRoleWithWebIdentityInput) (*sts.AssumeRoleWithWebIdentityOutput, error) {
				return &sts.AssumeRoleWithWebIdentityOutput{Audience: in.RoleArn, Provider: aws.String(fmt.Sprint(c.Verified))}, nil
			})
			op.Unsigned = true
			return op
		}(),
	}}
	if err := stsSvc.ApplyModel(STSModel()); err != nil {
		t.Fatal(err)
	}
	ec2Svc := &Service{Name: "ec2", Protocol: EC2Query, Version: "2016-11-15", Namespace: "http://ec2.amazonaws.com/doc/2016-11-15/",
		Operations: []Operation{
			Op("DescribeVpcs", func(_ context.Context, _ *Call, in *ec2DescribeVpcsIn) (*ec2DescribeVpcsOut, error) {
				out := &ec2DescribeVpcsOut{Vpcs: []ec2Vpc{}}
				for _, id := range in.VpcIds {
					if id == "vpc-0" {
						return nil, &Error{Code: "InvalidVpcID.NotFound", Message: "The vpc ID 'vpc-0' does not exist"}
					}
					v := ec2Vpc{VpcID: aws.String(id), IsDefault: in.DryRun}
					for _, f := range in.Filters {
						v.Tags = append(v.Tags, ec2Tag{Key: f.Name, Value: aws.String(strings.Join(f.Values, ","))})
					}
					out.Vpcs = append(out.Vpcs, v)
				}
				return out, nil
			}),
			func() Operation {
				op := Op("AuthorizeSecurityGroupIngress", func(_ context.Context, _ *Call, in *ec2PermissionsIn) (*ec2PermissionsOut, error) {
					return &ec2PermissionsOut{Return: aws.Bool(true), IPPermissions: in.IPPermissions}, nil
				})
				op.Required = []string{"GroupId"}
				return op
			}(),
		}}
	eventsSvc := &Service{Name: "events", Protocol: AWSJSON11, TargetPrefix: "AWSEvents", MemberCase: UpperCamel, MaxBody: 200, Operations: []Operation{
		Op("PutEvents", func(_ context.Context, _ *Call, in *eventsPutIn) (*eventsPutOut, error) {
			return &eventsPutOut{Entries: in.Entries}, nil
		}),
		Op("Nothing", func(context.Context, *Call, *nothing) (*json.RawMessage, error) { return new(json.RawMessage), nil }),
	}}
	return []*Service{batchSvc, logsSvc, ecrSvc, iamSvc, stsSvc, ec2Svc, eventsSvc}
}

func goldenMux(t testing.TB, change func(*Options)) *Mux {
	t.Helper()
	opts := Options{
		Services: goldenServices(t), DefaultAccount: "000000000000", DefaultRegion: "us-east-1", Logger: quietLogger,
		NewRequestID: func() string { return goldenRequestID },
	}
	if change != nil {
		change(&opts)
	}
	m, err := NewMux(opts)
	if err != nil {
		t.Fatal(err)
	}
	return m
}

const goldenMark = "\n--- answer\n"

// Each file in testdata/golden holds a request and, after a line "--- answer", the answer to the byte. UPDATE_GOLDEN=1
// writes the answers anew: read the diff.
func TestGolden(t *testing.T) {
	t.Parallel()
	files, err := filepath.Glob("testdata/golden/*.http")
	if err != nil || len(files) == 0 {
		t.Fatalf("no golden files: %v", err)
	}
	m := goldenMux(t, nil)
	for _, file := range files {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".http"), func(t *testing.T) {
			t.Parallel()
			text, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			request, want, _ := strings.Cut(string(text), goldenMark)
			w := httptest.NewRecorder()
			m.ServeHTTP(w, goldenRequest(t, request))
			have := goldenAnswer(w.Result().Status, w.Header(), w.Body.String())
			if os.Getenv("UPDATE_GOLDEN") == "1" {
				if err := os.WriteFile(file, []byte(request+goldenMark+have), 0o644); err != nil {
					t.Fatal(err)
				}
				return
			}
			if have != want {
				t.Errorf("answer:\n%s\nwant:\n%s", have, want)
			}
		})
	}
}

// goldenRequest reads a request whose Content-Length is left to be counted.
func goldenRequest(t testing.TB, text string) *http.Request {
	t.Helper()
	head, body, _ := strings.Cut(text, "\n\n")
	raw := fmt.Sprintf("%s\nHost: localhost:4566\nContent-Length: %d\n\n%s", head, len(body), body)
	r, err := http.ReadRequest(bufio.NewReader(strings.NewReader(raw)))
	if err != nil {
		t.Fatalf("%v in\n%s", err, raw)
	}
	return r
}

func goldenAnswer(status string, h http.Header, body string) string {
	var b bytes.Buffer
	b.WriteString(status + "\n")
	keys := make([]string, 0, len(h))
	for k := range h {
		keys = append(keys, k)
	}
	slices.SortFunc(keys, func(a, b string) int { return cmp.Compare(a, b) })
	for _, k := range keys {
		fmt.Fprintf(&b, "%s: %s\n", k, strings.Join(h[k], ", "))
	}
	return b.String() + "\n" + body
}
