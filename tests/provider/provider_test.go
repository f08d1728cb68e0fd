// Package provider_test makes the calls of the Terraform AWS provider against the whole engine, through the SDK: what each
// resource calls to create, wait, read, update and delete, read from the provider's source (5.46 to 6.x), and what it
// compares afterwards. A read that gives another attribute than the configuration would be a plan that is never empty.
//
// Tests of resources of AWS Batch are named after the provider's own acceptance tests (TestAccBatch..., without the prefix)
// and check the attributes those check. docs/fidelity.md lists the ones that can't pass.
package provider_test

import (
	"bytes"
	"context"
	"encoding/xml"
	"errors"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"net/http"
	"net/url"
	"os"
	"reflect"
	"slices"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/batch"
	"github.com/aws/aws-sdk-go-v2/service/cloudwatchlogs"
	"github.com/aws/aws-sdk-go-v2/service/ecr"
	"github.com/aws/aws-sdk-go-v2/service/iam"
	"github.com/aws/aws-sdk-go-v2/service/sts"
	"github.com/aws/smithy-go"

	"github.com/batchbox/batchbox/internal/server"
)

// region is the one the provider's acceptance tests run in.
const region = "us-west-2"

// endpoint is the engine of all tests; each test has an account of its own.
var endpoint string

var accounts atomic.Int64

func TestMain(m *testing.M) {
	flag.Parse()
	os.Exit(run(m))
}

func run(m *testing.M) int {
	s, err := server.Start(context.Background(), server.Config{
		Listen: "127.0.0.1:0", Ephemeral: true, Runtime: "process", Logger: slog.New(slog.DiscardHandler),
	})
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer func() {
		if err := s.Close(); err != nil {
			fmt.Fprintln(os.Stderr, err)
		}
	}()
	endpoint = s.URL()
	return m.Run()
}

// provider is a configured provider: clients of one account in one region.
type provider struct {
	*testing.T
	account string
	config  aws.Config
	batch   *batch.Client
	iam     *iam.Client
	sts     *sts.Client
	ecr     *ecr.Client
	logs    *cloudwatchlogs.Client
}

func configure(t *testing.T) *provider {
	t.Helper()
	t.Parallel()
	return newProvider(t)
}

// newProvider is another provider in a test, with an account of its own.
func newProvider(t *testing.T) *provider {
	p := &provider{T: t, account: fmt.Sprintf("%012d", 111122220000+accounts.Add(1))}
	p.config = aws.Config{
		Region: region, BaseEndpoint: &endpoint, Credentials: credentials.NewStaticCredentialsProvider(p.account, "secret", ""),
	}
	p.batch, p.iam, p.sts = batch.NewFromConfig(p.config), iam.NewFromConfig(p.config), sts.NewFromConfig(p.config)
	p.ecr, p.logs = ecr.NewFromConfig(p.config), cloudwatchlogs.NewFromConfig(p.config)
	return p
}

func (p *provider) arn(service, resource string) string {
	return fmt.Sprintf("arn:aws:%s:%s:%s:%s", service, region, p.account, resource)
}

// must is for calls whose failure ends a test.
func must[T any](v T, err error) func(t testing.TB) T {
	return func(t testing.TB) T {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
}

// refused checks an error by what the provider looks at: its code and a part of its message.
func (p *provider) refused(what string, err error, wantCode, part string) {
	p.Helper()
	var e smithy.APIError
	if !errors.As(err, &e) || e.ErrorCode() != wantCode || !strings.Contains(e.ErrorMessage(), part) {
		p.Errorf("%s: got %v, want %s with %q", what, err, wantCode, part)
	}
}

// attributes is a resource in Terraform's state, flat: "compute_resources.0.max_vcpus" is "16".
type attributes map[string]string

// check compares the attributes that want names.
func (p *provider) check(step string, got, want attributes) {
	p.Helper()
	for _, name := range slices.Sorted(maps.Keys(want)) {
		if have, ok := got[name]; !ok || have != want[name] {
			p.Errorf("%s: %s is %q (there: %t), want %q", step, name, have, ok, want[name])
		}
	}
}

// same checks that two reads of a resource give the same: the second plan is empty, and an import gives what create gave.
func (p *provider) same(step string, first, second attributes) {
	p.Helper()
	if !maps.Equal(first, second) {
		p.Errorf("%s: another read gives\n%v\nafter\n%v", step, second, first)
	}
}

// strings adds a list of strings in the order of the answer, or, for an attribute that is a set, sorted.
func (a attributes) strings(name string, list []string, set bool) {
	if set {
		list = slices.Sorted(slices.Values(list))
	}
	a[name+".#"] = fmt.Sprint(len(list))
	for i, s := range list {
		a[fmt.Sprintf("%s.%d", name, i)] = s
	}
}

func (a attributes) mapping(name string, m map[string]string) {
	a[name+".%"] = fmt.Sprint(len(m))
	for k, v := range m {
		a[name+"."+k] = v
	}
}

func str[T ~string](s *T) string {
	if s == nil {
		return ""
	}
	return string(*s)
}

func num[T int32 | int64](n *T) string {
	if n == nil {
		return "0"
	}
	return fmt.Sprint(*n)
}

// wire is an SDK structure as the SDK would send it: members with a small first letter, nothing for nil, and empty lists as
// they are. The provider keeps such documents in its state.
func wire(v any) any { return wireValue(reflect.ValueOf(v)) }

func wireValue(v reflect.Value) any {
	switch v.Kind() {
	case reflect.Pointer:
		if v.IsNil() {
			return nil
		}
		return wireValue(v.Elem())
	case reflect.Struct:
		m := map[string]any{}
		for i := range v.NumField() {
			f := v.Type().Field(i)
			if !f.IsExported() {
				continue
			}
			e := v.Field(i)
			if k := e.Kind(); (k == reflect.Pointer || k == reflect.Slice || k == reflect.Map) && e.IsNil() || k == reflect.String && e.Len() == 0 {
				continue
			}
			m[strings.ToLower(f.Name[:1])+f.Name[1:]] = wireValue(e)
		}
		return m
	case reflect.Slice:
		list := make([]any, v.Len())
		for i := range list {
			list[i] = wireValue(v.Index(i))
		}
		return list
	case reflect.Map:
		m := map[string]any{}
		for it := v.MapRange(); it.Next(); {
			m[it.Key().String()] = wireValue(it.Value())
		}
		return m
	case reflect.String:
		return v.String()
	case reflect.Int32, reflect.Int64:
		return float64(v.Int())
	default:
		return v.Interface()
	}
}

// node is an element of an EC2 reply.
type node struct {
	XMLName xml.Name
	Text    string `xml:",chardata"`
	Nodes   []node `xml:",any"`
}

func (n *node) all(path string) (found []*node) {
	first, rest, more := strings.Cut(path, "/")
	for i := range n.Nodes {
		switch {
		case n.Nodes[i].XMLName.Local != first:
		case more:
			found = append(found, n.Nodes[i].all(rest)...)
		default:
			found = append(found, &n.Nodes[i])
		}
	}
	return found
}

func (n *node) text(path string) string {
	var texts []string
	for _, e := range n.all(path) {
		texts = append(texts, e.Text)
	}
	return strings.Join(texts, " ")
}

// ec2 makes a call of EC2; its parameters come in pairs. The SDK's EC2 would cost every build of the tests a minute.
func (p *provider) ec2(action string, parameters ...string) (*node, error) {
	p.Helper()
	form := url.Values{"Action": {action}, "Version": {"2016-11-15"}}
	for i := 0; i < len(parameters); i += 2 {
		form.Set(parameters[i], parameters[i+1])
	}
	status, body := p.post("ec2", "application/x-www-form-urlencoded; charset=utf-8", "", form.Encode())
	var n node
	if err := xml.Unmarshal(body, &n); err != nil {
		p.Fatalf("%s: %v\n%s", action, err, body)
	}
	if status != http.StatusOK {
		return nil, &smithy.GenericAPIError{Code: n.text("Errors/Error/Code"), Message: n.text("Errors/Error/Message")}
	}
	return &n, nil
}

// call is ec2 for calls that have to work.
func (p *provider) call(action string, parameters ...string) *node {
	p.Helper()
	n, err := p.ec2(action, parameters...)
	if err != nil {
		p.Fatalf("%s %q: %v", action, parameters, err)
	}
	return n
}

// post sends a request with the credential scope of a service.
func (p *provider) post(service, contentType, target, body string) (status int, reply []byte) {
	p.Helper()
	req := must(http.NewRequestWithContext(p.Context(), http.MethodPost, endpoint, strings.NewReader(body)))(p)
	req.Header.Set("Content-Type", contentType)
	if target != "" {
		req.Header.Set("X-Amz-Target", target)
	}
	req.Header.Set("Authorization", "AWS4-HMAC-SHA256 Credential="+p.account+"/20261123/"+region+"/"+service+"/aws4_request, SignedHeaders=host, Signature=00")
	req.Header.Set("X-Amz-Date", "20261123T120000Z")
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		p.Fatal(err)
	}
	defer resp.Body.Close()
	if reply, err = io.ReadAll(resp.Body); err != nil {
		p.Fatal(err)
	}
	return resp.StatusCode, bytes.TrimSpace(reply)
}
