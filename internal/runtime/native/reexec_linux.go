package native

import (
	"os"

	"github.com/batchbox/batchbox/internal/initproc"
)

// Every program that links this package is a batchbox-init too, for those built without the embedded one: it becomes that
// when it is started under its name, before anything else of it runs.
func init() {
	if len(os.Args) > 1 && os.Args[0] == initproc.Name {
		initproc.Main(os.Args)
	}
}
