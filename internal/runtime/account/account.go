// Package account finds out who a container's user is. It imports little, because batchbox-init does.
package account

import (
	"errors"
	"iter"
	"slices"
	"strconv"
	"strings"
)

// Identity is who a program runs as.
type Identity struct {
	UID, GID int
	Groups   []int // supplementary
	Home     string
}

// maxID is the largest user or group id container engines accept.
const maxID = 1<<31 - 1

var errRange = errors.New("uids and gids must be in range 0-" + strconv.Itoa(maxID))

// MaxFile bounds how much of a container's /etc/passwd or /etc/group is worth reading.
const MaxFile = 8 << 20

// Resolve finds out who "user", "uid", "user:group" ... is by the contents of the container's /etc/passwd and
// /etc/group, by the rules of container engines: the first entry with that name or number counts; a number needs no
// entry; without a group the user's own is taken, with its supplementary groups; an explicit group is the only one. The
// error texts are those of runc.
func Resolve(spec, passwd, group string) (Identity, error) {
	name, groupName, _ := strings.Cut(spec, ":")
	id := Identity{Home: "/"}
	uid, uidErr := parseID(name)
	account := ""
	for f := range entries(passwd, 4) {
		entryUID, err1 := parseID(f[2])
		entryGID, err2 := parseID(f[3])
		if err1 != nil || err2 != nil {
			continue
		}
		if name == "" && entryUID == 0 || f[0] == name || uidErr == nil && entryUID == uid {
			account, id.UID, id.GID = f[0], entryUID, entryGID
			if len(f) > 5 && f[5] != "" {
				id.Home = f[5]
			}
			break
		}
	}
	if account == "" && name != "" {
		if errors.Is(uidErr, errRange) {
			return Identity{}, uidErr
		}
		if uidErr != nil {
			return Identity{}, errors.New("unable to find user " + name + ": no matching entries in passwd file")
		}
		id.UID = uid
	}
	if groupName != "" {
		return id.inGroup(groupName, group)
	}
	if account == "" {
		return id, nil
	}
	for f := range entries(group, 4) {
		gid, err := parseID(f[2])
		if err == nil && slices.Contains(strings.Split(f[3], ","), account) {
			id.Groups = append(id.Groups, gid)
		}
	}
	return id, nil
}

func (id Identity) inGroup(name, group string) (Identity, error) {
	gid, gidErr := parseID(name)
	for f := range entries(group, 3) {
		entryGID, err := parseID(f[2])
		if err == nil && (f[0] == name || gidErr == nil && entryGID == gid) {
			id.GID = entryGID
			return id, nil
		}
	}
	if errors.Is(gidErr, errRange) {
		return Identity{}, gidErr
	}
	if gidErr != nil {
		return Identity{}, errors.New("unable to find group " + name + ": no matching entries in group file")
	}
	id.GID = gid
	return id, nil
}

func parseID(s string) (int, error) {
	n, err := strconv.ParseInt(s, 10, 64)
	if err != nil {
		return 0, err
	}
	if n < 0 || n > maxID {
		return 0, errRange
	}
	return int(n), nil
}

// entries yields the fields of each entry of a passwd or group file that has at least min of them.
func entries(file string, min int) iter.Seq[[]string] {
	return func(yield func([]string) bool) {
		for line := range strings.SplitSeq(file, "\n") {
			line = strings.TrimSpace(line)
			if line == "" || line[0] == '#' {
				continue
			}
			if f := strings.Split(line, ":"); len(f) >= min && !yield(f) {
				return
			}
		}
	}
}
