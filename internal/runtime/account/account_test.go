package account

import (
	"testing"

	"github.com/google/go-cmp/cmp"
)

const passwd = `# a comment
root:x:0:0:root:/root:/bin/sh

ana:x:1000:100:Ana:/home/ana:/bin/sh
1001:x:2000:100::/odd:/bin/sh
broken:x:many:few::/broken:/bin/sh
short:x:5
nohome:x:1003:100:::
`

const group = `root:x:0:
users:x:100:
wheel:x:10:root,ana
video:x:44:bo,ana
100000:x:77:
`

func TestResolve(t *testing.T) {
	t.Parallel()
	for spec, want := range map[string]any{
		"":             Identity{UID: 0, GID: 0, Groups: []int{10}, Home: "/root"},
		"root":         Identity{UID: 0, GID: 0, Groups: []int{10}, Home: "/root"},
		"0":            Identity{UID: 0, GID: 0, Groups: []int{10}, Home: "/root"},
		"ana":          Identity{UID: 1000, GID: 100, Groups: []int{10, 44}, Home: "/home/ana"},
		"1000":         Identity{UID: 1000, GID: 100, Groups: []int{10, 44}, Home: "/home/ana"},
		"ana:video":    Identity{UID: 1000, GID: 44, Home: "/home/ana"},
		"ana:44":       Identity{UID: 1000, GID: 44, Home: "/home/ana"},
		"ana:555":      Identity{UID: 1000, GID: 555, Home: "/home/ana"},
		"1001":         Identity{UID: 2000, GID: 100, Home: "/odd"}, // its name is a number
		"nohome":       Identity{UID: 1003, GID: 100, Home: "/"},
		"4000":         Identity{UID: 4000, GID: 0, Home: "/"},
		"4000:4001":    Identity{UID: 4000, GID: 4001, Home: "/"},
		":video":       Identity{UID: 0, GID: 44, Home: "/root"},
		"4000:100000":  Identity{UID: 4000, GID: 77, Home: "/"},
		"2147483647":   Identity{UID: 2147483647, GID: 0, Home: "/"},
		"bo":           "unable to find user bo: no matching entries in passwd file",
		"broken":       "unable to find user broken: no matching entries in passwd file",
		"short":        "unable to find user short: no matching entries in passwd file",
		"ana:nobody":   "unable to find group nobody: no matching entries in group file",
		"2147483648":   "uids and gids must be in range 0-2147483647",
		"-1":           "uids and gids must be in range 0-2147483647",
		"0:2147483648": "uids and gids must be in range 0-2147483647",
	} {
		t.Run(spec, func(t *testing.T) {
			t.Parallel()
			got, err := Resolve(spec, passwd, group)
			if err != nil {
				if err.Error() != want {
					t.Errorf("error %q, want %v", err, want)
				}
				return
			}
			if diff := cmp.Diff(want, any(got)); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestResolveWithoutFiles(t *testing.T) {
	t.Parallel()
	got, err := Resolve("", "", "")
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(Identity{Home: "/"}, got); diff != "" {
		t.Error(diff)
	}
	if got, err := Resolve("root", "", ""); err == nil {
		t.Errorf("a name without a file is %+v", got)
	}
}

func FuzzResolve(f *testing.F) {
	f.Add("ana:video", passwd, group)
	f.Add("", "", "")
	f.Add("1000", "x:x:1000:1:::", "y:x:1:x")
	f.Fuzz(func(t *testing.T, spec, passwd, group string) {
		id, err := Resolve(spec, passwd, group)
		if err != nil {
			return
		}
		for _, n := range append([]int{id.UID, id.GID}, id.Groups...) {
			if n < 0 || n > maxID {
				t.Errorf("id %d", n)
			}
		}
		if id.Home == "" {
			t.Error("no home")
		}
	})
}
