package main

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
)

// service is an AWS endpoint with one queue, whose jobs have ended as soon as they are submitted. It knows the
// operations the test runner uses. A test changes what its children are before they are looked at.
type service struct {
	t   *testing.T
	URL string

	mu        sync.Mutex
	calls     map[string]int // by operation
	submitted map[string]any
	status    string // of the parent, or of the single job
	throttles int    // how many of the next calls of each operation are refused for being too many
	every     int    // every so many-th read of logs is refused for being too many; 0: none
	children  []*fakeChild
	noGroup   bool
	noReading bool // reads of logs are refused
	logConfig map[string]any
	change    func(s *service)
	described func() // called when jobs have been described
}

type fakeChild struct {
	index     int // -1: the single job
	status    string
	exitCode  int
	stream    string
	lines     []string
	late      int // this many reads of the stream find nothing
	listed    int // how often it is listed
	listLate  int // this many lists do not have it
	described bool
}

// created is when the job was made, when it ended, and when its lines were written, in ms.
const created = 1668329821438

const jobID = "4c7599ae-0a82-49aa-ba5a-4727fcce14a8"

func (c *fakeChild) id() string {
	if c.index < 0 {
		return jobID
	}
	return fmt.Sprint(jobID, ":", c.index)
}

// newService starts the endpoint. change is called when the job has been submitted, and may change what became of it.
func newService(t *testing.T, change func(s *service)) *service {
	s := &service{t: t, calls: make(map[string]int), status: "SUCCEEDED", change: change}
	srv := httptest.NewServer(s)
	t.Cleanup(srv.Close)
	s.URL = srv.URL
	return s
}

func (s *service) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	defer s.mu.Unlock()
	var in map[string]any
	if err := json.NewDecoder(r.Body).Decode(&in); err != nil {
		s.t.Errorf("%s: %v", r.URL, err)
	}
	op := strings.TrimPrefix(r.URL.Path, "/v1/")
	if target, ok := strings.CutPrefix(r.Header.Get("X-Amz-Target"), "Logs_20140328."); ok {
		op = target
	}
	s.calls[op]++
	read := op == "FilterLogEvents" || op == "GetLogEvents"
	if s.calls[op] <= s.throttles || read && s.every > 0 && s.calls[op]%s.every == 0 {
		w.Header().Set("X-Amzn-ErrorType", "TooManyRequestsException")
		w.WriteHeader(http.StatusTooManyRequests)
		fmt.Fprint(w, `{"__type": "ThrottlingException", "message": "Rate exceeded"}`)
		return
	}
	var out any
	var fault string
	switch op {
	case "submitjob":
		out = s.submit(in)
	case "describejobs":
		out = s.describe(in)
		if s.described != nil {
			s.described()
		}
	case "listjobs":
		out = s.list(in)
	case "terminatejob":
		out = map[string]any{}
	case "FilterLogEvents":
		out, fault = s.filterLogEvents(in)
	case "GetLogEvents":
		out, fault = s.getLogEvents(in)
	default:
		s.t.Errorf("unexpected operation %s", op)
	}
	if fault != "" {
		w.WriteHeader(http.StatusBadRequest)
		out = map[string]any{"__type": fault, "message": "absent"}
	}
	if err := json.NewEncoder(w).Encode(out); err != nil {
		s.t.Error(err)
	}
}

func (s *service) submit(in map[string]any) any {
	s.submitted = in
	size := 0
	if a, ok := in["arrayProperties"].(map[string]any); ok {
		size = int(a["size"].(float64))
	}
	input := in["containerOverrides"].(map[string]any)["environment"].([]any)[0].(map[string]any)["value"].(string)
	want, err := expect(input, size)
	if err != nil {
		s.t.Error(err)
	}
	first, last := 0, size-1
	if size == 0 {
		first, last = -1, -1
	}
	for i := first; i <= last; i++ {
		c := &fakeChild{index: i, status: "SUCCEEDED", stream: fmt.Sprintf("worker/default/%032x", i+100), listed: 1, described: true}
		c.print(want, i)
		s.children = append(s.children, c)
	}
	if s.change != nil {
		s.change(s)
	}
	return map[string]any{"jobId": jobID, "jobName": in["jobName"], "jobArn": "arn:aws:batch:us-east-1:000000000000:job/" + jobID}
}

// print has the child print the result of an index, indented, after a line of something else.
func (c *fakeChild) print(want *expectation, index int) {
	lo, hi := want.share(max(index, 0))
	out := want.shareOf(lo, hi)
	if out["from"] != nil {
		out = map[string]any{"range": out}
	}
	out["jobId"], out["message"], out["host"] = c.id(), want.message, "host-1"
	if index >= 0 {
		out["arrayIndex"] = index
	}
	text, err := json.MarshalIndent(out, "", "  ")
	if err != nil {
		panic(err)
	}
	c.lines = append(append(c.lines, `{"level": "info"}`, "at work {"), strings.Split(string(text), "\n")...)
}

func (s *service) describe(in map[string]any) any {
	jobs := []any{}
	ids := in["jobs"].([]any)
	if len(ids) > 100 {
		s.t.Errorf("DescribeJobs of %d ids", len(ids))
	}
	for _, id := range ids {
		if id == jobID && len(s.children) != 0 && s.children[0].index >= 0 {
			summary := map[string]int{}
			for _, c := range s.children {
				summary[c.status]++
			}
			jobs = append(jobs, map[string]any{"jobId": jobID, "status": s.status, "statusReason": "Array Child Job failed", "createdAt": created, "stoppedAt": created,
				"arrayProperties": map[string]any{"size": len(s.children), "statusSummary": summary}})
		}
		for _, c := range s.children {
			if c.id() == id && c.described {
				status := c.status
				if c.index < 0 {
					status = s.status
				}
				container := map[string]any{"exitCode": c.exitCode, "logStreamName": c.stream}
				if s.logConfig != nil {
					container["logConfiguration"] = s.logConfig
				}
				jobs = append(jobs, map[string]any{"jobId": c.id(), "status": status, "statusReason": "Essential container in task exited",
					"createdAt": created, "stoppedAt": created, "container": container})
			}
		}
	}
	return map[string]any{"jobs": jobs}
}

// list answers pages of three.
func (s *service) list(in map[string]any) any {
	var all []any
	for _, c := range s.children {
		if c.status != in["jobStatus"] {
			continue
		}
		if c.listLate > 0 {
			c.listLate--
			continue
		}
		for range c.listed {
			all = append(all, map[string]any{"jobId": c.id()})
		}
	}
	return page(in, all, 3, "jobSummaryList")
}

func page(in map[string]any, all []any, size int, member string) map[string]any {
	from := 0
	if token, ok := in["nextToken"].(string); ok {
		fmt.Sscan(token, &from)
	}
	to := min(from+size, len(all))
	out := map[string]any{member: slices.Concat([]any{}, all[from:to])}
	if to < len(all) {
		out["nextToken"] = fmt.Sprint(to)
	}
	return out
}

func (s *service) filterLogEvents(in map[string]any) (out any, fault string) {
	if s.noGroup || in["logGroupName"] != s.group() {
		return nil, "ResourceNotFoundException"
	}
	if s.noReading {
		return nil, "AccessDeniedException"
	}
	prefix, _ := in["logStreamNamePrefix"].(string)
	from, to := in["startTime"].(float64), in["endTime"].(float64)
	if from > created || to < created {
		s.t.Errorf("logs are read from %.0f to %.0f only", from, to)
	}
	events := []any{}
	for _, c := range s.children {
		if !strings.HasPrefix(c.stream, prefix) {
			continue
		}
		if in["nextToken"] == nil && c.late > 0 {
			c.late--
			continue
		}
		if c.late == 0 {
			for i, line := range c.lines {
				events = append(events, map[string]any{"eventId": fmt.Sprint(c.stream, i), "logStreamName": c.stream, "message": line, "timestamp": created})
			}
		}
	}
	events = append(events, map[string]any{"logStreamName": "other/default/1", "message": `{"jobId": "another job's"}`, "timestamp": created})
	size := 7
	if len(s.children) > 10 {
		size = 100
	}
	return page(in, events, size, "events"), ""
}

func (s *service) getLogEvents(in map[string]any) (out any, fault string) {
	for _, c := range s.children {
		if c.stream != in["logStreamName"] || in["logGroupName"] != s.group() {
			continue
		}
		if c.late > 0 {
			c.late--
			return nil, "ResourceNotFoundException"
		}
		events := []any{}
		if in["nextToken"] == nil {
			for _, line := range c.lines {
				events = append(events, map[string]any{"message": line, "timestamp": created})
			}
		}
		return map[string]any{"events": events, "nextForwardToken": "f/1/s", "nextBackwardToken": "b/1/s"}, ""
	}
	return nil, "ResourceNotFoundException"
}

func (s *service) group() string {
	if options, ok := s.logConfig["options"].(map[string]string); ok {
		return options["awslogs-group"]
	}
	return "/aws/batch/job"
}
