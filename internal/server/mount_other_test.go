//go:build !linux

package server_test

import "testing"

func readOnlyMount(t *testing.T, _ string) { t.Skip("not Linux") }
