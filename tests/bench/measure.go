package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/batch"
	"github.com/aws/aws-sdk-go-v2/service/batch/types"
	"github.com/aws/aws-sdk-go-v2/service/cloudwatchlogs"
)

// fsync is what a durable write costs on this disk at the least: 4 KiB, appended and synced.
func (b *bench) fsync(context.Context) (err error) {
	f, err := os.Create(filepath.Join(b.dir, "fsync"))
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	block := make([]byte, 4096)
	took, err := timed(300, func() error {
		_, err := f.Write(block)
		return errors.Join(err, f.Sync())
	})
	if err != nil {
		return err
	}
	b.add("fsync of 4 KiB on this disk", took, "")
	return nil
}

// timed does something n times, and says how long each took.
func timed(n int, do func() error) ([]time.Duration, error) {
	took := make([]time.Duration, n)
	for i := range took {
		begin := time.Now()
		if err := do(); err != nil {
			return nil, err
		}
		took[i] = time.Since(begin)
	}
	return took, nil
}

func (b *bench) startUp(ctx context.Context) error {
	var took []time.Duration
	for range max(b.runs, 5) {
		e, err := b.start(ctx)
		if err != nil {
			return err
		}
		took = append(took, e.took)
		if err := e.stop(); err != nil {
			return err
		}
	}
	b.add("start of the engine, to its first answer", took, "target: under 150 ms")
	return nil
}

// idle looks at an engine that has run a job and has nothing to do.
func (b *bench) idle(ctx context.Context) error {
	e, err := b.start(ctx)
	if err != nil {
		return err
	}
	err = func() error {
		if err := b.stack(ctx, e); err != nil {
			return err
		}
		id, err := e.submit(ctx, `{"items": [1]}`, 0)
		if err != nil {
			return err
		}
		if _, err := e.wait(ctx, id, 10*time.Millisecond); err != nil {
			return err
		}
		// Go's runtime gives memory back for some seconds after work, and is woken for it.
		const settle, watched = 20 * time.Second, 20 * time.Second
		if err := pause(ctx, settle); err != nil {
			return err
		}
		before, ok := usage(e.processes())
		if !ok {
			b.rows = append(b.rows, row{"memory and wake-ups of an idle engine", "not measured on this system", "", ""})
			return nil
		}
		if err := pause(ctx, watched); err != nil {
			return err
		}
		after, _ := usage(e.processes())
		b.rows = append(b.rows,
			row{"resident memory of an idle engine and its supervisor, shared pages counted once", fmt.Sprintf("%.1f MiB", float64(after.memory)/(1<<20)), "", "target: under 40 MiB"},
			row{"wake-ups of an idle engine and its supervisor", fmt.Sprintf("%.2f /s", float64(after.switches-before.switches)/watched.Seconds()), "", "target: 1 /s at most"})
		return nil
	}()
	return errors.Join(err, e.stop())
}

func pause(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-t.C:
		return nil
	}
}

// submit measures SubmitJob, answered when it is durable, to a queue that starts nothing: by one client for latency, by 16
// for rate. The 16 are bare HTTP clients, so that it is not the AWS SDK that is measured.
func (b *bench) submit(ctx context.Context) error {
	e, err := b.start(ctx)
	if err != nil {
		return err
	}
	err = func() error {
		if err := b.stack(ctx, e); err != nil {
			return err
		}
		if _, err := e.batch.UpdateComputeEnvironment(ctx, &batch.UpdateComputeEnvironmentInput{ComputeEnvironment: aws.String(queueName), State: types.CEStateDisabled}); err != nil {
			return err
		}
		if err := b.submitAlone(ctx, e); err != nil {
			return err
		}
		var p50, p99 []time.Duration
		var rates []float64
		for range b.runs {
			took, all, err := submissions(ctx, e.url, 16, b.submits)
			if err != nil {
				return err
			}
			p50, p99 = append(p50, median(took)), append(p99, percentile(took, 99))
			rates = append(rates, float64(len(took))/all.Seconds())
		}
		slices.Sort(p50)
		slices.Sort(p99)
		slices.Sort(rates)
		b.rows = append(b.rows,
			row{"SubmitJob, durable, 16 clients", show(median(p50)), "p99 " + show(median(p99)), "target: p99 under 10 ms"},
			row{"SubmitJob, durable, 16 clients, rate", fmt.Sprintf("%.0f /s", rates[len(rates)/2]),
				fmt.Sprintf("%.0f - %.0f /s", rates[0], rates[len(rates)-1]), "target: 5,000 /s"})
		begin := time.Now()
		if _, err := e.submit(ctx, `{"range": {"from": 0, "to": 9999}}`, 10000); err != nil {
			return err
		}
		b.rows = append(b.rows, row{"SubmitJob of an array of 10,000", show(time.Since(begin)), "", "target: under 20 ms"})
		return nil
	}()
	return errors.Join(err, e.stop())
}

// submitAlone is what one client waits for, by the client: as much of it as is the engine's shows on a connection that is
// kept open and written to by hand, which is what the target is about. The clients take turns with each other and with the
// disk alone.
func (b *bench) submitAlone(ctx context.Context, e *engine) (err error) {
	f, err := os.Create(filepath.Join(b.dir, "fsync"))
	if err != nil {
		return err
	}
	conn, err := net.Dial("tcp", strings.TrimPrefix(e.url, "http://"))
	if err != nil {
		return errors.Join(err, f.Close())
	}
	client := &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: 1}}
	defer func() {
		client.CloseIdleConnections()
		err = errors.Join(err, conn.Close(), f.Close())
	}()
	block, answers := make([]byte, 4096), bufio.NewReader(conn)
	request := fmt.Appendf(nil, "POST /v1/submitjob HTTP/1.1\r\nHost: %s\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%s",
		conn.RemoteAddr(), len(submission), submission)
	ways := []struct {
		what, target string
		do           func() error
		took         []time.Duration
	}{
		{what: "fsync of 4 KiB, in turns with what follows", do: func() error {
			_, err := f.Write(block)
			return errors.Join(err, f.Sync())
		}},
		{what: "SubmitJob, durable, 1 client: the engine's answer on a bare connection", target: "target: one fsync + 0.3 ms; p99 under 10 ms", do: func() error {
			if _, err := conn.Write(request); err != nil {
				return err
			}
			res, err := http.ReadResponse(answers, nil)
			if err != nil {
				return err
			}
			return accepted(res)
		}},
		{what: "... Go's HTTP client", do: func() error { return post(ctx, client, e.url+"/v1/submitjob", submission) }},
		{what: "... the AWS SDK", do: func() error {
			_, err := e.batch.SubmitJob(ctx, &batch.SubmitJobInput{JobName: aws.String("bench"), JobQueue: aws.String(queueName), JobDefinition: aws.String(definitionName)})
			return err
		}},
	}
	for range 20 {
		for i := range ways {
			took, err := timed(50, ways[i].do)
			if err != nil {
				return err
			}
			ways[i].took = append(ways[i].took, took...)
		}
	}
	for _, w := range ways {
		slices.Sort(w.took)
		b.rows = append(b.rows, row{w.what, show(median(w.took)), "p99 " + show(percentile(w.took, 99)), w.target})
	}
	return nil
}

var submission = fmt.Appendf(nil, `{"jobName": "bench", "jobQueue": %q, "jobDefinition": %q}`, queueName, definitionName)

func submissions(ctx context.Context, url string, clients, n int) (took []time.Duration, all time.Duration, err error) {
	times := make([][]time.Duration, clients)
	errs := make([]error, clients)
	var wg sync.WaitGroup
	begin := time.Now()
	for c := range clients {
		wg.Go(func() {
			client := &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: 1}}
			defer client.CloseIdleConnections()
			for range n / clients {
				at := time.Now()
				if errs[c] = post(ctx, client, url+"/v1/submitjob", submission); errs[c] != nil {
					return
				}
				times[c] = append(times[c], time.Since(at))
			}
		})
	}
	wg.Wait()
	all = time.Since(begin)
	took = slices.Concat(times...)
	slices.Sort(took)
	return took, all, errors.Join(errs...)
}

func post(ctx context.Context, client *http.Client, url string, body []byte) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, url, bytes.NewReader(body))
	if err != nil {
		return err
	}
	req.Header.Set("Content-Type", "application/json")
	res, err := client.Do(req)
	if err != nil {
		return err
	}
	return accepted(res)
}

// accepted reads an answer, which must be that of success.
func accepted(res *http.Response) error {
	answer, err := io.ReadAll(res.Body)
	if err = errors.Join(err, res.Body.Close()); err != nil {
		return err
	}
	if res.StatusCode != http.StatusOK {
		return fmt.Errorf("HTTP %s: %s", res.Status, answer)
	}
	return nil
}

// firstInstruction measures the time from the call of SubmitJob to the start that the workload itself has printed, which
// is after the start of Go's runtime, under each runtime that works here. The engine is idle before each.
func (b *bench) firstInstruction(ctx context.Context) error {
	for _, r := range []struct{ name, target string }{
		{"process", "target: p50 under 5 ms"}, {"native", "target: p50 under 15 ms"}, {"runc", ""}, {"docker", ""},
	} {
		what := "SubmitJob to the program's first instruction, runtime " + r.name
		if why := b.misses(ctx, r.name); why != "" {
			b.note(what, why)
			continue
		}
		err := b.with(ctx, r.name, func(e *engine) error {
			var took []time.Duration
			for i := range 51 {
				begin := time.Now()
				id, err := e.submit(ctx, `{"items": [1]}`, 0)
				if err != nil {
					return err
				}
				job, err := e.wait(ctx, id, 5*time.Millisecond)
				if err != nil {
					return err
				}
				start, err := e.started(ctx, job)
				if err != nil {
					return err
				}
				if i > 0 { // the first one unpacks the image
					took = append(took, start.Sub(begin))
				}
			}
			slices.Sort(took)
			b.rows = append(b.rows, row{what, show(median(took)), "p99 " + show(percentile(took, 99)), r.target})
			return nil
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// started is when the job's program says that it has started.
func (e *engine) started(ctx context.Context, job types.JobDetail) (time.Time, error) {
	out, err := e.logs.GetLogEvents(ctx, &cloudwatchlogs.GetLogEventsInput{
		LogGroupName: aws.String("/aws/batch/job"), LogStreamName: job.Container.LogStreamName, StartFromHead: aws.Bool(true),
	})
	if err != nil {
		return time.Time{}, err
	}
	var text strings.Builder
	for _, event := range out.Events {
		text.WriteString(aws.ToString(event.Message) + "\n")
	}
	var result struct{ Start time.Time }
	if err := json.Unmarshal([]byte(text.String()), &result); err != nil {
		return time.Time{}, fmt.Errorf("the job's result: %w in %q", err, text.String())
	}
	return result.Start, nil
}

// array compares an array job with xargs, which starts the same program as often, two at a time, with its output in one
// file. They take turns.
func (b *bench) array(ctx context.Context) error {
	if _, err := exec.LookPath("xargs"); err != nil {
		return err // there is nothing to compare with
	}
	return b.with(ctx, b.runtime, func(e *engine) error {
		var ours, theirs []time.Duration
		var ratios []float64
		for range b.runs {
			x, err := b.xargs(ctx, rangeInput(b.children))
			if err != nil {
				return err
			}
			took, err := e.array(ctx, b.children)
			if err != nil {
				return err
			}
			fmt.Fprintf(b.progress, "  xargs %s, array %s\n", show(x), show(took))
			ours, theirs = append(ours, took), append(theirs, x)
			ratios = append(ratios, took.Seconds()/x.Seconds())
		}
		slices.Sort(ratios)
		b.add(fmt.Sprintf("xargs -P2, the program %d times", b.children), theirs, "")
		b.add(fmt.Sprintf("array of %d, runtime %s, logs and state durable", b.children, b.runtime), ours,
			fmt.Sprintf("%.2f x xargs (%.2f - %.2f); target: 1.3 x at most", ratios[len(ratios)/2], ratios[0], ratios[len(ratios)-1]))
		return nil
	})
}

// rangeInput is an input that has an item for each of so many children.
func rangeInput(children int) string {
	return fmt.Sprintf(`{"message": "Hello!", "range": {"from": 0, "to": %d}}`, children-1)
}

// array is how long an array takes, from the call of SubmitJob until it has SUCCEEDED.
func (e *engine) array(ctx context.Context, children int) (time.Duration, error) {
	begin := time.Now()
	id, err := e.submit(ctx, rangeInput(children), children)
	if err != nil {
		return 0, err
	}
	_, err = e.wait(ctx, id, 20*time.Millisecond)
	return time.Since(begin), err
}

func (b *bench) xargs(ctx context.Context, input string) (_ time.Duration, err error) {
	var numbers strings.Builder
	for i := range b.children {
		fmt.Fprintln(&numbers, i)
	}
	out, err := os.Create(filepath.Join(b.dir, "xargs.out"))
	if err != nil {
		return 0, err
	}
	defer func() { err = errors.Join(err, out.Close()) }()
	cmd := exec.CommandContext(ctx, "xargs", "-P2", "-n1", b.worker)
	cmd.Stdin, cmd.Stdout, cmd.Stderr = strings.NewReader(numbers.String()), out, os.Stderr
	cmd.Env = []string{"PATH=" + os.Getenv("PATH"), "JOB_INPUT=" + input, "AWS_BATCH_JOB_ID=4c7599ae-0a82-49aa-ba5a-4727fcce14a8:0", "AWS_BATCH_JQ_NAME=" + queueName,
		"AWS_BATCH_CE_NAME=" + queueName, "AWS_BATCH_JOB_ATTEMPT=1", "AWS_BATCH_JOB_ARRAY_INDEX=0", fmt.Sprint("AWS_BATCH_JOB_ARRAY_SIZE=", b.children)}
	begin := time.Now()
	if err := cmd.Run(); err != nil {
		return 0, fmt.Errorf("xargs: %w", err)
	}
	return time.Since(begin), nil
}
