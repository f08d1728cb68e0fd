//go:build !linux

package cgroup

import "fmt"

// Tree is empty on systems without cgroups.
type Tree struct{}

// Open reports that there are no cgroups here.
func Open(string) (*Tree, error) {
	return nil, fmt.Errorf("%w: this is not Linux", ErrUnavailable)
}
