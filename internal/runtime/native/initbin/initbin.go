// Package initbin starts batchbox-init. It holds it as a file, if that was there when this program was built (`go generate
// ./internal/runtime/native` builds it). Without it everything works, a little slower: every program that links this package
// is a batchbox-init too.
package initbin

// Binary is batchbox-init for Linux on this program's architecture; empty if it was not embedded.
func Binary() []byte {
	b, err := files.ReadFile(name)
	if err != nil {
		return nil
	}
	return b
}
