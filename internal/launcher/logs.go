package launcher

import (
	"context"
	"errors"
	"fmt"
	"regexp"
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
	create, err := treatment(options, target)
	if err != nil {
		return nil, &runtime.StartError{Kind: runtime.KindResourceInit, Err: fmt.Errorf("failed to validate logger args: %w : exit status 1", err)}
	}
	// Unverified who makes the default group on AWS; somebody does (reference, section 10.1).
	return target, l.ensureGroup(ctx, target, create || options["awslogs-group"] == "")
}

// treatment reads the options that say how output becomes events, and whether to make the group. What is wrong with them
// is said as the driver says it (github.com/moby/moby, daemon/logger; that Fargate passes it on in these words is unverified).
func treatment(options map[string]string, t *runtime.LogTarget) (create bool, err error) {
	t.MultilinePattern, t.DatetimeFormat = options["awslogs-multiline-pattern"], options["awslogs-datetime-format"]
	if t.MultilinePattern != "" && t.DatetimeFormat != "" {
		return false, errors.New("you cannot configure log opt 'awslogs-datetime-format' and 'awslogs-multiline-pattern' at the same time")
	}
	if _, err := regexp.Compile(t.MultilinePattern); err != nil {
		return false, fmt.Errorf("awslogs could not parse multiline pattern key %q: %w", t.MultilinePattern, err)
	}
	if text, ok := options["awslogs-create-group"]; ok {
		if create, err = strconv.ParseBool(text); err != nil {
			return false, fmt.Errorf("must specify valid value for log opt 'awslogs-create-group': %w", err)
		}
	}
	size, sized := options["max-buffer-size"]
	switch mode := options["mode"]; mode {
	case "", "blocking":
		if sized {
			return false, errors.New("logger: max-buffer-size option is only supported with 'mode=non-blocking'")
		}
	case "non-blocking":
		t.NonBlocking = true
		if t.MaxBufferBytes, err = bufferSize(size); err != nil {
			return false, fmt.Errorf("error parsing option max-buffer-size: %w", err)
		}
	default:
		return false, fmt.Errorf("logger: logging mode not supported: %s", mode)
	}
	return create, nil
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

// sizeRE is a number with an optional unit, as Docker reads one (github.com/docker/go-units, RAMInBytes).
var sizeRE = regexp.MustCompile(`^([0-9]+(?:\.[0-9]+)?) ?(?i:([kmgtp]?)i?b?)$`)

// bufferSize reads max-buffer-size.
func bufferSize(s string) (int64, error) {
	if s == "" {
		return defaultBuffer, nil
	}
	m := sizeRE.FindStringSubmatch(s)
	if m == nil {
		return 0, fmt.Errorf("invalid size: '%s'", s)
	}
	n, err := strconv.ParseFloat(m[1], 64)
	if err != nil {
		return 0, fmt.Errorf("invalid size: '%s'", s)
	}
	if m[2] != "" {
		n *= float64(int64(1) << (10 * (1 + strings.Index("kmgtp", strings.ToLower(m[2])))))
	}
	if n < 1 || n > 1<<40 {
		return 0, fmt.Errorf("invalid size: '%s'", s)
	}
	return int64(n), nil
}
