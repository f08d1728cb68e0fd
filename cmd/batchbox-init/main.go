// batchbox-init is the first program inside a native container, and the process that starts them. See package initproc.
package main

import (
	"os"

	"github.com/batchbox/batchbox/internal/initproc"
)

func main() { initproc.Main(os.Args) }
