package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net"
	"strings"
	"testing"
	"time"
)

const twoItems = `{"message": "Hello!", "items": ["item-A", "item-B"]}`

// run starts the program against the service with more flags.
func (s *service) run(t *testing.T, ctx context.Context, args ...string) (stdout, stderr string, code int) {
	t.Helper()
	args = append([]string{"--endpoint-url", s.URL, "--region", "us-east-1", "--job-queue", "q", "--job-definition", "worker"}, args...)
	var out, errs bytes.Buffer
	code = run(ctx, args, &out, &errs, 0)
	return out.String(), errs.String(), code
}

func array(size int, input string) []string {
	return []string{"--array-size", fmt.Sprint(size), "--input", input}
}

func TestPasses(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		name     string
		args     []string
		change   func(*service)
		verified int
		shown    string
	}{
		{"ArrayOfTwo", array(2, twoItems), nil, 2, "1      \"item-B\"  host-1  worker/default/"},
		{"SingleJob", array(0, `{"message": "Hello!", "items": [{"a": 1.50}]}`), nil, 1, `-      {"a":1.50}  host-1`},
		{"ArrayOfOneIsASingleJob", array(1, `{"items": [null]}`), nil, 1, "-      null"},
		{"SingleJobOfManyItems", array(0, `{"items": [1, 2, 3]}`), nil, 1, "[1,2,3]"},
		{"ArrayByRange", array(250, `{"range": {"from": 1000, "to": 1249}}`), nil, 250, "and 240 more"},
		{"SlicesOfItems", array(2, `{"items": ["a", "b", "c"]}`), nil, 2, `["a","b"]`},
		{"SlicesOfARange", array(2, `{"range": {"from": 0, "to": 9}}`), nil, 2, `{"from":5,"to":9}`},
		{"ThrottledOnce", array(2, twoItems), func(s *service) { s.throttles = 1 }, 2, "PASSED"},
		{"LogsComeLate", array(2, twoItems), func(s *service) { s.children[0].late, s.children[1].late = 2, 1 }, 2, "PASSED"},
		{"LogsOfManyComeLate", array(30, `{"range": {"from": 0, "to": 29}}`), func(s *service) {
			for _, c := range s.children {
				c.late = 2
			}
		}, 30, "PASSED"},
		{"LogsComeLateAndReadsAreThrottled", array(60, `{"range": {"from": 0, "to": 59}}`), func(s *service) {
			s.every = 12
			for i, c := range s.children {
				c.late = i % 4
			}
		}, 60, "PASSED"},
		{"ListLagsBehind", array(2, twoItems), func(s *service) { s.children[1].listLate = 1 }, 2, "PASSED"},
		{"OwnLogGroup", array(2, twoItems), func(s *service) {
			s.logConfig = map[string]any{"logDriver": "awslogs", "options": map[string]string{"awslogs-group": "/my/own", "awslogs-region": "eu-west-1"}}
		}, 2, "PASSED"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			s := newService(t, tc.change)
			stdout, stderr, code := s.run(t, t.Context(), tc.args...)
			if code != 0 || !strings.Contains(stdout, "PASSED: ") || !strings.Contains(stdout, tc.shown) {
				t.Errorf("exit code %d, stdout\n%s\nstderr\n%s\nwant 0 and %q", code, stdout, stderr, tc.shown)
			}
			stdout, _, code = newService(t, tc.change).run(t, t.Context(), append(tc.args, "--output", "json")...)
			var rep report
			if err := json.Unmarshal([]byte(stdout), &rep); err != nil {
				t.Fatalf("%v in %s", err, stdout)
			}
			if code != 0 || !rep.OK || rep.Verified != tc.verified || rep.Children != tc.verified || rep.JobID != jobID || len(rep.Differing)+len(rep.Problems) > 0 {
				t.Errorf("exit code %d, report %+v", code, rep)
			}
		})
	}
}

func TestFindsWhatDiffers(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		name   string
		change func(*service)
		index  int // the child that differs
		what   string
	}{
		{"MissingChild", func(s *service) { s.children[1].listed, s.children[1].described = 0, false }, 1, "missing: neither listed nor described"},
		{"UnlistedChild", func(s *service) { s.children[1].listed = 0 }, 1, "missing from the list of children"},
		{"UndescribedChild", func(s *service) { s.children[1].described = false }, 1, "listed, but not described"},
		{"ChildListedTwice", func(s *service) { s.children[0].listed = 2 }, 0, "listed 2 times"},
		{"ChildNotSucceeded", func(s *service) { s.children[1].status = "RUNNING" }, 1, "RUNNING, exit code 0"},
		{"NoLogStream", func(s *service) { s.children[1].stream = "" }, 1, "no log stream"},
		{"NoLogLines", func(s *service) { s.children[1].lines = nil }, 1, "no log lines"},
		{"NoLogGroup", func(s *service) { s.noGroup, s.children[0].late, s.children[1].late = true, 99, 99 }, 1, "no log lines"},
		{"NoResult", func(s *service) { s.children[1].lines = []string{"{", `"jobId": 1`, "}", "done"} }, 1, "no result in 4 log lines"},
		{"ResultCutOff", func(s *service) { c := s.children[1]; c.lines = c.lines[:len(c.lines)-1] }, 1, "no result in"},
		{"ResultTwice", func(s *service) { c := s.children[0]; c.lines = append(c.lines, c.lines...) }, 0, "2 results instead of one"},
		{"AnotherJobsResult", func(s *service) {
			s.children[1].lines = []string{`{"jobId": "x", "arrayIndex": 1, "message": "Hello!", "item": "item-B"}`}
		}, 1, "result is of job x"},
		{"WrongIndex", func(s *service) {
			s.children[1].lines = []string{fmt.Sprintf(`{"jobId": "%s:1", "arrayIndex": 7, "message": "Hello!", "item": "item-B"}`, jobID)}
		}, 1, "result has index 7"},
		{"NoIndex", func(s *service) {
			s.children[1].lines = []string{fmt.Sprintf(`{"jobId": "%s:1", "message": "Hello!", "item": "item-B"}`, jobID)}
		}, 1, "result has no index"},
		{"WrongItem", func(s *service) {
			s.children[1].lines = []string{fmt.Sprintf(`{"jobId": "%s:1", "arrayIndex": 1, "message": "Hello!", "item": "item-A"}`, jobID)}
		}, 1, `item is "item-A", not "item-B"`},
		{"NoItem", func(s *service) {
			s.children[1].lines = []string{fmt.Sprintf(`{"jobId": "%s:1", "arrayIndex": 1, "message": "Hello!"}`, jobID)}
		}, 1, `item is missing, not "item-B"`},
		{"WrongMessage", func(s *service) {
			s.children[1].lines = []string{fmt.Sprintf(`{"jobId": "%s:1", "arrayIndex": 1, "message": "Bye!", "item": "item-B"}`, jobID)}
		}, 1, `message is "Bye!", not "Hello!"`},
		{"AnothersResult", func(s *service) {
			s.children[1].lines = append([]string(nil), s.children[0].lines...)
		}, 1, "child 0 has printed the result of index 0 too"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			s := newService(t, tc.change)
			stdout, stderr, code := s.run(t, t.Context(), append(array(2, twoItems), "--output", "json", "--log-timeout", "300ms")...)
			var rep report
			if err := json.Unmarshal([]byte(stdout), &rep); err != nil {
				t.Fatalf("%v in %s%s", err, stdout, stderr)
			}
			if code != 1 || rep.OK {
				t.Errorf("exit code %d, report %+v", code, rep)
			}
			found := false
			for _, c := range rep.Differing {
				found = found || *c.Index == tc.index && strings.Contains(strings.Join(c.Problems, "; "), tc.what)
			}
			if !found {
				t.Errorf("report %+v does not say of child %d: %s", rep, tc.index, tc.what)
			}
		})
	}
}

func TestReportsAFailedChildWithItsLastLines(t *testing.T) {
	t.Parallel()
	s := newService(t, func(s *service) {
		s.status = "FAILED"
		for _, i := range []int{1, 3, 4, 5} {
			c := s.children[i]
			c.status, c.exitCode, c.lines = "FAILED", 42, []string{"first", "2", "3", "4", "5", "6", "error: disk on fire"}
		}
	})
	stdout, _, code := s.run(t, t.Context(), array(6, `{"range": {"from": 0, "to": 5}}`)...)
	for _, want := range []string{
		"problem: the job ended as FAILED: Array Child Job failed\n",
		"1      FAILED, exit code 42: Essential container in task exited\n       | 2\n",
		"       | error: disk on fire\n",
		"4 of 6 children differ: 1,3-5\n",
		"FAILED: 2 of 6 children verified in ",
	} {
		if !strings.Contains(stdout, want) {
			t.Errorf("stdout lacks %q:\n%s", want, stdout)
		}
	}
	if code != 1 || strings.Contains(stdout, "first") {
		t.Errorf("exit code %d, stdout\n%s", code, stdout)
	}
}

func TestASingleJobThatFails(t *testing.T) {
	t.Parallel()
	s := newService(t, func(s *service) { s.status, s.children[0].exitCode, s.children[0].lines = "FAILED", 3, []string{"no"} })
	stdout, _, code := s.run(t, t.Context(), array(0, twoItems)...)
	if code != 1 || !strings.Contains(stdout, "-      FAILED, exit code 3: Essential") || !strings.Contains(stdout, "FAILED: 0 of 1 job verified") {
		t.Errorf("exit code %d, stdout\n%s", code, stdout)
	}
}

func TestAParentThatFailsThoughItsChildrenSucceeded(t *testing.T) {
	t.Parallel()
	s := newService(t, func(s *service) { s.status = "FAILED" })
	stdout, _, code := s.run(t, t.Context(), array(2, twoItems)...)
	if code != 1 || !strings.Contains(stdout, "FAILED: 2 of 2 children verified") {
		t.Errorf("exit code %d, stdout\n%s", code, stdout)
	}
}

func TestTerminatesAJobThatTakesTooLong(t *testing.T) {
	t.Parallel()
	s := newService(t, func(s *service) { s.status, s.children[0].status = "PENDING", "RUNNABLE" })
	stdout, _, code := s.run(t, t.Context(), append(array(2, twoItems), "--timeout", "3s")...)
	want := "problem: no end after 3s; the job was [##########----------]  50 %  1/2  RUNNABLE 1  SUCCEEDED 1, and has been told to terminate\n"
	if code != 1 || !strings.Contains(stdout, want) || s.calls["terminatejob"] != 1 {
		t.Errorf("exit code %d, %d terminations, stdout\n%s", code, s.calls["terminatejob"], stdout)
	}
}

func TestTerminatesTheJobWhenInterrupted(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithCancel(t.Context())
	s := newService(t, func(s *service) { s.status, s.described = "RUNNING", cancel })
	stdout, _, code := s.run(t, ctx, array(2, twoItems)...)
	if code != 1 || !strings.Contains(stdout, "problem: interrupted; ") || s.calls["terminatejob"] != 1 {
		t.Errorf("exit code %d, %d terminations, stdout\n%s", code, s.calls["terminatejob"], stdout)
	}
}

func TestASurplusChild(t *testing.T) {
	t.Parallel()
	s := newService(t, func(s *service) {
		s.children = append(s.children, &fakeChild{index: 2, status: "SUCCEEDED", listed: 1})
	})
	stdout, _, code := s.run(t, t.Context(), array(2, twoItems)...)
	if code != 1 || !strings.Contains(stdout, "problem: the array of 2 has a child "+jobID+":2") {
		t.Errorf("exit code %d, stdout\n%s", code, stdout)
	}
}

func TestLogsThatCanNotBeRead(t *testing.T) {
	t.Parallel()
	s := newService(t, func(s *service) { s.logConfig = map[string]any{"logDriver": "splunk"} })
	stdout, _, code := s.run(t, t.Context(), array(2, twoItems)...)
	if code != 1 || !strings.Contains(stdout, "problem: the job logs by splunk") || !strings.Contains(stdout, "log not read") {
		t.Errorf("exit code %d, stdout\n%s", code, stdout)
	}
}

// CloudWatch Logs allows an account few reads a second: the logs of an array are read together, whatever its size.
func TestLogsAreReadTogether(t *testing.T) {
	t.Parallel()
	s := newService(t, func(s *service) {
		for i, c := range s.children {
			c.late = min(i, 1)
		}
	})
	if stdout, _, code := s.run(t, t.Context(), array(200, `{"range": {"from": 0, "to": 199}}`)...); code != 0 {
		t.Errorf("exit code %d, stdout\n%s", code, stdout)
	}
	if n := s.calls["FilterLogEvents"] + s.calls["GetLogEvents"]; n > 40 {
		t.Errorf("%d reads for the logs of 200 children", n)
	}
}

// The deadline of reading logs holds though every read is throttled and tried again.
func TestLogTimeoutCountsThrottledReads(t *testing.T) {
	t.Parallel()
	s := newService(t, func(s *service) { s.every = 1 })
	start := time.Now()
	stdout, _, code := s.run(t, t.Context(), append(array(2, twoItems), "--log-timeout", "500ms")...)
	if code != 1 || !strings.Contains(stdout, "problem: read logs: no answer within the 500ms of --log-timeout\n") || !strings.Contains(stdout, "0      log not read\n1      log not read\n") {
		t.Errorf("exit code %d, stdout\n%s", code, stdout)
	}
	if took := time.Since(start); took > 30*time.Second { // twelve tries take minutes
		t.Errorf("took %v", took)
	}
}

func TestLogsThatMayNotBeRead(t *testing.T) {
	t.Parallel()
	s := newService(t, func(s *service) { s.noReading = true })
	stdout, _, code := s.run(t, t.Context(), array(2, twoItems)...)
	if code != 1 || !strings.Contains(stdout, "problem: read logs: FilterLogEvents: AccessDeniedException: absent\n") || !strings.Contains(stdout, "0      log not read\n1      log not read\n") {
		t.Errorf("exit code %d, stdout\n%s", code, stdout)
	}
}

func TestNoServiceAnswers(t *testing.T) {
	t.Parallel()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	l.Close()
	s := &service{URL: "http://" + l.Addr().String()}
	stdout, _, code := s.run(t, t.Context(), array(2, twoItems)...)
	if code != 1 || !strings.Contains(stdout, "problem: submit: ") || !strings.Contains(stdout, "connection refused") {
		t.Errorf("exit code %d, stdout\n%s", code, stdout)
	}
}

func TestWarnsOfLimits(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		bytes     int
		overrides bool
		payload   bool
	}{{7000, false, false}, {9000, true, false}, {31 << 10, true, true}} {
		s := newService(t, nil)
		input := fmt.Sprintf(`{"message": "%s", "items": [1]}`, strings.Repeat("x", tc.bytes))
		_, stderr, code := s.run(t, t.Context(), array(0, input)...)
		if code != 0 || strings.Contains(stderr, "fails a job that has more than 8192") != tc.overrides || strings.Contains(stderr, "refuses more than 30720") != tc.payload {
			t.Errorf("%d bytes: exit code %d, stderr %.300s", tc.bytes, code, stderr)
		}
	}
}

func TestBadUsage(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		args []string
		want string
	}{
		{[]string{"--bogus"}, "flag provided but not defined: -bogus"},
		{[]string{"more"}, `unexpected argument "more"`},
		{[]string{"--job-queue", ""}, "--job-queue is missing"},
		{[]string{"--job-definition", ""}, "--job-definition is missing"},
		{nil, "--input is missing"},
		{array(-1, twoItems), "--array-size is -1"},
		{array(10001, twoItems), "--array-size is 10001"},
		{array(3, twoItems), "2 items do not suffice for 3 children"},
		{array(2, "items"), "--input: it is no JSON: invalid character"},
		{array(2, "[1, 2]"), "--input: it has to be a JSON object, and is of type array"},
		{array(2, `{"items": "a"}`), `--input: "items" can't be of type string`},
		{array(2, "{}"), "no items"},
		{array(2, `{"items": [1, 2], "range": {"from": 0, "to": 1}}`), "exclude each other"},
		{append(array(2, twoItems), "--timeout", "0s"), "must be over zero"},
		{append(array(2, twoItems), "--output", "xml"), "text or json"},
		{append(array(2, twoItems), "--endpoint-url", "here"), "is no URL"},
	} {
		s := newService(t, nil)
		stdout, stderr, code := s.run(t, t.Context(), tc.args...)
		if code != 2 || stdout != "" || !strings.Contains(stderr, tc.want) || len(s.calls) > 0 {
			t.Errorf("%q: exit code %d, %d calls, stdout %q, stderr %q; want %q", tc.args, code, len(s.calls), stdout, stderr, tc.want)
		}
	}
}

func TestHelp(t *testing.T) {
	t.Parallel()
	var stdout, stderr bytes.Buffer
	if code := run(t.Context(), []string{"--help"}, &stdout, &stderr, 0); code != 0 || !strings.Contains(stderr.String(), "-job-queue") {
		t.Errorf("exit code %d, stderr %s", code, &stderr)
	}
}

func FuzzScanner(f *testing.F) {
	f.Add("{\n  \"jobId\": \"j\"\n}\n")
	f.Add("{\"jobId\": \"j\"}\n{\n{\"a\": 1}\n}\ntext")
	f.Fuzz(func(t *testing.T, log string) {
		var s scanner
		lines := strings.Split(log, "\n")
		for _, line := range lines {
			s.add(line)
		}
		if s.lines != len(lines) || len(s.last) > lastLines || len(s.results) > len(lines) {
			t.Errorf("%d lines, %d kept, %d results of %d lines", s.lines, len(s.last), len(s.results), len(lines))
		}
		for _, r := range s.results {
			if r.JobID == "" {
				t.Error("a result without a job id")
			}
		}
	})
}
