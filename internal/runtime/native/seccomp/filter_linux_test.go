package seccomp

import (
	"encoding/binary"
	"slices"
	"testing"

	"golang.org/x/net/bpf"
	"golang.org/x/sys/unix"
)

// machine runs a filter as the kernel would.
func machine(t *testing.T) func(arch, nr uint32, arg0 uint64) action {
	t.Helper()
	code, err := Filter()
	if err != nil {
		t.Fatal(err)
	}
	var program []bpf.Instruction
	for i := 0; i < len(code); i += 8 {
		raw := bpf.RawInstruction{
			Op: binary.NativeEndian.Uint16(code[i:]),
			Jt: code[i+2], Jf: code[i+3],
			K: binary.NativeEndian.Uint32(code[i+4:]),
		}
		in := raw.Disassemble()
		if _, ok := in.(bpf.RawInstruction); ok {
			t.Fatalf("instruction %d is none: %+v", i/8, raw)
		}
		program = append(program, in)
	}
	if _, err := bpf.NewVM(program); err != nil { // checks jumps and the last instruction
		t.Fatal(err)
	}
	return func(arch, nr uint32, arg0 uint64) action {
		// struct seccomp_data, each 32-bit word in the order that loads are tested with below.
		data := binary.BigEndian.AppendUint32(nil, nr)
		data = binary.BigEndian.AppendUint32(data, arch)
		data = append(data, make([]byte, 8)...) // instruction pointer
		data = binary.BigEndian.AppendUint32(data, uint32(arg0))
		data = binary.BigEndian.AppendUint32(data, uint32(arg0>>32))
		return walk(program, data)
	}
}

// walk runs a program. bpf.VM would do, but it takes results for the length of a packet and cuts them.
func walk(program []bpf.Instruction, data []byte) action {
	var a uint32
	for pc := 0; ; pc++ {
		switch in := program[pc].(type) {
		case bpf.LoadAbsolute:
			a = binary.BigEndian.Uint32(data[in.Off:])
		case bpf.Jump:
			pc += int(in.Skip)
		case bpf.JumpIf:
			if holds(in, a) {
				pc += int(in.SkipTrue)
			} else {
				pc += int(in.SkipFalse)
			}
		case bpf.RetConstant:
			return action(in.Val)
		default:
			panic(in)
		}
	}
}

func holds(in bpf.JumpIf, a uint32) bool {
	switch in.Cond {
	case bpf.JumpEqual:
		return a == in.Val
	case bpf.JumpNotEqual:
		return a != in.Val
	case bpf.JumpGreaterOrEqual:
		return a >= in.Val
	case bpf.JumpLessThan:
		return a < in.Val
	case bpf.JumpBitsSet:
		return a&in.Val != 0
	case bpf.JumpBitsNotSet:
		return a&in.Val == 0
	}
	panic(in)
}

func TestEveryNumberHasItsVerdict(t *testing.T) {
	t.Parallel()
	run := machine(t)
	for nr := range uint32(newest + 200) {
		if isRule(nr) {
			continue
		}
		want := refuse
		switch {
		case slices.ContainsFunc(allowed(), func(c call) bool { return c.nr == nr }):
			want = allow
		case nr > newest, nr == unix.SYS_CLONE3:
			want = unknown
		}
		if got := run(auditArch, nr, 0); got != want {
			t.Errorf("system call %d: %#x, want %#x", nr, got, want)
		}
	}
}

func TestFilterVerdicts(t *testing.T) {
	t.Parallel()
	run := machine(t)
	const x32 = 0x40000000
	tests := map[string]struct {
		arch, nr uint32
		arg0     uint64
		want     action
	}{
		"read":                         {auditArch, unix.SYS_READ, 0, allow},
		"execve":                       {auditArch, unix.SYS_EXECVE, 0, allow},
		"mount":                        {auditArch, unix.SYS_MOUNT, 0, refuse},
		"move_mount":                   {auditArch, unix.SYS_MOVE_MOUNT, 0, refuse},
		"open_tree":                    {auditArch, unix.SYS_OPEN_TREE, 0, refuse},
		"unshare":                      {auditArch, unix.SYS_UNSHARE, 0, refuse},
		"setns":                        {auditArch, unix.SYS_SETNS, 0, refuse},
		"bpf":                          {auditArch, unix.SYS_BPF, 0, refuse},
		"perf_event_open":              {auditArch, unix.SYS_PERF_EVENT_OPEN, 0, refuse},
		"keyctl":                       {auditArch, unix.SYS_KEYCTL, 0, refuse},
		"add_key":                      {auditArch, unix.SYS_ADD_KEY, 0, refuse},
		"init_module":                  {auditArch, unix.SYS_INIT_MODULE, 0, refuse},
		"kexec_load":                   {auditArch, unix.SYS_KEXEC_LOAD, 0, refuse},
		"open_by_handle_at":            {auditArch, unix.SYS_OPEN_BY_HANDLE_AT, 0, refuse},
		"io_uring_setup":               {auditArch, unix.SYS_IO_URING_SETUP, 0, refuse},
		"userfaultfd":                  {auditArch, unix.SYS_USERFAULTFD, 0, refuse},
		"clone3 as if unknown":         {auditArch, unix.SYS_CLONE3, 0, unknown},
		"clone of a thread":            {auditArch, unix.SYS_CLONE, unix.CLONE_VM | unix.CLONE_THREAD | unix.CLONE_SIGHAND, allow},
		"clone into a user namespace":  {auditArch, unix.SYS_CLONE, unix.CLONE_NEWUSER | uint64(unix.SIGCHLD), refuse},
		"clone into a mount namespace": {auditArch, unix.SYS_CLONE, unix.CLONE_NEWNS, refuse},
		"TCP socket":                   {auditArch, unix.SYS_SOCKET, unix.AF_INET, allow},
		"unix socket":                  {auditArch, unix.SYS_SOCKET, unix.AF_UNIX, allow},
		"VSOCK socket":                 {auditArch, unix.SYS_SOCKET, unix.AF_VSOCK, refuse},
		"ALG socket":                   {auditArch, unix.SYS_SOCKET, unix.AF_ALG, refuse},
		"personality query":            {auditArch, unix.SYS_PERSONALITY, 0xffffffff, allow},
		"personality linux":            {auditArch, unix.SYS_PERSONALITY, 0, allow},
		"personality no ASLR":          {auditArch, unix.SYS_PERSONALITY, 0x0040000, refuse},
		"32-bit call":                  {unix.AUDIT_ARCH_I386, unix.SYS_READ, 0, killProcess},
		"x32 call":                     {auditArch, x32 | unix.SYS_READ, 0, unknown},
		"x32 clone":                    {auditArch, x32 | unix.SYS_CLONE, unix.CLONE_NEWUSER, unknown},
		"no call":                      {auditArch, 0xffffffff, 0, unknown},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if got := run(tc.arch, tc.nr, tc.arg0); got != tc.want {
				t.Errorf("verdict %#x, want %#x", got, tc.want)
			}
		})
	}
}

func TestListsNameEachCallOnce(t *testing.T) {
	t.Parallel()
	var all []uint32
	for _, c := range allowed() {
		all = append(all, c.nr)
	}
	slices.Sort(all)
	for i := 1; i < len(all); i++ {
		if all[i] == all[i-1] {
			t.Errorf("system call %d is listed twice", all[i])
		}
	}
	for _, nr := range all {
		if isRule(nr) {
			t.Errorf("system call %d has an argument rule and is allowed without", nr)
		}
	}
	if last := all[len(all)-1]; last > newest {
		t.Errorf("system call %d is newer than newest, %d", last, newest)
	}
}

func TestFilterIsShort(t *testing.T) {
	t.Parallel()
	code, err := Filter()
	if err != nil {
		t.Fatal(err)
	}
	// BPF_MAXINSNS is 4096; the cost of installing a filter grows with its length.
	if n := len(code) / 8; n > 400 {
		t.Errorf("%d instructions", n)
	} else {
		t.Logf("%d instructions", n)
	}
}

func isRule(nr uint32) bool {
	for c := range rules {
		if c.nr == nr {
			return true
		}
	}
	return false
}

func TestOCISaysWhatTheFilterDoes(t *testing.T) {
	t.Parallel()
	p := OCI()
	if p.DefaultAction != "SCMP_ACT_ERRNO" || *p.DefaultErrnoRet != uint32(unix.EPERM) {
		t.Errorf("default %s %d", p.DefaultAction, *p.DefaultErrnoRet)
	}
	n := 0
	for _, s := range p.Syscalls {
		n += len(s.Names)
		if s.Action == "SCMP_ACT_ALLOW" && len(s.Args) == 0 && slices.Contains(s.Names, "clone") {
			t.Error("clone is allowed whatever its flags")
		}
	}
	// clone and clone3; below, between and above what socket denies; each value of personality.
	if want := len(allowed()) + 2 + 3 + 5; n != want {
		t.Errorf("%d names, want %d", n, want)
	}
}
