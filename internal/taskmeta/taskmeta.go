// Package taskmeta is what a job's program finds when it asks about itself: the task metadata endpoint (versions 3 and 4),
// the credentials of its job role, and AWS's API signed with them. Its listener is for tasks only: users have another one.
//
// What a task may see is bound to it by names that nobody can guess: they are derived from the task's key by a secret of the
// data directory, so that the next engine knows them again and programs that outlive this one go on. Nothing is stored for a
// task.
//
// Sources: ECS developer guide, "Task metadata endpoint version 4" and "version 3", "Task IAM role"; reference, sections 9.2
// to 9.4. Sets of members that a comment calls unverified were not compared with a running task.
package taskmeta

import (
	"context"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"errors"
	"fmt"
	"log/slog"
	"math/big"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/google/uuid"

	"github.com/batchbox/batchbox/internal/batch"
	"github.com/batchbox/batchbox/internal/engine"
	"github.com/batchbox/batchbox/internal/identity"
	"github.com/batchbox/batchbox/internal/runtime"
	"github.com/batchbox/batchbox/internal/store"
)

// Live knows how containers are right now; the supervisor's client does.
type Live interface {
	Inspect(ctx context.Context, key string, usage bool) ([]runtime.ContainerState, error)
}

// Issuer makes credentials for roles.
type Issuer interface {
	IssueForRole(ctx context.Context, p batch.Partition, roleARN, sessionName string, d time.Duration) (*identity.Session, error)
}

// Options are what a Service stands on. All but Live and Logger are required.
type Options struct {
	// Secret is what the names of tasks are derived from; see LoadIdentity.
	Secret []byte
	Issuer Issuer
	// Live is asked for the state of containers; it may return nil for as long as nobody knows.
	Live func() Live
	Now  func() time.Time
	// NewRequestID makes the ids that errors of the agent's API bear.
	NewRequestID func() string
	Logger       *slog.Logger
}

// Service knows the tasks under way and answers them.
type Service struct {
	o Options

	mu    sync.Mutex
	tasks map[string]*task // by ECS task id
	keys  map[string]string
	ended ended
}

// task is a task under way.
type task struct {
	engine.StartTask
	created time.Time
	// Of the containers as they were composed, in the task's order; a task of an earlier engine has what its record tells.
	containers []container

	mu      sync.Mutex // for what follows
	session *identity.Session
	samples map[int]*sample // as last told, by container
}

type container struct {
	known       bool // composed by this engine
	imageID     string
	pullStarted time.Time
	pullStopped time.Time
	log         *runtime.LogTarget
	createdAt   time.Time
}

// New makes a Service that knows no task yet.
func New(o Options) *Service {
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	return &Service{o: o, tasks: map[string]*task{}, keys: map[string]string{}}
}

// Started is a container that is about to be started, as far as the service tells of it.
type Started struct {
	engine.StartTask
	// Index is the container's place in the task.
	Index     int
	Container *runtime.Container
	// PullStarted and PullStopped are around the preparation of its image.
	PullStarted, PullStopped time.Time
}

// Variables are those a container gets: Set replaces what it has, Default does not. Both are NAME=VALUE.
type Variables struct{ Set, Default []string }

// Start makes a container known and tells its variables; none if it can not reach the listener (Network.Endpoint is empty).
func (s *Service) Start(st Started) Variables {
	network := &st.Container.Network
	host := network.Mode == runtime.NetworkHost
	t := s.add(st.StartTask)
	s.mu.Lock()
	t.containers[st.Index] = container{
		known: true, imageID: st.Container.Image.Digest, pullStarted: st.PullStarted, pullStopped: st.PullStopped,
		log: st.Container.Log, createdAt: s.o.Now(),
	}
	s.mu.Unlock()
	if network.Endpoint == "" {
		return Variables{Default: noInstance}
	}
	base := "http://" + network.Endpoint
	if !host {
		base = strings.TrimSuffix("http://"+runtime.TaskEndpoint, ":80")
	}
	id := s.containerID(t, st.Index)
	v := Variables{
		Set: []string{
			"ECS_CONTAINER_METADATA_URI=" + base + "/v3/" + id,
			"ECS_CONTAINER_METADATA_URI_V4=" + base + "/v4/" + id,
			"ECS_AGENT_URI=" + base + "/api/" + id,
		},
		Default: append([]string{"AWS_ENDPOINT_URL=" + base}, noInstance...),
	}
	if t.Task.TaskRole == "" {
		return v
	}
	path := "/v2/credentials/" + s.credentialsID(t, host)
	if host {
		// SDKs join the relative form with an address that is not here. They take plain HTTP to the loopback only (reference,
		// section 9.2).
		v.Set = append(v.Set, "AWS_CONTAINER_CREDENTIALS_FULL_URI="+base+path, "AWS_CONTAINER_AUTHORIZATION_TOKEN="+s.token(t))
	} else {
		v.Set = append(v.Set, "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI="+path)
	}
	return v
}

// noInstance keeps SDKs from asking the machine's own instance metadata for credentials, which a Fargate task has not and a
// job must not get.
var noInstance = []string{"AWS_EC2_METADATA_DISABLED=true"}

// Resume makes a task known that an earlier engine started.
func (s *Service) Resume(st engine.StartTask) { s.add(st) }

func (s *Service) add(st engine.StartTask) *task {
	s.mu.Lock()
	defer s.mu.Unlock()
	if t := s.tasks[st.Record.TaskID]; t != nil {
		return t
	}
	t := &task{StartTask: st, created: s.o.Now(), containers: make([]container, len(st.Task.Containers)), samples: map[int]*sample{}}
	s.tasks[st.Record.TaskID] = t
	s.keys[st.Key] = st.Record.TaskID
	return t
}

// End forgets a task by its key. Its names are not answered any more.
func (s *Service) End(key string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	t := s.tasks[s.keys[key]]
	if t == nil {
		return
	}
	delete(s.tasks, s.keys[key])
	delete(s.keys, key)
	now := s.o.Now()
	s.ended.add(Known{StartTask: t.StartTask, Created: t.created, Ended: now})
	s.ended.expire(now)
}

// Tasks are how many are under way.
func (s *Service) Tasks() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.tasks)
}

func (s *Service) find(taskID string) *task {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.tasks[taskID]
}

// derive makes a value that only this data directory can make.
func (s *Service) derive(kind string, t *task, i int) [sha256.Size]byte {
	m := hmac.New(sha256.New, s.o.Secret)
	fmt.Fprintf(m, "%s\x00%s\x00%s\x00%d", kind, t.Record.TaskID, t.Key, i)
	return [sha256.Size]byte(m.Sum(nil))
}

// containerID is a container's name in the metadata's paths, as on Fargate: the task's id and a number. The number is longer
// than AWS's, so that it can not be guessed: the task's id is no secret.
func (s *Service) containerID(t *task, i int) string {
	sum := s.derive("container", t, i)
	return t.Record.TaskID + "-" + new(big.Int).SetBytes(sum[:16]).String()
}

// shortID is a container's id for people (DockerId, on Fargate): what is secret in the name is left out.
func (s *Service) shortID(t *task, i int) string {
	sum := s.derive("short", t, i)
	n := uint64(sum[0])<<24 | uint64(sum[1])<<16 | uint64(sum[2])<<8 | uint64(sum[3])
	return t.Record.TaskID + "-" + strconv.FormatUint(n, 10)
}

// credentialsID is the name of a task's credentials. The one for a task in the host's network is good together with its
// token only, for its path can be tried by every program of the machine, and paths end up in logs.
func (s *Service) credentialsID(t *task, host bool) string {
	kind := "credentials"
	if host {
		kind += " with token"
	}
	sum := s.derive(kind, t, 0)
	id := uuid.UUID(sum[:16])
	return t.Record.TaskID + "-" + id.String()
}

func (s *Service) token(t *task) string {
	sum := s.derive("token", t, 0)
	return fmt.Sprintf("%x", sum)
}

// same compares in constant time.
func same(a, b string) bool { return hmac.Equal([]byte(a), []byte(b)) }

// byName finds what a name in a path means: a task and the place of one of its containers.
func (s *Service) byName(name string) (t *task, i int) {
	id, _, _ := strings.Cut(name, "-")
	if t = s.find(id); t == nil {
		return nil, 0
	}
	for i := range t.containers {
		if same(s.containerID(t, i), name) {
			return t, i
		}
	}
	return nil, 0
}

// Identity is what has to stay the same from one engine of a data directory to the next, for programs that outlive them.
type Identity struct {
	Secret []byte `json:"secret"`
	// Listen is the listener's address, "" before the first.
	Listen string `json:"listen,omitempty"`
}

const kindIdentity = "task-endpoint"

// LoadIdentity reads the identity of a data directory, and makes one the first time.
func LoadIdentity(ctx context.Context, docs store.Docs) (Identity, error) {
	var id Identity
	err := docs.Update(ctx, func(w store.Writer) error {
		ok, err := w.Get(batch.Partition{}, kindIdentity, kindIdentity, &id)
		if err != nil || ok && len(id.Secret) >= 32 {
			return err
		}
		id.Secret = make([]byte, 32)
		_, _ = rand.Read(id.Secret) // never fails (crypto/rand documentation)
		return w.Put(batch.Partition{}, kindIdentity, kindIdentity, id)
	})
	if err != nil {
		return Identity{}, fmt.Errorf("identity of the task endpoint: %w", err)
	}
	return id, nil
}

// Save keeps an identity for the next engine.
func (id Identity) Save(ctx context.Context, docs store.Docs) error {
	err := docs.Update(ctx, func(w store.Writer) error { return w.Put(batch.Partition{}, kindIdentity, kindIdentity, id) })
	if err != nil {
		return fmt.Errorf("identity of the task endpoint: %w", err)
	}
	return nil
}

// Handler answers tasks; what is neither metadata nor credentials goes to api.
func (s *Service) Handler(api http.Handler) http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /v2/credentials/{id}", s.credentials)
	for _, version := range []int{3, 4} {
		for path, answer := range map[string]func(context.Context, int, *task, int) (any, error){
			"": s.container, "/task": s.task, "/taskWithTags": s.taskWithTags, "/stats": s.stats, "/task/stats": s.taskStats,
		} {
			mux.HandleFunc(fmt.Sprintf("GET /v%d/{name}%s", version, path), s.metadata(version, answer))
		}
	}
	mux.HandleFunc("/api/{name}/{rest...}", s.agent)
	for _, prefix := range []string{"/v2/credentials/", "/v3/", "/v4/", "/api/"} {
		mux.HandleFunc(prefix, func(w http.ResponseWriter, r *http.Request) {
			fail(w, http.StatusNotFound, "NotFound", "unknown path or method: "+r.Method+" "+strings.SplitN(r.URL.Path, "/", 3)[1])
		})
	}
	mux.Handle("/", api)
	return mux
}

var errUnknown = errors.New("unknown")
