package main

import (
	"encoding/json"
	"fmt"
	"io"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/batch/types"

	"github.com/batchbox/batchbox/internal/cli/watch"
)

// report is what --output json prints.
type report struct {
	OK         bool   `json:"ok"`
	JobID      string `json:"jobId,omitempty"`
	JobName    string `json:"jobName,omitempty"`
	Queue      string `json:"jobQueue"`
	Definition string `json:"jobDefinition"`
	Status     string `json:"status,omitempty"`
	Reason     string `json:"statusReason,omitempty"`
	Children   int    `json:"children"` // 1 for a single job
	Verified   int    `json:"verified"` // children of which everything holds
	// Seconds is the time from the call of SubmitJob to the end of the checks.
	Seconds   float64       `json:"seconds"`
	Problems  []string      `json:"problems,omitempty"`  // of the job as a whole
	Differing []childReport `json:"differing,omitempty"` // children of which something does not hold, by index
	Results   []childResult `json:"results,omitempty"`   // of the first verified children

	started time.Time
}

type childReport struct {
	Index     *int     `json:"index,omitempty"` // absent for a single job
	JobID     string   `json:"jobId"`
	Status    string   `json:"status,omitempty"`
	Reason    string   `json:"statusReason,omitempty"`
	ExitCode  *int32   `json:"exitCode,omitempty"`
	Problems  []string `json:"problems"`
	LogStream string   `json:"logStreamName,omitempty"`
	LastLines []string `json:"lastLines,omitempty"`
}

type childResult struct {
	Index     *int   `json:"index,omitempty"`
	Share     string `json:"share"` // the item, or the items, as JSON, cut to fit a line
	Host      string `json:"host"`
	LogStream string `json:"logStreamName"`
}

// shownResults and shownChildren bound the tables of a report in text.
const (
	shownResults  = 10
	shownChildren = 20
)

func (r *report) problem(format string, args ...any) {
	r.Problems = append(r.Problems, fmt.Sprintf(format, args...))
}

func (r *report) finish() {
	r.Seconds = time.Since(r.started).Seconds()
	// Nothing is well unless it has been seen to be.
	r.OK = len(r.Problems) == 0 && len(r.Differing) == 0 && r.Verified == r.Children && r.Status == string(types.JobStatusSucceeded)
}

// check compares every child with what is expected of it.
func check(rep *report, want *expectation, children []*child) {
	said := make(map[int]int) // which child printed the result of an index
	for _, c := range children {
		var problems []string
		add := func(format string, args ...any) { problems = append(problems, fmt.Sprintf(format, args...)) }
		d := c.detail
		switch {
		case c.listed == 0 && d.Status == "":
			add("missing: neither listed nor described")
		case c.listed == 0:
			add("missing from the list of children")
		case d.Status == "":
			add("listed, but not described")
		case c.listed > 1:
			add("listed %d times", c.listed)
		}
		if d.Status != "" && d.Status != types.JobStatusSucceeded {
			add("%s", failure(d))
		}
		problems = append(problems, resultProblems(want, c)...)
		if c.log != nil && c.index >= 0 {
			for _, out := range c.log.results {
				if out.ArrayIndex == nil {
					continue
				}
				if other, ok := said[*out.ArrayIndex]; ok && other != c.index {
					add("child %d has printed the result of index %d too", other, *out.ArrayIndex)
				}
				said[*out.ArrayIndex] = c.index
			}
		}
		if len(problems) == 0 {
			rep.Verified++
			if len(rep.Results) < shownResults {
				rep.Results = append(rep.Results, result(c))
			}
			continue
		}
		rep.Differing = append(rep.Differing, differing(c, problems))
	}
}

func failure(d types.JobDetail) string {
	text := string(d.Status)
	if d.Container != nil && d.Container.ExitCode != nil {
		text += fmt.Sprintf(", exit code %d", *d.Container.ExitCode)
	}
	if d.Container != nil && d.Container.Reason != nil {
		text += ", " + *d.Container.Reason
	}
	if d.StatusReason != nil {
		text += ": " + *d.StatusReason
	}
	return text
}

// resultProblems looks at what the child has printed. A child that failed has no result to give.
func resultProblems(want *expectation, c *child) []string {
	if c.detail.Status != types.JobStatusSucceeded {
		return nil
	}
	switch {
	case c.stream() == "":
		return []string{"no log stream"}
	case c.log == nil:
		return []string{"log not read"}
	case len(c.log.results) == 0 && c.log.lines == 0:
		return []string{"no log lines"}
	case len(c.log.results) == 0:
		return []string{fmt.Sprintf("no result in %d log lines", c.log.lines)}
	case len(c.log.results) > 1:
		return []string{fmt.Sprintf("%d results instead of one", len(c.log.results))}
	}
	return want.differences(&c.log.results[0], aws.ToString(c.detail.JobId), c.index)
}

func differing(c *child, problems []string) childReport {
	cr := childReport{JobID: aws.ToString(c.detail.JobId), Status: string(c.detail.Status), Reason: aws.ToString(c.detail.StatusReason),
		Problems: problems, LogStream: c.stream()}
	if c.index >= 0 {
		cr.Index = &c.index
	}
	if c.detail.Container != nil {
		cr.ExitCode = c.detail.Container.ExitCode
	}
	if c.log != nil {
		cr.LastLines = c.log.last
	}
	return cr
}

func result(c *child) childResult {
	out := c.log.results[0]
	cr := childResult{Share: text(out.share()), Host: out.Host, LogStream: c.stream()}
	if c.index >= 0 {
		cr.Index = &c.index
	}
	return cr
}

func (r *report) writeJSON(w io.Writer) error {
	e := json.NewEncoder(w)
	e.SetIndent("", "  ")
	return e.Encode(r)
}

func (r *report) writeText(w io.Writer) error {
	var b strings.Builder
	for _, p := range r.Problems {
		fmt.Fprintf(&b, "problem: %s\n", p)
	}
	if len(r.Differing) > 0 {
		r.writeDiffering(&b)
	}
	if len(r.Results) > 0 && len(r.Differing) == 0 {
		r.writeResults(&b)
	}
	verdict := "FAILED"
	if r.OK {
		verdict = "PASSED"
	}
	of := fmt.Sprintf("%d of %d children", r.Verified, r.Children)
	if r.Children == 1 {
		of = fmt.Sprintf("%d of 1 job", r.Verified)
	}
	fmt.Fprintf(&b, "%s: %s verified in %.1f s", verdict, of, r.Seconds)
	if r.JobID != "" {
		fmt.Fprintf(&b, ", job %s", r.JobID)
	}
	b.WriteString("\n")
	_, err := io.WriteString(w, b.String())
	return err
}

func (r *report) writeResults(b *strings.Builder) {
	t := tabwriter.NewWriter(b, 0, 0, 2, ' ', 0)
	fmt.Fprintln(t, "INDEX\tITEM\tHOST\tLOG STREAM")
	for _, c := range r.Results {
		fmt.Fprintf(t, "%s\t%s\t%s\t%s\n", name(c.Index), c.Share, c.Host, c.LogStream)
	}
	t.Flush() // a strings.Builder takes everything
	if more := r.Verified - len(r.Results); more > 0 {
		fmt.Fprintf(b, "and %d more\n", more)
	}
}

func (r *report) writeDiffering(b *strings.Builder) {
	fmt.Fprintln(b, "INDEX  WHAT DIFFERS")
	for i, c := range r.Differing {
		if i == shownChildren {
			break
		}
		fmt.Fprintf(b, "%-5s  %s\n", name(c.Index), strings.Join(c.Problems, "; "))
		for _, line := range c.LastLines {
			fmt.Fprintf(b, "       | %s\n", line)
		}
	}
	var indexes []int
	for _, c := range r.Differing {
		if c.Index != nil {
			indexes = append(indexes, *c.Index)
		}
	}
	if len(indexes) > 0 {
		fmt.Fprintf(b, "%d of %d children differ: %s\n", len(indexes), r.Children, watch.Ranges(indexes))
	}
}

func name(index *int) string {
	if index == nil {
		return "-"
	}
	return fmt.Sprint(*index)
}
