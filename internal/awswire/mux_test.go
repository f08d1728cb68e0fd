package awswire

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/batch"
	"github.com/aws/aws-sdk-go-v2/service/batch/types"
	"github.com/aws/smithy-go"
)

const submitBody = `{"jobName":"%s","jobQueue":"q","jobDefinition":"d"}`

func post(t testing.TB, h http.Handler, path, contentType, body string) *httptest.ResponseRecorder {
	t.Helper()
	r := httptest.NewRequest(http.MethodPost, path, strings.NewReader(body))
	r.Header.Set("Content-Type", contentType)
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	return w
}

func TestNewMuxRefuses(t *testing.T) {
	t.Parallel()
	type in struct{ A *string }
	type out struct{ B *string }
	op := func(name string) Operation {
		return Op(name, func(context.Context, *Call, *in) (*out, error) { return nil, nil })
	}
	routed := func(name, method, path string) Operation {
		o := op(name)
		o.Method, o.Path = method, path
		return o
	}
	rest := func(ops ...Operation) *Service { return &Service{Name: "x", Protocol: RestJSON1, Operations: ops} }
	json11 := func(ops ...Operation) *Service {
		return &Service{Name: "y", Protocol: AWSJSON11, TargetPrefix: "Y", Operations: ops}
	}
	withQuery := routed("A", "POST", "/a")
	withQuery.Query = []string{"nothing"}
	tests := []struct {
		name string
		opts Options
		want string
	}{
		{"account", Options{DefaultAccount: "1"}, "default account"},
		{"region", Options{DefaultRegion: "A"}, "default region"},
		{"verifier", Options{Verifier: &Verifier{}}, "without credentials"},
		{"no protocol", Options{Services: []*Service{{Name: "x"}}}, "no protocol"},
		{"no target", Options{Services: []*Service{{Name: "x", Protocol: AWSJSON11}}}, "target prefix"},
		{"no version", Options{Services: []*Service{{Name: "x", Protocol: Query}}}, "no API version"},
		{"one signing name", Options{Services: []*Service{rest(), {Name: "y", SigningNames: []string{"x"}, Protocol: RestJSON1}}}, `signing name "x" is also that of x`},
		{"operation twice", Options{Services: []*Service{json11(op("A"), op("A"))}}, "given twice"},
		{"no route", Options{Services: []*Service{rest(op("A"))}}, "no route"},
		{"one route", Options{Services: []*Service{rest(routed("A", "POST", "/a"), routed("B", "POST", "/a"))}}, "also the route of A"},
		{"one pattern", Options{Services: []*Service{rest(routed("A", "POST", "/a/{a}"), routed("B", "POST", "/a/{a}"))}}, "also the route of A"},
		{"unknown label", Options{Services: []*Service{rest(routed("A", "POST", "/a/{nothing}"))}}, `path member "nothing"`},
		{"unknown query member", Options{Services: []*Service{rest(withQuery)}}, `query member "nothing"`},
		{"provided and refused", Options{Services: []*Service{{Name: "y", Protocol: AWSJSON11, TargetPrefix: "Y", Operations: []Operation{op("A")}, Refused: map[string]string{"A": "no"}}}}, "both provided and refused"},
		{"input that is no struct", Options{Services: []*Service{json11(Op("A", func(context.Context, *Call, *string) (*out, error) { return nil, nil }))}}, "no struct"},
		{"output that is no struct", Options{Services: []*Service{json11(Op("A", func(context.Context, *Call, *in) (*[]string, error) { return nil, nil }))}}, "neither a struct"},
		{"channel", Options{Services: []*Service{json11(Op("A", func(context.Context, *Call, *struct{ C chan int }) (*out, error) { return nil, nil }))}}, "no form on the wire"},
		{"map of ints", Options{Services: []*Service{json11(Op("A", func(context.Context, *Call, *struct{ M map[int]string }) (*out, error) { return nil, nil }))}}, "key must be a string"},
		{"unknown union", Options{Services: []*Service{json11(Op("A", func(context.Context, *Call, *struct{ U fmt.Stringer }) (*out, error) { return nil, nil }))}}, "Service.Unions"},
		{"two members of one name", Options{Services: []*Service{json11(Op("A", func(context.Context, *Call, *struct {
			A *string
			B *string `awswire:"a"`
		}) (*out, error) {
			return nil, nil
		}))}}, `two members "a"`},
		{"raw JSON in Query", Options{Services: []*Service{{Name: "q", Protocol: Query, Version: "1", Operations: []Operation{Op("A", func(context.Context, *Call, *struct{ R json.RawMessage }) (*out, error) { return nil, nil })}}}}, "Query protocol"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			if tt.opts.DefaultAccount == "" {
				tt.opts.DefaultAccount = "000000000000"
			}
			if tt.opts.DefaultRegion == "" {
				tt.opts.DefaultRegion = "us-east-1"
			}
			if _, err := NewMux(tt.opts); err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("got %v, want %s", err, tt.want)
			}
		})
	}
}

func TestApplyModel(t *testing.T) {
	t.Parallel()
	op := func(name string) Operation {
		return Op(name, func(context.Context, *Call, *batch.CancelJobInput) (*batch.CancelJobOutput, error) { return nil, nil })
	}
	if err := (&Service{Operations: []Operation{op("CancleJob")}}).ApplyModel(BatchModel()); err == nil || !strings.Contains(err.Error(), `"CancleJob"`) {
		t.Errorf("misspelt operation: %v", err)
	}
	newer := op("CancelJobs")
	newer.Method, newer.Path, newer.Required = "POST", "/v1/canceljobs", []string{"reason"}
	own := op("CancelJob")
	own.Required = []string{"jobId"}
	s := &Service{Operations: []Operation{newer, own}, Refused: map[string]string{"SubmitJob": "no"}}
	if err := s.ApplyModel(BatchModel()); err != nil {
		t.Fatal(err)
	}
	s.RefuseOthers(func(op string) string { return "not " + op })
	if s.Operations[1].Path != "/v1/canceljob" || len(s.Operations[1].Required) != 1 || s.Name != "batch" || s.Version != "2016-08-10" {
		t.Errorf("%+v", s)
	}
	if n := len(s.Refused); n != len(BatchModel().Operations)-1 || s.Refused["SubmitJob"] != "no" || s.Refused["ListJobs"] != "not ListJobs" {
		t.Errorf("%d refused: %v", n, s.Refused)
	}
	m, err := NewMux(Options{Services: []*Service{s}, DefaultAccount: "000000000000", DefaultRegion: "us-east-1", Logger: quietLogger})
	if err != nil {
		t.Fatal(err)
	}
	infos := m.Operations()
	if len(infos) != len(BatchModel().Operations)+1 || infos[0] != (OperationInfo{"batch", "CancelJob", ""}) || infos[1].Operation != "CancelJobs" || infos[2].Refused != "not CreateComputeEnvironment" {
		t.Errorf("%d: %v", len(infos), infos[:3])
	}
	// A refused operation is found by its own route, path members and all.
	r := httptest.NewRequest(http.MethodDelete, "/v1/tags/arn%3Aa?tagKeys=b", nil)
	w := httptest.NewRecorder()
	m.ServeHTTP(w, r)
	if !strings.Contains(w.Body.String(), "not UntagResource") {
		t.Errorf("got %s", w.Body)
	}
}

func TestFallback(t *testing.T) {
	t.Parallel()
	m := goldenMux(t, func(o *Options) {
		o.Verifier = &Verifier{Credentials: testKeys} // which is none of the fallback's business
		o.Fallback = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			body, err := io.ReadAll(r.Body)
			fmt.Fprintf(w, "%s %s %s %v", r.Method, r.URL, body, err)
		})
	})
	form := "application/x-www-form-urlencoded"
	tests := []struct{ method, url, contentType, body, want string }{
		{"GET", "/_batchbox/health", "", "", "GET /_batchbox/health  <nil>"},
		{"GET", "/?page=2", "", "", "GET /?page=2  <nil>"},
		{"PUT", "/v2/r/blobs/uploads/x", "application/octet-stream", "blob", "PUT /v2/r/blobs/uploads/x blob <nil>"},
		{"POST", "/", form, "a=b", "POST / a=b <nil>"},
		{"GET", "/v2/", "", "", "GET /v2/  <nil>"},
		// AWS's, though not provided: the fallback must not see them.
		{"POST", "/", form, "Action=Publish&Version=2010-03-31", "InvalidAction"},
		{"POST", "/v1/terminateservicejobs", "application/json", "{}", "Missing Authentication Token"},
	}
	for _, tt := range tests {
		r := httptest.NewRequest(tt.method, tt.url, strings.NewReader(tt.body))
		r.Header.Set("Content-Type", tt.contentType)
		w := httptest.NewRecorder()
		m.ServeHTTP(w, r)
		if !strings.Contains(w.Body.String(), tt.want) {
			t.Errorf("%s %s: got %s, want %s", tt.method, tt.url, w.Body, tt.want)
		}
	}
}

// Every request has one id in header, body and log; the log has what happened, and the cause of what is our fault.
func TestReports(t *testing.T) {
	t.Parallel()
	var log bytes.Buffer
	var records []Record
	now := time.Unix(0, 0)
	m := goldenMux(t, func(o *Options) {
		o.Logger = slog.New(slog.NewJSONHandler(&log, &slog.HandlerOptions{Level: slog.LevelDebug}))
		o.OnRequest = func(_ context.Context, r Record) { records = append(records, r) }
		o.Now = func() time.Time { now = now.Add(time.Millisecond); return now }
	})
	for _, name := range []string{"ok", "refuse", "server", "unmapped", "panic"} {
		post(t, m, "/v1/submitjob", "application/json", fmt.Sprintf(submitBody, name))
	}
	want := []struct {
		status      int
		code, level string
		cause       string
	}{
		{200, "", "DEBUG", ""},
		{400, "ClientException", "DEBUG", ""},
		{500, "ServerException", "WARN", "ENOSPC"},
		{500, "ServerException", "WARN", "secret detail"},
		{500, "ServerException", "WARN", "secret panic"},
	}
	lines := strings.Split(strings.TrimSpace(log.String()), "\n")
	if len(lines) != len(want) || len(records) != len(want) {
		t.Fatalf("%d lines, %d records", len(lines), len(records))
	}
	for i, w := range want {
		r := records[i]
		if r != (Record{"batch", "SubmitJob", goldenRequestID, "000000000000", "us-east-1", w.status, w.code, time.Millisecond}) {
			t.Errorf("record %+v", r)
		}
		var line struct {
			Level, Service, Operation, Request, Account, Region, Cause string
			Status                                                     int
		}
		if err := json.Unmarshal([]byte(lines[i]), &line); err != nil {
			t.Fatal(err)
		}
		if line.Level != w.level || line.Status != w.status || line.Request != goldenRequestID || line.Operation != "SubmitJob" ||
			line.Account != "000000000000" || !strings.Contains(line.Cause, w.cause) {
			t.Errorf("log %s", lines[i])
		}
	}
	if !strings.Contains(lines[4], "golden_test.go") {
		t.Errorf("no stack in %s", lines[4])
	}
}

func TestRequestIDsAreNew(t *testing.T) {
	t.Parallel()
	m := goldenMux(t, func(o *Options) { o.NewRequestID = nil })
	seen := map[string]bool{}
	for range 100 {
		w := post(t, m, "/v1/submitjob", "application/json", `{}`)
		id := w.Header().Get("X-Amzn-Requestid")
		if seen[id] || len(id) != 36 || !strings.Contains(w.Body.String(), "RequestId: "+id) {
			t.Fatalf("id %q in %s", id, w.Body)
		}
		seen[id] = true
	}
}

func TestBodyBounds(t *testing.T) {
	t.Parallel()
	small := Op("SubmitJob", func(_ context.Context, c *Call, _ *batch.SubmitJobInput) (*batch.SubmitJobOutput, error) {
		return &batch.SubmitJobOutput{JobId: aws.String(fmt.Sprint(len(c.Body)))}, nil
	})
	small.MaxBody = 1000
	s := &Service{Operations: []Operation{small}}
	if err := s.ApplyModel(BatchModel()); err != nil {
		t.Fatal(err)
	}
	m, err := NewMux(Options{Services: []*Service{s}, DefaultAccount: "000000000000", DefaultRegion: "us-east-1", Logger: quietLogger})
	if err != nil {
		t.Fatal(err)
	}
	srv := httptest.NewServer(m)
	defer srv.Close()
	frame := len(fmt.Sprintf(submitBody, ""))
	for _, chunked := range []bool{false, true} {
		for size, status := range map[int]int{1000: 200, 1001: 413, 100_000: 413} {
			body := fmt.Sprintf(submitBody, strings.Repeat("x", size-frame))
			var reader io.Reader = strings.NewReader(body)
			if chunked {
				reader = struct{ io.Reader }{reader}
			}
			res, err := http.Post(srv.URL+"/v1/submitjob", "application/json", reader)
			if err != nil {
				t.Fatal(err)
			}
			answer, err := io.ReadAll(res.Body)
			res.Body.Close()
			if err != nil || res.StatusCode != status {
				t.Errorf("%d bytes, chunked %v: %s %s %v", size, chunked, res.Status, answer, err)
			}
		}
	}
	// A length that is only claimed must not be allocated, nor waited for beyond the connection.
	conn, err := net.Dial("tcp", srv.Listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	fmt.Fprintf(conn, "POST /v1/submitjob HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: 9\r\n\r\n{")
	if err := conn.(*net.TCPConn).CloseWrite(); err != nil {
		t.Fatal(err)
	}
	answer, err := io.ReadAll(conn)
	if err != nil || !bytes.Contains(answer, []byte("could not be read")) {
		t.Errorf("got %s %v", answer, err)
	}
}

// countingConn counts the writes of the server's side.
type countingListener struct {
	net.Listener
	mu     sync.Mutex
	writes int
}

type countingConn struct {
	net.Conn
	l *countingListener
}

func (l *countingListener) Accept() (net.Conn, error) {
	c, err := l.Listener.Accept()
	return &countingConn{c, l}, err
}

func (c *countingConn) Write(b []byte) (int, error) {
	c.l.mu.Lock()
	c.l.writes++
	c.l.mu.Unlock()
	return c.Conn.Write(b)
}

// Header and body leave in one write: two cost a delayed acknowledgement each time with some clients.
func TestOneWrite(t *testing.T) {
	t.Parallel()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	counting := &countingListener{Listener: l}
	srv := httptest.NewUnstartedServer(goldenMux(t, nil))
	srv.Listener = counting
	srv.Start()
	defer srv.Close()
	for _, name := range []string{"ok", "refuse"} {
		counting.mu.Lock()
		counting.writes = 0
		counting.mu.Unlock()
		res, err := http.Post(srv.URL+"/v1/submitjob", "application/json", strings.NewReader(fmt.Sprintf(submitBody, name)))
		if err != nil {
			t.Fatal(err)
		}
		if _, err := io.ReadAll(res.Body); err != nil {
			t.Fatal(err)
		}
		res.Body.Close()
		counting.mu.Lock()
		if counting.writes != 1 || res.ContentLength < 0 {
			t.Errorf("%s: %d writes, length %d", name, counting.writes, res.ContentLength)
		}
		counting.mu.Unlock()
	}
}

// The SDK finds code, message and request id of an error of each protocol, and a modelled one as its own type.
func TestErrorsThroughSDKs(t *testing.T) {
	t.Parallel()
	var fail *Error
	var mux http.Handler
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { mux.ServeHTTP(w, r) }))
	defer srv.Close()
	var services []*Service
	all := sdkServices(srv.URL)
	for _, sdk := range all {
		s := &Service{Unions: sdk.unions}
		s.Operations = []Operation{reflectOp(sdk.operations()[0], func(*Call, any) (any, error) { return nil, fail })}
		if err := s.ApplyModel(sdk.model); err != nil {
			t.Fatal(err)
		}
		services = append(services, s)
	}
	m, err := NewMux(Options{Services: services, DefaultAccount: "000000000000", DefaultRegion: "us-east-1", Logger: quietLogger,
		NewRequestID: func() string { return goldenRequestID }})
	if err != nil {
		t.Fatal(err)
	}
	mux = m
	for _, sdk := range all {
		for _, e := range []*Error{
			{Code: "SomeException", Message: "a <b> & \"c\" é"},
			{Code: "ClientException", Message: "c", Members: map[string]any{"extra": 1}},
			{Code: "Down", Message: "d", Server: true},
		} {
			fail = e
			err := sdk.callFirst(t)
			var api smithy.APIError
			var withID interface{ ServiceRequestID() string }
			switch {
			case !errors.As(err, &api) || api.ErrorCode() != e.Code || api.ErrorMessage() != e.Message:
				t.Errorf("%s: got %v, want %v", sdk.model.Service, err, e)
			case !errors.As(err, &withID) || withID.ServiceRequestID() != goldenRequestID:
				t.Errorf("%s: no request id in %v", sdk.model.Service, err)
			}
			var modelled *types.ClientException
			if sdk.model.Service == "batch" && errors.As(err, &modelled) != (e.Code == "ClientException") {
				t.Errorf("batch: %T for %v", api, e)
			}
		}
	}
}

// A typed nil output, a panic with http.ErrAbortHandler and a client that went away end as they should.
func TestOddEnds(t *testing.T) {
	t.Parallel()
	var log bytes.Buffer
	abort := Op("CancelJob", func(ctx context.Context, _ *Call, in *batch.CancelJobInput) (*batch.CancelJobOutput, error) {
		if *in.JobId == "abort" {
			panic(http.ErrAbortHandler)
		}
		return nil, ctx.Err()
	})
	s := &Service{Operations: []Operation{abort}}
	if err := s.ApplyModel(BatchModel()); err != nil {
		t.Fatal(err)
	}
	m, err := NewMux(Options{Services: []*Service{s}, DefaultAccount: "000000000000", DefaultRegion: "us-east-1",
		Logger: slog.New(slog.NewTextHandler(&log, nil))})
	if err != nil {
		t.Fatal(err)
	}
	func() {
		defer func() {
			if r := recover(); r != http.ErrAbortHandler {
				t.Errorf("recovered %v", r)
			}
		}()
		post(t, m, "/v1/canceljob", "application/json", `{"jobId":"abort","reason":"r"}`)
	}()
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	r := httptest.NewRequest(http.MethodPost, "/v1/canceljob", strings.NewReader(`{"jobId":"a","reason":"r"}`)).WithContext(ctx)
	r.Header.Set("Content-Type", "application/json")
	m.ServeHTTP(httptest.NewRecorder(), r)
	if log.Len() > 0 {
		t.Errorf("a warning about a client that went away: %s", log.String())
	}
}

// A large answer to the Go SDK is held back, whatever little time it took to make.
func TestSettle(t *testing.T) {
	t.Parallel()
	m := goldenMux(t, nil)
	body := `{"jobs":["` + strings.Repeat("x", readBuffer) + `"]}`
	r := httptest.NewRequest(http.MethodPost, "/v1/describejobs", strings.NewReader(body))
	r.Header.Set("Content-Type", "application/json")
	r.Header.Set("User-Agent", "m/E aws-sdk-go-v2/1.48.0 ua/2.1")
	start := time.Now()
	w := httptest.NewRecorder()
	m.ServeHTTP(w, r)
	if took := time.Since(start); w.Code != http.StatusOK || w.Body.Len() <= readBuffer || took < settleTime {
		t.Errorf("%d, %d bytes after %v", w.Code, w.Body.Len(), took)
	}
}
