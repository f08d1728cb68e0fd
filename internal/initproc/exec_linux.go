package initproc

import (
	"errors"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"
)

// execute replaces the init by the job's program, if there is one. It returns only if that is not possible.
func execute(in *Instructions) error {
	if _, err := unix.Write(socket, []byte{attempting}); err != nil {
		return failed("answer", err)
	}
	if len(in.Argv) == 0 {
		syscall.Exit(0)
	}
	if in.Reaper {
		return becomeReaper(in)
	}
	return tryEach(in.Argv[0], in.Env, func(path string) error { return syscall.Exec(path, in.Argv, in.Env) })
}

// tryEach gives run each file that name can mean: itself, if there is a slash in it, else the file of that name in each
// directory of PATH. It stops at the first that run takes. Errors have the texts of runc, which people match.
func tryEach(name string, env []string, run func(path string) error) error {
	if name == "" {
		return &Failure{FailedNotFound, `exec: "": executable file not found in $PATH`}
	}
	if strings.Contains(name, "/") {
		err := run(name)
		if err == nil {
			return nil
		}
		return execFailure(name, name, err)
	}
	path := ""
	for _, e := range env {
		if v, ok := strings.CutPrefix(e, "PATH="); ok {
			path = v
		}
	}
	var denied error
	for dir := range strings.SplitSeq(path, ":") {
		if dir == "" {
			dir = "."
		}
		file := dir + "/" + name
		switch err := run(file); {
		case err == nil:
			return nil
		case errors.Is(err, unix.ENOENT) && !exists(file), errors.Is(err, unix.ENOTDIR):
		case errors.Is(err, unix.EACCES):
			if denied == nil && isFile(file) {
				denied = execFailure(name, file, err)
			}
		default:
			return execFailure(name, file, err)
		}
	}
	if denied != nil {
		return denied
	}
	return &Failure{FailedNotFound, `exec: "` + name + `": executable file not found in $PATH`}
}

func execFailure(name, file string, err error) error {
	quoted := `exec: "` + name + `": `
	switch {
	case errors.Is(err, unix.ENOENT) && !exists(file), errors.Is(err, unix.ENOTDIR):
		return &Failure{FailedNotFound, quoted + "stat " + file + ": " + err.Error()}
	case errors.Is(err, unix.ENOENT): // its interpreter is missing
		return &Failure{FailedNotFound, "exec " + file + ": " + err.Error()}
	case errors.Is(err, unix.EACCES) && !isFile(file):
		return &Failure{FailedNotExecutable, quoted + "is a directory"}
	case errors.Is(err, unix.EACCES):
		return &Failure{FailedNotExecutable, quoted + err.Error()}
	case errors.Is(err, unix.ENOEXEC), errors.Is(err, unix.EPERM), errors.Is(err, unix.ELIBBAD), errors.Is(err, unix.EINVAL):
		return &Failure{FailedNotExecutable, "exec " + file + ": " + err.Error()}
	}
	return &Failure{FailedStart, "exec " + file + ": " + err.Error()}
}

func exists(path string) bool {
	var st unix.Stat_t
	return unix.Stat(path, &st) == nil
}

func isFile(path string) bool {
	var st unix.Stat_t
	return unix.Stat(path, &st) == nil && st.Mode&unix.S_IFMT == unix.S_IFREG
}
