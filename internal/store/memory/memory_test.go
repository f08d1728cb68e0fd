package memory_test

import (
	"testing"

	"github.com/batchbox/batchbox/internal/store/memory"
	"github.com/batchbox/batchbox/internal/store/storetest"
)

func TestConformance(t *testing.T) {
	t.Parallel()
	storetest.Run(t, func(*testing.T) (storetest.Store, func() storetest.Store) { return memory.New(), nil })
}
