// batchbox-helper is what the docker runtime runs in containers of its own. See package inside.
package main

import (
	"os"

	"github.com/batchbox/batchbox/internal/runtime/docker/inside"
)

func main() { os.Exit(inside.Main(os.Args[1:])) }
