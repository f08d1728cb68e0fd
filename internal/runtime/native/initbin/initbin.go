// Package initbin holds batchbox-init as a file, if it was there when this program was built: `go generate
// ./internal/runtime/native` builds it for each architecture. Without it everything works, a little slower.
package initbin

// Binary is batchbox-init for Linux on this program's architecture; empty if it was not embedded.
func Binary() []byte {
	b, err := files.ReadFile(name)
	if err != nil {
		return nil
	}
	return b
}
