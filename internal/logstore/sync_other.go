//go:build !linux

package logstore

import "os"

// syncData makes a file's data, and the metadata needed to read it back, durable.
func syncData(f *os.File) error { return f.Sync() }
