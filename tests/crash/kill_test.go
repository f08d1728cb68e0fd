package crash

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/random"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/google/go-containerregistry/pkg/v1/remote/transport"
	"github.com/google/go-containerregistry/pkg/v1/validate"

	"github.com/batchbox/batchbox/internal/store/sqlite"
	"github.com/batchbox/batchbox/internal/testenv"
)

// number reads a number from the environment.
func number(t testing.TB, variable string, otherwise int) int {
	t.Helper()
	text := os.Getenv(variable)
	if text == "" {
		return otherwise
	}
	n, err := strconv.Atoi(text)
	if err != nil {
		t.Fatalf("%s: %v", variable, err)
	}
	return n
}

const (
	linesEach = 6
	// attemptsEach is the most that AWS allows, so that many kills can be survived.
	attemptsEach = 10
)

// TestKill kills engine and supervisor at random while clients submit and terminate jobs, and looks afterwards whether
// everything that was acknowledged has come true, once.
func TestKill(t *testing.T) {
	kills, size := 3, 20
	if testenv.CI() {
		kills = 20
	}
	kills, size = number(t, "BATCHBOX_CRASH_KILLS", kills), number(t, "BATCHBOX_CRASH_CHILDREN", size)
	for _, runtime := range runtimes {
		t.Run(runtime, func(t *testing.T) {
			r := newRig(t, runtime, "", strings.Fields(os.Getenv("BATCHBOX_CRASH_FLAGS"))...)
			seed := uint64(number(t, "BATCHBOX_CRASH_SEED", int(rand.Uint32())))
			t.Logf("BATCHBOX_CRASH_SEED=%d", seed)
			s := &siege{rig: r, rnd: rand.New(rand.NewPCG(seed, 1)), size: size, ledger: filepath.Join(r.shared, "ledger")}
			if err := os.WriteFile(s.ledger, nil, 0o666); err != nil {
				t.Fatal(err)
			}
			if err := os.Chmod(s.ledger, 0o666); err != nil {
				t.Fatal(err)
			}
			r.start()
			r.stack(attemptsEach)
			s.run(kills, seed)
			s.check()
			t.Logf("%d engines and %d supervisors killed; %d arrays of %d and %d single jobs, %d of them terminated; %d attempts lost with their supervisor; %d images pushed",
				s.engines, s.supervisors, len(s.arrays), size, len(s.singles), len(s.terminated), s.lost, len(s.pushed))
		})
	}
}

// siege is one run of TestKill.
type siege struct {
	*rig
	rnd    *rand.Rand
	size   int
	ledger string // what the jobs write when they start and end

	mu sync.Mutex
	// What was acknowledged: ids by name.
	arrays, singles map[string]string
	terminated      map[string]time.Time // when that was acknowledged, by id
	pushed          map[string]v1.Hash   // digests of images, by tag
	// submitted are the names of everything that was asked for; an array or a single job.
	submitted map[string]int

	engines, supervisors, lost int
}

// run kills while clients submit, and leaves an engine that runs.
func (s *siege) run(kills int, seed uint64) {
	s.arrays, s.singles = map[string]string{}, map[string]string{}
	s.pushed = map[string]v1.Hash{}
	s.terminated, s.submitted = map[string]time.Time{}, map[string]int{}
	ctx, stop := context.WithCancel(context.Background())
	defer stop()
	var clients sync.WaitGroup
	clients.Go(func() { s.submitArrays(ctx) })
	clients.Go(func() { s.pushImages(ctx) })
	for c := range 2 {
		clients.Go(func() { s.submitSingles(ctx, c, rand.New(rand.NewPCG(seed, uint64(2+c)))) })
	}
	deadline := time.Now().Add(time.Duration(kills)*10*time.Second + time.Minute)
	for range kills {
		if time.Now().After(deadline) {
			s.Fatalf("the kills take too long")
		}
		// Short pauses meet an engine that is starting, longer ones one that works.
		pause := time.Duration(s.rnd.IntN(800)) * time.Millisecond
		if s.rnd.IntN(4) == 0 {
			pause = time.Duration(s.rnd.IntN(120)) * time.Millisecond
		}
		time.Sleep(pause)
		victim := s.rnd.IntN(10)
		if victim >= 6 && s.supervisor() != 0 {
			s.supervisors++
			s.killSupervisor()
		}
		if victim < 6 || victim == 9 {
			s.engines++
			s.killEngine()
			s.launch()
		}
	}
	stop()
	clients.Wait()
	if s.endpoint() == "" { // the last one may have been killed while it started
		deadline := time.Now().Add(patience)
		for s.endpoint() == "" && time.Now().Before(deadline) {
			time.Sleep(10 * time.Millisecond)
		}
	}
	if s.endpoint() == "" {
		s.Fatal("after the last kill no engine answers")
	}
}

// rest waits a little, or until ctx is done.
func rest(ctx context.Context, d time.Duration) bool {
	select {
	case <-ctx.Done():
		return false
	case <-time.After(d):
		return true
	}
}

// ask submits under a new name and notes what is known of it.
func (s *siege) ask(name string, size int, acknowledged map[string]string, args ...string) (id string, ok bool) {
	s.mu.Lock()
	s.submitted[name] = size
	s.mu.Unlock()
	id, err := s.submit(name, size, args...)
	if err != nil {
		s.excuse("SubmitJob", err)
		return "", false
	}
	s.mu.Lock()
	acknowledged[name] = id
	s.mu.Unlock()
	return id, true
}

// excuse accepts the errors that a client meets whose engine dies: none answers, or a connection breaks. An answer that is
// a refusal is none of them, but for that of an engine that is told to stop.
func (s *siege) excuse(what string, err error) {
	var no *refused
	if errors.As(err, &no) {
		s.Errorf("%s: %v", what, err)
	}
}

// submitArrays keeps one array under way.
func (s *siege) submitArrays(ctx context.Context) {
	for n := 0; ctx.Err() == nil; n++ {
		id, ok := s.ask(fmt.Sprint("array-", n), s.size, s.arrays, "record", s.inside("ledger"), fmt.Sprint(linesEach), "30")
		for ok {
			if jobs, err := s.describe(id); err == nil && jobs[0].final() {
				break
			}
			if !rest(ctx, 50*time.Millisecond) {
				return
			}
		}
		if !rest(ctx, 20*time.Millisecond) {
			return
		}
	}
}

// submitSingles submits single jobs and terminates some of them.
func (s *siege) submitSingles(ctx context.Context, client int, rnd *rand.Rand) {
	for n := 0; ctx.Err() == nil; n++ {
		forever := rnd.IntN(3) == 0
		pause := "100"
		if forever {
			pause = "600000"
		}
		id, ok := s.ask(fmt.Sprintf("single-%d-%d", client, n), 1, s.singles, "record", s.inside("ledger"), fmt.Sprint(linesEach), pause)
		if ok && forever {
			rest(ctx, time.Duration(rnd.IntN(200))*time.Millisecond)
			// To the end, or the job would go on for ever; nothing is lost by saying it twice.
			for deadline := time.Now().Add(patience); ; time.Sleep(20 * time.Millisecond) {
				err := s.call("/v1/terminatejob", object{"jobId": id, "reason": terminatedReason}, nil)
				if err == nil {
					break
				}
				s.excuse("TerminateJob", err)
				if time.Now().After(deadline) {
					s.Errorf("TerminateJob %s: %v", id, err)
					return
				}
			}
			s.mu.Lock()
			s.terminated[id] = time.Now()
			s.mu.Unlock()
		}
		if !rest(ctx, time.Duration(20+rnd.IntN(100))*time.Millisecond) {
			return
		}
	}
}

// pushImages pushes one image after the other, as long as an engine answers.
func (s *siege) pushImages(ctx context.Context) {
	for n := 0; ctx.Err() == nil; n++ {
		img, err := random.Image(10<<10, 2)
		if err != nil {
			s.Errorf("make an image: %v", err)
			return
		}
		tag := fmt.Sprint("pushed:", n)
		if ref := s.reference(tag); ref != nil {
			err := remote.Write(ref, img, remote.WithContext(ctx))
			var no *transport.Error
			switch digest, derr := img.Digest(); {
			case errors.As(err, &no):
				s.Errorf("push %s: %v", tag, err)
			case err == nil && derr == nil:
				s.mu.Lock()
				s.pushed[tag] = digest
				s.mu.Unlock()
			}
		}
		if !rest(ctx, 50*time.Millisecond) {
			return
		}
	}
}

// reference names an image in the registry of the engine that answers; nil if none does.
func (s *siege) reference(image string) name.Reference {
	url := s.endpoint()
	if url == "" {
		return nil
	}
	ref, err := name.ParseReference(strings.TrimPrefix(url, "http://") + "/" + image)
	if err != nil {
		s.Errorf("%v", err)
		return nil
	}
	return ref
}

// checkImages pulls what was pushed.
func (s *siege) checkImages() {
	for tag, want := range s.pushed {
		img, err := remote.Image(s.reference(tag))
		if err != nil {
			s.Errorf("image %s was acknowledged and can not be pulled: %v", tag, err)
			continue
		}
		if got, err := img.Digest(); err != nil || got != want {
			s.Errorf("image %s was pushed as %v and is %v, %v", tag, want, got, err)
		}
		if err := validate.Image(img); err != nil {
			s.Errorf("image %s is not whole: %v", tag, err)
		}
	}
}

const terminatedReason = "the siege is over"

// check waits until everything has ended and holds it against what was promised.
func (s *siege) check() {
	s.unknown()
	deadline := time.Now().Add(patience + time.Duration(len(s.arrays)*s.size)*100*time.Millisecond)
	var all []string
	for _, id := range s.arrays {
		all = append(all, id)
	}
	for _, id := range s.singles {
		all = append(all, id)
	}
	jobs := s.finals(all, deadline)
	if s.Failed() {
		return
	}
	entries := s.entries()
	for _, j := range jobs {
		if j.ArrayProperties.Size == 0 {
			s.checkOne(j, entries)
			continue
		}
		succeeded, failed := 0, 0
		ids := make([]string, j.ArrayProperties.Size)
		for i := range ids {
			ids[i] = fmt.Sprintf("%s:%d", j.JobID, i)
		}
		for _, child := range s.finals(ids, deadline) {
			s.checkOne(child, entries)
			if child.Status == "SUCCEEDED" {
				succeeded++
			} else {
				failed++
			}
		}
		if sum := j.ArrayProperties.StatusSummary; sum["SUCCEEDED"] != succeeded || sum["FAILED"] != failed || succeeded+failed != j.ArrayProperties.Size {
			s.Errorf("array %s says %v, but %d children have SUCCEEDED and %d have FAILED", j.JobID, sum, succeeded, failed)
		}
		if (j.Status == "SUCCEEDED") != (failed == 0) {
			s.Errorf("array %s is %s with %d children that have FAILED", j.JobID, j.Status, failed)
		}
	}
	for who, e := range entries {
		if !e.claimed {
			s.Errorf("job and attempt %s ran, and no job that was submitted has it", who)
		}
	}
	s.checkImages()
	s.left()
	s.stop()
	s.leftAfterStop()
	db, err := sqlite.Open(context.Background(), s.dir, sqlite.Options{})
	if err != nil {
		s.Fatal(err)
	}
	if err := errors.Join(db.Check(context.Background()), db.Close()); err != nil {
		s.Errorf("the store: %v", err)
	}
}

// unknown finds the jobs whose submission was never answered: each is there once or not at all. Those that are join the
// others.
func (s *siege) unknown() {
	for name, size := range s.submitted {
		known, list := s.singles[name], s.singles
		if size > 1 {
			known, list = s.arrays[name], s.arrays
		}
		var out struct{ JobSummaryList []struct{ JobID string } }
		s.must("/v1/listjobs", object{"jobQueue": "crash", "filters": []object{{"name": "JOB_NAME", "values": []string{name}}}}, &out)
		switch n := len(out.JobSummaryList); {
		case n > 1:
			s.Errorf("job %s was submitted once and is there %d times", name, n)
		case known != "" && (n == 0 || out.JobSummaryList[0].JobID != known):
			s.Errorf("job %s was acknowledged as %s and is lost", name, known)
		case n == 1 && known == "":
			id := out.JobSummaryList[0].JobID
			list[name] = id
			if size == 1 { // it may be one that does not end
				s.must("/v1/terminatejob", object{"jobId": id, "reason": terminatedReason}, nil)
				s.terminated[id] = time.Now()
			}
		}
	}
}

// finals waits for the end of jobs and returns them.
func (s *siege) finals(ids []string, deadline time.Time) (done []job) {
	for part := range slices.Chunk(ids, 100) {
		for {
			jobs, err := s.describe(part...)
			if err != nil {
				s.Fatalf("DescribeJobs: %v", err)
			}
			if !slices.ContainsFunc(jobs, func(j job) bool { return !j.final() }) {
				done = append(done, jobs...)
				break
			}
			if time.Now().After(deadline) {
				for _, j := range jobs {
					if !j.final() {
						s.Errorf("job %s is still %s: %+v", j.JobID, j.Status, j)
					}
				}
				return done
			}
			time.Sleep(20 * time.Millisecond)
		}
	}
	return done
}
