// Batchworker is the sample workload: an array job whose children each take one item and print a result.
//
// Its input, JOB_INPUT, is {"message": "...", "items": [...]}, or {"message": "...", "range": {"from": 0, "to": 9999}}
// where a list would not fit. What it does beside printing is up to the input's "knobs"; without them it does nothing
// and takes no time.
package main

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"time"

	"github.com/batchbox/batchbox/worker"
)

func main() { worker.Main(run) }

// result is what a successful job prints. It has "item" if the job's share is one item, "items" if it is several of a
// list, and "range" if it is several of a range.
type result struct {
	JobID      string `json:"jobId"`
	ArrayIndex *int   `json:"arrayIndex,omitempty"` // absent for a single job
	Attempt    int    `json:"attempt"`
	Message    string `json:"message"`

	Item  json.RawMessage   `json:"item,omitempty"`
	Items []json.RawMessage `json:"items,omitempty"`
	Range *span             `json:"range,omitempty"`

	Host        string    `json:"host"`
	Start       time.Time `json:"start"`
	End         time.Time `json:"end"`
	Environment []string  `json:"environment,omitempty"` // if the knob asks for it
}

type span struct {
	From json.RawMessage `json:"from"`
	To   json.RawMessage `json:"to"`
}

func run(ctx context.Context, job worker.Job[json.RawMessage]) (result, error) {
	start := time.Now()
	k, err := readKnobs(&job)
	if err != nil {
		return result{}, err
	}
	host, err := os.Hostname()
	if err != nil {
		return result{}, fmt.Errorf("host name: %w", err)
	}
	if err := k.turn(ctx, &job); err != nil {
		return result{}, err
	}

	r := result{JobID: job.ID, Attempt: job.Attempt, Message: job.Message, Host: host, Start: start.UTC()}
	if job.Array {
		r.ArrayIndex = &job.Index
	}
	switch n := len(job.Items); {
	case n == 1:
		r.Item = job.Item()
	case k.isRange:
		r.Range = &span{From: job.Items[0], To: job.Items[n-1]}
	default:
		r.Items = job.Items
	}
	if k.ShowEnvironment {
		r.Environment = os.Environ()
	}
	r.End = time.Now().UTC()
	return r, nil
}
