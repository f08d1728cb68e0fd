//go:build !linux

package native

import (
	"context"
	"fmt"

	"github.com/batchbox/batchbox/internal/runtime"
)

// New reports that there are no native containers on this system.
func New(context.Context, Options) (runtime.Runtime, error) {
	return nil, fmt.Errorf("%w: they need Linux", ErrUnsupported)
}
