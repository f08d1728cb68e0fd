package sim

import (
	"encoding/json"
	"fmt"

	"github.com/batchbox/batchbox/internal/batch"
	"github.com/batchbox/batchbox/internal/engine"
)

// model judges the engine by what gets out of it: committed rows, the state changes committed with them, and the calls to
// the launcher. It knows the rules of Batch from the reference, not from the engine: its tables and its arithmetic are its own.
//
// What must hold: a job moves only along the transitions of section 3.2; none becomes RUNNABLE before what it depends on has
// SUCCEEDED, and none waits longer; an attempt follows another only if the retry rules say so; an attempt's result is what
// became of its task; no environment, consumable resource or machine is ever overfull; a line runs in order, and its head
// does not wait while there is room; parents agree with their children; rows agree with events.
type model struct {
	w    *world
	jobs map[int64]*job
	live map[int64]*job

	envs        map[string]*environment
	queues      map[string]*batch.JobQueue
	policies    map[string]*batch.SchedulingPolicy
	consumables map[string]*consumable
	lines       map[lineKey]*line
	tasks       int // that attempts under way have
	// mixed: the group has several events, so a limit counts as it was before or as it is after, whichever is larger.
	mixed bool
	// unsettled: the last group failed, and its reports come with the next.
	unsettled bool
	// asked are the ids whose end someone asked for; gone the queues that were deleted.
	asked map[string]bool
	gone  map[string]bool
	// unwritten is what has changed in the commit at hand, of which no row has been seen yet.
	unwritten map[string]bool
}

type environment struct {
	batch.ComputeEnvironment
	was  batch.ComputeEnvironment // before the group
	used int64
}

type consumable struct {
	total, was, inUse int64
	kind              string
}

// job is a job with its children and nodes.
type job struct {
	seq      int64
	id       string
	spec     *batch.Spec
	line     *line
	self     work
	children []work
	nodes    []work
	// deps are those of spec.DependsOn, looked up; nil for SEQUENTIAL.
	deps []dependency
	// ended: an array that was cancelled or terminated.
	ended bool
}

type dependency struct {
	on     *job
	child  int // -1 for all of it
	perOne bool
}

// work is a line of attempts.
type work struct {
	status   batch.Status
	attempts int
	env      *environment
	held     []holding
}

// holding is what an attempt holds of a consumable resource: of that one, not of another that has its name later.
type holding struct {
	of *consumable
	n  int64
}

func newModel(w *world) *model {
	return &model{
		w: w, jobs: map[int64]*job{}, live: map[int64]*job{}, envs: map[string]*environment{}, queues: map[string]*batch.JobQueue{},
		policies: map[string]*batch.SchedulingPolicy{}, consumables: map[string]*consumable{}, lines: map[lineKey]*line{},
		asked: map[string]bool{}, gone: map[string]bool{}, unwritten: map[string]bool{},
	}
}

// begin is called before a group.
func (m *model) begin(events int) {
	m.mixed = events > 1
	for _, e := range m.envs {
		e.was = e.ComputeEnvironment
	}
	for _, r := range m.consumables {
		r.was = r.total
	}
}

// committed is called with what has been committed, and the state changes that belong to it.
func (m *model) committed(c *engine.Changes, notices []engine.Notice) {
	for _, r := range c.Resources {
		m.resource(r)
	}
	for i := range c.Jobs {
		if rec := &c.Jobs[i]; m.jobs[rec.Seq] == nil {
			m.newJob(rec)
		}
	}
	for i := range notices {
		if notices[i].Blocked {
			continue
		}
		for v := range notices[i].Views() {
			m.changed(&v)
		}
	}
	for i := range c.Jobs {
		m.agree(c.Jobs[i].Seq, -1, c.Jobs[i].Status)
		m.noteEnd(&c.Jobs[i])
	}
	for i := range c.Children {
		m.agree(c.Children[i].Seq, c.Children[i].Index, c.Children[i].Status)
	}
	for _, id := range sorted(m.unwritten) {
		m.w.violate("%s has got further than RUNNABLE, and no row says so", id)
	}
	clear(m.unwritten)
}

// noteEnd sees in an array parent's row that someone has ended it: from then on none of its children is tried again.
func (m *model) noteEnd(rec *engine.JobRecord) {
	j := m.jobs[rec.Seq]
	if j == nil || j.children == nil {
		return
	}
	var state struct{ Cancelled, Terminated bool }
	if err := json.Unmarshal(rec.State, &state); err != nil {
		m.w.violate("state of job %s: %v", j.id, err)
	}
	j.ended = j.ended || state.Cancelled || state.Terminated
}

// agree: a row says what the last event said.
func (m *model) agree(seq int64, index int, status batch.Status) {
	j := m.jobs[seq]
	if j == nil {
		m.w.violate("there is a row of child %d of job %d, and none of the job", index, seq)
		return
	}
	delete(m.unwritten, j.name(index))
	w := j.work(index, index >= 0 && j.nodes != nil)
	if w.status != status {
		m.w.violate("the row of %s says %v, its last event %v", j.name(index), status, w.status)
	}
}

func (j *job) work(index int, node bool) *work {
	switch {
	case index < 0:
		return &j.self
	case node:
		return &j.nodes[index]
	default:
		return &j.children[index]
	}
}

func (j *job) name(index int) string {
	switch {
	case index < 0:
		return j.id
	case j.nodes != nil:
		return batch.NodeID(j.id, index)
	default:
		return batch.ArrayChildID(j.id, index)
	}
}

func (m *model) resource(r engine.ResourceRecord) {
	decode := func(v any) {
		if err := json.Unmarshal(r.Value, v); err != nil {
			m.w.violate("row of %s %s: %v", r.Kind, r.Key, err)
		}
	}
	switch r.Kind {
	case batch.KindComputeEnvironment:
		e := m.envs[r.Key]
		if r.Value == nil {
			if e != nil && e.used > 0 {
				m.w.violate("environment %s is deleted with %d milli-vCPU in use", r.Key, e.used)
			}
			delete(m.envs, r.Key)
			return
		}
		if e == nil {
			e = new(environment)
			m.envs[r.Key] = e
		}
		e.ComputeEnvironment = batch.ComputeEnvironment{}
		decode(&e.ComputeEnvironment)
	case batch.KindJobQueue:
		if r.Value == nil {
			delete(m.queues, r.Key)
			return
		}
		q := new(batch.JobQueue)
		decode(q)
		m.queues[r.Key] = q
	case batch.KindSchedulingPolicy:
		p := new(batch.SchedulingPolicy)
		decode(p)
		m.policies[r.Key] = p
	case batch.KindConsumableResource:
		if r.Value == nil {
			delete(m.consumables, r.Key)
			return
		}
		res := m.consumables[r.Key]
		if res == nil {
			res = new(consumable)
			m.consumables[r.Key] = res
		}
		var row batch.ConsumableResource
		decode(&row)
		res.total, res.kind = row.Total, row.Type
	}
}

func (m *model) newJob(rec *engine.JobRecord) {
	j := &job{seq: rec.Seq, id: rec.ID, spec: new(batch.Spec), self: work{status: batch.Submitted}}
	if err := json.Unmarshal(rec.Spec, j.spec); err != nil {
		m.w.violate("spec of job %s: %v", rec.ID, err)
		return
	}
	j.children = submitted(j.spec.ArraySize)
	j.nodes = submitted(j.spec.NumNodes)
	j.line = m.line(rec.Queue, j.spec)
	for _, d := range j.spec.DependsOn {
		if d.JobID == "" {
			j.deps = append(j.deps, dependency{})
			continue
		}
		id, _ := batch.ParseJobID(d.JobID)
		dep := dependency{on: m.jobs[m.w.disk.ids[id.Parent]], child: -1, perOne: d.Type == batch.NToN}
		if id.Sep == ':' {
			dep.child = id.Index
		}
		if dep.on == nil {
			m.w.violate("job %s depends on %s, which is not there", j.id, d.JobID)
			return
		}
		j.deps = append(j.deps, dep)
	}
	m.jobs[j.seq], m.live[j.seq] = j, j
	m.w.result.Jobs++
	m.w.result.Works += max(1, j.spec.ArraySize)
}

func submitted(n int) []work {
	if n == 0 {
		return nil
	}
	works := make([]work, n)
	for i := range works {
		works[i].status = batch.Submitted
	}
	return works
}

// depends says whether all that the job, or its child i, depends on has SUCCEEDED, and whether any of it has FAILED.
func (j *job) depends(i int) (ok, failed bool) {
	ok = true
	for _, d := range j.deps {
		s := batch.Succeeded
		switch {
		case d.on == nil && i > 0: // SEQUENTIAL
			s = j.children[i-1].status
		case d.on == nil:
		case d.perOne && i >= 0:
			s = d.on.children[i].status
		case d.perOne:
			s = d.on.self.status
		case d.child >= 0:
			s = d.on.children[d.child].status
		default:
			s = d.on.self.status
		}
		ok = ok && s == batch.Succeeded
		failed = failed || s == batch.Failed
	}
	return ok, failed
}

// legal is section 3.2 and, for parents, 3.10.
var legal = map[bool]map[batch.Status][]batch.Status{
	false: {
		batch.Submitted: {batch.Pending, batch.Runnable, batch.Failed},
		batch.Pending:   {batch.Runnable, batch.Failed},
		batch.Runnable:  {batch.Starting, batch.Failed},
		batch.Starting:  {batch.Running, batch.Runnable, batch.Failed},
		batch.Running:   {batch.Runnable, batch.Succeeded, batch.Failed},
	},
	true: {
		batch.Submitted: {batch.Pending, batch.Succeeded, batch.Failed},
		batch.Pending:   {batch.Succeeded, batch.Failed},
	},
}

// changed judges one state change.
func (m *model) changed(v *engine.JobView) {
	j := m.jobs[v.Seq]
	if j == nil {
		m.w.violate("event of %s, of which there is no row", v.ID)
		return
	}
	m.w.result.Events++
	m.w.trace.addf("%d %s %v %s", m.w.ms(), v.ID, v.Status, v.StatusReason)
	index, node := max(v.Index, v.Node), v.Node >= 0
	w := j.work(index, node)
	parent := index < 0 && j.children != nil
	if !contains(legal[parent][w.status], v.Status) {
		m.w.violate("%s went from %v to %v", v.ID, w.status, v.Status)
	}
	from := w.status
	w.status = v.Status
	if v.Status > batch.Runnable {
		m.unwritten[v.ID] = true
	}
	switch {
	case node:
	case parent:
		m.parentChanged(j, v)
	default:
		m.workChanged(j, index, w, from, v)
	}
}

func (m *model) parentChanged(j *job, v *engine.JobView) {
	if !v.Status.Final() {
		return
	}
	delete(m.live, j.seq)
	want := batch.Succeeded
	for i := range j.children {
		switch s := j.children[i].status; {
		case !s.Final():
			m.w.violate("array %s is %v while its child %d is %v", j.id, v.Status, i, s)
		case s == batch.Failed:
			want = batch.Failed
		}
	}
	if v.Status != want {
		m.w.violate("array %s is %v, its children say %v", j.id, v.Status, want)
	}
	var counts [batch.NumStatuses]int
	for i := range j.children {
		counts[j.children[i].status]++
	}
	if v.Summary == nil || *v.Summary != counts {
		m.w.violate("array %s counts %v, its children are %v", j.id, v.Summary, counts)
	}
}

func (m *model) workChanged(j *job, index int, w *work, from batch.Status, v *engine.JobView) {
	if from == batch.Starting || from == batch.Running {
		if v.Status != batch.Running {
			m.release(j, w)
		}
	}
	switch v.Status {
	case batch.Runnable:
		if ok, _ := j.depends(index); !ok {
			m.w.violate("%s is RUNNABLE, and not all it depends on has SUCCEEDED", v.ID)
		}
		if from == batch.Starting || from == batch.Running {
			m.attemptEnded(j, index, w, v)
		}
		m.push(j, index, w)
	case batch.Starting:
		if v.Current == nil || len(v.Attempts) != w.attempts {
			m.w.violate("%s is STARTING with %d attempts behind it, and had %d", v.ID, len(v.Attempts), w.attempts)
			return
		}
		m.inOrder(j, index, w)
		m.hold(j, w, v.Current.ComputeEnvironment)
	case batch.Running:
		if v.StartedAt < v.CreatedAt || v.StartedAt > m.w.now.UnixMilli() {
			m.w.violate("%s was created at %d and started at %d; now it is %d", v.ID, v.CreatedAt, v.StartedAt, m.w.now.UnixMilli())
		}
	case batch.Succeeded, batch.Failed:
		if index < 0 {
			delete(m.live, j.seq)
		}
		if v.StoppedAt < v.CreatedAt || v.StoppedAt > m.w.now.UnixMilli() {
			m.w.violate("%s was created at %d and stopped at %d; now it is %d", v.ID, v.CreatedAt, v.StoppedAt, m.w.now.UnixMilli())
		}
		if from == batch.Starting || from == batch.Running {
			m.attemptEnded(j, index, w, v)
			return
		}
		m.endedUnstarted(j, index, v)
	}
}

// endedUnstarted: a job that is not under way fails for a reason only.
func (m *model) endedUnstarted(j *job, index int, v *engine.JobView) {
	_, depFailed := j.depends(index)
	switch {
	case v.StatusReason == "":
		m.w.violate("%s is FAILED without a reason", v.ID)
	case v.StatusReason == "Dependent Job failed":
		if !depFailed {
			m.w.violate("%s is said to have failed with what it depends on, which has not failed", v.ID)
		}
	case m.asked[j.id] || m.asked[v.ID] || m.gone[j.line.queue]:
	case v.StatusReason == "Canceled by JobStateTimeLimit action due to reason: "+tooLarge && j.line.queue == limitedQueue:
	default:
		m.w.violate("%s is FAILED for %q, which nobody asked for", v.ID, v.StatusReason)
	}
}

// attemptEnded judges what follows an attempt: its record agrees with what became of the task, and the next state with that.
func (m *model) attemptEnded(j *job, index int, w *work, v *engine.JobView) {
	w.attempts++
	n := w.attempts
	if len(v.Attempts) != n {
		m.w.violate("%s has %d attempts on record after its attempt %d", v.ID, len(v.Attempts), n)
		return
	}
	a := &v.Attempts[n-1]
	key := fmt.Sprintf("%s/%d", v.ID, n)
	if j.nodes != nil {
		key = fmt.Sprintf("%s/%d", batch.NodeID(j.id, j.spec.MainNode), n)
	}
	f, ok := m.w.machine.fateOf(key)
	if !ok {
		m.w.violate("attempt %s is over, its task is not", key)
		return
	}
	m.w.result.Attempts++
	timedOut := a.StatusReason == "Job attempt duration exceeded timeout"
	asked := m.asked[j.id] || m.asked[v.ID] || m.gone[j.line.queue]
	switch {
	case timedOut && (j.spec.Timeout == 0 || a.StoppedAt-a.StartedAt < int64(j.spec.Timeout)*1000):
		m.w.violate("attempt %s of %d ms is said to have exceeded its timeout of %d s", key, a.StoppedAt-a.StartedAt, j.spec.Timeout)
	case v.Status == batch.Succeeded && !f.succeeded():
		m.w.violate("%s is SUCCEEDED, its task ended as %+v", v.ID, f)
	case v.Status != batch.Succeeded && f.succeeded() && !f.stopped && !timedOut && !asked:
		m.w.violate("%s is %v, its task ended as %+v", v.ID, v.Status, f)
	case f.stopped && !timedOut && !asked && !spot(w.env):
		m.w.violate("attempt %s was stopped and nobody asked for it: %q", key, a.StatusReason)
	}
	if v.Status == batch.Succeeded {
		return
	}
	again := v.Status == batch.Runnable
	allowed := !timedOut && retryAllowed(j.spec, n, a)
	switch {
	case again && (!allowed || v.Terminated || j.ended):
		m.w.violate("%s gets another attempt after attempt %d, which its retry strategy does not allow: %+v", v.ID, n, *a)
	case !again && allowed && !asked:
		m.w.violate("%s is FAILED after attempt %d, though its retry strategy has another one: %+v", v.ID, n, *a)
	}
}

// retryAllowed is section 5: the first rule that matches decides; a failure that none matches is retried.
func retryAllowed(spec *batch.Spec, n int, a *engine.Attempt) bool {
	if spec.Retry == nil || n >= spec.Retry.Attempts {
		return false
	}
	code, reason := "", ""
	if n := len(a.Containers); n > 0 { // the essential one is the last here
		reason = a.Containers[n-1].Reason
		if c := a.Containers[n-1].ExitCode; c != nil {
			code = fmt.Sprint(*c)
		}
	}
	for _, rule := range spec.Retry.EvaluateOnExit {
		if glob(rule.OnExitCode, code) && glob(rule.OnReason, reason) && glob(rule.OnStatusReason, a.StatusReason) {
			return rule.Action[0] == 'R' || rule.Action[0] == 'r'
		}
	}
	return true
}

// glob matches a pattern that may end in '*'; the empty one matches everything, a value that is not there only "*" does.
func glob(pattern, value string) bool {
	n := len(pattern)
	switch {
	case n == 0 || pattern == "*":
		return true
	case value == "":
		return false
	case pattern[n-1] == '*':
		return len(value) >= n-1 && value[:n-1] == pattern[:n-1]
	}
	return pattern == value
}

func spot(e *environment) bool { return e.ResourceType == "FARGATE_SPOT" || e.ResourceType == "SPOT" }

// hold takes the room of an attempt and sees whether there was that much.
func (m *model) hold(j *job, w *work, env string) {
	e := m.envs[env]
	w.env = e
	if e == nil {
		m.w.violate("%s is placed on environment %q, which is not there", j.id, env)
		return
	}
	e.used += j.spec.MilliCPU()
	most, usable := capacity(&e.ComputeEnvironment), e.open()
	if m.mixed {
		most, usable = max(most, capacity(&e.was)), usable || e.was.State == batch.Enabled
	}
	if e.used > most || !usable || !e.fits(j.spec) {
		m.w.violate("%s is placed on environment %s: %d milli-vCPU in use of %d, usable: %v", j.id, env, e.used, most, usable)
	}
	m.tasks += j.spec.Tasks()
	if most := m.w.limits.MaxTasks; most > 0 && m.tasks > most && m.tasks > j.spec.Tasks() {
		m.w.violate("%d tasks are under way on a machine for %d", m.tasks, most)
	}
	for _, need := range j.spec.Consumables {
		r := m.consumables[need.Resource]
		if r == nil {
			m.w.violate("%s is placed, and there is no resource %s", j.id, need.Resource)
			return
		}
		r.inUse += need.Quantity
		w.held = append(w.held, holding{r, need.Quantity})
		total := r.total
		if m.mixed {
			total = max(total, r.was)
		}
		if r.inUse > total {
			m.w.violate("%s holds %d of %s, of which there are %d", j.id, r.inUse, need.Resource, total)
		}
	}
}

func (m *model) release(j *job, w *work) {
	if w.env == nil {
		return // a violation already
	}
	w.env.used -= j.spec.MilliCPU()
	m.tasks -= j.spec.Tasks()
	for _, h := range w.held {
		h.of.inUse -= h.n
	}
	w.held = nil
}

// capacity is what of an environment may be in use, in milli-vCPU: of an unmanaged one what its owner says there is.
func capacity(e *batch.ComputeEnvironment) int64 {
	if e.Type == "UNMANAGED" {
		return int64(e.UnmanagedVCPUs) * 1000
	}
	return e.MaxMilliCPU
}

// open says whether the environment takes new work.
func (e *environment) open() bool { return e.State == batch.Enabled && e.Status == batch.StatusValid }

// fits says whether the environment is of the job's kind (section 8: multi-node jobs on on-demand EC2 only).
func (e *environment) fits(spec *batch.Spec) bool {
	fargate := e.ResourceType == "FARGATE" || e.ResourceType == "FARGATE_SPOT"
	if spec.NumNodes > 0 {
		return e.ResourceType == "EC2"
	}
	return fargate == (spec.Platform == "FARGATE")
}

// mayStart is called when a task is started for the first time: its job, on disk, is under way in that attempt.
func (m *model) mayStart(st *engine.StartTask) {
	id, _ := batch.ParseJobID(st.JobID)
	j := m.jobs[m.w.disk.ids[id.Parent]]
	if j == nil {
		m.w.violate("task %s is started, whose job is not on disk", st.Key)
		return
	}
	w := j.work(st.Index, false)
	if w.status != batch.Starting && w.status != batch.Running || st.Attempt != w.attempts+1 {
		m.w.violate("task %s is started while its job is %v after %d attempts", st.Key, w.status, w.attempts)
	}
	if st.Node >= 0 && st.Node != j.spec.MainNode && w.status != batch.Running {
		m.w.violate("node %s is started while the main node is not running", st.JobID)
	}
}

// mayForget is called when the end of a task is acknowledged: its attempt must be over, on disk.
func (m *model) mayForget(t *task) {
	if t.Node >= 0 {
		return // its row is checked with its event
	}
	id, _ := batch.ParseJobID(t.JobID)
	if w := m.jobs[m.w.disk.ids[id.Parent]].work(t.Index, false); w.attempts < t.Attempt {
		m.w.violate("the end of task %s is acknowledged and not on disk", t.Key)
	}
}

func contains(list []batch.Status, s batch.Status) bool {
	for _, x := range list {
		if x == s {
			return true
		}
	}
	return false
}
