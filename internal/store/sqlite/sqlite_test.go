package sqlite

import (
	"context"
	"os"
	"testing"

	"go.uber.org/goleak"

	"github.com/batchbox/batchbox/internal/store/storetest"
)

func TestMain(m *testing.M) {
	if dir := os.Getenv(killEnv); dir != "" {
		writeUntilKilled(dir)
	}
	goleak.VerifyTestMain(m)
}

func openTest(t testing.TB, dir string) *DB {
	t.Helper()
	db, err := Open(context.Background(), dir, Options{})
	if err != nil {
		t.Fatalf("Open: %v", err)
	}
	t.Cleanup(func() {
		if err := db.Close(); err != nil {
			t.Errorf("Close: %v", err)
		}
	})
	return db
}

func TestConformance(t *testing.T) {
	t.Parallel()
	storetest.Run(t, func(t *testing.T) (storetest.Store, func() storetest.Store) {
		dir := t.TempDir()
		db := openTest(t, dir)
		return db, func() storetest.Store {
			if err := db.Close(); err != nil {
				t.Errorf("Close: %v", err)
			}
			db = openTest(t, dir)
			return db
		}
	})
}
