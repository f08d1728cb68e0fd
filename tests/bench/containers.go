package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/batch"
	"github.com/aws/aws-sdk-go-v2/service/batch/types"
)

// How many containers each way of starting them is measured with: enough that the first ones do not count, few enough that
// `docker run` is done in half a minute.
const nativeChildren, runcContainers, dockerContainers = 1000, 300, 100

// misses says why a runtime is not to be measured here; "" if it can be.
func (b *bench) misses(ctx context.Context, runtime string) string {
	cmd := exec.CommandContext(ctx, b.batchbox, "doctor", "--json")
	out, err := cmd.Output()
	if err != nil {
		return fmt.Sprintf("batchbox doctor: %v", err)
	}
	var runtimes []struct {
		Name   string `json:"name"`
		Works  bool   `json:"works"`
		Reason string `json:"reason"`
	}
	if err := json.Unmarshal(out, &runtimes); err != nil {
		return fmt.Sprintf("batchbox doctor: %v", err)
	}
	for _, r := range runtimes {
		switch {
		case r.Name != runtime:
		case r.Works:
			return ""
		default:
			return strings.Join(strings.Fields(r.Reason), " ")
		}
	}
	return "this batchbox has no runtime " + runtime
}

// containers compares an array under native with `runc run` and `docker run` of the same program, started two at a time by
// xargs. They take turns; what counts is containers a second.
func (b *bench) containers(ctx context.Context) error {
	what := fmt.Sprintf("array of %d, runtime native, all isolation on", nativeChildren)
	if why := b.misses(ctx, "native"); why != "" {
		b.note(what, why)
		return nil
	}
	rivals, err := b.rivals(ctx)
	if err != nil {
		return err
	}
	defer func() {
		for _, r := range rivals {
			r.remove()
		}
	}()
	return b.with(ctx, "native", func(e *engine) error {
		var ours []float64
		for range b.runs {
			for _, r := range rivals {
				if r.why != "" {
					continue
				}
				took, err := r.run(ctx)
				if err != nil {
					return fmt.Errorf("%s: %w", r.name, err)
				}
				r.rates = append(r.rates, float64(r.n)/took.Seconds())
			}
			took, err := e.array(ctx, nativeChildren)
			if err != nil {
				return err
			}
			ours = append(ours, nativeChildren/took.Seconds())
			fmt.Fprintf(b.progress, "  native %.0f /s\n", ours[len(ours)-1])
		}
		var against []string
		for _, r := range rivals {
			if r.why != "" {
				b.note(r.what(), r.why)
				continue
			}
			var ratios []float64
			for i := range ours {
				ratios = append(ratios, ours[i]/r.rates[i])
			}
			b.addRates(r.what(), r.rates, "")
			slices.Sort(ratios)
			against = append(against, fmt.Sprintf("%.1f x %s (%.1f - %.1f); target: %d x", ratios[len(ratios)/2], r.name, ratios[0], ratios[len(ratios)-1], r.target))
		}
		b.addRates(what, ours, strings.Join(against, "; "))
		return nil
	})
}

// addRates puts the rates of some runs, a second, into the table.
func (b *bench) addRates(what string, rates []float64, against string) {
	sorted := slices.Sorted(slices.Values(rates))
	b.rows = append(b.rows, row{what, fmt.Sprintf("%.1f /s", sorted[len(sorted)/2]), fmt.Sprintf("%.1f - %.1f /s", sorted[0], sorted[len(sorted)-1]), against})
}

// rival is another way to run the workload in containers.
type rival struct {
	name   string
	n      int
	target int
	why    string // it can not be measured
	rates  []float64
	argv   []string // %NAME% is a container's name
	remove func()
}

func (r *rival) what() string {
	return fmt.Sprintf("%s of the same program by xargs -P2, %d times", r.name, r.n)
}

// run starts r.n containers and waits for them.
func (r *rival) run(ctx context.Context) (time.Duration, error) {
	var names strings.Builder
	for i := range r.n {
		fmt.Fprintf(&names, "batchbox-bench-%d-%d-%d\n", os.Getpid(), len(r.rates), i)
	}
	var errs strings.Builder
	cmd := exec.CommandContext(ctx, "xargs", append([]string{"-P2", "-I", "%NAME%"}, r.argv...)...)
	cmd.Stdin, cmd.Stdout, cmd.Stderr = strings.NewReader(names.String()), io.Discard, &errs
	begin := time.Now()
	if err := cmd.Run(); err != nil {
		return 0, fmt.Errorf("%w: %s", err, errs.String())
	}
	return time.Since(begin), nil
}

// rivals prepares runc and docker, as far as they are here.
func (b *bench) rivals(ctx context.Context) ([]*rival, error) {
	input := rangeInput(nativeChildren)
	runc := &rival{name: "runc run", n: runcContainers, target: 3, remove: func() {}}
	docker := &rival{name: "docker run", n: dockerContainers, target: 20, remove: func() {}}
	var errs [2]error
	switch {
	case os.Geteuid() != 0:
		runc.why = "not running as root"
	case !works("runc", "--version"):
		runc.why = "no runc on PATH"
	default:
		errs[0] = b.prepareRunc(ctx, runc, input)
	}
	if works("docker", "info") {
		errs[1] = b.prepareDocker(ctx, docker, input)
	} else {
		docker.why = "no Docker daemon answers"
	}
	return []*rival{runc, docker}, errors.Join(errs[:]...)
}

// works says whether a command can be run and succeeds.
func works(name string, args ...string) bool { return exec.Command(name, args...).Run() == nil }

func (b *bench) prepareRunc(ctx context.Context, r *rival, input string) error {
	bundle, err := b.bundle(ctx, input)
	r.argv = []string{"runc", "run", "--bundle", bundle, "%NAME%"}
	return err
}

func (b *bench) prepareDocker(ctx context.Context, r *rival, input string) error {
	tag := fmt.Sprintf("batchbox-bench:%d", os.Getpid())
	root := filepath.Dir(b.worker)
	load := exec.CommandContext(ctx, "sh", "-c", `tar -C "$0" -c batchworker | docker import -c 'ENTRYPOINT ["/batchworker"]' - "$1"`, root, tag)
	if out, err := load.CombinedOutput(); err != nil {
		return fmt.Errorf("docker import: %w\n%s", err, out)
	}
	r.argv = []string{"docker", "run", "--rm", "--name", "%NAME%", "--env", "JOB_INPUT=" + input, "--env", "AWS_BATCH_JOB_ID=bench", tag}
	r.remove = func() { _ = exec.Command("docker", "rmi", "--force", tag).Run() } // only takes room
	return nil
}

// bundle is an OCI bundle of the workload, as `runc spec` has it.
func (b *bench) bundle(ctx context.Context, input string) (string, error) {
	dir := filepath.Join(b.dir, "bundle")
	if err := os.MkdirAll(filepath.Join(dir, "rootfs"), 0o755); err != nil {
		return "", err
	}
	worker, err := os.ReadFile(b.worker)
	if err != nil {
		return "", err
	}
	if err := os.WriteFile(filepath.Join(dir, "rootfs", "batchworker"), worker, 0o755); err != nil {
		return "", err
	}
	spec := exec.CommandContext(ctx, "runc", "spec", "--bundle", dir)
	if out, err := spec.CombinedOutput(); err != nil {
		return "", fmt.Errorf("runc spec: %w\n%s", err, out)
	}
	path := filepath.Join(dir, "config.json")
	raw, err := os.ReadFile(path)
	if err != nil {
		return "", err
	}
	var config map[string]any
	if err := json.Unmarshal(raw, &config); err != nil {
		return "", err
	}
	process, ok := config["process"].(map[string]any)
	if !ok {
		return "", errors.New("runc spec has written no process")
	}
	process["terminal"], process["args"] = false, []string{"/batchworker"}
	process["env"] = []string{"JOB_INPUT=" + input, "AWS_BATCH_JOB_ID=bench"}
	if raw, err = json.Marshal(config); err != nil {
		return "", err
	}
	return dir, os.WriteFile(path, raw, 0o600)
}

// largerImage is what an image of 5 MB costs: arrays of 1,000 and of 10,000 children of it.
func (b *bench) largerImage(ctx context.Context) error {
	if why := b.misses(ctx, "native"); why != "" {
		b.note("arrays of an image of 5 MB, runtime native", why)
		return nil
	}
	dir := filepath.Join(b.dir, "larger")
	if err := os.Mkdir(dir, 0o755); err != nil {
		return err
	}
	blob := make([]byte, 5_000_000)
	r := rand.NewChaCha8([32]byte{})
	_, _ = r.Read(blob) // never fails
	for name, content := range map[string]string{
		"go.mod":  "module larger\n\ngo 1.26\n",
		"blob":    string(blob),
		"main.go": "package main\n\nimport _ \"embed\"\n\n//go:embed blob\nvar blob string\n\nfunc main() { println(len(blob)) }\n",
	} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(content), 0o600); err != nil {
			return err
		}
	}
	return b.with(ctx, "native", func(e *engine) error {
		cmd := exec.CommandContext(ctx, b.batchbox, "image", "build", dir, "-t", "batchworker:latest", "--platform", "host")
		cmd.Env = e.env
		if out, err := cmd.CombinedOutput(); err != nil {
			return fmt.Errorf("batchbox image build: %w\n%s", err, out)
		}
		for _, n := range []int{1000, 10000} {
			took, err := e.array(ctx, n)
			if err != nil {
				return err
			}
			b.rows = append(b.rows, row{fmt.Sprintf("array of %d, an image of 5 MB, runtime native", n), show(took), "one run", fmt.Sprintf("%.0f /s", float64(n)/took.Seconds())})
		}
		return nil
	})
}

// supervisorMemory is what a container that runs costs: resident memory of engine and supervisor with sixty of them, less
// the same with none.
func (b *bench) supervisorMemory(ctx context.Context) error {
	const containers = 60
	for _, runtime := range []string{"process", "native"} {
		what := "resident memory of engine and supervisor per running container, runtime " + runtime
		if why := b.misses(ctx, runtime); why != "" {
			b.note(what, why)
			continue
		}
		err := b.with(ctx, runtime, func(e *engine) error {
			if _, err := e.array(ctx, 10); err != nil { // so that everything has been used once
				return err
			}
			before, ok := usage(e.processes())
			if !ok {
				b.note(what, "not on this system")
				return nil
			}
			input := fmt.Sprintf(`{"range": {"from": 0, "to": %d}, "knobs": {"sleep": "1h"}}`, containers-1)
			id, err := e.submit(ctx, input, containers)
			if err != nil {
				return err
			}
			if err := e.running(ctx, id, containers); err != nil {
				return err
			}
			after, _ := usage(e.processes())
			b.rows = append(b.rows, row{what, fmt.Sprintf("%.0f KiB", float64(after.memory-before.memory)/(1<<10)/containers), "", ""})
			_, err = e.batch.TerminateJob(ctx, &batch.TerminateJobInput{JobId: &id, Reason: aws.String("measured")})
			if err != nil {
				return err
			}
			_, err = e.wait(ctx, id, 50*time.Millisecond)
			if errors.Is(err, errFailed) {
				return nil // as it should, being terminated
			}
			return err
		}, "--max-tasks", fmt.Sprint(containers))
		if err != nil {
			return err
		}
	}
	return nil
}

// running waits until so many children run.
func (e *engine) running(ctx context.Context, id string, children int) error {
	for {
		out, err := e.batch.DescribeJobs(ctx, &batch.DescribeJobsInput{Jobs: []string{id}})
		if err != nil {
			return err
		}
		if len(out.Jobs) != 1 || out.Jobs[0].Status == types.JobStatusFailed {
			return fmt.Errorf("array %s does not run", id)
		}
		if int(out.Jobs[0].ArrayProperties.StatusSummary[string(types.JobStatusRunning)]) == children {
			return nil
		}
		if err := pause(ctx, 20*time.Millisecond); err != nil {
			return err
		}
	}
}
