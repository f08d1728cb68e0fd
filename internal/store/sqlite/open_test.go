package sqlite

import (
	"bytes"
	"compress/gzip"
	"context"
	"errors"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/batchbox/batchbox/internal/batch"
	"github.com/batchbox/batchbox/internal/engine"
	"github.com/batchbox/batchbox/internal/store"
)

// closedStore is a directory with a store that was closed in order, with jobs 1 to n.
func closedStore(t *testing.T, n int64) (dir, file string) {
	t.Helper()
	dir = t.TempDir()
	db := openTest(t, dir)
	var c engine.Changes
	for seq := int64(1); seq <= n; seq++ {
		c.Jobs = append(c.Jobs, jobRecord(seq, here, batch.Running))
	}
	commit(t, db, c)
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	return dir, filepath.Join(dir, FileName)
}

// TestDamage: a damaged store is refused with an error that names the file, and is left as it was.
func TestDamage(t *testing.T) {
	t.Parallel()
	for name, damage := range map[string]func(t *testing.T, file string, content []byte){
		"header":    func(t *testing.T, file string, b []byte) { copy(b, "not a database file"); writeFile(t, file, b) },
		"first":     func(t *testing.T, file string, b []byte) { copy(b[100:], make([]byte, 3000)); writeFile(t, file, b) },
		"middle":    func(t *testing.T, file string, b []byte) { clear(b[5*4096 : 12*4096]); writeFile(t, file, b) },
		"truncated": func(t *testing.T, file string, b []byte) { writeFile(t, file, b[:len(b)/2]) },
		"short":     func(t *testing.T, file string, b []byte) { writeFile(t, file, b[:100]) },
		"empty, with a log": func(t *testing.T, file string, b []byte) {
			writeFile(t, file, nil)
			writeFile(t, file+"-wal", []byte("log"))
		},
		"missing, with a log": func(t *testing.T, file string, b []byte) {
			writeFile(t, file+"-wal", []byte("log"))
			if err := os.Remove(file); err != nil {
				t.Fatal(err)
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			dir, file := closedStore(t, 300)
			content, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			damage(t, file, content)
			before, _ := os.ReadFile(file)
			db, err := Open(context.Background(), dir, Options{})
			if err == nil {
				t.Fatal(errors.Join(errors.New("the store was opened"), db.Close()))
			}
			if !errors.Is(err, store.ErrDamaged) || !strings.Contains(err.Error(), file) {
				t.Errorf("Open returned %v", err)
			}
			if after, _ := os.ReadFile(file); !bytes.Equal(before, after) {
				t.Error("the damaged file was changed")
			}
		})
	}
}

func writeFile(t *testing.T, file string, content []byte) {
	t.Helper()
	if err := os.WriteFile(file, content, 0o600); err != nil {
		t.Fatal(err)
	}
}

// TestDamageFoundLater: damage in a part that is not read when a large store is opened is reported by whoever reads it,
// and by Check.
func TestDamageFoundLater(t *testing.T) {
	t.Parallel()
	dir, file := closedStore(t, 1)
	db := openTest(t, dir)
	var c engine.Changes
	for seq := int64(10); seq < 110; seq++ {
		j := jobRecord(seq, here, batch.Succeeded)
		j.Spec = bytes.Repeat([]byte("x"), 60_000)
		c.Jobs = append(c.Jobs, j)
	}
	commit(t, db, c)
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	content, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if len(content) <= checkOnOpen {
		t.Fatalf("a store of %d bytes is checked when it is opened", len(content))
	}
	clear(content[len(content)/4 : 3*len(content)/4])
	writeFile(t, file, content)
	db = openTest(t, dir)
	if err := db.Check(context.Background()); !errors.Is(err, store.ErrDamaged) || !strings.Contains(err.Error(), file) {
		t.Errorf("Check returned %v", err)
	}
	if _, err := db.ListJobs(context.Background(), engine.JobQuery{Partition: here}); !errors.Is(err, store.ErrDamaged) || !strings.Contains(err.Error(), file) {
		t.Errorf("ListJobs returned %v", err)
	}
}

func TestOpenRefuses(t *testing.T) {
	t.Parallel()
	open := func(t *testing.T, dir string) error {
		t.Helper()
		db, err := Open(context.Background(), dir, Options{})
		if err == nil {
			t.Fatal(errors.Join(errors.New("the store was opened"), db.Close()))
		}
		return err
	}
	script := func(t *testing.T, file, text string) {
		t.Helper()
		c, err := connect(context.Background(), file, creating, readerCacheKiB)
		if err != nil {
			t.Fatal(err)
		}
		if err := errors.Join(c.script(context.Background(), text), c.close()); err != nil {
			t.Fatal(err)
		}
	}
	t.Run("a newer version", func(t *testing.T) {
		t.Parallel()
		dir, file := closedStore(t, 1)
		script(t, file, "PRAGMA user_version = 1000")
		if err := open(t, dir); !errors.Is(err, store.ErrNewer) || !strings.Contains(err.Error(), "has version 1000") || !strings.Contains(err.Error(), file) {
			t.Errorf("Open returned %v", err)
		}
	})
	t.Run("another program's file", func(t *testing.T) {
		t.Parallel()
		dir := t.TempDir()
		file := filepath.Join(dir, FileName)
		script(t, file, "CREATE TABLE accounts (id)")
		if err := open(t, dir); !strings.Contains(err.Error(), file+" is a SQLite file of another program") {
			t.Errorf("Open returned %v", err)
		}
	})
	t.Run("a directory in the file's place", func(t *testing.T) {
		t.Parallel()
		dir := t.TempDir()
		if err := os.Mkdir(filepath.Join(dir, FileName), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := open(t, dir); !strings.HasSuffix(err.Error(), FileName+" is not a file") {
			t.Errorf("Open returned %v", err)
		}
	})
	t.Run("a file in the directory's place", func(t *testing.T) {
		t.Parallel()
		dir := filepath.Join(t.TempDir(), "data")
		writeFile(t, dir, nil)
		if err := open(t, dir); !strings.Contains(err.Error(), "data directory "+dir+" is not a directory") {
			t.Errorf("Open returned %v", err)
		}
	})
	t.Run("a directory that can not be written", func(t *testing.T) {
		t.Parallel()
		if os.Geteuid() == 0 {
			t.Skip("root writes everywhere")
		}
		dir := t.TempDir()
		if err := os.Chmod(dir, 0o500); err != nil {
			t.Fatal(err)
		}
		if err := open(t, dir); !errors.Is(err, store.ErrUnavailable) || !strings.Contains(err.Error(), filepath.Join(dir, FileName)) {
			t.Errorf("Open returned %v", err)
		}
	})
}

// TestInterruptedFirstStart: a file that was made but got no tables is a new store.
func TestInterruptedFirstStart(t *testing.T) {
	t.Parallel()
	for name, prepare := range map[string]func(t *testing.T, file string){
		"empty file": func(t *testing.T, file string) { writeFile(t, file, nil) },
		"no tables":  func(t *testing.T, file string) { prepareWAL(t, file) },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			dir := t.TempDir()
			prepare(t, filepath.Join(dir, FileName))
			commit(t, openTest(t, dir), engine.Changes{Jobs: []engine.JobRecord{jobRecord(1, here, batch.Running)}})
		})
	}
}

func prepareWAL(t *testing.T, file string) {
	t.Helper()
	c, err := connect(context.Background(), file, creating, readerCacheKiB)
	if err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(c.script(context.Background(), "PRAGMA journal_mode = WAL"), c.close()); err != nil {
		t.Fatal(err)
	}
	if fi, err := os.Stat(file); err != nil || fi.Size() == 0 {
		t.Fatalf("the file was not made: %v", err)
	}
}

// TestDirectories: the data directory is made, for its owner alone, and names that mean something in a URI are taken
// literally.
func TestDirectories(t *testing.T) {
	t.Parallel()
	for _, name := range []string{"a/b/c", "with space", "100%41", "what?mode=ro", "hash#tag", "it's", "ünï"} {
		dir := filepath.Join(t.TempDir(), name)
		db := openTest(t, dir)
		if fi, err := os.Stat(dir); err != nil || fi.Mode().Perm() != 0o700 {
			t.Errorf("%q: %v, %v", name, fi.Mode(), err)
		}
		if db.File() != filepath.Join(dir, FileName) {
			t.Errorf("%q: File() = %s", name, db.File())
		}
		for _, suffix := range []string{"", "-wal"} {
			if fi, err := os.Stat(filepath.Join(dir, FileName+suffix)); err != nil || fi.Mode().Perm() != 0o600 {
				t.Errorf("%q: %s: %v, %v", name, suffix, fi.Mode(), err)
			}
		}
	}
}

// TestUpgrade opens a stored file of every earlier version.
func TestUpgrade(t *testing.T) {
	t.Parallel()
	files, err := filepath.Glob("testdata/v*.db.gz")
	if err != nil || len(files) != len(migrations) {
		t.Fatalf("there are %d stored files for %d versions, %v", len(files), len(migrations), err)
	}
	for _, stored := range files {
		t.Run(filepath.Base(stored), func(t *testing.T) {
			t.Parallel()
			dir := t.TempDir()
			unpack(t, stored, filepath.Join(dir, FileName))
			db := openTest(t, dir)
			if err := db.Check(context.Background()); err != nil {
				t.Error(err)
			}
			c, err := connect(context.Background(), db.File(), reading, readerCacheKiB)
			if err != nil {
				t.Fatal(err)
			}
			defer c.close()
			if v, err := c.number("PRAGMA user_version"); err != nil || v != int64(len(migrations)) {
				t.Errorf("the version is %d, %v", v, err)
			}
			checkFixture(t, db)
		})
	}
}

// TestSchemaOfUpgraded: a file brought up to date has the schema of a new one. It fails when a script that files have been made
// with is changed instead of a new one added.
func TestSchemaOfUpgraded(t *testing.T) {
	t.Parallel()
	schema := func(dir string) (lines []string) {
		db := openTest(t, dir)
		if err := db.read(context.Background(), func(c *conn) error {
			return c.each(func(cur *cursor) (bool, error) {
				lines = append(lines, cur.text(0))
				return true, nil
			}, "SELECT type || ' ' || name || ': ' || coalesce(sql, '') FROM sqlite_schema ORDER BY type, name")
		}); err != nil {
			t.Fatal(err)
		}
		return lines
	}
	want := schema(t.TempDir())
	files, err := filepath.Glob("testdata/v*.db.gz")
	if err != nil || len(files) == 0 || len(want) == 0 {
		t.Fatal(files, want, err)
	}
	for _, stored := range files {
		dir := t.TempDir()
		unpack(t, stored, filepath.Join(dir, FileName))
		if d := cmp.Diff(want, schema(dir)); d != "" {
			t.Errorf("%s (-new +upgraded):\n%s", stored, d)
		}
	}
}

// fixture is what testdata/v*.db.gz hold. TestMakeFixture writes the newest.
func fixture() engine.Changes {
	shared := jobRecord(2, there, batch.Failed)
	shared.Share, shared.Name = "red", "Shared"
	return engine.Changes{
		Resources: []engine.ResourceRecord{{Partition: here, Kind: batch.KindJobQueue, Key: "queue", Value: []byte(`{"name":"queue"}`)}},
		Jobs:      []engine.JobRecord{jobRecord(1, here, batch.Running), shared},
		Children:  []engine.ChildRecord{{Seq: 1, Index: 7, Status: batch.Succeeded, State: []byte(`{"n":7}`)}},
		Events:    []engine.EventRecord{{ID: 3, Partition: there, Time: 5, Body: []byte(`{"e":3}`)}},
	}
}

func checkFixture(t *testing.T, db *DB) {
	t.Helper()
	ctx, want := context.Background(), fixture()
	var got engine.Changes
	if err := db.Load(ctx, engine.Visitor{
		Resource: func(r engine.ResourceRecord) error { got.Resources = append(got.Resources, r); return nil },
		Job:      func(r engine.JobRecord) error { got.Jobs = append(got.Jobs, r); return nil },
		Child:    func(r engine.ChildRecord) error { got.Children = append(got.Children, r); return nil },
	}); err != nil {
		t.Fatal(err)
	}
	finals, err := db.ListJobs(ctx, engine.JobQuery{Partition: there, Queue: "queue", NamePrefix: "shared"})
	if err != nil {
		t.Fatal(err)
	}
	got.Jobs = append(got.Jobs, finals...)
	if got.Events, err = db.Events(ctx, 0, 0); err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff(want, got); d != "" {
		t.Errorf("the stored file (-want +got):\n%s", d)
	}
	if err := db.View(ctx, func(r store.Reader) error {
		var v string
		if ok, err := r.Get(here, "kind", "key", &v); !ok || err != nil || v != "value" {
			t.Errorf("the document is %q, %t, %v", v, ok, err)
		}
		return nil
	}); err != nil {
		t.Error(err)
	}
}

func unpack(t *testing.T, from, to string) {
	t.Helper()
	f, err := os.Open(from)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	z, err := gzip.NewReader(f)
	if err != nil {
		t.Fatal(err)
	}
	content, err := io.ReadAll(z)
	if err != nil {
		t.Fatal(err)
	}
	writeFile(t, to, content)
}

// TestMakeFixture writes the stored file of the newest version when BATCHBOX_UPDATE_FIXTURE is set, which is done once,
// by the change that adds the version.
func TestMakeFixture(t *testing.T) {
	to := os.Getenv("BATCHBOX_UPDATE_FIXTURE")
	if to == "" {
		t.Skip("set BATCHBOX_UPDATE_FIXTURE to the file to write, testdata/vN.db.gz")
	}
	dir := t.TempDir()
	db := openTest(t, dir)
	commit(t, db, fixture())
	if err := put(db, "key", "value"); err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(dir, "copy")
	if err := db.Backup(context.Background(), file); err != nil {
		t.Fatal(err)
	}
	content, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	var packed bytes.Buffer
	z, err := gzip.NewWriterLevel(&packed, gzip.BestCompression)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := z.Write(content); err != nil {
		t.Fatal(err)
	}
	if err := z.Close(); err != nil {
		t.Fatal(err)
	}
	writeFile(t, to, packed.Bytes())
}

// TestMigrations: each version comes in a transaction of its own, and a script that fails leaves the version before it.
func TestMigrations(t *testing.T) {
	t.Parallel()
	ctx := context.Background()
	dir, file := closedStore(t, 2)
	size := func() int64 {
		fi, err := os.Stat(file)
		if err != nil {
			t.Fatal(err)
		}
		return fi.Size()
	}
	version := func() int64 {
		c, err := connect(ctx, file, writing, readerCacheKiB)
		if err != nil {
			t.Fatal(err)
		}
		defer c.close()
		v, err := c.number("PRAGMA user_version")
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
	base := int64(len(migrations))
	next := append(slices.Clone(migrations), "ALTER TABLE jobs ADD COLUMN colour TEXT", "UPDATE jobs SET colour = 'red'; DROP TABLE nonsense")
	err := migrate(ctx, file, size(), next)
	if err == nil || !strings.Contains(err.Error(), "nonsense") || !strings.Contains(err.Error(), file) {
		t.Errorf("migrate returned %v", err)
	}
	if v := version(); v != base+1 {
		t.Errorf("after the failure the version is %d, want %d", v, base+1)
	}
	next[base+1] = "UPDATE jobs SET colour = 'blue' WHERE colour IS NULL"
	if err := migrate(ctx, file, size(), next); err != nil {
		t.Fatal(err)
	}
	c, err := connect(ctx, file, writing, readerCacheKiB)
	if err != nil {
		t.Fatal(err)
	}
	if n, err := c.number("SELECT count(*) FROM jobs WHERE colour = 'blue'"); err != nil || n != 2 {
		t.Errorf("%d jobs were changed, %v", n, err)
	}
	if err := c.close(); err != nil {
		t.Fatal(err)
	}
	if _, err := Open(ctx, dir, Options{}); !errors.Is(err, store.ErrNewer) {
		t.Errorf("Open of the later version returned %v", err)
	}
}
