package native

import (
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/batchbox/batchbox/internal/runtime"
	"github.com/batchbox/batchbox/internal/testenv"
)

// BenchmarkContainers starts one trivial static program in a container for each iteration, eight at a time.
// BenchmarkRuncRun, in package runc, is what to compare with.
func BenchmarkContainers(b *testing.B) {
	testenv.Require(b, testenv.Root)
	layer := b.TempDir()
	if err := os.Chmod(layer, 0o755); err != nil {
		b.Fatal(err)
	}
	build(b, layer)
	for name, bc := range map[string]struct {
		network runtime.NetworkMode
		plain   bool
	}{
		"private":        {runtime.NetworkPrivate, false},
		"host":           {runtime.NetworkHost, false},
		"private-nouser": {runtime.NetworkPrivate, true},
	} {
		b.Run(name, func(b *testing.B) {
			r, err := New(b.Context(), Options{StateDir: b.TempDir(), Owner: b.TempDir(), NoUserNamespace: bc.plain})
			if err != nil {
				b.Fatal(err)
			}
			null, err := os.OpenFile(os.DevNull, os.O_WRONLY, 0)
			if err != nil {
				b.Fatal(err)
			}
			defer null.Close()
			spec := runtime.Spec{
				Argv: []string{"/bin/trivial"}, VCPU: 1, MemoryMiB: 512,
				Image:   runtime.Image{Layers: []string{layer}},
				Network: runtime.Network{Mode: bc.network},
			}
			before := cpu(b)
			work := make(chan string)
			var wg sync.WaitGroup
			for range 8 {
				wg.Go(func() {
					for task := range work {
						h, err := r.Start(b.Context(), spec, task, null)
						if err != nil {
							b.Error(err)
							continue
						}
						if e := h.Wait(); e != (runtime.Exit{}) {
							b.Errorf("%+v", e)
						}
					}
				})
			}
			b.ResetTimer()
			for i := range b.N {
				work <- "job/" + strconv.Itoa(i)
			}
			close(work)
			wg.Wait()
			b.StopTimer()
			b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "containers/s")
			if err := r.Close(); err != nil {
				b.Error(err)
			}
			b.ReportMetric((cpu(b)-before).Seconds()*1000/float64(b.N), "cpu-ms/op")
		})
	}
}

// BenchmarkStart is the time from a call of Start to the program's first instruction on a machine with nothing else to do.
func BenchmarkStart(b *testing.B) {
	testenv.Require(b, testenv.Root)
	layer := b.TempDir()
	if err := os.Chmod(layer, 0o755); err != nil {
		b.Fatal(err)
	}
	build(b, layer)
	r, err := New(b.Context(), Options{StateDir: b.TempDir(), Owner: b.TempDir()})
	if err != nil {
		b.Fatal(err)
	}
	defer r.Close()
	null, err := os.OpenFile(os.DevNull, os.O_WRONLY, 0)
	if err != nil {
		b.Fatal(err)
	}
	defer null.Close()
	spec := runtime.Spec{
		Argv: []string{"/bin/trivial"}, VCPU: 1, MemoryMiB: 512,
		Image:   runtime.Image{Layers: []string{layer}},
		Network: runtime.Network{Mode: runtime.NetworkHost},
	}
	for i := 0; b.Loop(); i++ {
		h, err := r.Start(b.Context(), spec, "job/"+strconv.Itoa(i), null)
		if err != nil {
			b.Fatal(err)
		}
		b.StopTimer()
		h.Wait()
		b.StartTimer()
	}
}

// cpu is the processor time of this process and of those that it has waited for.
func cpu(tb testing.TB) time.Duration {
	tb.Helper()
	var sum int64
	for _, who := range []int{unix.RUSAGE_SELF, unix.RUSAGE_CHILDREN} {
		var u unix.Rusage
		if err := unix.Getrusage(who, &u); err != nil {
			tb.Fatal(err)
		}
		sum += u.Utime.Nano() + u.Stime.Nano()
	}
	return time.Duration(sum)
}

// build builds a static program that does nothing, as bin/trivial of a layer.
func build(tb testing.TB, layer string) {
	tb.Helper()
	src := filepath.Join(tb.TempDir(), "main.go")
	if err := os.WriteFile(src, []byte("package main\n\nfunc main() {}\n"), 0o644); err != nil {
		tb.Fatal(err)
	}
	cmd := exec.Command("go", "build", "-ldflags=-s -w", "-o", filepath.Join(layer, "bin", "trivial"), src)
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0", "GOFLAGS=")
	if out, err := cmd.CombinedOutput(); err != nil {
		tb.Fatalf("%v\n%s", err, out)
	}
}
