package initproc

// Instructions is all that the init of a container needs to know. It is sent once, over the socket that is the init's
// descriptor 3, together with the descriptors its Trees refer to.
type Instructions struct {
	// BecomeRoot is set where the launcher's user id has no meaning in its user namespace: the init first takes user
	// and group 0 of the namespace.
	BecomeRoot bool
	// Label is the name of the root mount, by which a container can be recognised from outside (/proc/PID/mountinfo).
	Label    string
	Hostname string

	// Root is a root file system made earlier by another init, which sent it in its MadeRoot, and not written to since. If it
	// is Zero, one is made of Layers and Upper.
	Root Tree
	// Layers are the read-only directories of the root, lowest first: those of the image, and one with the mount points
	// that every container has.
	Layers []Tree
	// Upper is a directory for what the container writes. The init makes "upper" and "work" in it. If it is Zero, what the
	// container writes stays in memory, at most UpperBytes of it.
	Upper      Tree
	UpperBytes uint64
	// ShareRoot asks for a MadeRoot.
	ShareRoot bool
	// Files are mounted over files of the root.
	Files        []File
	Mounts       []Mount
	Cgroups      []CgroupMount
	ShmBytes     uint64 // size of /dev/shm
	ReadonlyRoot bool

	// HostNetwork says that the network namespace is the host's. Otherwise the init brings the loopback device up, after
	// joining the network namespace among the descriptors if JoinNetwork counts one from 0.
	HostNetwork bool
	JoinNetwork int
	// Device is a network device that is in the new network namespace already; without a name there is none.
	Device Device
	// ServeAddress and ServePort are where, in a new network namespace, the runtime wants to listen: the init sends it the
	// socket. No port means nowhere.
	ServeAddress uint64
	ServePort    uint64
	// UserNamespace says that the container is in a user namespace of its own or its runtime's.
	UserNamespace bool
	// SingleUser says that the user namespace knows no ids but UID and GID.
	SingleUser bool
	UID, GID   int

	Rlimits []Rlimit
	// Argv is the program with its arguments. If it is empty, all is built, nothing is executed, and the init ends with 0.
	Argv []string
	Env  []string
	// DefaultEnv is added where Env has no such variable, as is HOME.
	DefaultEnv []string
	Dir        string
	User       string // as in an image's USER

	// Reaper keeps a process of ours as process 1, see the package comment.
	Reaper bool
	// Capabilities is the bounding set, and what a program of user 0 has; bit n is capability n.
	Capabilities uint64
	// Unmasked leaves out masked and read-only paths under /proc and /sys.
	Unmasked bool
	// NewPrivileges leaves out no-new-privileges.
	NewPrivileges bool
	// Seccomp is an array of struct sock_filter in the machine's byte order; empty for none.
	Seccomp []byte
}

// Tree is a directory or file of the host: a detached mount among the descriptors sent along (FD counts them from 0), or
// a path if FD is negative.
type Tree struct {
	FD   int
	Path string
}

// Zero reports whether t names nothing.
func (t Tree) Zero() bool { return t.FD < 0 && t.Path == "" }

// File is a small file made for a container.
type File struct {
	Path    string // absolute; there is a file in the root already
	Content string
	Mode    uint64
}

// Mount is a host tree or a tmpfs inside the container.
type Mount struct {
	Source   Tree   // Zero for a tmpfs
	Target   string // absolute, in the container
	ReadOnly bool
	// Data is the options of the tmpfs ("size=64m").
	Data string
	// Flags are mount attributes (MOUNT_ATTR_NODEV ...).
	Flags uint64
}

// CgroupMount is a cgroup hierarchy to show, read-only, under /sys/fs/cgroup: version 2 if Controllers is empty.
type CgroupMount struct {
	Controllers string // "memory", "cpu,cpuacct"
}

// Device is a network device with its IPv4 address. Addresses are numbers, the first byte the highest.
type Device struct {
	Name    string
	Address uint64
	Bits    uint64 // of the network
	Gateway uint64 // 0 for no way out
}

// Rlimit is one argument of setrlimit.
type Rlimit struct {
	Resource   uint64
	Soft, Hard uint64
}

// Append appends the encoding of in to b.
func (in *Instructions) Append(b []byte) []byte { return appendMessage(b, in) }

// ParseInstructions reads what Append wrote.
func ParseInstructions(b []byte) (*Instructions, error) {
	in := new(Instructions)
	if err := readMessage(b, in); err != nil {
		return nil, err
	}
	return in, nil
}

func (in *Instructions) code(c *coder) {
	tree := func(t *Tree) {
		c.int(&t.FD)
		c.string(&t.Path)
	}
	c.bool(&in.BecomeRoot)
	c.string(&in.Label)
	c.string(&in.Hostname)
	tree(&in.Root)
	list(c, &in.Layers, tree)
	tree(&in.Upper)
	c.uint(&in.UpperBytes)
	c.bool(&in.ShareRoot)
	list(c, &in.Files, func(f *File) {
		c.string(&f.Path)
		c.string(&f.Content)
		c.uint(&f.Mode)
	})
	list(c, &in.Mounts, func(m *Mount) {
		tree(&m.Source)
		c.string(&m.Target)
		c.bool(&m.ReadOnly)
		c.string(&m.Data)
		c.uint(&m.Flags)
	})
	list(c, &in.Cgroups, func(g *CgroupMount) { c.string(&g.Controllers) })
	c.uint(&in.ShmBytes)
	c.bool(&in.ReadonlyRoot)
	c.bool(&in.HostNetwork)
	c.int(&in.JoinNetwork)
	c.string(&in.Device.Name)
	c.uint(&in.Device.Address)
	c.uint(&in.Device.Bits)
	c.uint(&in.Device.Gateway)
	c.uint(&in.ServeAddress)
	c.uint(&in.ServePort)
	c.bool(&in.UserNamespace)
	c.bool(&in.SingleUser)
	c.int(&in.UID)
	c.int(&in.GID)
	list(c, &in.Rlimits, func(r *Rlimit) {
		c.uint(&r.Resource)
		c.uint(&r.Soft)
		c.uint(&r.Hard)
	})
	c.strings(&in.Argv)
	c.strings(&in.Env)
	c.strings(&in.DefaultEnv)
	c.string(&in.Dir)
	c.string(&in.User)
	c.bool(&in.Reaper)
	c.uint(&in.Capabilities)
	c.bool(&in.Unmasked)
	c.bool(&in.NewPrivileges)
	c.bytes(&in.Seccomp)
}
