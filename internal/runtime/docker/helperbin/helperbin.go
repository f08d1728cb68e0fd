// Package helperbin holds batchbox-helper (see package inside), if that was there when this program was built: `go generate
// ./internal/runtime/docker/helperbin` builds it.
package helperbin

// For Linux, where daemons run containers, on the architecture of this program, or that of the environment's GOARCH.
//go:generate env CGO_ENABLED=0 GOOS=linux GOARCH=$GOARCH go build -trimpath -buildvcs=false "-ldflags=-s -w -buildid=" -o $GOARCH/batchbox-helper ../../../../cmd/batchbox-helper

// Binary is batchbox-helper for Linux on this program's architecture; empty if it was not embedded.
func Binary() []byte {
	b, err := files.ReadFile(name)
	if err != nil {
		return nil
	}
	return b
}
