package server_test

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/batchbox/batchbox/internal/runtime/fake"
	"github.com/batchbox/batchbox/internal/server"
	"github.com/batchbox/batchbox/internal/testenv"
)

// What a client gets wrong is answered in its own protocol with a sentence that says what, and changes nothing.
func TestBadInput(t *testing.T) {
	t.Parallel()
	var log syncBuffer
	s, err := server.Start(context.Background(), server.Config{
		Listen: "127.0.0.1:0", Ephemeral: true, InProcess: &server.InProcess{Runtime: fake.New(fake.Options{})},
		Logger: slog.New(slog.NewTextHandler(&log, nil)),
	})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	transport := &http.Transport{}
	defer transport.CloseIdleConnections()
	client := &http.Client{Transport: transport}
	const (
		jsonType = "application/json"
		json11   = "application/x-amz-json-1.1"
		form     = "application/x-www-form-urlencoded"
		submit   = "POST /v1/submitjob"
		job      = `"jobName":"a","jobQueue":"q","jobDefinition":"d"`
		logs     = "Logs_20140328."
		ecr      = "AmazonEC2ContainerRegistry_V20150921."
		events   = "AWSEvents."
		stsv     = "&Version=2011-06-15"
		iamv     = "&Version=2010-05-08"
		ec2v     = "&Version=2016-11-15"
	)
	batchError := []string{"ClientException", "Error executing request, Exception : "}
	for _, tt := range []struct {
		name, request, media, body string // request is "METHOD /path", or an X-Amz-Target
		status                     int
		want                       []string // in the X-Amzn-Errortype header and the body
	}{
		{"batch: no JSON", submit, jsonType, `{"jobName":`, 400, batchError},
		{"batch: JSON of another kind", submit, jsonType, `[]`, 400, batchError},
		{"batch: two values", submit, jsonType, `{` + job + `}{}`, 400, batchError},
		{"batch: no UTF-8", submit, jsonType, "{\"jobName\":\"\xff\"}", 400, batchError},
		{"batch: deep", submit, jsonType, strings.Repeat(`{"a":`, 20_000), 400, batchError},
		{"batch: a number for a name", submit, jsonType, `{"jobName":1}`, 400, append(batchError, "jobName")},
		{"batch: a string for a size", submit, jsonType, `{` + job + `,"arrayProperties":{"size":"x"}}`, 400, append(batchError, "size")},
		{"batch: a size too large for its type", submit, jsonType, `{` + job + `,"arrayProperties":{"size":99999999999}}`, 400, append(batchError, "size")},
		{"batch: nothing", submit, jsonType, ``, 400, []string{"ClientException", "jobName"}},
		{"batch: missing members", submit, jsonType, `{"jobName":"a"}`, 400, []string{"ClientException", "jobQueue", "jobDefinition"}},
		{"batch: 2 MiB", submit, jsonType, `{"jobName":"` + strings.Repeat("a", 2<<20) + `"}`, 413, append(batchError, "larger than the")},
		{"batch: unknown path", "POST /v1/nonsense", jsonType, `{}`, 404, nil},
		{"batch: wrong method", "GET /v1/submitjob", "", ``, 405, []string{"The method GET is not allowed here; allowed: POST"}},
		{"batch: wrong content type", submit, "text/xml", `<a/>`, 415, batchError},
		{"logs: wrong content type", logs + "CreateLogGroup", "text/xml", `<a/>`, 415, []string{"SerializationException"}},
		{"batch: queue that does not exist", submit, jsonType, `{` + job + `}`, 400, []string{"ClientException", "q"}},
		{"batch: an array of 1", submit, jsonType, `{` + job + `,"arrayProperties":{"size":1}}`, 400, []string{"ClientException"}},
		{"batch: an array of 10,001", submit, jsonType, `{` + job + `,"arrayProperties":{"size":10001}}`, 400, []string{"ClientException"}},
		{"batch: 31 KiB", submit, jsonType, `{` + job + `,"parameters":{"x":"` + strings.Repeat("x", 31<<10) + `"}}`, 400, []string{"ClientException"}},

		{"logs: no JSON", logs + "CreateLogGroup", json11, `{"logGroupName":`, 400, []string{"SerializationException"}},
		{"logs: wrong type", logs + "CreateLogGroup", json11, `{"logGroupName":[]}`, 400, []string{"SerializationException", "logGroupName"}},
		{"logs: missing member", logs + "CreateLogGroup", json11, `{}`, 400, []string{"InvalidParameterException", "logGroupName"}},
		{"logs: no body", logs + "CreateLogGroup", json11, ``, 400, []string{"SerializationException"}},
		{"logs: unknown operation", logs + "Nonsense", json11, `{}`, 400, []string{"UnknownOperationException"}},
		{"logs: too many bytes of events", logs + "PutLogEvents", json11, `{"logGroupName":"` + strings.Repeat("x", 12<<20) + `"}`, 413, []string{"SerializationException", "larger than the"}},
		{"logs: GET", "GET /", json11, ``, 404, nil},
		{"ecr: wrong type", ecr + "CreateRepository", json11, `{"repositoryName":1}`, 400, []string{"InvalidParameterException", "repositoryName"}},
		{"ecr: missing member", ecr + "CreateRepository", json11, `{}`, 400, []string{"repositoryName"}},
		{"events: wrong type", events + "PutRule", json11, `{"Name":{}}`, 400, []string{"SerializationException", "'name'"}},
		{"no service", "Nonsense_1.Do", json11, `{}`, 400, []string{"UnknownServiceException", "Nonsense_1"}},

		{"sts: unknown action", "POST /", form, "Action=Nonsense" + stsv, 400, []string{"<Code>InvalidAction</Code>", "Nonsense"}},
		{"sts: missing member", "POST /", form, "Action=AssumeRole" + stsv, 400, []string{"<Code>ValidationError</Code>", "roleArn"}},
		{"sts: wrong type", "POST /", form, "Action=GetSessionToken&DurationSeconds=x" + stsv, 400, []string{"<Code>ValidationError</Code>", "durationSeconds"}},
		{"iam: broken escape", "POST /", form, "Action=GetRole&RoleName=%zz" + iamv, 400, []string{"<Code>MalformedQueryString</Code>"}},
		{"iam: 2 MiB", "POST /", form, "Action=GetRole" + iamv + "&RoleName=" + strings.Repeat("a", 2<<20), 413, []string{"<Code>"}},
		{"iam: unknown version", "POST /", form, "Action=GetRole&Version=1999-01-01", 400, []string{"<Code>InvalidAction</Code>"}},
		{"ec2: missing member", "POST /", form, "Action=DeleteSecurityGroup" + ec2v, 400, []string{"<Code>MissingParameter</Code>"}},
		{"ec2: wrong type", "POST /", form, "Action=DescribeVpcs&MaxResults=x" + ec2v, 400, []string{"<Code>InvalidParameterValue</Code>", "maxResults"}},
		{"a form that is none", "POST /", "text/xml", "<a/>", 404, nil},

		{"registry: unknown path", "GET /v2/a/b/c", "", ``, 404, []string{`"code":"UNSUPPORTED"`}},
		{"registry: wrong method", "PATCH /v2/aa/tags/list", "", ``, 405, []string{`"code":"UNSUPPORTED"`}},
		{"registry: wrong name", "GET /v2/UPPER/tags/list", "", ``, 400, []string{`"code":"NAME_INVALID"`}},
		{"registry: no manifest", "PUT /v2/app/manifests/latest", "application/vnd.oci.image.manifest.v1+json", `{`, 400, []string{`"code":"MANIFEST_INVALID"`}},
		{"registry: a manifest of 5 MiB", "PUT /v2/app/manifests/latest", "application/vnd.oci.image.manifest.v1+json", strings.Repeat(" ", 5<<20), 413, []string{`"code":"SIZE_INVALID"`}},
		{"registry: no digest", "GET /v2/app/blobs/sha256:x", "", ``, 400, []string{`"code":"DIGEST_INVALID"`}},

		{"pages: wrong method", "GET /_batchbox/spot/interrupt", "", ``, 405, []string{"POST"}},
		{"pages: no JSON", "POST /_batchbox/spot/interrupt", jsonType, `{`, 400, []string{"the request is not of the form"}},
		{"pages: unknown member", "POST /_batchbox/spot/interrupt", jsonType, `{"jobs":"x"}`, 400, []string{"the request is not of the form"}},
		{"pages: wrong token", "POST /_batchbox/shutdown", "", ``, 403, []string{"batchbox stop"}},
		{"pages: unknown", "GET /_batchbox/nonsense", "", ``, 404, nil},
		{"nothing of anybody's", "GET /nonsense", "", ``, 404, nil},
	} {
		method, path, ok := strings.Cut(tt.request, " ")
		target := ""
		if !ok {
			method, path, target = http.MethodPost, "/", tt.request
		}
		r, err := http.NewRequest(method, s.URL()+path, strings.NewReader(tt.body))
		if err != nil {
			t.Fatal(err)
		}
		if tt.media != "" {
			r.Header.Set("Content-Type", tt.media)
		}
		if target != "" {
			r.Header.Set("X-Amz-Target", target)
		}
		res, err := client.Do(r)
		if err != nil {
			t.Errorf("%s: %v", tt.name, err)
			continue
		}
		body, err := io.ReadAll(res.Body)
		res.Body.Close()
		if err != nil {
			t.Errorf("%s: %v", tt.name, err)
		}
		answer := res.Header.Get("X-Amzn-Errortype") + " " + string(body)
		if res.StatusCode != tt.status {
			t.Errorf("%s: status %d, want %d: %.300s", tt.name, res.StatusCode, tt.status, answer)
		}
		for _, want := range tt.want {
			if !strings.Contains(answer, want) {
				t.Errorf("%s: the answer lacks %q: %.300s", tt.name, want, answer)
			}
		}
	}

	r, err := http.NewRequest(http.MethodGet, s.URL(), http.NoBody)
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("X-Amz-Security-Token", strings.Repeat("x", 80<<10))
	if res, err := client.Do(r); err != nil || res.StatusCode != http.StatusRequestHeaderFieldsTooLarge {
		t.Errorf("a header of 80 KiB: %v, %v", res, err)
	}

	for path, want := range map[string]string{"/v1/describejobqueues": `{"jobQueues":[]}`, "/v1/describejobdefinitions": `{"jobDefinitions":[]}`} {
		res, err := client.Post(s.URL()+path, jsonType, strings.NewReader("{}"))
		if err != nil {
			t.Fatal(err)
		}
		body, err := io.ReadAll(res.Body)
		res.Body.Close()
		if err != nil || string(body) != want {
			t.Errorf("%s afterwards: %s, %v", path, body, err)
		}
	}
	if said := log.String(); strings.Contains(said, "panic") || strings.Contains(said, "level=ERROR") {
		t.Errorf("the log:\n%s", said)
	}
}

// What keeps an engine from starting is said in one sentence, with what to do, and leaves nothing behind.
func TestCanNotStart(t *testing.T) {
	t.Parallel()
	quiet := slog.New(slog.DiscardHandler)
	startOn := func(dir, listen string) error {
		s, err := server.Start(context.Background(), server.Config{Listen: listen, DataDir: dir, Runtime: "process", Logger: quiet})
		if err == nil {
			err = s.Close()
			t.Errorf("an engine started on %s, %s", dir, listen)
		}
		return err
	}
	check := func(name string, err error, want ...string) {
		t.Helper()
		for _, w := range want {
			if err == nil || !strings.Contains(err.Error(), w) {
				t.Errorf("%s: %v, want %q", name, err, w)
			}
		}
	}

	held := t.TempDir()
	first, err := server.Start(context.Background(), server.Config{Listen: "127.0.0.1:0", DataDir: held, Runtime: "process", Logger: quiet})
	if err != nil {
		t.Fatal(err)
	}
	address := strings.TrimPrefix(first.URL(), "http://")
	check("held", startOn(held, "127.0.0.1:0"), "data directory "+held+" is in use by process "+fmt.Sprint(os.Getpid()), "listening on "+address)
	other := t.TempDir()
	check("port in use", startOn(other, address), "listen address "+address, "address already in use", "--listen 127.0.0.1:0 picks a free port")
	if err := first.Close(); err != nil {
		t.Error(err)
	}
	check("an address of no machine here", startOn(other, "127.0.0.1:99999"), "127.0.0.1:99999", "invalid port")

	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	check("a file", startOn(file, "127.0.0.1:0"), "data directory: ", "not a directory")

	// Whatever failed has let go of what it had: the same directory and port will do now.
	l, err := net.Listen("tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	l.Close()
	again, err := server.Start(context.Background(), server.Config{Listen: address, DataDir: other, Runtime: "process", Logger: quiet})
	if err != nil {
		t.Fatal(err)
	}
	if err := again.Close(); err != nil {
		t.Error(err)
	}
}

// TestReadOnlyDataDirectory: for root only a mount is read-only.
func TestReadOnlyDataDirectory(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	if os.Geteuid() == 0 {
		testenv.Require(t, testenv.Linux)
		readOnlyMount(t, dir)
	} else if err := os.Chmod(dir, 0o500); err != nil {
		t.Fatal(err)
	}
	s, err := server.Start(context.Background(), server.Config{Listen: "127.0.0.1:0", DataDir: dir, Runtime: "process", Logger: slog.New(slog.DiscardHandler)})
	if err == nil {
		_ = s.Close()
		t.Fatal("an engine started on a directory that it can not write to")
	}
	if said := err.Error(); !strings.Contains(said, dir) || !strings.Contains(said, "read-only file system") && !strings.Contains(said, "permission denied") {
		t.Errorf("the error names neither directory nor reason: %v", err)
	}
}
