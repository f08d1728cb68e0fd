// Package index finds log events again. It shows what the segments of internal/logstore hold as CloudWatch Logs does:
// log groups, which are configuration and are kept in the engine's store of documents, and their streams and events,
// which are in the segments and are found through an index beside them.
//
// The index is a SQLite file that can be thrown away: it is made again from the segments. It knows, for each stream and
// each block of about 256 KiB of a segment, where in the block the stream's records are and what times they span; the
// events themselves stay in the segments. Memory does not grow with streams or events. Every read first indexes what
// has been appended since, by any process, so that what is on disk when a read begins is seen by it.
//
// The order of a stream's events is the order in which they were appended, whatever their timestamps. (CloudWatch Logs
// orders a stream by timestamp. The two differ only where timestamps go back, and there a client that follows a stream
// would miss events of CloudWatch's order.) Events that two processes append to one stream at the same time are in the
// order they were indexed. Searches over several streams are ordered by timestamp.
package index

import (
	"context"
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"sync"
	"time"

	"github.com/batchbox/batchbox/internal/fsys"
	"github.com/batchbox/batchbox/internal/logstore"
	"github.com/batchbox/batchbox/internal/store"
)

// Options are what a Store needs.
type Options struct {
	// Docs keeps the groups. It must outlive the Store.
	Docs   store.Docs
	Logger *slog.Logger // discards if nil
	// Now is the clock for creation and expiry; time.Now if nil.
	Now func() time.Time
	// Ephemeral makes nothing durable: for engines whose data ends with them.
	Ephemeral bool

	writer logstore.WriterOptions // tests make small segments
	files  fsys.FS                // fsys.OS if nil; tests put failing ones here
}

// Store is the log groups, streams and events of one directory of segments. It is safe for concurrent use. One process
// at a time may have a directory open; others may append segments to it.
type Store struct {
	dir  string
	docs store.Docs
	log  *slog.Logger
	now  func() time.Time
	// ephemeral is the option of that name.
	ephemeral bool
	files     fsys.FS
	writer    *logstore.Writer // the engine's own: PutLogEvents

	// configMu serialises changes of groups; it is taken before indexing.
	configMu sync.Mutex
	groupsMu sync.RWMutex
	groups   map[groupKey]*group

	// indexing serialises changes of the index, and guards what follows. dbMu is held to read while the database is used,
	// and to write while it is replaced; it is taken after indexing.
	indexing sync.Mutex
	dbMu     sync.RWMutex
	db       *database
	segments segments
	state    indexState

	// buryMu guards buried, the ids of deleted groups whose rows are still to be removed. It is taken last.
	buryMu sync.Mutex
	buried map[int64]bool

	searchBytes int64

	poke chan struct{}
	end  context.CancelFunc
	done sync.WaitGroup
}

// owner is the name of this process's own segments.
const owner = "engine"

// backgroundInterval is the shortest time between two runs of the indexer that no read asked for.
const backgroundInterval = time.Second

// Open opens the directory, making it if it is not there. Close the Store to release it. If the index is missing or
// damaged, Open makes it again, which takes about a second for a gigabyte of segments.
func Open(ctx context.Context, dir string, opts Options) (_ *Store, err error) {
	if opts.Logger == nil {
		opts.Logger = slog.New(slog.DiscardHandler)
	}
	if opts.Now == nil {
		opts.Now = time.Now
	}
	if opts.writer.Now == nil {
		opts.writer.Now = opts.Now
	}
	if opts.files == nil {
		opts.files = fsys.OS
	}
	opts.writer.Ephemeral = opts.Ephemeral
	s := &Store{dir: dir, ephemeral: opts.Ephemeral, files: opts.files, docs: opts.Docs, log: opts.Logger, now: opts.Now,
		searchBytes: defaultSearchBytes, buried: map[int64]bool{}, poke: make(chan struct{}, 1)}
	if s.writer, err = logstore.OpenWriter(dir, owner, opts.writer); err != nil {
		return nil, err
	}
	if err := s.loadGroups(ctx); err != nil {
		return nil, err
	}
	_, before := os.Stat(filepath.Join(dir, indexFile))
	var fresh bool
	if s.db, fresh, err = openDatabase(ctx, opts.files, dir, opts.Ephemeral); err != nil {
		return nil, err
	}
	defer func() {
		if err != nil && s.db != nil {
			err = errors.Join(err, s.db.close())
		}
	}()
	switch {
	case fresh && before == nil:
		s.log.Warn("the log index is damaged, or another version's; making it again from the segments, which hold the logs", "file", filepath.Join(dir, indexFile))
	case fresh:
		s.log.Info("making the log index", "dir", dir)
	}
	if err := s.CatchUp(ctx); err != nil {
		return nil, err
	}
	var background context.Context
	background, s.end = context.WithCancel(context.Background())
	s.done.Go(func() { s.run(background) })
	return s, nil
}

// Close stops the indexer and closes the files. What Put was told is durable already.
func (s *Store) Close() error {
	s.end()
	s.done.Wait()
	s.indexing.Lock()
	defer s.indexing.Unlock()
	s.dbMu.Lock()
	defer s.dbMu.Unlock()
	err := s.writer.Close()
	if s.db != nil {
		err = errors.Join(err, s.db.close())
	}
	return err
}

// Now is the time of the Store's clock.
func (s *Store) Now() time.Time { return s.now() }

// Poke tells the indexer that there may be something new, so that a later read finds little left to do. It runs once
// soon, and then once a second for as long as each run finds something. Reads do not need it.
func (s *Store) Poke() {
	select {
	case s.poke <- struct{}{}:
	default:
	}
}

// run is the indexer's goroutine.
func (s *Store) run(ctx context.Context) {
	for {
		select {
		case <-ctx.Done():
			return
		case <-s.poke:
		}
		for grew := true; grew; {
			var err error
			if grew, err = s.background(ctx); err != nil {
				if ctx.Err() == nil {
					s.log.Error("indexing log output", "error", err)
				}
				break
			}
			select {
			case <-ctx.Done():
				return
			case <-time.After(backgroundInterval):
			}
		}
	}
}

// background indexes what is new and removes what is left of deleted groups; grew says whether there was anything.
func (s *Store) background(ctx context.Context) (grew bool, err error) {
	s.indexing.Lock()
	before := s.state.appended
	err = s.index(ctx)
	grew = s.state.appended != before
	s.indexing.Unlock()
	if err != nil {
		return grew, err
	}
	for {
		more, err := s.exhume(ctx)
		if err != nil || !more {
			return grew, err
		}
	}
}

// CatchUp indexes everything that is on disk.
func (s *Store) CatchUp(ctx context.Context) error {
	s.indexing.Lock()
	defer s.indexing.Unlock()
	return s.index(ctx)
}

// Reindex throws the index away and makes it again. Reads wait meanwhile.
func (s *Store) Reindex(ctx context.Context) error {
	s.indexing.Lock()
	defer s.indexing.Unlock()
	return s.reindex(ctx)
}

func (s *Store) reindex(ctx context.Context) error {
	if err := s.replaceDatabase(ctx); err != nil {
		return err
	}
	return s.pass(ctx)
}

func (s *Store) replaceDatabase(ctx context.Context) error {
	s.dbMu.Lock()
	defer s.dbMu.Unlock()
	s.state.valid = false
	if db := s.db; db != nil {
		s.db = nil
		if err := db.close(); err != nil {
			s.log.Warn("closing the log index to make it again", "error", err)
		}
	}
	if err := removeDatabase(s.files, s.dir); err != nil {
		return err
	}
	db, _, err := openDatabase(ctx, s.files, s.dir, s.ephemeral)
	s.db = db
	return err
}

// index runs a pass of the indexer, and if the index turns out not to fit the segments any more, or to be damaged,
// makes it again. It is called with indexing held.
func (s *Store) index(ctx context.Context) error {
	err := s.pass(ctx)
	if errors.Is(err, errStale) || damaged(err) {
		s.log.Warn("making the log index again", "dir", s.dir, "reason", err)
		return s.reindex(ctx)
	}
	return err
}

// read catches up and runs fn on a consistent state of the index. If the index turns out to be damaged, fn is run again
// on one made anew.
func (s *Store) read(ctx context.Context, fn func(*conn) error) error {
	err := s.readOnce(ctx, fn)
	if !damaged(err) {
		return err
	}
	s.log.Warn("making the log index again", "dir", s.dir, "reason", err)
	if err := s.Reindex(ctx); err != nil {
		return err
	}
	return s.readOnce(ctx, fn)
}

func (s *Store) readOnce(ctx context.Context, fn func(*conn) error) error {
	if err := s.CatchUp(ctx); err != nil {
		return err
	}
	s.dbMu.RLock()
	defer s.dbMu.RUnlock()
	if s.db == nil {
		return errNoIndex
	}
	return s.db.read(ctx, fn)
}

// errNoIndex is what reads meet that come while a damaged index could not be replaced.
var errNoIndex = errors.New("the log index could not be opened")
