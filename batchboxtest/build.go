package batchboxtest

import (
	goruntime "runtime"

	"github.com/aws/aws-sdk-go-v2/service/ecr"

	"github.com/batchbox/batchbox/internal/image"
)

// Build makes an image of a Go program and pushes it to the engine's registry. The package is as go build takes it, seen
// from the test's directory; the image's name, "worker:latest", is a repository of the engine's account. The result is
// what a job definition calls it.
func (b *Box) Build(pkg, name string) string {
	b.t.Helper()
	ctx := b.t.Context()
	client := ecr.NewFromConfig(b.config)
	built, err := image.Build(ctx, image.BuildOptions{Package: pkg, Platforms: []string{goruntime.GOOS + "/" + goruntime.GOARCH}})
	b.must(err)
	target, err := image.Target(ctx, client, name)
	b.must(err)
	pushed, err := image.Push(ctx, target, built.Content, image.PushOptions{ECR: client})
	b.must(err)
	return pushed.Ref
}
