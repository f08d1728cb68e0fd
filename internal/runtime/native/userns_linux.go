package native

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"os/user"
	"slices"
	"strconv"
	"strings"

	"github.com/batchbox/batchbox/internal/runtime"
	"github.com/batchbox/batchbox/internal/runtime/account"
)

// idMaps is what the ids of a user namespace mean outside of it.
type idMaps struct {
	uids, gids []idRange
	// helpers: the maps are written by newuidmap and newgidmap, which know what /etc/subuid and /etc/subgid allow.
	helpers bool
	// foreign: id 0 is not the id of this process.
	foreign bool
}

// idRange maps count ids from inside on to those from outside on.
type idRange struct{ inside, outside, count int }

// single reports that only id 0 is mapped.
func (m *idMaps) single() bool { return len(m.uids) == 1 && m.uids[0].count == 1 }

// containerIDs is how many ids a container has: those of a 16-bit user id, as container engines give them.
const containerIDs = 65536

// unclaimedBase is the first of the host's ids that containers of a root runtime get when /etc/subuid says nothing. It lies
// just above the range that systemd's tools pick from (UIDS-GIDS.md: 524288 to 1879048191), where nobody is.
const unclaimedBase = 1879048192

// rootMaps are the maps of containers whose runtime is root: those of the first range in /etc/subuid and /etc/subgid for
// "batchbox", else unclaimed ids.
func rootMaps() *idMaps {
	return &idMaps{
		uids:    []idRange{{0, rootBase("/etc/subuid"), containerIDs}},
		gids:    []idRange{{0, rootBase("/etc/subgid"), containerIDs}},
		foreign: true,
	}
}

func rootBase(file string) int {
	b, err := os.ReadFile(file)
	if err != nil {
		return unclaimedBase
	}
	for _, r := range parseSubIDs(string(b), "batchbox", "") {
		if r.count >= containerIDs {
			return r.outside
		}
	}
	return unclaimedBase
}

// userMaps are the maps of a runtime that is not root: its own id as root, and the ranges it was given, if the programs
// that can map them are installed. why says what is missing otherwise.
func userMaps() (maps *idMaps, why string) {
	uid, gid := os.Geteuid(), os.Getegid()
	maps = &idMaps{uids: []idRange{{0, uid, 1}}, gids: []idRange{{0, gid, 1}}}
	for _, program := range []string{"newuidmap", "newgidmap"} {
		if _, err := exec.LookPath(program); err != nil {
			return maps, program + " is not installed (package uidmap or shadow-utils)"
		}
	}
	name := ""
	if u, err := user.LookupId(strconv.Itoa(uid)); err == nil {
		name = u.Username
	}
	var more [2][]idRange
	for i, file := range []string{"/etc/subuid", "/etc/subgid"} {
		b, err := os.ReadFile(file)
		if err != nil && !errors.Is(err, os.ErrNotExist) {
			return maps, err.Error()
		}
		if more[i] = parseSubIDs(string(b), name, strconv.Itoa(uid)); len(more[i]) == 0 {
			return maps, file + " has no range for this user (usermod --add-subuids 100000-165535 --add-subgids 100000-165535)"
		}
	}
	maps.uids = append(maps.uids, stack(more[0])...)
	maps.gids = append(maps.gids, stack(more[1])...)
	maps.helpers = true
	return maps, ""
}

// stack lays ranges one after the other, inside, from id 1 on.
func stack(ranges []idRange) []idRange {
	next := 1
	for i := range ranges {
		ranges[i].inside = next
		next += ranges[i].count
	}
	return ranges
}

// parseSubIDs reads the ranges of a user, by name or number, from a file like /etc/subuid (subuid(5)).
func parseSubIDs(file, name, id string) []idRange {
	var ranges []idRange
	for line := range strings.SplitSeq(file, "\n") {
		f := strings.Split(strings.TrimSpace(line), ":")
		if len(f) != 3 || f[0] == "" || f[0] != name && f[0] != id {
			continue
		}
		first, err1 := strconv.Atoi(f[1])
		count, err2 := strconv.Atoi(f[2])
		if err1 == nil && err2 == nil && first > 0 && count > 0 {
			ranges = append(ranges, idRange{outside: first, count: count})
		}
	}
	return ranges
}

// apply gives a process in a new user namespace its ids.
func (m *idMaps) apply(ctx context.Context, pid int) error {
	if m.helpers {
		if err := mapBy(ctx, "newuidmap", pid, m.uids); err != nil {
			return err
		}
		return mapBy(ctx, "newgidmap", pid, m.gids)
	}
	dir := "/proc/" + strconv.Itoa(pid) + "/"
	if !m.foreign {
		// The kernel's condition for letting an ordinary user map a group (user_namespaces(7)).
		if err := os.WriteFile(dir+"setgroups", []byte("deny"), 0); err != nil {
			return fmt.Errorf("user namespace: %w", err)
		}
	}
	for _, f := range []struct {
		name   string
		ranges []idRange
	}{{"uid_map", m.uids}, {"gid_map", m.gids}} {
		var b bytes.Buffer
		for _, r := range f.ranges {
			fmt.Fprintln(&b, r.inside, r.outside, r.count)
		}
		if err := os.WriteFile(dir+f.name, b.Bytes(), 0); err != nil {
			return fmt.Errorf("user namespace: %w", err)
		}
	}
	return nil
}

func mapBy(ctx context.Context, program string, pid int, ranges []idRange) error {
	args := []string{strconv.Itoa(pid)}
	for _, r := range ranges {
		args = append(args, strconv.Itoa(r.inside), strconv.Itoa(r.outside), strconv.Itoa(r.count))
	}
	if out, err := exec.CommandContext(ctx, program, args...).CombinedOutput(); err != nil {
		return fmt.Errorf("%s %s: %w: %s", program, strings.Join(args, " "), err, bytes.TrimSpace(out))
	}
	return nil
}

// String says who a container's users are outside.
func (m *idMaps) String() string {
	switch {
	case m == nil:
		return "root in a container is root on the host, without most of its rights"
	case m.single():
		return "root in a container is this user, and there are no other users"
	case m.foreign:
		return fmt.Sprintf("users of a container are ids from %d on of the host", m.uids[0].outside)
	}
	return fmt.Sprintf("root in a container is this user, other users are ids from %d on", m.uids[1].outside)
}

// soleUser is the ids of a container's only user. Zero is root.
type soleUser struct{ uid, gid int }

// ownUser is the user that a container gets a user namespace of its own for: the runtime's has no user but root, and the
// job or its image names another.
func (r *Runtime) ownUser(spec *runtime.Spec) (soleUser, error) {
	if r.ids == nil || !r.ids.single() || spec.User == "" {
		return soleUser{}, nil
	}
	passwd, err := topFile(spec.Image.Layers, "etc/passwd")
	if err != nil {
		return soleUser{}, err
	}
	group, err := topFile(spec.Image.Layers, "etc/group")
	if err != nil {
		return soleUser{}, err
	}
	id, err := account.Resolve(spec.User, passwd, group)
	return soleUser{id.UID, id.GID}, err
}

// topFile reads a small file of an image from the highest layer that has it; "" if none has. A link that leads out of its
// layer counts as no file.
func topFile(layers []string, name string) (string, error) {
	for _, dir := range slices.Backward(layers) {
		b, err := readWithin(dir, name)
		if err != nil {
			return "", fmt.Errorf("read /%s of the image: %w", name, err)
		}
		if b != nil {
			return string(b), nil
		}
	}
	return "", nil
}

func readWithin(dir, name string) ([]byte, error) {
	root, err := os.OpenRoot(dir)
	if err != nil {
		return nil, err
	}
	defer root.Close()
	info, err := root.Stat(name)
	if err != nil || !info.Mode().IsRegular() {
		return nil, nil // not there, or nothing that could be read
	}
	if info.Size() > account.MaxFile {
		return nil, fmt.Errorf("it is larger than %d MiB", account.MaxFile>>20)
	}
	return root.ReadFile(name)
}
