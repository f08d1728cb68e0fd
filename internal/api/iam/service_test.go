package iam_test

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	awshttp "github.com/aws/aws-sdk-go-v2/aws/transport/http"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/iam"
	"github.com/aws/aws-sdk-go-v2/service/iam/types"
	"github.com/aws/smithy-go"
	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	api "github.com/batchbox/batchbox/internal/api/iam"
	"github.com/batchbox/batchbox/internal/awswire"
	"github.com/batchbox/batchbox/internal/awswire/sdkhttp"
	"github.com/batchbox/batchbox/internal/store"
	"github.com/batchbox/batchbox/internal/store/memory"
)

const (
	account = "111122223333"
	trust   = `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"sts:AssumeRole","Principal":{"Service":"ecs-tasks.amazonaws.com"}}]}`
	policy  = `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":["s3:GetObject"],"Resource":"arn:aws:s3:::b/*"}]}`
	taskARN = "arn:aws:iam::aws:policy/service-role/AmazonECSTaskExecutionRolePolicy"
)

var now = time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC)

type bench struct {
	*iam.Client
	t    *testing.T
	url  string
	docs store.Docs
}

func newBench(t *testing.T) *bench {
	t.Helper()
	return benchOn(t, memory.New())
}

func benchOn(t *testing.T, docs store.Docs) *bench {
	t.Helper()
	svc, err := api.New(api.Options{Docs: docs, Now: func() time.Time { return now }})
	check(t, err)
	mux, err := awswire.NewMux(awswire.Options{
		Services: []*awswire.Service{svc}, DefaultAccount: account, DefaultRegion: "us-east-1", Logger: slog.New(slog.DiscardHandler),
	})
	check(t, err)
	srv := httptest.NewServer(mux)
	t.Cleanup(srv.Close)
	b := &bench{t: t, url: srv.URL, docs: docs}
	b.Client = b.client(account, "us-east-1")
	return b
}

func (b *bench) client(account, region string) *iam.Client {
	return iam.New(iam.Options{
		Region: region, BaseEndpoint: &b.url, Credentials: credentials.NewStaticCredentialsProvider(account, "secret", ""),
		RetryMaxAttempts: 1, HTTPClient: sdkhttp.Client(),
	})
}

func (b *bench) ctx() context.Context { return b.t.Context() }

func (b *bench) role(name string) types.Role {
	b.t.Helper()
	out, err := b.CreateRole(b.ctx(), &iam.CreateRoleInput{RoleName: &name, AssumeRolePolicyDocument: ptr(trust)})
	check(b.t, err)
	return *out.Role
}

func (b *bench) policy(name string) string {
	b.t.Helper()
	out, err := b.CreatePolicy(b.ctx(), &iam.CreatePolicyInput{PolicyName: &name, PolicyDocument: ptr(policy)})
	check(b.t, err)
	return *out.Policy.Arn
}

func ptr[T any](v T) *T { return &v }

func check(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// refused checks that a call was refused with AWS's code, status and text.
func refused(t testing.TB, err error, status int, code, text string) {
	t.Helper()
	var e smithy.APIError
	var r *awshttp.ResponseError
	if !errors.As(err, &e) || !errors.As(err, &r) {
		t.Errorf("got %v, want %s", err, code)
		return
	}
	if e.ErrorCode() != code || r.HTTPStatusCode() != status || e.ErrorMessage() != text {
		t.Errorf("got %d %s: %s\nwant %d %s: %s", r.HTTPStatusCode(), e.ErrorCode(), e.ErrorMessage(), status, code, text)
	}
}

func equal[T any](t testing.TB, what string, got, want T) {
	t.Helper()
	if d := cmp.Diff(want, got, cmpopts.EquateEmpty(), cmpopts.IgnoreUnexported(types.Role{}, types.Tag{}, types.AttachedPolicy{}, types.Policy{},
		types.PolicyVersion{}, types.InstanceProfile{}, types.AttachedPermissionsBoundary{}, types.RoleLastUsed{}, types.PolicyRole{})); d != "" {
		t.Errorf("%s (-want +got):\n%s", what, d)
	}
}

// document undoes the encoding of documents in replies.
func document(t testing.TB, encoded *string) string {
	t.Helper()
	if encoded == nil {
		t.Fatal("no document")
	}
	if strings.ContainsAny(*encoded, ` {}"+`) {
		t.Errorf("the document is not percent-encoded: %s", *encoded)
	}
	s, err := url.PathUnescape(*encoded)
	check(t, err)
	return s
}

func TestRefusedOperations(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	_, err := b.CreateUser(b.ctx(), &iam.CreateUserInput{UserName: ptr("u")})
	refused(t, err, http.StatusBadRequest, "UnsupportedOperation", "CreateUser is not supported: batchbox has no users and groups.")
	_, err = b.SimulatePrincipalPolicy(b.ctx(), &iam.SimulatePrincipalPolicyInput{PolicySourceArn: ptr(taskARN), ActionNames: []string{"s3:GetObject"}})
	refused(t, err, http.StatusBadRequest, "UnsupportedOperation", "SimulatePrincipalPolicy is not supported: batchbox does not evaluate permissions.")
	_, err = b.GetAccountAuthorizationDetails(b.ctx(), &iam.GetAccountAuthorizationDetailsInput{})
	refused(t, err, http.StatusBadRequest, "UnsupportedOperation", "GetAccountAuthorizationDetails is not supported: batchbox does not provide this operation of IAM.")
}

func TestUsers(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	out, err := b.GetUser(b.ctx(), &iam.GetUserInput{})
	check(t, err)
	if *out.User.Arn != "arn:aws:iam::111122223333:root" || *out.User.UserId != account || out.User.UserName != nil {
		t.Errorf("the caller is %+v", out.User)
	}
	_, err = b.GetUser(b.ctx(), &iam.GetUserInput{UserName: ptr("me")})
	refused(t, err, http.StatusNotFound, "NoSuchEntity", "The user with name me cannot be found.")
	users, err := b.ListUsers(b.ctx(), &iam.ListUsersInput{})
	check(t, err)
	aliases, err := b.ListAccountAliases(b.ctx(), &iam.ListAccountAliasesInput{})
	check(t, err)
	if len(users.Users) != 0 || users.IsTruncated || len(aliases.AccountAliases) != 0 {
		t.Errorf("users %v, aliases %v", users.Users, aliases.AccountAliases)
	}
}

// TestAccounts: accounts do not see one another, regions share everything.
func TestAccounts(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	b.role("mine")
	other := b.client("999988887777", "us-east-1")
	_, err := other.GetRole(b.ctx(), &iam.GetRoleInput{RoleName: ptr("mine")})
	refused(t, err, http.StatusNotFound, "NoSuchEntity", "The role with name mine cannot be found.")
	out, err := b.client(account, "cn-north-1").GetRole(b.ctx(), &iam.GetRoleInput{RoleName: ptr("mine")})
	check(t, err)
	if *out.Role.Arn != "arn:aws-cn:iam::111122223333:role/mine" {
		t.Errorf("in China its ARN is %s", *out.Role.Arn)
	}
}

// brokenDocs is a store whose disk is full.
type brokenDocs struct{ store.Docs }

func (brokenDocs) Update(context.Context, func(store.Writer) error) error {
	return store.ErrUnavailable
}

func TestStoreUnavailable(t *testing.T) {
	t.Parallel()
	b := benchOn(t, brokenDocs{memory.New()})
	_, err := b.CreateRole(b.ctx(), &iam.CreateRoleInput{RoleName: ptr("r"), AssumeRolePolicyDocument: ptr(trust)})
	refused(t, err, http.StatusInternalServerError, "ServiceFailure", "the engine can not write its store; its log has the reason")
}
