package supervisor

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/batchbox/batchbox/internal/logstore"
	"github.com/batchbox/batchbox/internal/runtime"
	"github.com/batchbox/batchbox/internal/runtime/process"
	"github.com/batchbox/batchbox/internal/runtime/runtimetest"
)

// The figures to compare are those of BenchmarkXargs and of the others with many slots: time per program, and processor
// time per program (cpu-us/op), the program's own included, which is the steadier one on a busy machine.
//
//	go test -run '^$' -bench . -benchtime 10000x ./internal/supervisor

func cpu() time.Duration {
	var total int64
	for _, who := range []int{syscall.RUSAGE_SELF, syscall.RUSAGE_CHILDREN} {
		var ru syscall.Rusage
		if err := syscall.Getrusage(who, &ru); err != nil {
			panic(err)
		}
		total += ru.Utime.Nano() + ru.Stime.Nano()
	}
	return time.Duration(total)
}

func measure(b *testing.B, f func(n int)) {
	b.Helper()
	before := cpu()
	b.ResetTimer()
	f(b.N)
	b.StopTimer()
	b.ReportMetric(float64((cpu()-before).Microseconds())/float64(b.N), "cpu-us/op")
}

func BenchmarkXargs(b *testing.B) {
	root := runtimetest.Rootfs(b)
	measure(b, func(n int) {
		cmd := exec.Command("xargs", "-P2", "-n1", filepath.Join(root, "prog"), "exit")
		cmd.Stdin = strings.NewReader(strings.Repeat("0\n", n))
		if err := cmd.Run(); err != nil {
			b.Fatal(err)
		}
	})
}

// slots drives an owner of tasks as the engine does: so many at once, and another for each that ends.
type slots struct {
	start   func([]runtime.Task) error
	ack     func([]string) error
	task    func(i int) runtime.Task
	reports chan []runtime.Report
}

func (s *slots) run(b *testing.B, n, width int) {
	next, ended := 0, 0
	fill := func(k int) {
		var tasks []runtime.Task
		for ; k > 0 && next < n; k-- {
			tasks = append(tasks, s.task(next))
			next++
		}
		if len(tasks) > 0 {
			if err := s.start(tasks); err != nil {
				b.Fatal(err)
			}
		}
	}
	fill(width)
	for ended < n {
		var keys []string
		for _, r := range <-s.reports {
			if r.Kind != runtime.Ended {
				continue
			}
			if c := r.Containers[0]; c.ExitCode == nil || *c.ExitCode != 0 {
				b.Fatalf("%+v", c)
			}
			keys = append(keys, r.Key)
		}
		ended += len(keys)
		fill(len(keys))
		if err := s.ack(keys); err != nil {
			b.Fatal(err)
		}
	}
}

func benchTask(root string) func(i int) runtime.Task {
	return func(i int) runtime.Task {
		id := fmt.Sprintf("6f0b7a6e-1f0c-4f39-9a63-1c6fa2c1a5d4:%d", i)
		env := []string{"AWS_BATCH_JOB_ID=" + id, "AWS_BATCH_JQ_NAME=queue", "AWS_BATCH_CE_NAME=environment", "AWS_BATCH_JOB_ATTEMPT=1",
			fmt.Sprintf("AWS_BATCH_JOB_ARRAY_INDEX=%d", i), "AWS_BATCH_JOB_ARRAY_SIZE=10000", "AWS_EXECUTION_ENV=AWS_ECS_FARGATE",
			"AWS_REGION=us-east-1", "AWS_DEFAULT_REGION=us-east-1", "ECS_CONTAINER_METADATA_URI_V4=http://127.0.0.1:4567/v4/" + id}
		return runtime.Task{Key: id + "/1", Containers: []runtime.Container{{
			Essential: true,
			Spec: runtime.Spec{Name: "default", Image: runtime.Image{Rootfs: root}, Argv: []string{"/prog", "exit", "0"}, Env: env,
				StopTimeout: 30 * time.Second},
			Log: &runtime.LogTarget{Account: "000000000000", Region: "us-east-1", Group: "/aws/batch/job", Stream: "definition/default/" + id},
		}}}
	}
}

func BenchmarkKeeper(b *testing.B) {
	for _, width := range []int{2, 8, 64, 512} {
		b.Run(fmt.Sprintf("slots=%d", width), func(b *testing.B) {
			root := runtimetest.Rootfs(b)
			rt, err := process.New(process.Options{Resolve: resolveStatic})
			if err != nil {
				b.Fatal(err)
			}
			defer rt.Close()
			w, err := logstore.OpenWriter(b.TempDir(), "supervisor", logstore.WriterOptions{})
			if err != nil {
				b.Fatal(err)
			}
			logs := LogStore(w, nil)
			defer logs.Close()
			reports := make(chan []runtime.Report, 1024)
			k, err := NewKeeper(Options{Runtimes: []runtime.Runtime{rt}, Logs: logs, Reports: func(r []runtime.Report) { reports <- r }})
			if err != nil {
				b.Fatal(err)
			}
			defer k.Close()
			s := slots{start: k.Start, ack: k.Ack, reports: reports, task: benchTask(root)}
			measure(b, func(n int) { s.run(b, n, width) })
		})
	}
}

func BenchmarkClient(b *testing.B) {
	for _, width := range []int{2, 8, 64, 512} {
		b.Run(fmt.Sprintf("slots=%d", width), func(b *testing.B) {
			root, dir := runtimetest.Rootfs(b), b.TempDir()
			b.Setenv(superviseVariable, dir)
			exe, err := os.Executable()
			if err != nil {
				b.Fatal(err)
			}
			reports := make(chan []runtime.Report, 1024)
			c, err := NewClient(ClientOptions{Dir: dir, Command: []string{exe}, Reports: func(r []runtime.Report) { reports <- r }})
			if err != nil {
				b.Fatal(err)
			}
			defer c.Close()
			s := slots{start: c.Start, ack: c.Ack, reports: reports, task: benchTask(root)}
			s.run(b, 1, 1) // starts the supervisor
			measure(b, func(n int) {
				s.run(b, n, width)
				if err := c.Shutdown(b.Context(), nil); err != nil {
					b.Fatal(err)
				}
			})
		})
	}
}

// BenchmarkRunning reports what a supervisor holds in memory for each container that runs and is silent.
func BenchmarkRunning(b *testing.B) {
	s := newSite(b)
	c := s.client()
	c.start(s.task(-1, 1, "exit", "0"))
	c.exits(s.key(-1, 1), 0)
	resident := func() int {
		text, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", s.pid()))
		if err != nil {
			b.Skip("no /proc here: ", err)
		}
		_, rest, _ := strings.Cut(string(text), "VmRSS:")
		var kib int
		if _, err := fmt.Sscan(rest, &kib); err != nil {
			b.Fatal(err)
		}
		return kib << 10
	}
	before := resident()
	for i := range b.N {
		c.start(s.task(i, 1, "sleep"))
	}
	for i := range b.N {
		c.await(b, s.key(i, 1), runtime.Started, 1)
	}
	b.ReportMetric(float64(resident()-before)/float64(b.N), "B/container")
	b.ReportMetric(float64(before), "B")
	var keys []StopRequest
	none := time.Duration(0)
	for i := range b.N {
		keys = append(keys, StopRequest{Key: s.key(i, 1), Grace: &none})
	}
	if err := c.Stop(keys); err != nil {
		b.Fatal(err)
	}
	for i := range b.N {
		c.exits(s.key(i, 1), 137)
		c.ack(s.key(i, 1))
	}
}

// BenchmarkOutput reports how fast a program's output becomes log events.
func BenchmarkOutput(b *testing.B) {
	s := newSite(b)
	c := s.client()
	const size = 64 << 20
	b.SetBytes(size)
	for i := range b.N {
		c.start(s.task(i, 1, "flood", fmt.Sprint(size), "100"))
		c.exits(s.key(i, 1), 0)
		c.ack(s.key(i, 1))
	}
}

// BenchmarkLatency reports the time from Start to the report that the program was started, one at a time.
func BenchmarkLatency(b *testing.B) {
	s := newSite(b)
	c := s.client()
	c.start(s.task(-1, 1, "exit", "0"))
	c.exits(s.key(-1, 1), 0)
	b.ResetTimer()
	for i := range b.N {
		c.start(s.task(i, 1, "exit", "0"))
		c.await(b, s.key(i, 1), runtime.Started, 1)
		b.StopTimer()
		c.exits(s.key(i, 1), 0)
		c.ack(s.key(i, 1))
		b.StartTimer()
	}
}
