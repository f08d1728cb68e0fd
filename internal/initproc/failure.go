package initproc

import (
	"encoding/binary"
	"errors"
)

// FailureKind is how far a container got that could not be started.
type FailureKind int

// The kinds of failure.
const (
	// FailedSetup: the container's view of the machine could not be built.
	FailedSetup FailureKind = iota + 1
	// FailedStart: the program could not be executed as the user, in the directory or with the limits asked for.
	FailedStart
	// FailedNotFound: there is no such program (exit code 127 of shells and container engines).
	FailedNotFound
	// FailedNotExecutable: the program may not or can not be executed (exit code 126).
	FailedNotExecutable
)

// What an init says over its socket, besides a Failure, by the first byte. They are no FailureKind.
const (
	// attempting is said right before the init tries to execute the program. Where the socket ends after it, the program was
	// executed; where a Failure follows, it was not.
	attempting = 0
	// madeRoot comes with the root file system as a detached mount, and is followed by a MadeRoot.
	madeRoot = 0x7f
	// madeNetwork comes with the socket that the runtime asked for, and before madeRoot.
	madeNetwork = 0x7e
)

// CutNetwork takes what an init said about its network off the front of its answer; made says that the first of the
// descriptors that came along is the socket asked for.
func CutNetwork(b []byte) (rest []byte, made bool) {
	if len(b) > 0 && b[0] == madeNetwork {
		return b[1:], true
	}
	return b, false
}

// MadeRoot says when the upper directory of a new root file system was last changed (its ctime, in nanoseconds since 1970)
// before the container's program could do anything. It is 0 for a root that was made before.
type MadeRoot struct {
	Changed uint64
}

const madeRootSize = 1 + 8

func (m MadeRoot) append(b []byte) []byte {
	return binary.LittleEndian.AppendUint64(append(b, madeRoot), m.Changed)
}

// ErrSilent is ParseAnswer's error for an init that ended before it could say whether there is a container.
var ErrSilent = errors.New("the container's init was killed")

// ParseAnswer reads all that an init said, to the end of its socket. Without a Failure and an error, the program was executed.
func ParseAnswer(b []byte) (root *MadeRoot, f *Failure, err error) {
	if len(b) > 0 && b[0] == madeRoot {
		if len(b) < madeRootSize {
			return nil, nil, errShort
		}
		root = &MadeRoot{Changed: binary.LittleEndian.Uint64(b[1:])}
		b = b[madeRootSize:]
	}
	if len(b) == 0 {
		return root, nil, ErrSilent
	}
	if b[0] == attempting {
		if b = b[1:]; len(b) == 0 {
			return root, nil, nil
		}
	}
	f, err = ParseFailure(b)
	return root, f, err
}

// Failure is what an init says before it gives up.
type Failure struct {
	Kind FailureKind
	Text string
}

func (f *Failure) Error() string { return f.Text }

// Append appends the encoding of f to b.
func (f *Failure) Append(b []byte) []byte { return appendMessage(b, f) }

// ParseFailure reads what Append wrote.
func ParseFailure(b []byte) (*Failure, error) {
	f := new(Failure)
	if err := readMessage(b, f); err != nil {
		return nil, err
	}
	return f, nil
}

func (f *Failure) code(c *coder) {
	kind := int(f.Kind)
	c.int(&kind)
	f.Kind = FailureKind(kind)
	c.string(&f.Text)
}

// step is an error with what was attempted.
type step struct {
	what string
	err  error
}

func (s *step) Error() string { return s.what + ": " + s.err.Error() }
func (s *step) Unwrap() error { return s.err }

func failed(what string, err error) error {
	if err == nil {
		return nil
	}
	return &step{what, err}
}
