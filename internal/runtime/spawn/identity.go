package spawn

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
	"syscall"
)

// identity is a process id together with when the process was started, which tells the process from a later one of the
// same number: the fork happened between from and to.
type identity struct {
	pid      int
	from, to int64
}

// Identity names the process for EndGroup, in another process and at a later time, until the machine is restarted.
func (p *Process) Identity() string {
	return fmt.Sprintf("%s:%d:%d:%d", Boot(), p.id.pid, p.id.from, p.id.to)
}

// errOtherBoot says that an identity is from before the machine was restarted.
var errOtherBoot = errors.New("identity of an earlier boot")

func parseIdentity(s string) (identity, error) {
	f := strings.Split(s, ":")
	if len(f) != 4 {
		return identity{}, fmt.Errorf("process identity %q: want four fields", s)
	}
	pid, err := strconv.Atoi(f[1])
	if err != nil || pid < 2 {
		return identity{}, fmt.Errorf("process identity %q: bad process id", s)
	}
	from, err1 := strconv.ParseInt(f[2], 10, 64)
	to, err2 := strconv.ParseInt(f[3], 10, 64)
	if err := errors.Join(err1, err2); err != nil {
		return identity{}, fmt.Errorf("process identity %q: %w", s, err)
	}
	if f[0] != Boot() {
		return identity{}, errOtherBoot
	}
	return identity{pid: pid, from: from, to: to}, nil
}

// EndGroup sends SIGKILL to the process group led by the process that Identity named, if that process is still there. It
// reports whether it was. A process that has only got the same number since is left alone.
func EndGroup(id string) (bool, error) {
	p, err := parseIdentity(id)
	if errors.Is(err, errOtherBoot) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	if !startedWithin(p.pid, p.from, p.to) {
		return false, nil
	}
	if err := syscall.Kill(-p.pid, syscall.SIGKILL); err != nil && !errors.Is(err, syscall.ESRCH) {
		return false, fmt.Errorf("kill process group %d: %w", p.pid, err)
	}
	return true, nil
}
