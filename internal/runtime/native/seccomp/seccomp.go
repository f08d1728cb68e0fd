// Package seccomp assembles the system call filter of native containers: a classic BPF program in pure Go.
//
// What is not on the list is refused with EPERM. The list is that of container engines (Moby's profiles/seccomp, for a
// container without added capabilities), without 32-bit and x32 system calls: what programs need, and none of what
// reaches into the kernel itself (modules, kexec, bpf, perf, keyrings, mounts, namespaces, io_uring, userfaultfd).
//
// Three calls depend on an argument: clone makes no namespaces, socket no AF_VSOCK and AF_ALG ones, personality only
// harmless ones. clone3, whose flags a filter can not see, answers ENOSYS, so that C libraries fall back to clone; so
// does every call newer than this list, as a kernel that has not heard of it would.
package seccomp

import (
	"encoding/binary"
	"fmt"
	"slices"
)

// action is a filter's verdict.
type action uint32

// Verdicts (linux/seccomp.h).
const (
	allow       action = 0x7fff0000
	killProcess action = 0x80000000
	errnoBase   action = 0x00050000
	refuse             = errnoBase | 1  // EPERM
	unknown            = errnoBase | 38 // ENOSYS
)

// Offsets into struct seccomp_data.
const (
	offsetNr   = 0
	offsetArch = 4
	offsetArg0 = 16 // the low half, on the little-endian machines this runs on
)

// Opcodes (linux/bpf_common.h).
const (
	opLoad = 0x20 // ld [k]
	opJump = 0x05 // ja k
	opJeq  = 0x15
	opJge  = 0x35
	opJset = 0x45
	opRet  = 0x06
)

type instruction struct {
	op     uint16
	jt, jf uint8
	k      uint32
}

// argumentRule decides a call by its first argument.
type argumentRule struct {
	// mask: refused if any of these bits is set.
	mask uint32
	// denied: refused if it is one of these, in ascending order.
	denied []uint32
	// only: refused unless it is one of these.
	only []uint32
}

func (r argumentRule) code() []instruction {
	code := []instruction{{op: opLoad, k: offsetArg0}}
	switch {
	case r.mask != 0:
		return append(code,
			instruction{op: opJset, k: r.mask, jt: 1},
			instruction{op: opRet, k: uint32(allow)},
			instruction{op: opRet, k: uint32(refuse)})
	case r.denied != nil:
		for _, v := range r.denied {
			code = append(code, instruction{op: opJeq, k: v, jf: 1}, instruction{op: opRet, k: uint32(refuse)})
		}
		return append(code, instruction{op: opRet, k: uint32(allow)})
	}
	for _, v := range r.only {
		code = append(code, instruction{op: opJeq, k: v, jf: 1}, instruction{op: opRet, k: uint32(allow)})
	}
	return append(code, instruction{op: opRet, k: uint32(refuse)})
}

// profile is what Filter assembles.
type profile struct {
	arch    uint32 // AUDIT_ARCH_*
	allowed []uint32
	// absent answer ENOSYS.
	absent []uint32
	rules  map[uint32]argumentRule
	// newest is the highest number the list's author knew of.
	newest uint32
}

// segment is a range of system call numbers that share a verdict: from first up to the next segment's first.
type segment struct {
	first uint32
	act   action
	rule  int // index of the argument rule plus one; 0 for none
}

// assemble makes the program: the architecture is checked, then the number is searched by bisection. The kernel runs the
// program once for every number it knows when the filter is installed (to cache the verdicts), so a linear search would
// cost each container a third of a millisecond.
func (p profile) assemble() ([]byte, error) {
	verdicts := make([]segment, p.newest+2)
	for nr := range verdicts {
		verdicts[nr] = segment{first: uint32(nr), act: refuse}
	}
	verdicts[p.newest+1].act = unknown
	for _, nr := range p.allowed {
		verdicts[nr].act = allow
	}
	for _, nr := range p.absent {
		verdicts[nr].act = unknown
	}
	numbers := make([]uint32, 0, len(p.rules))
	for nr := range p.rules {
		numbers = append(numbers, nr)
	}
	slices.Sort(numbers)
	for i, nr := range numbers {
		verdicts[nr].rule = i + 1
	}
	segments := slices.CompactFunc(verdicts, func(a, b segment) bool { return a.act == b.act && a.rule == b.rule })

	head := []instruction{
		{op: opLoad, k: offsetArch},
		{op: opJeq, k: p.arch, jt: 1},
		{op: opRet, k: uint32(killProcess)},
		{op: opLoad, k: offsetNr},
	}
	search, calls, err := bisect(segments)
	if err != nil {
		return nil, err
	}
	code := append(head, search...)
	for i, nr := range numbers {
		for _, at := range calls[i+1] {
			at += len(head)
			code[at].k = uint32(len(code) - at - 1)
		}
		code = append(code, p.rules[nr].code()...)
	}
	var b []byte
	for _, in := range code {
		b = binary.NativeEndian.AppendUint16(b, in.op)
		b = append(b, in.jt, in.jf)
		b = binary.NativeEndian.AppendUint32(b, in.k)
	}
	return b, nil
}

// bisect is a search tree over segments. calls says where it jumps to each argument rule, the distance being for the
// caller to fill in.
func bisect(segments []segment) (code []instruction, calls map[int][]int, err error) {
	if len(segments) == 1 {
		s := segments[0]
		if s.rule > 0 {
			return []instruction{{op: opJump}}, map[int][]int{s.rule: {0}}, nil
		}
		return []instruction{{op: opRet, k: uint32(s.act)}}, nil, nil
	}
	middle := len(segments) / 2
	low, lowCalls, err := bisect(segments[:middle])
	if err != nil {
		return nil, nil, err
	}
	high, highCalls, err := bisect(segments[middle:])
	if err != nil {
		return nil, nil, err
	}
	if len(low) > 255 {
		return nil, nil, fmt.Errorf("seccomp: a jump over %d instructions does not fit", len(low))
	}
	code = append(code, instruction{op: opJge, k: segments[middle].first, jt: uint8(len(low))})
	code = append(append(code, low...), high...)
	calls = make(map[int][]int)
	for rule, at := range lowCalls {
		for _, i := range at {
			calls[rule] = append(calls[rule], 1+i)
		}
	}
	for rule, at := range highCalls {
		for _, i := range at {
			calls[rule] = append(calls[rule], 1+len(low)+i)
		}
	}
	return code, calls, nil
}
