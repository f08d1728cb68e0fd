package runtime

import "strings"

// DefaultPath is the PATH of a program whose image and job set none, as Docker has it.
const DefaultPath = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

// CompleteEnv returns env with PATH, HOME and HOSTNAME where they are absent: the only variables a runtime adds. Names
// with an empty value are present. env itself is not changed.
func CompleteEnv(env []string, home, hostname string) []string {
	defaults := [...]string{"PATH=" + DefaultPath, "HOME=" + home, "HOSTNAME=" + hostname}
	out := env[:len(env):len(env)]
	for _, d := range defaults {
		name := d[:strings.IndexByte(d, '=')+1]
		if !has(env, name) {
			out = append(out, d)
		}
	}
	return out
}

func has(env []string, name string) bool {
	for _, e := range env {
		if strings.HasPrefix(e, name) {
			return true
		}
	}
	return false
}
