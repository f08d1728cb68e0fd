package sqlite

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/batchbox/batchbox/internal/batch"
	"github.com/batchbox/batchbox/internal/engine"
	"github.com/batchbox/batchbox/internal/fsys/fsystest"
	"github.com/batchbox/batchbox/internal/store"
)

// big is a commit that needs many pages.
func big(seq int64) engine.Changes {
	j := jobRecord(seq, here, batch.Running)
	j.Spec = make([]byte, 64<<10)
	return engine.Changes{Jobs: []engine.JobRecord{j}}
}

// TestFull: when the file can not grow, a commit fails whole and says so, what is stored stays readable, and the store
// goes on once it can grow again.
func TestFull(t *testing.T) {
	t.Parallel()
	ctx := context.Background()
	db := openTest(t, t.TempDir())
	limit := func(pages int) {
		t.Helper()
		if err := db.write(ctx, func(tx *tx) error {
			_, err := tx.c.number(fmt.Sprint("PRAGMA max_page_count = ", pages))
			return err
		}); err != nil {
			t.Fatal(err)
		}
	}
	commit(t, db, big(1))
	limit(1) // as many as there are
	for range 3 {
		c := big(2)
		if err := db.Commit(ctx, &c); !errors.Is(err, store.ErrUnavailable) || !strings.Contains(err.Error(), db.File()) {
			t.Errorf("Commit returned %v", err)
		}
	}
	// A function that swallows the failure does not get it past the store.
	if err := db.Update(ctx, func(w store.Writer) error {
		_ = w.Put(here, "kind", "key", strings.Repeat("x", 64<<10))
		return nil
	}); !errors.Is(err, store.ErrUnavailable) {
		t.Errorf("Update returned %v", err)
	}
	if got := jobSeqs(t, db); !slices.Equal(got, []int64{1}) {
		t.Errorf("there are jobs %v", got)
	}
	limit(1 << 20)
	commit(t, db, big(2))
	if err := put(db, "key", strings.Repeat("x", 64<<10)); err != nil {
		t.Error(err)
	}
	if got := jobSeqs(t, db); !slices.Equal(got, []int64{1, 2}) {
		t.Errorf("there are jobs %v", got)
	}
	if err := db.Check(ctx); err != nil {
		t.Error(err)
	}
}

// TestGroupFailsTogether: callers who share a transaction that the disk refuses are all told.
func TestGroupFailsTogether(t *testing.T) {
	t.Parallel()
	ctx := context.Background()
	db := openTest(t, t.TempDir())
	if err := put(db, "key", 1); err != nil {
		t.Fatal(err)
	}
	// The first holds the transaction until the others wait for it.
	var entered sync.WaitGroup
	entered.Add(1)
	release := make(chan struct{})
	results := make(chan error, 9)
	go func() {
		results <- db.write(ctx, func(tx *tx) error {
			entered.Done()
			<-release
			if _, err := tx.c.number("PRAGMA max_page_count = 1"); err != nil {
				return err
			}
			return docWriter{tx}.Put(here, "kind", "first", 1)
		})
	}()
	entered.Wait()
	for i := range 8 {
		go func() { results <- put(db, fmt.Sprint("other-", i), strings.Repeat("x", 64<<10)) }()
	}
	close(release)
	for range 9 {
		// The first may have been committed before the others came; none of those can have been.
		if err := <-results; err != nil && !errors.Is(err, store.ErrUnavailable) {
			t.Errorf("a member got %v", err)
		}
	}
	if err := db.View(ctx, func(r store.Reader) error {
		return r.List(here, "kind", "other-", func(key string, _ []byte) (bool, error) {
			t.Errorf("%s was kept", key)
			return true, nil
		})
	}); err != nil {
		t.Error(err)
	}
}

// TestRemoved: a store whose file was removed or replaced says so instead of writing where nobody finds it.
func TestRemoved(t *testing.T) {
	t.Parallel()
	for name, harm := range map[string]func(dir string) error{
		"file removed":      func(dir string) error { return os.Remove(filepath.Join(dir, FileName)) },
		"log removed":       func(dir string) error { return os.Remove(filepath.Join(dir, FileName+"-wal")) },
		"directory removed": os.RemoveAll,
		"directory moved":   func(dir string) error { return os.Rename(dir, dir+"-away") },
		"file replaced": func(dir string) error {
			file := filepath.Join(dir, FileName)
			content, err := os.ReadFile(file)
			return errors.Join(err, os.Remove(file), os.WriteFile(file, content, 0o600))
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			dir := filepath.Join(t.TempDir(), "data")
			db := openTest(t, dir)
			commit(t, db, big(1))
			if err := harm(dir); err != nil {
				t.Fatal(err)
			}
			c := big(2)
			if err := db.Commit(context.Background(), &c); !errors.Is(err, store.ErrUnavailable) || !strings.Contains(err.Error(), dir) {
				t.Errorf("Commit returned %v", err)
			}
		})
	}
}

// TestHeldByAnother: another program that holds the file's write lock delays a commit, and makes it fail if it holds on.
func TestHeldByAnother(t *testing.T) {
	t.Parallel()
	ctx := context.Background()
	db := openTest(t, t.TempDir())
	shell, err := connect(ctx, db.File(), writing, readerCacheKiB)
	if err != nil {
		t.Fatal(err)
	}
	defer shell.close()
	if _, err := shell.exec("BEGIN IMMEDIATE"); err != nil {
		t.Fatal(err)
	}
	done := make(chan error, 1)
	go func() { done <- put(db, "key", 1) }()
	select {
	case err := <-done:
		t.Errorf("a write under another's lock returned %v at once", err)
	case <-time.After(50 * time.Millisecond):
	}
	if _, err := shell.exec("COMMIT"); err != nil {
		t.Fatal(err)
	}
	if err := <-done; err != nil {
		t.Errorf("after the lock was released: %v", err)
	}
}

// The process that TestKill starts and kills: it writes until then and prints a line for everything that was acknowledged.
const killEnv = "BATCHBOX_TEST_STORE"

func writeUntilKilled(dir string) {
	ctx := context.Background()
	db, err := Open(ctx, dir, Options{})
	if err != nil {
		fmt.Println("error", err)
		os.Exit(1)
	}
	var mu sync.Mutex
	acknowledge := func(text string, args ...any) {
		mu.Lock()
		defer mu.Unlock()
		fmt.Printf(text+"\n", args...)
	}
	seq, err := lastSeq(db)
	if err != nil {
		fmt.Println("error", err)
		os.Exit(1)
	}
	var wg sync.WaitGroup
	wg.Go(func() {
		for {
			seq++
			c := engine.Changes{Jobs: []engine.JobRecord{jobRecord(seq, here, batch.Running)}}
			for i := range 10 {
				c.Children = append(c.Children, engine.ChildRecord{Seq: seq, Index: i, Status: batch.Running, State: []byte("{}")})
			}
			if err := db.Commit(ctx, &c); err != nil {
				acknowledge("error %v", err)
				return
			}
			acknowledge("job %d", seq)
		}
	})
	for w := range 3 {
		wg.Go(func() {
			for i := 0; ; i++ {
				key := fmt.Sprintf("%d-%d-%d", os.Getpid(), w, i)
				if err := put(db, key, i); err != nil {
					acknowledge("error %v", err)
					return
				}
				acknowledge("doc %s", key)
			}
		})
	}
	wg.Wait()
	os.Exit(1)
}

func lastSeq(db *DB) (seq int64, err error) {
	err = db.Load(context.Background(), engine.Visitor{
		Resource: func(engine.ResourceRecord) error { return nil },
		Job:      func(j engine.JobRecord) error { seq = j.Seq; return nil },
		Child:    func(engine.ChildRecord) error { return nil },
	})
	return seq, err
}

// TestKill kills a writing process at random moments. All it was told is stored is there, whole, and the next one goes on.
func TestKill(t *testing.T) {
	t.Parallel()
	seed := rand.Uint64()
	rnd := rand.New(rand.NewPCG(seed, seed))
	dir := t.TempDir()
	jobs, docs := map[int64]bool{}, map[string]bool{}
	for round := range 8 {
		cmd := exec.Command(os.Args[0])
		cmd.Env = append(os.Environ(), killEnv+"="+dir)
		out, err := cmd.StdoutPipe()
		if err != nil {
			t.Fatal(err)
		}
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		// From the first acknowledgement on, so that every round has something to lose.
		lines := bufio.NewScanner(out)
		var timer *time.Timer
		for lines.Scan() {
			if timer == nil {
				timer = time.AfterFunc(time.Duration(rnd.IntN(60_000))*time.Microsecond, func() { _ = cmd.Process.Kill() })
			}
			kind, what, _ := strings.Cut(lines.Text(), " ")
			switch kind {
			case "job":
				var seq int64
				if _, err := fmt.Sscan(what, &seq); err != nil {
					t.Fatalf("seed %d: line %q", seed, lines.Text())
				}
				jobs[seq] = true
			case "doc":
				docs[what] = true
			default:
				t.Errorf("seed %d, round %d: the writer says %q", seed, round, lines.Text())
			}
		}
		if timer != nil {
			timer.Stop()
		}
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
		if t.Failed() || timer == nil {
			t.Fatalf("seed %d, round %d: the writer did not write", seed, round)
		}
	}
	db := openTest(t, dir)
	if err := db.Check(context.Background()); err != nil {
		t.Errorf("seed %d: %v", seed, err)
	}
	children := map[int64]int{}
	if err := db.Load(context.Background(), engine.Visitor{
		Resource: func(engine.ResourceRecord) error { return nil },
		Job:      func(j engine.JobRecord) error { delete(jobs, j.Seq); children[j.Seq] = 0; return nil },
		Child:    func(c engine.ChildRecord) error { children[c.Seq]++; return nil },
	}); err != nil {
		t.Fatal(err)
	}
	for seq, n := range children {
		if n != 10 {
			t.Errorf("seed %d: job %d has %d children of 10", seed, seq, n)
		}
	}
	if err := db.View(context.Background(), func(r store.Reader) error {
		return r.List(here, "kind", "", func(key string, _ []byte) (bool, error) { delete(docs, key); return true, nil })
	}); err != nil {
		t.Fatal(err)
	}
	if len(jobs)+len(docs) > 0 {
		t.Errorf("seed %d: acknowledged and lost: jobs %v, documents %v", seed, jobs, docs)
	}
	t.Logf("seed %d: %d jobs survived", seed, len(children))
}

// TestFileFaults fails each operation on files beside SQLite's own: a store that was not opened is opened at the next try, and
// a backup that failed has left the one before or is whole.
func TestFileFaults(t *testing.T) {
	t.Parallel()
	ctx := context.Background()
	fsystest.Sweep(t, func(t *testing.T, files *fsystest.FS) {
		base := t.TempDir()
		again := func(fn func() error) {
			t.Helper()
			if err := fn(); err != nil {
				if !errors.Is(err, fsystest.Err) || !strings.Contains(err.Error(), base) {
					t.Errorf("%v, want the error and the file", err)
				}
				if err := fn(); err != nil {
					t.Fatalf("tried again: %v", err)
				}
			}
		}
		var db *DB
		again(func() (err error) {
			db, err = Open(ctx, filepath.Join(base, "new", "data"), Options{files: files})
			return err
		})
		defer db.Close()
		backups := filepath.Join(base, "backups")
		if err := os.Mkdir(backups, 0o700); err != nil {
			t.Fatal(err)
		}
		file := filepath.Join(backups, "copy")
		holds := func() int {
			t.Helper()
			content, err := os.ReadFile(file)
			if errors.Is(err, fs.ErrNotExist) {
				return 0
			}
			dir := t.TempDir()
			if err := errors.Join(err, os.WriteFile(filepath.Join(dir, FileName), content, 0o600)); err != nil {
				t.Fatal(err)
			}
			restored := openTest(t, dir)
			if err := restored.Check(ctx); err != nil {
				t.Error(err)
			}
			jobs := 0
			if err := restored.Load(ctx, engine.Visitor{Job: func(engine.JobRecord) error { jobs++; return nil }}); err != nil {
				t.Fatal(err)
			}
			return jobs
		}
		for n := int64(1); n <= 2; n++ {
			commit(t, db, engine.Changes{Jobs: []engine.JobRecord{jobRecord(n, here, batch.Running)}})
			again(func() error {
				err := db.Backup(ctx, file)
				if got := holds(); got != int(n) && (err == nil || got != int(n-1)) {
					t.Errorf("Backup returned %v, and the file holds %d jobs of %d", err, got, n)
				}
				return err
			})
		}
		// A directory that could not be removed says what it is by its name.
		left, err := os.ReadDir(backups)
		if err != nil || len(left) > 1 && !files.Failed() || len(left) > 2 {
			t.Errorf("left are %v, %v", left, err)
		}
	})
}
