// Gated is a worker that says when it has begun, and goes on when the file that GATE names is there: a test can look at its
// job while it runs, for as long as it likes.
package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"time"

	"github.com/batchbox/batchbox/worker"
)

func main() {
	worker.Main(func(ctx context.Context, job worker.Job[string]) (string, error) {
		fmt.Printf("begin %s\n", job.Item())
		for gate := os.Getenv("GATE"); gate != ""; {
			_, err := os.Stat(gate)
			if err == nil {
				break
			}
			if !errors.Is(err, fs.ErrNotExist) {
				return "", err
			}
			select {
			case <-ctx.Done():
				return "", context.Cause(ctx)
			case <-time.After(20 * time.Millisecond):
			}
		}
		fmt.Printf("end %s\n", job.Item())
		return job.Message + " " + job.Item(), nil
	})
}
