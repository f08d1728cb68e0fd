package batchboxtest

import (
	"context"
	"errors"
	"math"
	"strconv"
	"strings"
	"time"

	"github.com/batchbox/batchbox/internal/launcher"
	"github.com/batchbox/batchbox/internal/runtime"
	"github.com/batchbox/batchbox/internal/runtime/fake"
	"github.com/batchbox/batchbox/internal/server"
)

// Container is a container that a simulation is about to start.
type Container struct {
	// JobID is the id of the job, with the suffix of an array child (":3") or a node ("#0").
	JobID string
	// JobName and Queue are names as given to SubmitJob and CreateJobQueue.
	JobName, Queue string
	// Attempt counts from 1.
	Attempt int
	// Index is the array child's, Node the node's of a multi-node job; -1 for a job that is neither.
	Index, Node int
	// Name tells the containers of a job apart; "default" if it has one that is not named.
	Name string
	// Image is as in the job definition, Command the job's own, with parameters in place; nil for the image's.
	Image   string
	Command []string
	// Env is the whole environment: the definition's, the submission's and what Batch adds.
	Env map[string]string
}

// Forever is how long a program runs that ends only when it is stopped.
const Forever time.Duration = math.MaxInt64

// Program is what a container does. The zero value ends at once, with exit code 0.
type Program struct {
	// Runs is how long it runs if nobody stops it.
	Runs     time.Duration
	ExitCode int
	// Output is what it writes to its log, at its start.
	Output string
	// OutOfMemory has it killed for its memory at the end of Runs: exit code 137, and AWS's reason.
	OutOfMemory bool
	// HostLost has its host go away at the end of Runs, as an EC2 instance does: the attempt has no exit code, and the reason
	// is "Host EC2 (instance i-...) terminated.".
	HostLost bool
	// CannotStart keeps it from starting, for this reason: "CannotPullContainerError: ...".
	CannotStart string

	// On the stop signal (SIGTERM: a timeout, a termination, a Spot interruption) a program ends at once with exit code
	// 143, if OnStop does not say otherwise. IgnoresStop has it go on until it is killed.
	OnStop      *Stop
	IgnoresStop bool
}

// Stop is how a program answers the stop signal.
type Stop struct {
	After    time.Duration
	ExitCode int
}

// simulate makes the settings those of a simulation, if they are to be.
func (s *settings) simulate(b *Box) {
	if s.program == nil {
		return
	}
	if s.begin.IsZero() {
		s.begin = time.Now().Truncate(time.Second)
	}
	b.clock = newClock(s.begin)
	s.config.Clock = b.clock
	if s.config.Limits.MaxTasks == 0 {
		s.config.Limits.MaxTasks = math.MaxInt32
	}
	s.config.InProcess = &server.InProcess{Images: anyImage{}, Amend: loseHost, Runtime: fake.New(fake.Options{
		Clock: b.clock,
		Behave: func(spec runtime.Spec, task string) (fake.Behaviour, error) {
			return s.program(container(&spec, task)).behaviour(), nil
		},
	})}
}

// anyImage takes every name for an image, which becomes the first word of the command line.
type anyImage struct{}

func (anyImage) Prepare(_ context.Context, req launcher.ImageRequest) (launcher.Image, error) {
	return launcher.Image{Image: runtime.Image{Ref: req.Ref}, Entrypoint: []string{req.Ref}}, nil
}

func container(spec *runtime.Spec, task string) Container {
	c := Container{
		JobName: spec.Labels["batchbox.job-name"], Queue: spec.Labels["batchbox.job-queue"],
		Name: spec.Name, Image: spec.Image.Ref, Index: -1, Node: -1, Env: make(map[string]string, len(spec.Env)),
	}
	if command := spec.Argv[1:]; len(command) > 0 {
		c.Command = command
	}
	for _, kv := range spec.Env {
		name, value, _ := strings.Cut(kv, "=")
		c.Env[name] = value
	}
	id, attempt, _ := strings.Cut(task, "/")
	c.JobID = id
	c.Attempt, _ = strconv.Atoi(attempt)
	if _, index, ok := strings.Cut(id, ":"); ok {
		c.Index, _ = strconv.Atoi(index)
	}
	if _, node, ok := strings.Cut(id, "#"); ok {
		c.Node, _ = strconv.Atoi(node)
	}
	return c
}

func (p Program) behaviour() fake.Behaviour {
	b := fake.Behaviour{
		Run: p.Runs, Block: p.Runs == Forever, Exit: runtime.Exit{Code: p.ExitCode}, Output: p.Output, IgnoreTerm: p.IgnoresStop,
	}
	switch {
	case p.HostLost:
		b.Exit = runtime.Exit{Err: hostLost}
	case p.OutOfMemory:
		b.Exit = runtime.Exit{Code: 137, OOM: true}
	}
	if p.OnStop != nil {
		b.TermCode, b.TermAfter = &p.OnStop.ExitCode, p.OnStop.After
	}
	if p.CannotStart != "" {
		kind, text, ok := strings.Cut(p.CannotStart, ": ")
		if !ok {
			kind, text = runtime.KindCannotStart, p.CannotStart
		}
		b.StartError = &runtime.StartError{Kind: kind, Err: errors.New(text)}
	}
	return b
}

// hostLost is how a container ends whose host is lost.
const hostLost = "the host is lost"

// loseHost makes of the end of such a container what the engine hears of a task whose fate nobody knows.
func loseHost(r *runtime.Report) {
	for i := range r.Containers {
		if c := &r.Containers[i]; strings.HasSuffix(c.StartError, hostLost) {
			r.Lost, r.Reason, c.StartError = true, hostLost, ""
		}
	}
}
