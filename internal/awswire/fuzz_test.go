package awswire

import (
	"bytes"
	"encoding/json"
	"encoding/xml"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/service/batch"
	"github.com/aws/aws-sdk-go-v2/service/cloudwatchlogs"
	"github.com/aws/aws-sdk-go-v2/service/iam"
	"github.com/google/go-cmp/cmp"
)

// goldenSeeds gives the bodies of the golden requests whose names begin so.
func goldenSeeds(f *testing.F, prefix string) {
	f.Helper()
	files, err := filepath.Glob("testdata/golden/" + prefix + "*.http")
	if err != nil || len(files) == 0 {
		f.Fatalf("no golden files %s: %v", prefix, err)
	}
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			f.Fatal(err)
		}
		request, _, _ := strings.Cut(string(text), goldenMark)
		_, body, _ := strings.Cut(request, "\n\n")
		f.Add([]byte(body))
	}
}

func mustPlan(t testing.TB, s *Service, in any) *plan {
	t.Helper()
	p, err := newPlanner(s).operation(reflect.TypeOf(in), nil)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// What decodes encodes to JSON that decodes to the same again; and encoding/json, which is laxer, finds it valid too.
func FuzzJSON(f *testing.F) {
	goldenSeeds(f, "rest_")
	goldenSeeds(f, "json_")
	f.Add([]byte(`{"logGroupName":"\ud83d\ude00","logEvents":[{"timestamp":-9223372036854775808,"message":"\\u0000"}],"entity":{"keyAttributes":{"a":"b"}}}`))
	jobs := mustPlan(f, &Service{Protocol: RestJSON1, model: BatchModel()}, batch.RegisterJobDefinitionInput{})
	logs := mustPlan(f, &Service{Protocol: AWSJSON11, model: LogsModel()}, cloudwatchlogs.PutLogEventsInput{})
	events := mustPlan(f, &Service{Protocol: AWSJSON11, MemberCase: UpperCamel}, eventsPutIn{})
	f.Fuzz(func(t *testing.T, body []byte) {
		for _, p := range []*plan{jobs, logs, events} {
			v := reflect.New(p.typ)
			_, _, problem := decodeJSON(body, p, v.Elem())
			if problem != nil {
				if problem.text == "" {
					t.Fatal("a problem without a text")
				}
				continue
			}
			if len(body) > 0 && !json.Valid(body) {
				t.Fatalf("accepted what is no JSON: %q", body)
			}
			text := appendJSON(nil, p, v.Elem())
			again := reflect.New(p.typ)
			if _, _, problem := decodeJSON(text, p, again.Elem()); problem != nil {
				t.Fatalf("wrote what it can't read: %v\n%s", problem, text)
			}
			if d := cmp.Diff(v.Interface(), again.Interface(), modelled); d != "" {
				t.Fatalf("%s", d)
			}
		}
	})
}

// What is no object of the shape, or not even JSON, is refused exactly if encoding/json refuses it as generic JSON.
func FuzzJSONSyntax(f *testing.F) {
	for _, s := range []string{`{}`, `{"a":[1,-0.5e+3,true,false,null,"\u00e9\n"]}`, `{"a":01}`, `{"a":1.}`, `{"a":"\x"}`, "{\"a\":\"\t\"}", `{"a":1}}`, `{,}`, `{"a":-}`, ` {} `, "{}\x00"} {
		f.Add([]byte(s))
	}
	none := mustPlan(f, &Service{Protocol: RestJSON1}, nothing{})
	f.Fuzz(func(t *testing.T, body []byte) {
		v := reflect.New(none.typ).Elem()
		_, _, problem := decodeJSON(body, none, v)
		var object map[string]any
		dec := json.NewDecoder(bytes.NewReader(body))
		err := dec.Decode(&object)
		if err == nil {
			if _, extra := dec.Token(); !errors.Is(extra, io.EOF) {
				err = errors.New("trailing")
			}
		}
		stricter := problem != nil && (strings.Contains(problem.text, "UTF-8") || strings.Contains(problem.text, "surrogate") ||
			strings.Contains(problem.text, "nested") || bytes.Equal(bytes.TrimSpace(body), []byte("null")))
		if len(body) > 0 && !stricter && (problem == nil) != (err == nil) {
			t.Fatalf("%q: %v, but encoding/json says %v", body, problem, err)
		}
	})
}

// A form never brings down the decoder, and what it decodes to is written as well-formed XML.
func FuzzForm(f *testing.F) {
	goldenSeeds(f, "query_")
	goldenSeeds(f, "ec2_")
	f.Add([]byte("PolicySourceArns=&Properties.entry.1.key=a&Properties.entry.1.value=b&Tags.member.1.Key=\x00%01"))
	type shape struct {
		in       *plan
		protocol Protocol
	}
	shapes := []shape{
		{mustPlan(f, &Service{Protocol: Query, model: IAMModel()}, iam.CreateRoleInput{}), Query},
		{mustPlan(f, &Service{Protocol: Query, model: IAMModel(), Unions: iamUnions}, struct{ Policies []iamPolicies }{}), Query},
		{mustPlan(f, &Service{Protocol: EC2Query}, ec2PermissionsIn{}), EC2Query},
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		root, problem := parseForm("", body)
		if problem != nil {
			return
		}
		if _, err := url.ParseQuery(string(body)); err != nil && !strings.Contains(string(body), ";") {
			t.Fatalf("accepted what net/url does not: %v", err)
		}
		for _, s := range shapes {
			v := reflect.New(s.in.typ)
			if _, _, problem := decodeForm(root, s.protocol, s.in, v.Elem()); problem != nil {
				continue
			}
			w := &xmlWriter{item: "member"}
			w.open("x")
			w.members(s.in, v.Elem())
			w.close("x")
			d := xml.NewDecoder(bytes.NewReader(w.b))
			for {
				if _, err := d.Token(); errors.Is(err, io.EOF) {
					break
				} else if err != nil {
					t.Fatalf("%v in %q", err, w.b)
				}
			}
		}
	})
}

// iamPolicies has every kind of member a form can hold.
type iamPolicies struct {
	iam.SimulatePrincipalPolicyInput
	M map[string]float64
	B []byte
	T []bool
}

// No request, however odd, gets anything but an answer in form: never a panic, never a 500.
func FuzzRequest(f *testing.F) {
	files, err := filepath.Glob("testdata/golden/*.http")
	if err != nil {
		f.Fatal(err)
	}
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			f.Fatal(err)
		}
		request, _, _ := strings.Cut(string(text), goldenMark)
		if strings.Contains(file, "server") || strings.Contains(file, "unmapped") || strings.Contains(file, "panic") || strings.Contains(file, "503") {
			continue // the handlers' own faults
		}
		r := goldenRequest(f, request)
		_, body, _ := strings.Cut(request, "\n\n")
		f.Add(r.Method, r.URL.String(), r.Header.Get("Content-Type"), r.Header.Get("X-Amz-Target"), r.Header.Get("Authorization"), []byte(body))
	}
	m := goldenMux(f, nil)
	f.Fuzz(func(t *testing.T, method, target, contentType, amzTarget, authorization string, body []byte) {
		u, err := url.ParseRequestURI(target)
		if err != nil || bytes.Contains(body, []byte("unmapped")) || bytes.Contains(body, []byte("panic")) || bytes.Contains(body, []byte("server")) || bytes.Contains(body, []byte("/down")) {
			return
		}
		r := httptest.NewRequest(http.MethodPost, "/", bytes.NewReader(body))
		r.Method, r.URL = method, u
		r.Header.Set("Content-Type", contentType)
		r.Header.Set("X-Amz-Target", amzTarget)
		r.Header.Set("Authorization", authorization)
		w := httptest.NewRecorder()
		m.ServeHTTP(w, r)
		if w.Code >= 500 {
			t.Fatalf("%d %s", w.Code, w.Body)
		}
		if strings.Contains(w.Header().Get("Content-Type"), "json") && !json.Valid(w.Body.Bytes()) {
			t.Fatalf("no JSON: %q", w.Body)
		}
	})
}
