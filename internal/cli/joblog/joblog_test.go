package joblog_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/batch"
	"github.com/aws/aws-sdk-go-v2/service/cloudwatchlogs"

	"github.com/batchbox/batchbox/internal/cli/joblog"
)

type object = map[string]any

// service is an AWS endpoint that knows some jobs and log events. step is called before each FilterLogEvents, with how
// many there have been: it moves the story on.
type service struct {
	t    *testing.T
	step func(s *service, reads int)

	mu     sync.Mutex
	reads  int
	jobs   []object
	events []object
	inputs []object // of FilterLogEvents
	fault  string
}

func (s *service) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	defer s.mu.Unlock()
	var in object
	if err := json.NewDecoder(r.Body).Decode(&in); err != nil {
		s.t.Error(err)
	}
	out := object{}
	switch r.URL.Path {
	case "/v1/describejobs":
		var found []object
		for _, j := range s.jobs {
			if slices.Contains(in["jobs"].([]any), j["jobId"]) {
				found = append(found, j)
			}
		}
		out["jobs"] = found
	case "/v1/listjobs":
		var found []object
		for _, j := range s.jobs {
			if strings.HasPrefix(j["jobId"].(string), fmt.Sprint(in["arrayJobId"], ":")) && j["status"] == in["jobStatus"] {
				found = append(found, object{"jobId": j["jobId"], "startedAt": j["startedAt"]})
			}
		}
		out["jobSummaryList"] = found
	case "/":
		s.reads++
		if s.step != nil {
			s.step(s, s.reads)
		}
		s.inputs = append(s.inputs, in)
		if s.fault != "" {
			w.WriteHeader(http.StatusBadRequest)
			out = object{"__type": s.fault, "message": "absent"}
			break
		}
		var found []object
		prefix, _ := in["logStreamNamePrefix"].(string)
		for _, e := range s.events {
			if strings.HasPrefix(e["logStreamName"].(string), prefix) && float64(e["timestamp"].(int)) >= in["startTime"].(float64) {
				found = append(found, e)
			}
		}
		out["events"] = found
	default:
		s.t.Errorf("unexpected call of %s", r.URL.Path)
	}
	if err := json.NewEncoder(w).Encode(out); err != nil {
		s.t.Error(err)
	}
}

func (s *service) log(stream string, at int, text string) {
	s.events = append(s.events, object{"logStreamName": stream, "timestamp": at, "message": text, "eventId": fmt.Sprint(len(s.events))})
}

func (s *service) reader(id string) *joblog.Reader {
	srv := httptest.NewServer(s)
	s.t.Cleanup(srv.Close)
	cfg := aws.Config{BaseEndpoint: &srv.URL, Region: "us-east-1", Credentials: credentials.NewStaticCredentialsProvider("k", "s", "")}
	return joblog.New(batch.NewFromConfig(cfg), cloudwatchlogs.NewFromConfig(cfg), id)
}

// collect gathers lines as "child text".
func collect(lines *[]string) func(joblog.Line) error {
	return func(l joblog.Line) error {
		*lines = append(*lines, l.Child+" "+l.Text)
		return nil
	}
}

func job(id, status, stream string) object {
	return object{"jobId": id, "status": status, "createdAt": 100000, "startedAt": 100000, "container": object{"logStreamName": stream}}
}

func TestAllShowsEveryAttempt(t *testing.T) {
	t.Parallel()
	s := &service{t: t}
	j := job("j", "RUNNING", "d/default/2")
	j["attempts"] = []object{{"container": object{"logStreamName": "d/default/1"}}}
	j["container"].(object)["logConfiguration"] = object{"logDriver": "awslogs", "options": object{"awslogs-group": "/own"}}
	s.jobs = []object{j}
	s.log("d/default/1", 100001, "first")
	s.log("d/default/2", 100002, "second")
	s.log("d/default/3", 100003, "another job's")
	var lines []string
	if err := s.reader("j").All(t.Context(), collect(&lines)); err != nil || !slices.Equal(lines, []string{" first", " second"}) {
		t.Errorf("lines %q, error %v", lines, err)
	}
	if in := s.inputs[0]; in["logGroupName"] != "/own" || in["logStreamNamePrefix"] != "d/default/" || in["startTime"] != 40000.0 {
		t.Errorf("asked for %v", in)
	}
}

func TestFollowMergesChildrenAsTheyCome(t *testing.T) {
	t.Parallel()
	s := &service{t: t}
	parent := object{"jobId": "j", "status": "PENDING", "createdAt": 100000, "arrayProperties": object{"size": 2}}
	zero, one := job("j:0", "RUNNING", "d/default/a"), job("j:1", "RUNNABLE", "")
	delete(one, "startedAt")
	s.jobs = []object{parent, zero, one}
	s.step = func(s *service, reads int) {
		switch reads {
		case 1:
			s.log("d/default/a", 100001, "zero starts")
			s.log("d/default/b", 100002, "one starts") // its stream is not known yet
		case 2:
			one["status"], one["startedAt"], one["container"] = "RUNNING", 100002, object{"logStreamName": "d/default/b"}
			s.log("d/default/a", 100900, "zero works")
		case 4:
			zero["status"], one["status"], parent["status"] = "SUCCEEDED", "SUCCEEDED", "SUCCEEDED"
			s.log("d/default/b", 100950, "one ends")
			s.log("d/default/a", 100940, "zero ends, told late")
		case 5:
			s.log("d/default/a", 100960, "told after the end")
		}
	}
	var lines []string
	err := s.reader("j").Follow(t.Context(), collect(&lines))
	want := []string{"0 zero starts", "0 zero works", "1 one starts", "1 one ends", "0 zero ends, told late", "0 told after the end"}
	slices.Sort(lines)
	slices.Sort(want)
	if err != nil || !slices.Equal(lines, want) {
		t.Errorf("lines %q, error %v; want %q", lines, err, want)
	}
}

func TestFollowForgetsWhatIsLongPast(t *testing.T) {
	t.Parallel()
	s := &service{t: t}
	j := job("j", "RUNNING", "d/default/a")
	s.jobs = []object{j}
	s.step = func(s *service, reads int) {
		if reads <= 3 {
			s.log("d/default/a", 100000+reads*60000, fmt.Sprint("line ", reads))
		} else {
			j["status"] = "FAILED"
		}
	}
	var lines []string
	if err := s.reader("j").Follow(t.Context(), collect(&lines)); err != nil || !slices.Equal(lines, []string{" line 1", " line 2", " line 3"}) {
		t.Errorf("lines %q, error %v", lines, err)
	}
	if last := s.inputs[len(s.inputs)-1]["startTime"]; last != 270000.0 { // ten seconds before the last line
		t.Errorf("the last read starts at %v", last)
	}
}

func TestLogsThatAreNotThere(t *testing.T) {
	t.Parallel()
	splunk := job("splunk", "SUCCEEDED", "")
	splunk["container"].(object)["logConfiguration"] = object{"logDriver": "splunk"}
	for _, tc := range []struct {
		id, fault string
		want      error
		text      string
	}{
		{"absent", "", nil, "job absent does not exist"},
		{"splunk", "", joblog.ErrNoLogs, "splunk"},
		{"j", "ResourceNotFoundException", nil, ""}, // a group without events yet
		{"j", "AccessDeniedException", nil, "AccessDeniedException"},
	} {
		s := &service{t: t, fault: tc.fault, jobs: []object{splunk, job("j", "SUCCEEDED", "d/default/a")}}
		var lines []string
		err := s.reader(tc.id).All(t.Context(), collect(&lines))
		if len(lines) > 0 || (err == nil) != (tc.text == "") || err != nil && !strings.Contains(err.Error(), tc.text) || tc.want != nil && !errors.Is(err, tc.want) {
			t.Errorf("%s %s: lines %q, error %v; want %q", tc.id, tc.fault, lines, err, tc.text)
		}
	}
}

func TestFollowStopsWithItsContextAndItsReader(t *testing.T) {
	t.Parallel()
	s := &service{t: t, jobs: []object{job("j", "RUNNING", "d/default/a")}}
	s.log("d/default/a", 100001, "line")
	broken := errors.New("broken pipe")
	if err := s.reader("j").Follow(t.Context(), func(joblog.Line) error { return broken }); !errors.Is(err, broken) {
		t.Errorf("error %v, want %v", err, broken)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
	defer cancel()
	if err := s.reader("j").Follow(ctx, func(joblog.Line) error { return nil }); err == nil {
		t.Error("no error when the context has ended")
	}
}
