package cli

import (
	"fmt"
	"strings"

	"github.com/dustin/go-humanize"
	"github.com/spf13/pflag"

	"github.com/batchbox/batchbox/internal/server"
)

// addRetentionFlags are what is kept of finished jobs.
func addRetentionFlags(f *pflag.FlagSet, c *server.Config) {
	r := &c.Retention
	r.JobBytes, r.LogBytes, r.ImageBytes = server.DefaultJobBytes, server.DefaultLogBytes, server.DefaultImageBytes
	f.DurationVar(&r.Jobs, "keep-jobs", 0, "how long finished jobs are kept, such as 168h; 0 for as long as there is room")
	f.Var((*size)(&r.JobBytes), "keep-jobs-size", "`size` of the store from which on finished jobs are removed, the oldest first; 0 never")
	f.DurationVar(&r.Logs, "keep-logs", 0, "how long output is kept, such as 720h; 0 for as long as there is room")
	f.Var((*size)(&r.LogBytes), "keep-logs-size", "`size` from which on output is removed, the oldest first; 0 never")
	f.Var((*size)(&r.ImageBytes), "keep-images-size", "`size` from which on unpacked images are removed, those used longest ago first, but for what runs; 0 never")
	f.DurationVar(&r.Interval, "keep-interval", 0, "how often what is too much is removed; 0 is every ten minutes")
	f.Lookup("keep-interval").Hidden = true // for tests
}

// size is a number of bytes as a flag: 512MiB, 2GB; none, as -1, is written 0.
type size int64

// String implements pflag.Value.
func (s *size) String() string {
	if *s <= 0 {
		return "0"
	}
	return strings.ReplaceAll(humanize.IBytes(uint64(*s)), " ", "")
}

// Set implements pflag.Value.
func (s *size) Set(text string) error {
	n, err := humanize.ParseBytes(text)
	if err != nil || n > 1<<62 {
		return fmt.Errorf("%q is not a size such as 512MiB or 2GB", text)
	}
	*s = size(n)
	if n == 0 {
		*s = -1
	}
	return nil
}

// Type implements pflag.Value.
func (s *size) Type() string { return "size" }
