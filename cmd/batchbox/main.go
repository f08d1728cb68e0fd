// Batchbox is AWS Batch on your own machine.
package main

import (
	"context"
	"os"
	"os/signal"
	"syscall"

	"golang.org/x/term"

	"github.com/batchbox/batchbox/internal/cli"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	context.AfterFunc(ctx, stop) // a second signal ends the program at once
	streams := cli.Streams{In: os.Stdin, Out: os.Stdout, Err: os.Stderr, OutWidth: width(os.Stdout), ErrWidth: width(os.Stderr)}
	code := cli.Main(ctx, os.Args[1:], &streams)
	stop()
	os.Exit(code)
}

// width is the number of columns of the terminal f is, 0 if it is none.
func width(f *os.File) int {
	w, _, err := term.GetSize(int(f.Fd()))
	if err != nil {
		return 0
	}
	return w
}
