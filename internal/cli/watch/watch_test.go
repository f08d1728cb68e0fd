package watch_test

import (
	"bytes"
	"context"
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/batch"
	"github.com/aws/aws-sdk-go-v2/service/batch/types"

	"github.com/batchbox/batchbox/internal/cli/watch"
)

// describer answers DescribeJobs with what a job is at each time.
type describer func() (*batch.DescribeJobsOutput, error)

func (d describer) DescribeJobs(context.Context, *batch.DescribeJobsInput, ...func(*batch.Options)) (*batch.DescribeJobsOutput, error) {
	return d()
}

func array(status types.JobStatus, summary map[string]int32) *batch.DescribeJobsOutput {
	return &batch.DescribeJobsOutput{Jobs: []types.JobDetail{{Status: status,
		ArrayProperties: &types.ArrayPropertiesDetail{Size: aws.Int32(10), StatusSummary: summary}}}}
}

func TestJobIsFollowedToItsEnd(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		start := time.Now()
		looks := 0
		api := describer(func() (*batch.DescribeJobsOutput, error) {
			looks++
			if time.Since(start) < time.Hour {
				return array(types.JobStatusPending, map[string]int32{"RUNNING": 2, "RUNNABLE": 8}), nil
			}
			return array(types.JobStatusSucceeded, map[string]int32{"SUCCEEDED": 10}), nil
		})
		var last watch.Progress
		job, err := watch.Job(t.Context(), api, "j", func(p watch.Progress) { last = p })
		if err != nil || job.Status != types.JobStatusSucceeded || last.Status != types.JobStatusSucceeded || last.Counts["SUCCEEDED"] != 10 || last.Size != 10 {
			t.Errorf("job %+v, last report %+v, error %v", job, last, err)
		}
		if late := time.Since(start) - time.Hour; late > 5*time.Second {
			t.Errorf("seen to end %v late", late)
		}
		if looks > 800 { // one in five seconds is 720 in an hour
			t.Errorf("%d looks in an hour", looks)
		}
	})
}

func TestJobStops(t *testing.T) {
	t.Parallel()
	broken := errors.New("broken")
	gone := errors.New("no more time")
	for _, tc := range []struct {
		name string
		api  describer
		want string
	}{
		{"OnAnError", func() (*batch.DescribeJobsOutput, error) { return nil, broken }, "describe job j: broken"},
		{"OnAnUnknownJob", func() (*batch.DescribeJobsOutput, error) { return &batch.DescribeJobsOutput{}, nil }, "job j does not exist"},
		{"WithTheContextsCause", func() (*batch.DescribeJobsOutput, error) { return array(types.JobStatusPending, nil), nil }, "no more time"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				ctx, cancel := context.WithTimeoutCause(t.Context(), time.Minute, gone)
				defer cancel()
				if _, err := watch.Job(ctx, tc.api, "j", func(watch.Progress) {}); err == nil || err.Error() != tc.want {
					t.Errorf("error %v, want %s", err, tc.want)
				}
			})
		})
	}
}

func TestProgressString(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		p    watch.Progress
		want string
	}{
		{watch.Progress{Status: "RUNNING"}, "RUNNING"},
		{watch.Progress{Status: "RUNNABLE", Reason: "CAPACITY:X - y"}, "RUNNABLE  CAPACITY:X - y"},
		{watch.Progress{Status: "FAILED", Reason: "Essential container in task exited"}, "FAILED"},
		{watch.Progress{Status: "PENDING", Size: 10, Counts: map[types.JobStatus]int{"RUNNABLE": 5, "FAILED": 1, "RUNNING": 2, "SUCCEEDED": 2, "STARTING": 0}},
			"[######--------------]  30 %  3/10  RUNNABLE 5  RUNNING 2  SUCCEEDED 2  FAILED 1"},
		{watch.Progress{Status: "SUCCEEDED", Size: 2, Counts: map[types.JobStatus]int{"SUCCEEDED": 2}}, "[####################] 100 %  2/2  SUCCEEDED 2"},
	} {
		if got := tc.p.String(); got != tc.want {
			t.Errorf("got  %s\nwant %s", got, tc.want)
		}
	}
}

func TestLineOnATerminalIsWrittenOver(t *testing.T) {
	t.Parallel()
	var out bytes.Buffer
	l := watch.NewLine(&out, 20)
	l.Show(watch.Progress{Status: "RUNNABLE"})
	l.Show(watch.Progress{Status: "RUNNING", Elapsed: 90 * time.Second})
	l.Show(watch.Progress{Status: "RUNNABLE", Reason: "a reason that is long", Elapsed: time.Second})
	l.Show(watch.Progress{Status: "SUCCEEDED", Elapsed: 2 * time.Second})
	want := "\rRUNNABLE  0.0s\x1b[K\rRUNNING  1m30s\x1b[K\rRUNNABLE  a reason \x1b[K\rSUCCEEDED  2.0s\x1b[K\n"
	if out.String() != want {
		t.Errorf("got  %q\nwant %q", &out, want)
	}
	out.Reset()
	l = watch.NewLine(&out, 20)
	l.Break()
	l.Show(watch.Progress{Status: "RUNNING"})
	l.Break()
	l.Break()
	if want := "\rRUNNING  0.0s\x1b[K\n"; out.String() != want {
		t.Errorf("broken: got %q, want %q", &out, want)
	}
}

func TestLineElsewhereIsPlainAndRare(t *testing.T) {
	t.Parallel()
	var out bytes.Buffer
	l := watch.NewLine(&out, 0)
	for i := range 3000 { // five minutes, a change at each look
		l.Show(watch.Progress{Status: "PENDING", Size: 3000, Counts: map[types.JobStatus]int{"SUCCEEDED": i}, Elapsed: time.Duration(i) * 100 * time.Millisecond})
	}
	l.Show(watch.Progress{Status: "SUCCEEDED", Size: 3000, Counts: map[types.JobStatus]int{"SUCCEEDED": 3000}, Elapsed: 300001 * time.Millisecond})
	lines := strings.Split(strings.TrimSpace(out.String()), "\n")
	if n := len(lines); n < 10 || n > 60 {
		t.Errorf("%d lines", n)
	}
	if first, last := lines[0], lines[len(lines)-1]; first != "0.0s  [--------------------]   0 %  0/3000" ||
		last != "  5m0s  [####################] 100 %  3000/3000  SUCCEEDED 3000" {
		t.Errorf("first %q, last %q", first, last)
	}
	if strings.ContainsAny(out.String(), "\r\x1b") {
		t.Error("control characters in plain output")
	}
}

func TestLineElsewhereDoesNotRepeatItself(t *testing.T) {
	t.Parallel()
	var out bytes.Buffer
	l := watch.NewLine(&out, 0)
	for i := range 100 {
		l.Show(watch.Progress{Status: "RUNNING", Elapsed: time.Duration(i) * time.Second})
	}
	if want := "  0.0s  RUNNING\n"; out.String() != want {
		t.Errorf("got %q, want %q", &out, want)
	}
}

func TestRanges(t *testing.T) {
	t.Parallel()
	for want, in := range map[string][]int{"": nil, "0": {0}, "0-1": {0, 1}, "1,3-7,9": {1, 3, 4, 5, 6, 7, 9}} {
		if got := watch.Ranges(in); got != want {
			t.Errorf("%v: %q, want %q", in, got, want)
		}
	}
}
