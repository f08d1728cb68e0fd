package cli

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/batchbox/batchbox/internal/control"
	"github.com/batchbox/batchbox/internal/server"
)

type serveOptions struct {
	streams *Streams
	config  server.Config
	efs     []string

	logLevel, logFormat string
	detach              bool
	flags               []string // as given, without --detach
	readyFD             int
}

func newServe(s *Streams, runF func(context.Context, *serveOptions) error) *cobra.Command {
	o := &serveOptions{streams: s}
	if runF == nil {
		runF = serve
	}
	cmd := &cobra.Command{
		Use:   "serve",
		Short: "Run the engine",
		Long: `Run the engine: AWS Batch, with the parts of CloudWatch Logs, ECR, IAM, STS and EC2 that belong to it, on this
machine. When clients can connect, it prints its URL on stdout. SIGINT and SIGTERM stop it in order; jobs that run then go
on, and the next engine on the same data directory takes them up again.`,
		Example: `  batchbox serve
  endpoint=$(batchbox serve --detach --listen 127.0.0.1:0 --data-dir /tmp/try)
  batchbox stop --data-dir /tmp/try`,
		GroupID: groupEngine,
		Args:    args(cobra.NoArgs),
		RunE: func(cmd *cobra.Command, _ []string) error {
			o.flags = given(cmd.Flags(), "detach")
			return runF(cmd.Context(), o)
		},
	}
	f := cmd.Flags()
	f.StringVar(&o.config.Listen, "listen", server.DefaultListen, "`address` to listen on; port 0 picks a free one")
	addAccessFlags(f, &o.config.Access)
	f.StringVar(&o.config.DataDir, "data-dir", "", "`directory` for all state; $XDG_STATE_HOME/batchbox or ~/.local/state/batchbox without it")
	f.BoolVar(&o.config.Ephemeral, "ephemeral", false, "keep state in a temporary directory, and remove it and end all jobs in the end")
	f.StringVar(&o.config.Account, "account-id", server.DefaultAccount, "`account` of callers whose access key is no account (twelve digits)")
	f.StringVar(&o.config.Region, "region", server.DefaultRegion, "`region` of callers who sign for none")
	f.BoolVar(&o.config.NoCPUQuota, "no-cpu-quota", false, "let containers use idle processors beyond their vCPU (on Fargate they can not)")
	f.StringVar(&o.config.Runtime, "runtime", "auto", "`name` of the runtime that starts containers; auto takes the best that works here")
	f.StringVar(&o.config.Network, "network", server.NetworkHost, "`network` of containers: host shares the machine's; private gives each task its own, with a way to the engine, to other tasks and out")
	f.IntVar(&o.config.Limits.MaxTasks, "max-tasks", 0, "`number` of containers at a time, whatever the compute environments allow; 0 fits the machine")
	f.BoolVar(&o.config.StrictECR, "strict-ecr", false, "refuse pushes to repositories that do not exist, as ECR does")
	f.StringArrayVar(&o.config.HostPaths, "allow-host-path", nil, "`directory` that jobs may mount from this machine (repeatable)")
	f.StringArrayVar(&o.efs, "efs", nil, "`ID=DIR`: what stands for an EFS file system (repeatable)")
	f.StringVar(&o.config.Secrets, "secrets", "", "`file` that stands for Secrets Manager and the SSM parameter store: a JSON object from ARN or name to value")
	f.StringArrayVar(&o.config.ContainerEnv, "container-env", nil, "`NAME=VALUE` for all containers (repeatable)")
	f.StringVar(&o.config.Upstream, "upstream", "", "`URL` of another emulator, which gets the requests for services that batchbox has not, such as S3")
	addEventFlags(f, &o.config)
	addRuleFlags(f, &o.config)
	addRetentionFlags(f, &o.config)
	f.StringVar(&o.logLevel, "log-level", "warn", "`level` from which on to log on stderr: debug, info, warn or error")
	f.StringVar(&o.logFormat, "log-format", "text", "`format` of log lines: text or json")
	f.BoolVarP(&o.detach, "detach", "d", false, "run in the background and return when clients can connect")
	f.IntVar(&o.readyFD, "ready-fd", -1, "file descriptor to write the URL to")
	f.Lookup("ready-fd").Hidden = true // for --detach
	completeFlag(cmd, "runtime", words(append([]string{server.RuntimeAuto}, server.RuntimeNames()...)...))
	completeFlag(cmd, "log-level", words("debug", "info", "warn", "error"))
	completeFlag(cmd, "log-format", words("text", "json"))
	return cmd
}

// given are the flags that were set on the command line, in a form to hand on.
func given(flags *pflag.FlagSet, except string) []string {
	var args []string
	flags.Visit(func(f *pflag.Flag) {
		if f.Name == except {
			return
		}
		values := []string{f.Value.String()}
		if list, ok := f.Value.(pflag.SliceValue); ok {
			values = list.GetSlice()
		}
		for _, v := range values {
			args = append(args, "--"+f.Name+"="+v)
		}
	})
	return args
}

func serve(ctx context.Context, o *serveOptions) error {
	logger, err := o.logger()
	if err != nil {
		return err
	}
	if o.config.EFS, err = pairs("--efs", o.efs); err != nil {
		return err
	}
	if o.detach {
		return detach(ctx, o)
	}
	if o.readyFD >= 0 {
		syscall.CloseOnExec(o.readyFD) // no program that the engine starts is to hold it open
	}
	o.config.Logger = logger
	o.config.Version = Version()
	o.config.Ready = o.ready
	return server.Run(ctx, o.config)
}

func (o *serveOptions) logger() (*slog.Logger, error) {
	var level slog.Level
	if err := level.UnmarshalText([]byte(o.logLevel)); err != nil {
		return nil, usagef("--log-level %q: it is debug, info, warn or error", o.logLevel)
	}
	opts := &slog.HandlerOptions{Level: level}
	switch o.logFormat {
	case "text":
		return slog.New(slog.NewTextHandler(o.streams.Err, opts)), nil
	case "json":
		return slog.New(slog.NewJSONHandler(o.streams.Err, opts)), nil
	}
	return nil, usagef("--log-format %q: it is text or json", o.logFormat)
}

// ready tells the user, or the process that has detached this one, where the engine is.
func (o *serveOptions) ready(e control.Engine) {
	if o.readyFD < 0 {
		fmt.Fprintln(o.streams.Out, e.URL)
		tellTLS(o.streams.Err, e)
		return
	}
	f := os.NewFile(uintptr(o.readyFD), "ready")
	fmt.Fprintln(f, e.URL)
	f.Close()
}

// detach starts this program again in a session of its own, with its log in the data directory, and waits until it can
// be used.
func detach(ctx context.Context, o *serveOptions) (err error) {
	if o.config.Ephemeral {
		return usagef("--detach and --ephemeral exclude each other: nothing would know how to stop the engine")
	}
	dir, err := dataDir(o.config.DataDir)
	if err != nil {
		return err
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return fmt.Errorf("data directory: %w", err)
	}
	path := filepath.Join(dir, "engine.log")
	log, err := os.OpenFile(path, os.O_CREATE|os.O_APPEND|os.O_RDWR, 0o600)
	if err != nil {
		return err
	}
	defer log.Close() // the engine has it too
	from, err := log.Seek(0, io.SeekEnd)
	if err != nil {
		return err
	}
	self, err := os.Executable()
	if err != nil {
		return err
	}
	r, w, err := os.Pipe()
	if err != nil {
		return err
	}
	defer r.Close()
	child := exec.Command(self, append(append([]string{"serve"}, o.flags...), "--ready-fd=3")...)
	child.Stdout, child.Stderr = log, log
	child.ExtraFiles = []*os.File{w}
	child.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	err = child.Start()
	if err = errors.Join(err, w.Close()); err != nil {
		return err
	}
	stop := context.AfterFunc(ctx, func() { _ = child.Process.Kill() }) // it may have ended already
	url, err := io.ReadAll(r)
	if err != nil {
		return err
	}
	if stop() && len(url) > 0 {
		_, err := o.streams.Out.Write(url)
		fmt.Fprintf(o.streams.Err, "engine %d runs at %s\nits log: %s\nto stop it: batchbox stop --data-dir %s\n", child.Process.Pid, bytes.TrimSpace(url), path, dir)
		if e, err := control.Read(dir); err == nil {
			tellTLS(o.streams.Err, e)
		}
		return errors.Join(err, child.Process.Release())
	}
	waited := child.Wait()
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	said, err := io.ReadAll(io.NewSectionReader(log, from, 64<<10))
	if err != nil {
		return err
	}
	text := strings.TrimPrefix(strings.TrimSpace(string(said)), "error: ")
	if text == "" {
		text = fmt.Sprintf("the engine ended before it was ready: %v", waited)
	}
	return &exitError{ExitFailed, errors.New(text)}
}

func dataDir(flag string) (string, error) {
	if flag == "" {
		return control.DefaultDir()
	}
	return filepath.Abs(flag)
}

type stopOptions struct {
	streams *Streams
	dir     string
	timeout time.Duration
}

func newStop(s *Streams, runF func(context.Context, *stopOptions) error) *cobra.Command {
	o := &stopOptions{streams: s}
	if runF == nil {
		runF = stop
	}
	cmd := &cobra.Command{
		Use:   "stop",
		Short: "Stop the engine of a data directory",
		Long: `Stop the engine that works on a data directory, and wait until it has ended. Jobs that run go on; ` + "`batchbox destroy`" + `
or ` + "`aws batch terminate-job`" + ` before it ends them. That no engine is running is no error.`,
		Example: `  batchbox stop
  batchbox stop --data-dir /tmp/try`,
		GroupID: groupEngine,
		Args:    args(cobra.NoArgs),
		RunE:    func(cmd *cobra.Command, _ []string) error { return runF(cmd.Context(), o) },
	}
	cmd.Flags().StringVar(&o.dir, "data-dir", "", "`directory` of the engine; the default of serve without it")
	cmd.Flags().DurationVar(&o.timeout, "timeout", time.Minute, "how long it may take")
	return cmd
}

func stop(ctx context.Context, o *stopOptions) error {
	dir, err := dataDir(o.dir)
	if err != nil {
		return err
	}
	e, err := control.Read(dir)
	if errors.Is(err, control.ErrNotRunning) {
		fmt.Fprintf(o.streams.Err, "no engine is running on %s\n", dir)
		return nil
	}
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeoutCause(ctx, o.timeout, fmt.Errorf("engine %d has not stopped after %v", e.PID, o.timeout))
	defer cancel()
	switch err := e.Shutdown(ctx); {
	case errors.Is(err, syscall.ECONNREFUSED):
		fmt.Fprintf(o.streams.Err, "engine %d on %s has ended already, without a word\n", e.PID, dir)
		return nil
	case err != nil:
		return err
	}
	for pause := 5 * time.Millisecond; ; pause = min(2*pause, 200*time.Millisecond) {
		other, err := control.Read(dir)
		if (err != nil || other.PID != e.PID) && !alive(e.PID) {
			fmt.Fprintf(o.streams.Err, "engine %d on %s has stopped\n", e.PID, dir)
			return nil
		}
		timer := time.NewTimer(pause)
		select {
		case <-ctx.Done():
			timer.Stop()
			return context.Cause(ctx)
		case <-timer.C:
		}
	}
}
