package sqlite

import (
	"context"
	"embed"
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"strings"

	"github.com/batchbox/batchbox/internal/store"
)

// applicationID marks the file as ours in SQLite's header; migrations/0001_initial.sql sets it.
const applicationID = 0x42617462

//go:embed migrations/*.sql
var migrationFiles embed.FS

// migrations are the scripts that make version 1, 2, ... of the file out of the one before, in order.
var migrations = func() []string {
	names, err := fs.Glob(migrationFiles, "migrations/*.sql")
	if err != nil {
		panic(err)
	}
	slices.Sort(names)
	scripts := make([]string, len(names))
	for i, name := range names {
		if !strings.HasPrefix(name, fmt.Sprintf("migrations/%04d_", i+1)) {
			panic("store: migration " + name + " is out of sequence")
		}
		text, err := migrationFiles.ReadFile(name)
		if err != nil {
			panic(err)
		}
		scripts[i] = string(text)
	}
	return scripts
}()

// migrate makes the file, or brings it to the newest version, one transaction for each version. size is that of the file,
// 0 for a new one.
func migrate(ctx context.Context, file string, size int64, scripts []string) (err error) {
	c, err := connect(ctx, file, creating, readerCacheKiB)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, c.close()) }()
	version, err := c.number("PRAGMA user_version")
	if err != nil {
		return err
	}
	if size > 0 {
		if err := c.recognise(version, len(scripts)); err != nil {
			return err
		}
		if size <= checkOnOpen {
			if err := c.check(ctx, "PRAGMA quick_check(10)"); err != nil {
				return err
			}
		}
	}
	for _, s := range []string{"PRAGMA journal_mode = WAL", "PRAGMA synchronous = FULL"} {
		if err := c.script(ctx, s); err != nil {
			return err
		}
	}
	for v := int(version); v < len(scripts); v++ {
		if err := c.upgrade(ctx, v+1, scripts[v]); err != nil {
			return err
		}
	}
	return nil
}

// recognise refuses a file that is another program's or a later version's.
func (c *conn) recognise(version int64, newest int) error {
	if version > int64(newest) {
		return fmt.Errorf("%w: %s has version %d, this program knows up to %d", store.ErrNewer, c.file, version, newest)
	}
	id, err := c.number("PRAGMA application_id")
	if err != nil {
		return err
	}
	if id != applicationID {
		// A first start that was cut short leaves a file without tables.
		tables, err := c.number("SELECT count(*) FROM sqlite_schema")
		if err != nil {
			return err
		}
		if id != 0 || version != 0 || tables != 0 {
			return fmt.Errorf("store: %s is a SQLite file of another program", c.file)
		}
	}
	return nil
}

func (c *conn) upgrade(ctx context.Context, to int, script string) error {
	err := c.script(ctx, fmt.Sprintf("BEGIN IMMEDIATE;\n%s\n;PRAGMA user_version = %d;\nCOMMIT;", script, to))
	if err != nil {
		_ = c.script(ctx, "ROLLBACK") // fails where SQLite has rolled back by itself
		return fmt.Errorf("store: bring %s to version %d: %w", c.file, to, err)
	}
	return nil
}
