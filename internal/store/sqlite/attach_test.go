package sqlite

import (
	"bytes"
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/batchbox/batchbox/internal/batch"
	"github.com/batchbox/batchbox/internal/engine"
)

// TestAttached: backup and export of a data directory, with a writer on it and without.
func TestAttached(t *testing.T) {
	t.Parallel()
	ctx := context.Background()
	dir, elsewhere := t.TempDir(), t.TempDir()
	db := openTest(t, dir)
	commit(t, db, engine.Changes{Jobs: []engine.JobRecord{jobRecord(1, here, batch.Running)}})
	look := func(when string, jobs ...int64) {
		t.Helper()
		file := filepath.Join(elsewhere, FileName)
		if err := BackupDir(ctx, dir, file); err != nil {
			t.Fatalf("backup %s: %v", when, err)
		}
		copied := openTest(t, elsewhere)
		if got := jobSeqs(t, copied); len(got) != len(jobs) {
			t.Errorf("the backup %s has jobs %v, want %v", when, got, jobs)
		}
		if err := copied.Close(); err != nil {
			t.Fatal(err)
		}
		var out bytes.Buffer
		if err := ExportDir(ctx, dir, &out); err != nil {
			t.Fatalf("export %s: %v", when, err)
		}
		if got := strings.Count(out.String(), `"type":"job"`); got != len(jobs) {
			t.Errorf("the export %s has %d jobs, want %d:\n%s", when, got, len(jobs), &out)
		}
	}
	look("beside a writer", 1)
	commit(t, db, engine.Changes{Jobs: []engine.JobRecord{jobRecord(2, here, batch.Running)}})
	look("beside a writer that went on", 1, 2)
	commit(t, db, engine.Changes{Jobs: []engine.JobRecord{jobRecord(3, here, batch.Running)}})
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	look("without a writer", 1, 2, 3)
}

func TestAttachRefuses(t *testing.T) {
	t.Parallel()
	ctx := context.Background()
	dir := t.TempDir()
	db := openTest(t, dir)
	for name, tc := range map[string]struct {
		dir, file string
		want      string
	}{
		"no data directory":             {filepath.Join(dir, "none"), filepath.Join(t.TempDir(), "copy"), "there is no data directory"},
		"no store":                      {t.TempDir(), filepath.Join(t.TempDir(), "copy"), "there is none in"},
		"over the store itself":         {dir, db.File(), "that is in the data directory itself"},
		"a directory that is not there": {dir, filepath.Join(t.TempDir(), "no", "copy"), "no such file or directory"},
		"a damaged store":               {damagedStore(t), filepath.Join(t.TempDir(), "copy"), FileName},
	} {
		if err := BackupDir(ctx, tc.dir, tc.file); err == nil || !strings.Contains(err.Error(), tc.want) {
			t.Errorf("%s: %v, want %q", name, err, tc.want)
		}
		if _, err := os.Stat(tc.file); err == nil && tc.file != db.File() {
			t.Errorf("%s: there is a file all the same", name)
		}
	}
	if err := db.Check(ctx); err != nil {
		t.Error(err)
	}
}

func damagedStore(t *testing.T) (dir string) {
	t.Helper()
	dir = t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, FileName), bytes.Repeat([]byte("no store "), 1000), 0o600); err != nil {
		t.Fatal(err)
	}
	return dir
}
