//go:build !linux

package inside

// Main is for Linux.
func Main([]string) int { return 2 }
