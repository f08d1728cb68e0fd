package main

import (
	"os"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// The generated file must be what the SDK modules in go.mod give.
func TestModelsAreCurrent(t *testing.T) {
	t.Parallel()
	want, err := generate()
	if err != nil {
		t.Fatal(err)
	}
	have, err := os.ReadFile("../models_gen.go")
	if err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff(string(want), string(have)); d != "" {
		t.Errorf("models_gen.go is stale; run go generate ./internal/awswire\n%s", d)
	}
}
