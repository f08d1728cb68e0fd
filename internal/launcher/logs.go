package launcher

import (
	"context"
	"fmt"
	"strconv"
	"strings"

	"github.com/batchbox/batchbox/internal/batch"
	"github.com/batchbox/batchbox/internal/engine"
	"github.com/batchbox/batchbox/internal/runtime"
)

// DefaultGroup is the log group of jobs that do not name one.
const DefaultGroup = "/aws/batch/job"

// log is where a container's output goes, its log group being there. nil means nowhere that batchbox delivers to.
func (l *Launcher) log(ctx context.Context, st engine.StartTask, view *batch.ContainerView, stream string) (*runtime.LogTarget, error) {
	target := LogTarget(st.Partition, view, stream)
	if target == nil {
		return nil, nil
	}
	options := logOptions(view)
	target.MultilinePattern = options["awslogs-multiline-pattern"]
	target.DatetimeFormat = options["awslogs-datetime-format"]
	if options["mode"] == "non-blocking" {
		target.NonBlocking = true
		size, err := bufferSize(options["max-buffer-size"])
		if err != nil {
			return nil, &runtime.StartError{Kind: runtime.KindCannotStart, Err: err}
		}
		target.MaxBufferBytes = size
	}
	// Unverified who makes the default group on AWS; somebody does (reference, section 10.1).
	create := options["awslogs-group"] == "" || options["awslogs-create-group"] == "true"
	return target, l.ensureGroup(ctx, target, create)
}

// LogTarget names the log stream of a container; nil if its output goes nowhere that batchbox delivers to. How the output is
// to be treated is not filled in.
func LogTarget(p batch.Partition, view *batch.ContainerView, stream string) *runtime.LogTarget {
	if stream == "" { // another driver than awslogs
		return nil
	}
	target := &runtime.LogTarget{Account: p.Account, Region: p.Region, Group: DefaultGroup, Stream: stream}
	options := logOptions(view)
	if region := options["awslogs-region"]; region != "" {
		target.Region = region
	}
	if group := options["awslogs-group"]; group != "" {
		target.Group = group
	}
	return target
}

func logOptions(view *batch.ContainerView) map[string]string {
	if view.Log == nil {
		return nil
	}
	return view.Log.Options
}

// ensureGroup makes the log group, or fails as Fargate does when it is not there and must not be made.
func (l *Launcher) ensureGroup(ctx context.Context, t *runtime.LogTarget, create bool) error {
	if create {
		if err := l.cfg.Groups.EnsureGroup(ctx, t.Account, t.Region, t.Group); err != nil {
			return &runtime.StartError{Kind: runtime.KindResourceInit, Err: fmt.Errorf("failed to create Cloudwatch log group: %w", err)}
		}
		return nil
	}
	exists, err := l.cfg.Groups.GroupExists(ctx, t.Account, t.Region, t.Group)
	if err != nil {
		return &runtime.StartError{Kind: runtime.KindResourceInit, Err: fmt.Errorf("failed to validate logger args: %w", err)}
	}
	if !exists {
		return &runtime.StartError{Kind: runtime.KindResourceInit, Err: fmt.Errorf(
			"failed to validate logger args: create stream has been retried 1 times: failed to create Cloudwatch log stream: " +
				"ResourceNotFoundException: The specified log group does not exist. : exit status 1")}
	}
	return nil
}

// defaultBuffer is the awslogs driver's buffer in non-blocking mode (Docker documentation, "max-buffer-size").
const defaultBuffer = 1 << 20

// bufferSize reads max-buffer-size: a number with an optional unit b, k, m or g.
func bufferSize(s string) (int64, error) {
	if s == "" {
		return defaultBuffer, nil
	}
	digits := strings.TrimRight(strings.ToLower(s), "bkmgi")
	n, err := strconv.ParseInt(digits, 10, 64)
	if err != nil || n <= 0 {
		return 0, fmt.Errorf("max-buffer-size %q is no size", s)
	}
	switch unit := strings.ToLower(s[len(digits):]); {
	case strings.HasPrefix(unit, "k"):
		n <<= 10
	case strings.HasPrefix(unit, "m"):
		n <<= 20
	case strings.HasPrefix(unit, "g"):
		n <<= 30
	}
	return n, nil
}
