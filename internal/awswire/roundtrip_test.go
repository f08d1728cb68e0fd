package awswire

import (
	"context"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"reflect"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/batch"
	"github.com/aws/aws-sdk-go-v2/service/cloudwatchlogs"
	logstypes "github.com/aws/aws-sdk-go-v2/service/cloudwatchlogs/types"
	"github.com/aws/aws-sdk-go-v2/service/ecr"
	"github.com/aws/aws-sdk-go-v2/service/iam"
	iamtypes "github.com/aws/aws-sdk-go-v2/service/iam/types"
	"github.com/aws/aws-sdk-go-v2/service/sts"
	"github.com/google/go-cmp/cmp"

	"github.com/batchbox/batchbox/internal/awswire/sdkhttp"
)

// logsUnions and iamUnions are every union the five services have outside event streams.
var (
	logsUnions = []Union{
		UnionOf[logstypes.ResourceConfig](&logstypes.ResourceConfigMemberOpenSearchResourceConfig{}),
		UnionOf[logstypes.IntegrationDetails](&logstypes.IntegrationDetailsMemberOpenSearchIntegrationDetails{}),
	}
	iamUnions = []Union{
		UnionOf[iamtypes.PolicyIdentifier](&iamtypes.PolicyIdentifierMemberPolicyArn{},
			&iamtypes.PolicyIdentifierMemberPolicyType{}, &iamtypes.PolicyIdentifierMemberInlinePolicyIdentifier{}),
	}
)

// eventStreams are the operations whose output is an event stream, which no protocol here speaks.
var eventStreams = map[string]bool{"GetLogObject": true, "StartLiveTail": true}

// quietLogger keeps test output free of requests.
var quietLogger = slog.New(slog.NewTextHandler(io.Discard, nil))

// sdkService is a service with every operation of the SDK's client, each answered by reflection.
type sdkService struct {
	model  Model
	unions []Union
	client any // *batch.Client ...
	// millis says that the protocol carries milliseconds in times from the client.
	millis bool
}

// steadyClient spares the SDK's clients the fault that exchange.settle is about.
var steadyClient = sdkhttp.Client()

// sdkServices points every client at the handler the test server will have.
func sdkServices(url string) []sdkService {
	cfg := aws.Config{Region: "eu-west-1", BaseEndpoint: &url, RetryMaxAttempts: 1, HTTPClient: steadyClient,
		Credentials: credentials.NewStaticCredentialsProvider("123456789012", "secret", "token")}
	return []sdkService{
		{model: BatchModel(), client: batch.NewFromConfig(cfg), millis: true},
		{model: LogsModel(), client: cloudwatchlogs.NewFromConfig(cfg), unions: logsUnions, millis: true},
		{model: ECRModel(), client: ecr.NewFromConfig(cfg), millis: true},
		{model: IAMModel(), client: iam.NewFromConfig(cfg), unions: iamUnions, millis: true},
		{model: STSModel(), client: sts.NewFromConfig(cfg), millis: true},
	}
}

// reflectOp makes an operation of the client's method: In and Out are its types.
func reflectOp(method reflect.Method, handle func(c *Call, in any) (any, error)) Operation {
	in, out := method.Type.In(2).Elem(), method.Type.Out(0).Elem()
	return Operation{
		Name: method.Name, input: in, output: out,
		newInput: func() any { return reflect.New(in).Interface() },
		invoke:   func(_ context.Context, c *Call, in any) (any, error) { return handle(c, in) },
	}
}

// operations lists the client's methods that are operations of the model.
func (s sdkService) operations() []reflect.Method {
	var list []reflect.Method
	t := reflect.TypeOf(s.client)
	for i := range t.NumMethod() {
		if m := t.Method(i); !eventStreams[m.Name] {
			if _, ok := s.model.operation(m.Name); ok {
				list = append(list, m)
			}
		}
	}
	return list
}

// callFirst calls the first operation with a filled input and gives its error.
func (s sdkService) callFirst(t *testing.T) error {
	t.Helper()
	method := s.operations()[0]
	in := reflect.New(method.Type.In(2).Elem())
	f := filler{unions: s.unions}
	f.value(in.Elem(), 0)
	res := method.Func.Call([]reflect.Value{reflect.ValueOf(s.client), reflect.ValueOf(t.Context()), in})
	err, _ := res[1].Interface().(error)
	return err
}

// modelled ignores what is no member.
var modelled = cmp.FilterPath(func(p cmp.Path) bool {
	f, ok := p.Last().(cmp.StructField)
	return ok && reflectSkip[f.Name()]
}, cmp.Ignore())

// Every member of every input and output of the five services, unions in each variant, goes through the real client, the
// wire and the codec and comes out as it went in. This is the proof that the names, bindings and formats are right.
func TestEveryMemberSurvivesTheWire(t *testing.T) {
	t.Parallel()
	const variants = 3
	var mux http.Handler
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { mux.ServeHTTP(w, r) }))
	defer srv.Close()

	// got and next belong to the one request under way.
	var got any
	var next any
	var services []*Service
	all := sdkServices(srv.URL)
	for _, sdk := range all {
		s := &Service{Unions: sdk.unions}
		for _, m := range sdk.operations() {
			s.Operations = append(s.Operations, reflectOp(m, func(c *Call, in any) (any, error) {
				got = in
				return next, nil
			}))
		}
		if err := s.ApplyModel(sdk.model); err != nil {
			t.Fatal(err)
		}
		services = append(services, s)
	}
	m, err := NewMux(Options{Services: services, DefaultAccount: "000000000000", DefaultRegion: "us-east-1", Logger: quietLogger})
	if err != nil {
		t.Fatal(err)
	}
	mux = m

	count := map[string]int{}
	for _, sdk := range all {
		for _, method := range sdk.operations() {
			rounds := 1
			if len(sdk.unions) > 0 {
				rounds = variants
			}
			for variant := range rounds {
				in := reflect.New(method.Type.In(2).Elem())
				out := reflect.New(method.Type.Out(0).Elem())
				fillIn := filler{unions: sdk.unions, variant: variant, millis: sdk.millis}
				fillIn.value(in.Elem(), 0)
				fillOut := filler{unions: sdk.unions, variant: variant, millis: true}
				fillOut.value(out.Elem(), 0)
				got, next = nil, out.Interface()

				name := sdk.model.Service + "." + method.Name
				res := method.Func.Call([]reflect.Value{reflect.ValueOf(sdk.client), reflect.ValueOf(t.Context()), in})
				if err, _ := res[1].Interface().(error); err != nil {
					t.Errorf("%s: %v", name, err)
					continue
				}
				if d := cmp.Diff(in.Interface(), got, modelled); d != "" {
					t.Errorf("%s input (-sent +handled):\n%s", name, d)
				}
				if d := cmp.Diff(out.Interface(), res[0].Interface(), modelled); d != "" {
					t.Errorf("%s output (-answered +received):\n%s", name, d)
				}
			}
			count[sdk.model.Service]++
		}
	}
	// The counts are those of the versions in go.mod less event streams: a loop that skips everything must not pass.
	for _, sdk := range all {
		want := len(sdk.model.Operations)
		for name := range eventStreams {
			if _, ok := sdk.model.operation(name); ok {
				want--
			}
		}
		if count[sdk.model.Service] != want {
			t.Errorf("%s: %d of %d operations tried", sdk.model.Service, count[sdk.model.Service], want)
		}
	}
}
