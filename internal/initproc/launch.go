package initproc

// Request is what a runtime asks of its launcher: one packet on the launcher's socket.
type Request struct {
	Kind RequestKind
	// ID is chosen by the runtime and comes back in every Event about this request.
	ID uint64
	// Namespaces is the CLONE_NEW* flags of a Launch.
	Namespaces uint64
	// OwnUser makes a user namespace for the container, in which the launcher's id 0 is UID and GID, and nobody else is.
	OwnUser  bool
	UID, GID int
	// CgroupFD is set if a cgroup v2 directory is among the descriptors.
	CgroupFD bool
	// Signal is the number of a RequestSignal's.
	Signal uint64
	// Path is the directory of a Remove or a Measure, relative to the directory that came with Begin.
	Path string
}

// RequestKind tells the requests apart.
type RequestKind int

// The requests. Descriptors sent along, in this order:
//
//   - RequestBegin, the first and only once, when the user namespace is ready: the directory that has the containers'
//     directories in it; the `tasks` files of the launcher's own version 1 cgroups.
//   - RequestLaunch: the container's output; the init's socket; the cgroup v2 directory, if CgroupFD; the `tasks` files of
//     the container's version 1 cgroups.
const (
	RequestBegin RequestKind = iota + 1
	RequestLaunch
	// RequestRemove removes a container's directory, in the background. There is no Event.
	RequestRemove
	// RequestMeasure counts the bytes under a directory.
	RequestMeasure
	// RequestSignal is for a shim: it sends the container's process 1 the signal Signal, if that has not ended.
	RequestSignal
	// RequestHub makes a network namespace for others to be connected to.
	RequestHub
)

// Append appends the encoding of r to b.
func (r *Request) Append(b []byte) []byte { return appendMessage(b, r) }

// ParseRequest reads what Append wrote.
func ParseRequest(b []byte) (*Request, error) {
	r := new(Request)
	if err := readMessage(b, r); err != nil {
		return nil, err
	}
	return r, nil
}

func (r *Request) code(c *coder) {
	kind := int(r.Kind)
	c.int(&kind)
	r.Kind = RequestKind(kind)
	c.uint(&r.ID)
	c.uint(&r.Namespaces)
	c.bool(&r.OwnUser)
	c.int(&r.UID)
	c.int(&r.GID)
	c.bool(&r.CgroupFD)
	c.uint(&r.Signal)
	c.string(&r.Path)
}

// Event is what a launcher tells its runtime: one packet on the launcher's socket.
type Event struct {
	Kind EventKind
	ID   uint64
	// PID is the container's first process (EventLaunched), in the launcher's pid namespace.
	PID int
	// Status is the wait status (EventExited).
	Status uint64
	// Errno and Text say what failed (EventFailed, EventMeasured).
	Errno uint64
	Text  string
	// Bytes is how much storage is in use (EventMeasured).
	Bytes uint64
	// Protocol is the launcher's Protocol (EventReady).
	Protocol uint64
}

// EventKind tells the events apart.
type EventKind int

// The events.
const (
	// EventReady answers RequestBegin.
	EventReady EventKind = iota + 1
	// EventLaunched comes with a pidfd, from a launcher. An EventExited follows, sooner or later, and never comes before.
	EventLaunched
	// EventFailed is the other answer to RequestLaunch. A shim sends it with the wait status of the OCI runtime.
	EventFailed
	EventExited
	EventMeasured
	// EventHub answers RequestHub. It comes with the route socket, and, unless Text says why there is none, once more with the
	// TAP device.
	EventHub
)

// Append appends the encoding of e to b.
func (e *Event) Append(b []byte) []byte { return appendMessage(b, e) }

// ParseEvent reads what Append wrote.
func ParseEvent(b []byte) (*Event, error) {
	e := new(Event)
	if err := readMessage(b, e); err != nil {
		return nil, err
	}
	return e, nil
}

func (e *Event) code(c *coder) {
	kind := int(e.Kind)
	c.int(&kind)
	e.Kind = EventKind(kind)
	c.uint(&e.ID)
	c.int(&e.PID)
	c.uint(&e.Status)
	c.uint(&e.Errno)
	c.string(&e.Text)
	c.uint(&e.Bytes)
	c.uint(&e.Protocol)
}
