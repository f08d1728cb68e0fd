package docker

import (
	"context"
	"testing"

	"github.com/containerd/errdefs"
	"github.com/moby/moby/client"

	"github.com/batchbox/batchbox/internal/dockerhost"
	"github.com/batchbox/batchbox/internal/testenv"
)

// patience is for a daemon that is asked for many containers at once.
const patience = testenv.Patience

// connect makes a client of the daemon.
func connect(t testing.TB) *client.Client {
	t.Helper()
	host, err := dockerhost.Find(dockerhost.System())
	check(t, err)
	c, err := dockerhost.Connect(context.Background(), host)
	check(t, err)
	t.Cleanup(func() { _ = c.Close() })
	return c
}

// removeImage makes the daemon forget an image.
func removeImage(t testing.TB, name string) {
	t.Helper()
	host, err := dockerhost.Find(dockerhost.System())
	check(t, err)
	c, err := dockerhost.Connect(context.Background(), host)
	check(t, err)
	defer c.Close()
	if _, err := c.ImageRemove(context.Background(), name, client.ImageRemoveOptions{Force: true, PruneChildren: true}); err != nil && !errdefs.IsNotFound(err) {
		t.Error(err)
	}
}
