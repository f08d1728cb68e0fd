package image

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	goruntime "runtime"
	"strings"
	"syscall"

	"github.com/batchbox/batchbox/internal/runtime"
)

// Entrypoint is a program found inside an unpacked image, with everything the kernel would run to run it, all of it in
// the image.
type Entrypoint struct {
	// Path is the program inside the image, absolute and without links: what a process whose root is the image executes.
	Path string
	// HostPath is the same file as this machine's processes see it.
	HostPath string
	// Scripts is the chain of "#!" interpreters, the program's own first; empty for a binary.
	Scripts []Interpreter
	// Loader is the dynamic loader the binary at the end of the chain asks for (its PT_INTERP); nil if it is static.
	Loader *Interpreter
	// HostDir is the working directory as this machine's processes see it; "" if the image has no such directory.
	HostDir string
}

// Interpreter is a program that runs another.
type Interpreter struct {
	// Name is as the script or binary has it, Arg the argument of a "#!" line, "" if there is none.
	Name, Arg string
	// Path and HostPath are as in Entrypoint.
	Path, HostPath string
}

// NeedsRoot says that the program runs only with the image as its root directory: a dynamic loader finds libraries by
// absolute paths, and without chroot those would be the host's.
func (e *Entrypoint) NeedsRoot() bool { return e.Loader != nil }

// HostArgv is the argument list that runs the program without changing the root directory, and the file to execute with
// it; argv is the container's. A script's interpreters are spelled out, so that the kernel does not look for them on the
// host. It fails for a program that needs its root.
func (e *Entrypoint) HostArgv(argv []string) (file string, hostArgv []string, err error) {
	if e.NeedsRoot() {
		return "", nil, &runtime.StartError{Kind: runtime.KindCannotStart, ExitCode: 126, Err: fmt.Errorf(
			"exec: %q: it is dynamically linked and needs the loader and libraries of its image (%s), which a plain process does not have at their paths: "+
				"link it statically (CGO_ENABLED=0), or use the runtime native or docker", argv[0], e.Loader.Name)}
	}
	if len(e.Scripts) == 0 {
		return e.HostPath, argv, nil
	}
	// As the kernel does it: the last interpreter comes first, each followed by its argument and what it runs.
	hostArgv = append([]string{e.HostPath}, argv[1:]...)
	for _, s := range e.Scripts {
		head := []string{s.HostPath}
		if s.Arg != "" {
			head = append(head, s.Arg)
		}
		hostArgv = append(head, hostArgv...)
	}
	return hostArgv[0], hostArgv, nil
}

// defaultPath is the PATH of an image that has none, as container engines have it.
const defaultPath = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

// maxScripts is how many scripts may interpret one another, as in Linux.
const maxScripts = 5

// ResolveEntrypoint finds argv[0] inside the unpacked image at root: by the PATH of env, or relative to dir, the working
// directory inside the image. Links are followed inside the image only, and every interpreter and loader the program
// asks for must be in the image, too; nothing of the host's is ever run. It must be for this machine, or for
// an architecture, in Go's names, that it emulates; emulates may be nil.
//
// The error is a *runtime.StartError of kind CannotStartContainerError. Its ExitCode is 127 if there is no such file and
// 126 if there is but it can't be executed, and its text is what container engines say.
func ResolveEntrypoint(root string, argv, env []string, dir string, emulates func(arch string) bool) (*Entrypoint, error) {
	if len(argv) == 0 || argv[0] == "" {
		return nil, startError(127, errors.New("no command specified"))
	}
	r, err := os.OpenRoot(root)
	if err != nil {
		return nil, startError(127, fmt.Errorf("opening the image: %w", err))
	}
	defer func() { _ = r.Close() }() // only read from
	f := finder{root: r, host: root, emulates: emulates}
	p, err := f.search(argv[0], env, dir)
	if err != nil {
		return nil, err
	}
	e := &Entrypoint{Path: "/" + p, HostPath: f.hostPath(p)}
	if at, err := f.directory(dir); err == nil {
		e.HostDir = f.hostPath(at)
	}
	if err := f.interpreters(e, argv[0]); err != nil {
		return nil, err
	}
	return e, nil
}

func startError(code int, err error) error {
	return &runtime.StartError{Kind: runtime.KindCannotStart, ExitCode: code, Err: err}
}

// finder looks at files inside an image.
type finder struct {
	root *os.Root
	host string
	// emulates: programs of this architecture run, too; nil for none.
	emulates func(arch string) bool
}

func (f *finder) hostPath(p string) string { return filepath.Join(f.host, filepath.FromSlash(p)) }

// search finds a command and returns its path relative to the root, without links.
func (f *finder) search(name string, env []string, dir string) (string, error) {
	if strings.ContainsRune(name, '/') {
		full := name
		if !path.IsAbs(name) {
			full = path.Join("/", dir, name)
		}
		p, err := f.executable(full)
		switch {
		case errors.Is(err, fs.ErrNotExist), errors.Is(err, syscall.ENOTDIR):
			return "", startError(127, fmt.Errorf("exec: %q: stat %s: no such file or directory", name, full))
		case err != nil:
			return "", startError(126, fmt.Errorf("exec: %q: %w", name, err))
		}
		return p, nil
	}
	list := defaultPath
	for _, kv := range env { // the last one counts
		if v, ok := strings.CutPrefix(kv, "PATH="); ok {
			list = v
		}
	}
	for _, d := range strings.Split(list, ":") {
		if !path.IsAbs(d) {
			d = path.Join("/", dir, d) // also "", the working directory
		}
		// Whatever is wrong with a file on the way, the search goes on, as in container engines.
		if p, err := f.executable(path.Join(d, name)); err == nil {
			return p, nil
		}
	}
	return "", startError(127, fmt.Errorf("exec: %q: executable file not found in $PATH", name))
}

// directory resolves a directory inside the image.
func (f *finder) directory(p string) (string, error) {
	return walk(p, f.root.Lstat, f.root.Readlink, func(_ string, fi fs.FileInfo) error {
		if fi != nil {
			return syscall.ENOTDIR
		}
		return fs.ErrNotExist
	})
}

// executable resolves a path inside the image and makes sure that it is a regular file somebody may execute.
func (f *finder) executable(p string) (string, error) {
	dir, base := path.Split(path.Clean(p))
	// The last component may be a link, too.
	for range maxFollow {
		at, err := f.directory(dir)
		if err != nil {
			return "", err
		}
		real := path.Join(at, base)
		fi, err := f.root.Lstat(real)
		if err != nil {
			return "", err
		}
		if fi.Mode()&fs.ModeSymlink != 0 {
			target, err := f.root.Readlink(real)
			if err != nil {
				return "", err
			}
			if !path.IsAbs(target) {
				target = at + "/" + target
			}
			// Not cleaned: what ".." means depends on the links before it, and walk knows them.
			if dir, base = path.Split(target); base == "" || base == "." || base == ".." {
				return "", syscall.EISDIR // or nothing; a program it is not
			}
			continue
		}
		switch {
		case fi.IsDir():
			return "", syscall.EISDIR
		case !fi.Mode().IsRegular(), fi.Mode().Perm()&0o111 == 0:
			return "", syscall.EACCES
		}
		return real, nil
	}
	return "", syscall.ELOOP
}

// interpreters follows the program's "#!" lines to a binary, and that to its loader.
func (f *finder) interpreters(e *Entrypoint, name string) error {
	p := strings.TrimPrefix(e.Path, "/")
	for {
		h, err := f.read(p)
		if err != nil {
			return startError(126, fmt.Errorf("exec: %q: %w", name, err))
		}
		switch {
		case h.script:
			if len(e.Scripts) == maxScripts {
				return startError(126, fmt.Errorf("exec /%s: %w", p, syscall.ELOOP))
			}
			in, err := f.interpreter(p, h.interpreter)
			if err != nil {
				return err
			}
			in.Arg = h.arg
			e.Scripts = append(e.Scripts, *in)
			p = strings.TrimPrefix(in.Path, "/")
			continue
		case h.foreign != "":
			return startError(126, fmt.Errorf("exec /%s: exec format error: it is %s, this machine runs %s/%s; build the image for this platform or set the job definition's runtimePlatform",
				p, h.foreign, goruntime.GOOS, goruntime.GOARCH))
		case h.interpreter != "":
			e.Loader, err = f.interpreter(p, h.interpreter)
			return err
		}
		return nil
	}
}

// interpreter finds what the file p names as its interpreter. The kernel takes a relative name from the working
// directory of whoever runs it, which no image can mean.
func (f *finder) interpreter(p, name string) (*Interpreter, error) {
	if !path.IsAbs(name) {
		return nil, startError(126, fmt.Errorf("exec /%s: its interpreter %q has no absolute path", p, name))
	}
	at, err := f.executable(name)
	switch {
	case errors.Is(err, fs.ErrNotExist), errors.Is(err, syscall.ENOTDIR):
		return nil, startError(127, fmt.Errorf("exec /%s: no such file or directory: its interpreter %s is not in the image", p, name))
	case err != nil:
		return nil, startError(126, fmt.Errorf("exec /%s: its interpreter %s: %w", p, name, err))
	}
	return &Interpreter{Name: name, Path: "/" + at, HostPath: f.hostPath(at)}, nil
}

// read looks at what kind of program a file is.
func (f *finder) read(p string) (header, error) {
	file, err := f.root.Open(p)
	if err != nil {
		return header{}, err
	}
	defer file.Close()
	fi, err := file.Stat()
	if err != nil {
		return header{}, err
	}
	content := io.NewSectionReader(file, 0, fi.Size())
	h, err := readHeader(content, goruntime.GOOS, goruntime.GOARCH)
	if arch, ok := strings.CutPrefix(h.foreign, foreignLinux); ok && goruntime.GOOS == "linux" && f.emulates != nil && f.emulates(arch) {
		return readHeader(content, goruntime.GOOS, arch)
	}
	return h, err
}
