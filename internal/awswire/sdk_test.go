package awswire

import (
	"context"
	"net/http/httptest"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/batch"
	"github.com/aws/aws-sdk-go-v2/service/batch/types"
	"github.com/aws/aws-sdk-go-v2/service/sts"
)

func TestSmoke(t *testing.T) {
	sub := Op("SubmitJob", func(ctx context.Context, c *Call, in *batch.SubmitJobInput) (*batch.SubmitJobOutput, error) {
		t.Logf("%+v %+v", c, *in.ContainerOverrides.Environment[0].Name)
		return &batch.SubmitJobOutput{JobId: aws.String("x")}, nil
	})
	sub.Method, sub.Path = "POST", "/v1/submitjob"
	tags := Op("UntagResource", func(ctx context.Context, c *Call, in *batch.UntagResourceInput) (*batch.UntagResourceOutput, error) {
		t.Logf("%s %s %v", c.RequestID, *in.ResourceArn, in.TagKeys)
		return nil, &Error{Code: "ClientException", Message: "no " + *in.ResourceArn}
	})
	tags.Method, tags.Path, tags.Query = "DELETE", "/v1/tags/{resourceArn}", []string{"tagKeys"}
	m, err := NewMux(Options{DefaultAccount: "000000000000", DefaultRegion: "us-east-1", Services: []*Service{
		{Name: "batch", Protocol: RestJSON1, Operations: []Operation{sub, tags}},
		{Name: "sts", Protocol: Query, Version: "2011-06-15", Namespace: "https://sts.amazonaws.com/doc/2011-06-15/", Operations: []Operation{
			Op("GetCallerIdentity", func(ctx context.Context, c *Call, in *sts.GetCallerIdentityInput) (*sts.GetCallerIdentityOutput, error) {
				return &sts.GetCallerIdentityOutput{Account: &c.Account}, nil
			})}},
	}})
	if err != nil {
		t.Fatal(err)
	}
	srv := httptest.NewServer(m)
	defer srv.Close()
	cfg := aws.Config{Region: "eu-west-1", BaseEndpoint: &srv.URL, Credentials: credentials.NewStaticCredentialsProvider("123456789012", "x", "")}
	out, err := batch.NewFromConfig(cfg).SubmitJob(t.Context(), &batch.SubmitJobInput{JobName: aws.String("a"), JobQueue: aws.String("q"), JobDefinition: aws.String("d"),
		ContainerOverrides: &types.ContainerOverrides{Environment: []types.KeyValuePair{{Name: aws.String("N")}}}})
	if err != nil || *out.JobId != "x" {
		t.Fatal(err)
	}
	_, err = batch.NewFromConfig(cfg).UntagResource(t.Context(), &batch.UntagResourceInput{ResourceArn: aws.String("arn:a/b c"), TagKeys: []string{"a", "b"}})
	t.Log(err)
	o, err := sts.NewFromConfig(cfg).GetCallerIdentity(t.Context(), nil)
	if err != nil || *o.Account != "123456789012" {
		t.Fatal(err, o)
	}
}
