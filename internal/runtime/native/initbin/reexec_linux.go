package initbin

import (
	"os"

	"github.com/batchbox/batchbox/internal/initproc"
)

// A program becomes batchbox-init when it is started under its name, before anything else of it runs.
func init() {
	if len(os.Args) > 1 && os.Args[0] == initproc.Name {
		initproc.Main(os.Args)
	}
}
