//go:build !linux

package docker

func attributes(string) map[string]string { return nil }
