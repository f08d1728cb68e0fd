//go:build !linux

package dockerhost

const localSockets = false
