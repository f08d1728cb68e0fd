// Command prog is a hostile program: each of its arguments names an attack that it tries, NAME or NAME=ARGUMENT. For each it
// writes a line, "held NAME: why" or "ESCAPED NAME: what it got", so that a test can tell an attack that was held from one
// that was never made. It is static and needs nothing from its root file system.
package main

import (
	"fmt"
	"os"
	"strings"
)

// An attack returns what it got, or an error if it was held.
type attack func(argument string) (string, error)

func main() {
	for _, arg := range os.Args[1:] {
		name, argument, _ := strings.Cut(arg, "=")
		a, ok := attacks[name]
		if !ok {
			fmt.Printf("UNKNOWN %s\n", name)
			continue
		}
		if got, err := a(argument); err != nil {
			fmt.Printf("held %s: %s\n", name, strings.ReplaceAll(err.Error(), "\n", "; "))
		} else {
			fmt.Printf("ESCAPED %s: %s\n", name, got)
		}
	}
}

// errorf reports that an attack was held in a way that is no error of a system call.
var errorf = fmt.Errorf
