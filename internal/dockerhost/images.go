package dockerhost

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"

	"github.com/containerd/errdefs"
	"github.com/moby/moby/client"
)

// Images are the images of the daemon that Find finds at the moment they are asked for; there may be none.
type Images struct {
	Environment Environment
}

// Find returns the id, "sha256:...", of the image that the daemon has under a name. The error is fs.ErrNotExist if it has none,
// or if there is no daemon.
func (i Images) Find(ctx context.Context, name string) (string, error) {
	c, err := i.connect(ctx)
	if err != nil {
		return "", err
	}
	defer c.Close() // no connection is kept
	image, err := c.ImageInspect(ctx, name)
	if errdefs.IsNotFound(err) {
		return "", fmt.Errorf("%w: %w", fs.ErrNotExist, err)
	}
	return image.ID, err
}

func (i Images) connect(ctx context.Context) (*client.Client, error) {
	host, err := Find(i.Environment)
	if errors.Is(err, ErrNone) {
		return nil, fmt.Errorf("%w: %w", fs.ErrNotExist, err)
	}
	if err != nil {
		return nil, err
	}
	return Connect(ctx, host)
}

// Save streams an image as `docker save` writes it.
func (i Images) Save(ctx context.Context, id string) (io.ReadCloser, error) {
	c, err := i.connect(ctx)
	if err != nil {
		return nil, err
	}
	saved, err := c.ImageSave(ctx, []string{id})
	if err != nil {
		return nil, errors.Join(err, c.Close())
	}
	return &stream{saved, c}, nil
}

// stream is an answer's body with the client it belongs to.
type stream struct {
	io.ReadCloser
	client *client.Client
}

func (s *stream) Close() error { return errors.Join(s.ReadCloser.Close(), s.client.Close()) }
