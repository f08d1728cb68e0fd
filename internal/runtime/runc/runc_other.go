//go:build !linux

package runc

import (
	"context"
	"fmt"

	"github.com/batchbox/batchbox/internal/runtime"
)

// New reports that there is no runc on this system.
func New(context.Context, Options) (runtime.Runtime, error) {
	return nil, fmt.Errorf("%w: it needs Linux", ErrUnsupported)
}
