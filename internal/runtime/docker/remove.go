package docker

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strconv"
	"time"

	"github.com/moby/moby/api/types/container"
	"github.com/moby/moby/api/types/mount"
	"github.com/moby/moby/client"

	"github.com/batchbox/batchbox/internal/runtime"
	"github.com/batchbox/batchbox/internal/runtime/docker/inside"
)

var _ runtime.TreeRemover = (*Runtime)(nil)

// removalPatience bounds the removal of a directory by a container.
const removalPatience = 10 * time.Minute

// RemoveTree implements runtime.TreeRemover. What containers have left there may be root's; if it is not this user's to
// remove, a container of ours removes it.
func (r *Runtime) RemoveTree(path string) error {
	err := os.RemoveAll(path)
	if !errors.Is(err, fs.ErrPermission) {
		return err
	}
	if why := r.noHelper(); why != "" {
		return fmt.Errorf("%w; a container can not do it: %s", err, why)
	}
	ctx, cancel := context.WithTimeout(r.ctx, removalPatience)
	defer cancel()
	if err := r.emptyInside(ctx, path); err != nil {
		return fmt.Errorf("remove what containers have left in %s: %w", path, err)
	}
	return os.RemoveAll(path)
}

// emptyInside has a container remove all that is in a directory.
func (r *Runtime) emptyInside(ctx context.Context, path string) error {
	image, release, err := r.helperImage(ctx)
	if err != nil {
		return err
	}
	defer release()
	const at = "/tree"
	name := r.name("remove", strconv.FormatUint(r.removals.Add(1), 10))
	r.enterGate(name)
	defer r.leaveGate(name)
	pids, init := int64(64), false
	made, err := r.api.ContainerCreate(ctx, client.ContainerCreateOptions{
		Name: name, Image: image,
		Config: &container.Config{
			Entrypoint: []string{"/" + inside.Name}, Cmd: []string{inside.RoleRemove, at},
			Labels: r.labels(&runtime.Spec{}, "remove", name), AttachStdout: true, AttachStderr: true,
		},
		HostConfig: &container.HostConfig{
			LogConfig: container.LogConfig{Type: "none"}, NetworkMode: "none", ReadonlyRootfs: true, Init: &init,
			CapDrop: []string{"ALL"}, CapAdd: []string{"DAC_OVERRIDE", "FOWNER"}, SecurityOpt: []string{"no-new-privileges"},
			Mounts:    []mount.Mount{{Type: mount.TypeBind, Source: path, Target: at}},
			Resources: container.Resources{PidsLimit: &pids},
		},
	})
	if err != nil {
		return err
	}
	defer func() {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), cleanupPatience)
		defer cancel()
		if err := r.removeContainer(ctx, made.ID); err != nil {
			r.log.Warn("docker: an ended container is left for later", "err", err)
		}
	}()
	attached, err := r.api.ContainerAttach(ctx, made.ID, client.ContainerAttachOptions{Stream: true, Stdout: true, Stderr: true})
	if err != nil {
		return fmt.Errorf("attach: %w", err)
	}
	defer attached.Close()
	stop := context.AfterFunc(ctx, attached.Close)
	defer stop()
	if _, err := r.api.ContainerStart(ctx, made.ID, client.ContainerStartOptions{}); err != nil {
		return err
	}
	conn := &attachedConn{Conn: attached.Conn, r: attached.Reader}
	_, _ = conn.Read(make([]byte, 1)) // it says nothing but errors, which are kept, and ends
	wait := r.api.ContainerWait(ctx, made.ID, client.ContainerWaitOptions{Condition: container.WaitConditionNotRunning})
	select {
	case result := <-wait.Result:
		if result.StatusCode != 0 {
			return fmt.Errorf("%s: %s", inside.Name, conn.said())
		}
		return nil
	case err := <-wait.Error:
		return err
	}
}
