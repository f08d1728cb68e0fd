//go:build !linux

package main

import "os"

func grow(f *os.File, _, bytes int64) error { return write(f, bytes) }
