package cli

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"os"

	"github.com/spf13/cobra"

	"github.com/batchbox/batchbox/internal/store/sqlite"
)

type backupOptions struct {
	streams *Streams
	dir     string
	file    string // of an export, "" is stdout
}

const dataDirUsage = "`directory` of the engine; the default of serve without it"

func newBackup(s *Streams, runF func(context.Context, *backupOptions) error) *cobra.Command {
	o := &backupOptions{streams: s}
	if runF == nil {
		runF = backup
	}
	cmd := &cobra.Command{
		Use:   "backup FILE",
		Short: "Copy an engine's state to a file",
		Long: `Copy the state of a data directory to FILE: all resources, jobs and events, of one moment, whether or not an engine is
running, which goes on meanwhile. FILE appears whole or not at all, and replaces what was there. It holds what the state holds,
the secrets of temporary credentials included.

To restore it, make it batchbox.db of an empty data directory and start an engine there. Jobs that had not been started when the
copy was made are run; of those that were running the attempt is lost, as on AWS when a host is, and retry rules apply.

Job output (logs), images and the registry's content are files of their own in the data directory. They are only added to and
removed, never changed, and can be copied after the backup as they are: without them jobs can be described, but their output is
gone, and images have to be pushed again.`,
		Example: `  batchbox backup /var/backups/batchbox.db

  # to a new data directory, with the output and the images
  batchbox backup /tmp/copy.db
  mkdir -p restored && cp /tmp/copy.db restored/batchbox.db
  cp -r ~/.local/state/batchbox/logs ~/.local/state/batchbox/registry restored/
  batchbox serve --data-dir restored`,
		GroupID: groupEngine,
		Args:    args(cobra.ExactArgs(1)),
		RunE: func(cmd *cobra.Command, args []string) error {
			o.file = args[0]
			return runF(cmd.Context(), o)
		},
	}
	cmd.Flags().StringVar(&o.dir, "data-dir", "", dataDirUsage)
	return cmd
}

func backup(ctx context.Context, o *backupOptions) error {
	dir, err := dataDir(o.dir)
	if err != nil {
		return err
	}
	if err := sqlite.BackupDir(ctx, dir, o.file); err != nil {
		return err
	}
	fi, err := os.Stat(o.file)
	if err != nil {
		return err
	}
	fmt.Fprintf(o.streams.Err, "copied the state of %s to %s, %.1f MiB\n", dir, o.file, float64(fi.Size())/(1<<20))
	return nil
}

func newExport(s *Streams, runF func(context.Context, *backupOptions) error) *cobra.Command {
	o := &backupOptions{streams: s}
	if runF == nil {
		runF = export
	}
	cmd := &cobra.Command{
		Use:   "export",
		Short: "Write an engine's state as JSON lines",
		Long: `Write the state of a data directory as JSON lines, of one moment, whether or not an engine is running: a line for each
resource, document, job, array child or node, and event; "type" says which. It holds what the state holds, the secrets of
temporary credentials included.`,
		Example: `  batchbox export | jq -c 'select(.type == "job" and .status == "FAILED") | {id, name, queue}'
  batchbox export --output state.jsonl`,
		GroupID: groupEngine,
		Args:    args(cobra.NoArgs),
		RunE:    func(cmd *cobra.Command, _ []string) error { return runF(cmd.Context(), o) },
	}
	cmd.Flags().StringVar(&o.dir, "data-dir", "", dataDirUsage)
	cmd.Flags().StringVarP(&o.file, "output", "o", "", "`file` to write to; stdout without it")
	return cmd
}

func export(ctx context.Context, o *backupOptions) (err error) {
	dir, err := dataDir(o.dir)
	if err != nil {
		return err
	}
	if o.file == "" {
		return sqlite.ExportDir(ctx, dir, o.streams.Out)
	}
	f, err := os.OpenFile(o.file, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		return err
	}
	w := bufio.NewWriter(f)
	err = sqlite.ExportDir(ctx, dir, w)
	if err == nil {
		err = w.Flush()
	}
	return errors.Join(err, f.Close())
}
