package supervisor

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"os"
	"sort"
	"sync"

	"github.com/batchbox/batchbox/internal/fsys"
	"github.com/batchbox/batchbox/internal/runtime"
)

// journal is what a supervisor leaves to its successor: which tasks it took on, how to find their containers, and how
// those ended that nobody has acknowledged. It is written before the fact it tells of can be seen by anyone, and never
// synced: it has to outlive the process, not the machine (after whose restart there is nothing to find, and every task is
// lost anyway).
//
// A nil journal is one that nobody needs.
type journal struct {
	files fsys.FS
	log   *slog.Logger

	mu   sync.Mutex
	path string
	boot string
	// intact says that a task that is not in the journal was never taken on.
	intact bool
	f      fsys.File
	size   int64
	live   map[string]*entry
	buf    []byte
	err    error // of the last write
}

// entry is a task in the journal.
type entry struct {
	tokens []token
	ended  *runtime.Report
}

type token struct {
	Runtime string `json:"runtime"`
	Token   string `json:"token,omitempty"`
}

// record is a line of the journal. Its first one has Version, Boot and Intact alone.
type record struct {
	Version int    `json:"version,omitempty"`
	Boot    string `json:"boot,omitempty"`
	// Intact in a later line says that the journal has become so.
	Intact bool `json:"intact,omitempty"`

	Accepted []string        `json:"accepted,omitempty"`
	Running  string          `json:"running,omitempty"` // with Token
	Token    *token          `json:"token,omitempty"`
	Ended    *runtime.Report `json:"ended,omitempty"`
	Acked    []string        `json:"acked,omitempty"`
}

const (
	journalVersion = 1
	// The journal is written anew when it has grown to this and by this factor.
	journalCompactBytes = 1 << 20
)

// openJournal reads what a predecessor left at path and begins a journal with the same contents. It is intact if the
// predecessor's was, is whole, and is from this boot of the machine; without a predecessor, first says whether there
// can not have been one.
func openJournal(files fsys.FS, path, boot string, first bool, log *slog.Logger) (*journal, error) {
	j := &journal{files: files, log: log, path: path, boot: boot, live: make(map[string]*entry)}
	var err error
	if j.intact, err = j.load(first); err != nil {
		return nil, fmt.Errorf("supervisor journal: %w", err)
	}
	if err := j.rewrite(); err != nil {
		return nil, fmt.Errorf("supervisor journal: %w", err)
	}
	return j, nil
}

// load reads the journal into live.
func (j *journal) load(first bool) (intact bool, err error) {
	f, err := os.Open(j.path)
	if errors.Is(err, fs.ErrNotExist) {
		return first, nil
	}
	if err != nil {
		return false, err
	}
	defer f.Close()
	r := bufio.NewReader(f)
	for n := 1; ; n++ {
		line, err := r.ReadBytes('\n')
		if err == io.EOF {
			// A last line without an end was being written when the supervisor died. What it told of had not happened yet.
			return intact, nil
		}
		if err != nil {
			return false, err
		}
		var rec record
		if err := json.Unmarshal(line, &rec); err != nil {
			j.log.Warn("supervisor journal: a line can not be read; what follows it is not known", "line", n, "err", err)
			return false, nil
		}
		switch {
		case n > 1:
			intact = intact || rec.Intact && rec.Boot == j.boot
			j.apply(rec)
		case rec.Version != journalVersion:
			j.log.Warn("supervisor journal: not a version this program knows", "version", rec.Version)
			return false, nil
		default:
			intact = rec.Intact && rec.Boot == j.boot
		}
	}
}

func (j *journal) apply(r record) {
	for _, key := range r.Accepted {
		if j.live[key] == nil {
			j.live[key] = &entry{}
		}
	}
	if e := j.live[r.Running]; e != nil && r.Token != nil {
		e.tokens = append(e.tokens, *r.Token)
	}
	if r.Ended != nil {
		if e := j.live[r.Ended.Key]; e != nil {
			e.ended, e.tokens = r.Ended, nil
		}
	}
	for _, key := range r.Acked {
		delete(j.live, key)
	}
	j.intact = j.intact || r.Intact
}

// settled notes that everything from before the journal began has been dealt with.
func (j *journal) settled() {
	if j != nil {
		j.note(record{Intact: true, Boot: j.boot})
	}
}

// isIntact says whether a task that is not in the journal was never taken on.
func (j *journal) isIntact() bool {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.intact
}

// accepted notes that tasks have been taken on. It is the one record that has to be there before anything happens.
func (j *journal) accepted(tasks []*task) error {
	if j == nil || len(tasks) == 0 {
		return nil
	}
	keys := make([]string, len(tasks))
	for i, t := range tasks {
		keys[i] = t.Key
	}
	if err := j.append(record{Accepted: keys}); err != nil {
		return fmt.Errorf("supervisor journal: %w", err)
	}
	return nil
}

// running notes how a container can be found again: by its runtime, and by its token if it has one. Without the record it
// runs all the same; only a successor would not find it.
func (j *journal) running(key, runtime, tok string) {
	if j != nil {
		j.note(record{Running: key, Token: &token{Runtime: runtime, Token: tok}})
	}
}

func (j *journal) ended(r *runtime.Report) {
	if j != nil {
		j.note(record{Ended: r})
	}
}

func (j *journal) acked(keys []string) error {
	if j == nil || len(keys) == 0 {
		return nil
	}
	j.note(record{Acked: keys})
	return nil
}

// note appends a record that the supervisor can go on without: if it is missing, a successor reports a task lost, or
// repeats a report.
func (j *journal) note(r record) {
	if err := j.append(r); err != nil {
		j.log.Warn("supervisor journal", "err", err)
	}
}

func (j *journal) append(r record) error {
	line, err := json.Marshal(r)
	if err != nil {
		return err
	}
	j.mu.Lock()
	defer j.mu.Unlock()
	j.apply(r)
	if j.err != nil || j.size > journalCompactBytes && j.size > 4*int64(len(j.live))*512 {
		// After a failed write the file may end in half a line, which nothing may follow.
		if j.err = j.rewrite(); j.err != nil {
			return j.err
		}
		return nil
	}
	j.buf = append(append(j.buf[:0], line...), '\n')
	n, err := j.f.Write(j.buf)
	j.size += int64(n)
	j.err = err
	return err
}

// rewrite replaces the journal by one that holds what is live, and nothing else.
func (j *journal) rewrite() error {
	temp := j.path + ".new"
	f, err := j.files.OpenFile(temp, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		return err
	}
	w := bufio.NewWriter(f)
	enc := json.NewEncoder(w)
	err = enc.Encode(record{Version: journalVersion, Boot: j.boot, Intact: j.intact})
	for key, e := range j.live {
		if err == nil {
			err = enc.Encode(record{Accepted: []string{key}, Ended: e.ended})
		}
		for i := range e.tokens {
			if err == nil {
				err = enc.Encode(record{Running: key, Token: &e.tokens[i]})
			}
		}
	}
	if err == nil {
		err = w.Flush()
	}
	var size int64
	if err == nil {
		size, err = f.Seek(0, io.SeekCurrent)
	}
	if err == nil {
		err = j.files.Rename(temp, j.path)
	}
	if err != nil {
		return errors.Join(err, f.Close(), j.files.Remove(temp))
	}
	if j.f != nil {
		_ = j.f.Close() // the file has been replaced
	}
	j.f, j.size = f, size
	return nil
}

// left returns what the predecessor left: reports to repeat, and tasks it had not finished with the tokens of their
// containers by runtime. A runtime whose containers have no tokens is there without any.
func (j *journal) left() (ended []runtime.Report, unfinished []string, tokens map[string][]string) {
	tokens = make(map[string][]string)
	for key, e := range j.live {
		if e.ended != nil {
			ended = append(ended, *e.ended)
			continue
		}
		unfinished = append(unfinished, key)
		for _, t := range e.tokens {
			of := tokens[t.Runtime]
			if t.Token != "" {
				of = append(of, t.Token)
			}
			tokens[t.Runtime] = of
		}
	}
	sort.Slice(ended, func(i, j int) bool { return ended[i].At.Before(ended[j].At) })
	sort.Strings(unfinished)
	return ended, unfinished, tokens
}

func (j *journal) close() error {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.f.Close()
}
