//go:build !linux

package docker

// seccompProfile is empty: the daemon is another machine's, and has a filter of its own.
func seccompProfile() (string, error) { return "", nil }
