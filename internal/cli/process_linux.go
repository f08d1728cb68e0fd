package cli

import (
	"bytes"
	"fmt"
	"os"
)

// alive says whether a process runs. One that has ended but has a parent that does not ask for its end, as the first
// process of many containers, does not count.
func alive(pid int) bool {
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return false
	}
	_, after, _ := bytes.Cut(stat, []byte(") ")) // the name in parentheses may hold anything, but engines have ours
	return !bytes.HasPrefix(after, []byte("Z"))
}
