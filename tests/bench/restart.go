package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/batch/types"
	"github.com/google/uuid"

	"github.com/batchbox/batchbox/internal/batch"
	enginepkg "github.com/batchbox/batchbox/internal/engine"
	"github.com/batchbox/batchbox/internal/store/sqlite"
)

// restart starts an engine on a store of many finished jobs, copies of one that has run, and lists a page of them.
func (b *bench) restart(ctx context.Context) error {
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
		_, err = e.wait(ctx, id, 10*time.Millisecond)
		return err
	}()
	if err = errors.Join(err, e.stop()); err != nil {
		return err
	}
	size, err := b.multiply(ctx, e.dir)
	if err != nil {
		return err
	}
	var took []time.Duration
	var memory int64
	for range max(b.runs, 3) {
		again, err := b.startIn(ctx, e.dir, b.runtime)
		if err != nil {
			return err
		}
		took = append(took, again.took)
		if u, ok := usage(again.processes()); ok {
			memory = u.memory
		}
		if err := again.stop(); err != nil {
			return err
		}
	}
	b.add(fmt.Sprintf("restart with %d finished jobs stored (%.1f GiB), to the first answer", b.stored, float64(size)/(1<<30)), took, "target: under 5 s")
	if memory > 0 {
		b.rows = append(b.rows, row{"resident memory of that engine", fmt.Sprintf("%.1f MiB", float64(memory)/(1<<20)), "", ""})
	}
	return os.RemoveAll(e.dir)
}

// multiply copies the one job of a store, and returns the size of the file then.
func (b *bench) multiply(ctx context.Context, dir string) (size int64, err error) {
	db, err := sqlite.Open(ctx, dir, sqlite.Options{})
	if err != nil {
		return 0, err
	}
	defer func() { err = errors.Join(err, db.Close()) }()
	jobs, err := db.ListJobs(ctx, enginepkg.JobQuery{
		Partition: batch.Partition{Account: "000000000000", Region: "us-east-1"}, Queue: queueName, Limit: 1,
	})
	if err != nil || len(jobs) != 1 {
		return 0, errors.Join(err, fmt.Errorf("the store has %d jobs, not the one that ran", len(jobs)))
	}
	const together = 5000
	for n := 0; n < b.stored; n += together {
		var c enginepkg.Changes
		for range min(together, b.stored-n) {
			jobs[0].Seq++
			jobs[0].ID = uuid.NewString()
			jobs[0].CreatedAt++
			jobs[0].StoppedAt++
			c.Jobs = append(c.Jobs, jobs[0])
		}
		if err := db.Commit(ctx, &c); err != nil {
			return 0, err
		}
	}
	s, err := db.Size(ctx)
	return s.File, err
}

// killed kills the engine in the middle of an array, and looks how soon the next one answers and that every child ends.
func (b *bench) killed(ctx context.Context) error {
	e, err := b.start(ctx)
	if err != nil {
		return err
	}
	next, err := func() (*engine, error) {
		if err := b.stack(ctx, e); err != nil {
			return nil, err
		}
		begin := time.Now()
		id, err := e.submit(ctx, rangeInput(b.children), b.children)
		if err != nil {
			return nil, err
		}
		for half := false; !half; {
			if err := pause(ctx, 5*time.Millisecond); err != nil {
				return nil, err
			}
			job, err := e.describe(ctx, id)
			if err != nil {
				return nil, err
			}
			half = int(job.ArrayProperties.StatusSummary[string(types.JobStatusSucceeded)]) >= b.children/2
		}
		if err := e.cmd.Process.Kill(); err != nil {
			return nil, err
		}
		_ = e.cmd.Wait() // by the signal
		next, err := b.startIn(ctx, e.dir, b.runtime)
		if err != nil {
			return nil, err
		}
		job, err := next.wait(ctx, id, 20*time.Millisecond)
		if err != nil {
			return next, err
		}
		if n := int(job.ArrayProperties.StatusSummary[string(types.JobStatusSucceeded)]); n != b.children {
			return next, fmt.Errorf("of %d children %d have SUCCEEDED", b.children, n)
		}
		b.rows = append(b.rows,
			row{fmt.Sprintf("engine killed in the middle of an array of %d: the next one's first answer", b.children), show(next.took), "", ""},
			row{"... and the array, from its submission to its end, with all children SUCCEEDED", show(time.Since(begin)), "", ""})
		return next, nil
	}()
	if next != nil {
		e = next
	}
	return errors.Join(err, e.stop())
}
