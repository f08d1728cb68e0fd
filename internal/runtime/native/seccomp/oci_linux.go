package seccomp

import (
	"slices"
	"strings"

	"golang.org/x/sys/unix"
)

// Profile is the filter in the form of the OCI runtime specification (config-linux.md, "Seccomp").
type Profile struct {
	DefaultAction   string    `json:"defaultAction"`
	DefaultErrnoRet *uint32   `json:"defaultErrnoRet,omitempty"`
	Architectures   []string  `json:"architectures,omitempty"`
	Syscalls        []Syscall `json:"syscalls,omitempty"`
}

// Syscall is an element of Profile.Syscalls.
type Syscall struct {
	Names    []string `json:"names"`
	Action   string   `json:"action"`
	ErrnoRet *uint32  `json:"errnoRet,omitempty"`
	Args     []Arg    `json:"args,omitempty"`
}

// Arg is a condition on an argument.
type Arg struct {
	Index    uint   `json:"index"`
	Value    uint64 `json:"value"`
	ValueTwo uint64 `json:"valueTwo,omitempty"`
	Op       string `json:"op"`
}

// OCI is what Filter does, for a runtime that assembles filters itself. It answers ENOSYS to calls newer than its own
// library on its own account.
func OCI() *Profile {
	const (
		actAllow = "SCMP_ACT_ALLOW"
		actErrno = "SCMP_ACT_ERRNO"
	)
	eperm, enosys := uint32(unix.EPERM), uint32(unix.ENOSYS)
	p := &Profile{DefaultAction: actErrno, DefaultErrnoRet: &eperm, Architectures: []string{ociArch}}
	var names []string
	for _, c := range allowed() {
		names = append(names, c.name)
	}
	p.Syscalls = append(p.Syscalls,
		Syscall{Names: names, Action: actAllow},
		Syscall{Names: []string{"clone3"}, Action: actErrno, ErrnoRet: &enosys},
	)
	for c, r := range rules {
		one := func(args ...Arg) {
			p.Syscalls = append(p.Syscalls, Syscall{Names: []string{c.name}, Action: actAllow, Args: args})
		}
		if r.mask != 0 {
			one(Arg{Value: uint64(r.mask), Op: "SCMP_CMP_MASKED_EQ"})
		}
		// Conditions on one argument are alternatives to libseccomp, so that what is denied is said by what is left.
		for i, v := range r.denied {
			if i == 0 {
				one(Arg{Value: uint64(v), Op: "SCMP_CMP_LT"})
			}
			if i == len(r.denied)-1 {
				one(Arg{Value: uint64(v), Op: "SCMP_CMP_GT"})
				break
			}
			for between := v + 1; between < r.denied[i+1]; between++ {
				one(Arg{Value: uint64(between), Op: "SCMP_CMP_EQ"})
			}
		}
		for _, v := range r.only {
			one(Arg{Value: uint64(v), Op: "SCMP_CMP_EQ"})
		}
	}
	slices.SortStableFunc(p.Syscalls[2:], func(a, b Syscall) int { return strings.Compare(a.Names[0], b.Names[0]) })
	return p
}
