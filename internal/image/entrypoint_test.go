package image

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	goruntime "runtime"
	"strings"
	"syscall"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/batchbox/batchbox/internal/runtime"
	"github.com/batchbox/batchbox/internal/testenv"
)

// elf is the beginning of an ELF file for this machine, with a loader if interp is not "".
func elf(interp string) string {
	machine := map[string]uint16{"amd64": 62, "arm64": 183}[goruntime.GOARCH]
	return elfFor(machine, 2, binary.LittleEndian, interp)
}

func elfFor(machine uint16, class byte, bo binary.ByteOrder, interp string) string {
	b := make([]byte, 256)
	copy(b, "\x7fELF")
	b[4], b[5], b[6] = class, 1, 1
	if bo == binary.BigEndian {
		b[5] = 2
	}
	bo.PutUint16(b[16:], 2)
	bo.PutUint16(b[18:], machine)
	const name = 200
	n := uint64(len(interp) + 1)
	var kind uint32 = 1 // PT_LOAD
	if interp != "" {
		kind = 3 // PT_INTERP
	}
	if class == 2 {
		bo.PutUint64(b[32:], 64)
		bo.PutUint16(b[54:], 56)
		bo.PutUint16(b[56:], 1)
		bo.PutUint32(b[64:], kind)
		bo.PutUint64(b[64+8:], name)
		bo.PutUint64(b[64+32:], n)
	} else {
		bo.PutUint32(b[28:], 64)
		bo.PutUint16(b[42:], 32)
		bo.PutUint16(b[44:], 1)
		bo.PutUint32(b[64:], kind)
		bo.PutUint32(b[64+4:], name)
		bo.PutUint32(b[64+16:], uint32(n))
	}
	copy(b[name:], interp)
	return string(b)
}

func exe(name, body string) entryOf { return entryOf{Name: name, Body: body, Mode: 0o755} }

func TestResolveEntrypoint(t *testing.T) {
	t.Parallel()
	testenv.Require(t, testenv.Linux)
	root, err := flat(t, Limits{}, tarOf(t,
		exe("usr/bin/static", elf("")), exe("usr/local/bin/tool", elf("")), exe("bin/busybox", elf("")),
		linkOf("bin/sh", "/bin/busybox"), linkOf("usr/bin/sh", "../../bin/sh"), linkOf("usr/bin/env", "busybox"), exe("usr/bin/busybox", elf("")),
		exe("app/run.sh", "#!/bin/sh -eu -x \nexit 0\n"), exe("app/py", "#! /usr/bin/env python3\n"), exe("app/nested", "#!/app/run.sh\n"), exe("app/crlf", "#!/bin/sh\r\n"),
		exe("app/dyn", elf("/lib64/ld.so")), exe("lib/ld-2.so", elf("")), linkOf("lib64", "lib"), linkOf("lib/ld.so", "ld-2.so"),
		exe("app/nold", elf("/lib64/ld-musl.so")), exe("app/nointerp", "#!/usr/bin/perl\n"), exe("app/relinterp", "#!bin/sh\n"), exe("app/hostinterp", "#!/bin/bash\n"),
		fileOf("app/data", "text"), exe("app/text", "echo hello\n"), exe("app/empty", ""), exe("app/loop", "#!/app/loop\n"), exe("app/noname", "#!\n"),
		exe("app/mac", "\xcf\xfa\xed\xfe\x0c\x00\x00\x01"+strings.Repeat("\x00", 40)), exe("app/win", "MZ"+strings.Repeat("\x00", 40)), exe("app/other", elfFor(22, 2, binary.BigEndian, "")),
		linkOf("app/out", "../../../../../bin/sh"), linkOf("app/hostfile", "/etc/hostname"), linkOf("app/self", "self"), linkOf("app/dot", "."), dirOf("app/dir"), linkOf("app/viadir", "dir/../run.sh"),
		exe("opt/only/here", elf("")), exe("opt/notexec/x", elf("")), fileOf("usr/bin/notexec", elf("")),
	))
	check(t, err)
	in := func(name, p string) *Interpreter {
		return &Interpreter{Name: name, Path: p, HostPath: filepath.Join(root, p)}
	}
	with := func(i *Interpreter, arg string) Interpreter { c := *i; c.Arg = arg; return c }

	for _, tc := range []struct {
		argv []string
		env  []string
		dir  string
		want Entrypoint
		host []string // HostArgv, without root; nil if it needs its root
	}{
		{argv: []string{"static", "a"}, want: Entrypoint{Path: "/usr/bin/static"}, host: []string{"static", "a"}},
		{argv: []string{"tool"}, env: []string{"PATH=/nowhere:/usr/local/bin"}, want: Entrypoint{Path: "/usr/local/bin/tool"}, host: []string{"tool"}},
		{argv: []string{"here"}, env: []string{"PATH=/bin", "PATH=only"}, dir: "/opt", want: Entrypoint{Path: "/opt/only/here"}, host: []string{"here"}},
		{argv: []string{"only/here"}, dir: "opt", want: Entrypoint{Path: "/opt/only/here"}, host: []string{"only/here"}},
		{argv: []string{"./run.sh", "a"}, dir: "/app", want: Entrypoint{Path: "/app/run.sh", Scripts: []Interpreter{with(in("/bin/sh", "/bin/busybox"), "-eu -x")}},
			host: []string{"ROOT/bin/busybox", "-eu -x", "ROOT/app/run.sh", "a"}},
		{argv: []string{"/app/py"}, want: Entrypoint{Path: "/app/py", Scripts: []Interpreter{with(in("/usr/bin/env", "/usr/bin/busybox"), "python3")}}, host: []string{"ROOT/usr/bin/busybox", "python3", "ROOT/app/py"}},
		{argv: []string{"/app/nested", "b"}, want: Entrypoint{Path: "/app/nested", Scripts: []Interpreter{*in("/app/run.sh", "/app/run.sh"), with(in("/bin/sh", "/bin/busybox"), "-eu -x")}},
			host: []string{"ROOT/bin/busybox", "-eu -x", "ROOT/app/run.sh", "ROOT/app/nested", "b"}},
		{argv: []string{"/app/crlf"}, want: Entrypoint{Path: "/app/crlf", Scripts: []Interpreter{*in("/bin/sh", "/bin/busybox")}}, host: []string{"ROOT/bin/busybox", "ROOT/app/crlf"}},
		{argv: []string{"/app/dyn"}, want: Entrypoint{Path: "/app/dyn", Loader: in("/lib64/ld.so", "/lib/ld-2.so")}},
		{argv: []string{"sh"}, env: []string{"PATH=/usr/bin"}, want: Entrypoint{Path: "/bin/busybox"}, host: []string{"sh"}},
		{argv: []string{"/app/out"}, want: Entrypoint{Path: "/bin/busybox"}, host: []string{"/app/out"}},
		{argv: []string{"/app/viadir"}, want: Entrypoint{Path: "/app/run.sh", Scripts: []Interpreter{with(in("/bin/sh", "/bin/busybox"), "-eu -x")}}, host: []string{"ROOT/bin/busybox", "-eu -x", "ROOT/app/run.sh"}},
		// A file that can't be executed does not end the search.
		{argv: []string{"x"}, env: []string{"PATH=/usr/bin/notexec:/opt/notexec"}, want: Entrypoint{Path: "/opt/notexec/x"}, host: []string{"x"}},
	} {
		t.Run(strings.Join(tc.argv, " "), func(t *testing.T) {
			t.Parallel()
			got, err := ResolveEntrypoint(root, tc.argv, tc.env, tc.dir, nil)
			check(t, err)
			tc.want.HostPath, tc.want.HostDir = filepath.Join(root, tc.want.Path), filepath.Join(root, tc.dir)
			if d := cmp.Diff(&tc.want, got); d != "" {
				t.Error(d)
			}
			file, argv, err := got.HostArgv(tc.argv)
			if tc.host == nil {
				wantStartError(t, err, runtime.KindCannotStart, 126, "dynamically linked", "/lib64/ld.so", "CGO_ENABLED=0")
				return
			}
			check(t, err)
			for i := range tc.host {
				tc.host[i] = strings.Replace(tc.host[i], "ROOT", root, 1)
			}
			if d := cmp.Diff(tc.host, argv); d != "" {
				t.Error(d)
			}
			if len(got.Scripts) == 0 && file != got.HostPath || len(got.Scripts) > 0 && file != argv[0] {
				t.Errorf("file %s", file)
			}
		})
	}

	for _, tc := range []struct {
		argv []string
		code int
		want string
	}{
		{nil, 127, "no command specified"},
		{[]string{""}, 127, "no command specified"},
		{[]string{"none"}, 127, `exec: "none": executable file not found in $PATH`},
		{[]string{"notexec"}, 127, `exec: "notexec": executable file not found in $PATH`},
		{[]string{"/bin/none"}, 127, `exec: "/bin/none": stat /bin/none: no such file or directory`},
		{[]string{"rel/none"}, 127, `exec: "rel/none": stat /app/rel/none: no such file or directory`},
		{[]string{"/app/data/x"}, 127, "no such file or directory"},
		{[]string{"/app/data"}, 126, `exec: "/app/data": permission denied`},
		{[]string{"/app/dir"}, 126, `exec: "/app/dir": is a directory`},
		{[]string{"/app/dot"}, 126, "is a directory"},
		{[]string{"/app/self"}, 126, "too many levels of symbolic links"},
		{[]string{"/app/hostfile"}, 127, "no such file or directory"}, // the host has it
		{[]string{"/app/text"}, 126, "exec format error"},
		{[]string{"/app/empty"}, 126, "exec format error"},
		{[]string{"/app/noname"}, 126, "exec format error"},
		{[]string{"/app/loop"}, 126, "too many levels of symbolic links"},
		{[]string{"/app/nold"}, 127, "exec /app/nold: no such file or directory: its interpreter /lib64/ld-musl.so is not in the image"},
		{[]string{"/app/nointerp"}, 127, "its interpreter /usr/bin/perl is not in the image"},
		{[]string{"/app/hostinterp"}, 127, "its interpreter /bin/bash is not in the image"}, // the host has it
		{[]string{"/app/relinterp"}, 126, `its interpreter "bin/sh" has no absolute path`},
		{[]string{"/app/mac"}, 126, "exec format error: it is a program for darwin/arm64"},
		{[]string{"/app/win"}, 126, "exec format error: it is a program for Windows"},
		{[]string{"/app/other"}, 126, "exec format error: it is a program for linux/s390x"},
	} {
		t.Run("refuses "+fmt.Sprint(tc.argv), func(t *testing.T) {
			t.Parallel()
			e, err := ResolveEntrypoint(root, tc.argv, nil, "/app", nil)
			if e != nil {
				t.Errorf("resolved to %+v", e)
			}
			wantStartError(t, err, runtime.KindCannotStart, tc.code, tc.want)
		})
	}
}

// A static program found in an image runs; what the kernel needs for it is what was found.
func TestResolveEntrypointRuns(t *testing.T) {
	t.Parallel()
	testenv.Require(t, testenv.Linux)
	src := t.TempDir()
	check(t, os.WriteFile(filepath.Join(src, "main.go"), []byte("package main\nimport (\"fmt\";\"os\")\nfunc main() { fmt.Println(os.Args[1:]) }\n"), 0o600))
	bin := filepath.Join(src, "prog")
	cmd := exec.Command("go", "build", "-o", bin, filepath.Join(src, "main.go"))
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0", "GOFLAGS=")
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	root, err := flat(t, Limits{}, tarOf(t, exe("bin/prog", read(t, bin)), exe("bin/script", "#!/bin/prog one two\n")))
	check(t, err)
	for argv0, want := range map[string]string{"prog": "[x]", "script": "[one two " + root + "/bin/script x]"} {
		argv := []string{argv0, "x"}
		e := must(ResolveEntrypoint(root, argv, []string{"PATH=/bin"}, "/", nil))(t)
		file, args, err := e.HostArgv(argv)
		check(t, err)
		out, err := (&exec.Cmd{Path: file, Args: args}).Output()
		if err != nil || strings.TrimSpace(string(out)) != want {
			t.Errorf("%s: %q, %v; want %s", argv0, out, err, want)
		}
	}
}

// A program of another architecture runs if that is emulated, by the image's own loader as any.
func TestEmulatedEntrypoint(t *testing.T) {
	t.Parallel()
	testenv.Require(t, testenv.Linux)
	machine, arch := uint16(183), "arm64"
	if goruntime.GOARCH == arch {
		machine, arch = 62, "amd64"
	}
	root, err := flat(t, Limits{}, tarOf(t, exe("bin/app", elfFor(machine, 2, binary.LittleEndian, "/lib/ld.so")), exe("lib/ld.so", elfFor(machine, 2, binary.LittleEndian, ""))))
	check(t, err)
	e, err := ResolveEntrypoint(root, []string{"/bin/app"}, nil, "/", func(a string) bool { return a == arch })
	if err != nil || e.Loader == nil || e.Loader.Path != "/lib/ld.so" {
		t.Errorf("emulated: %+v, %v", e, err)
	}
	for name, emulates := range map[string]func(string) bool{"no emulator": nil, "another's": func(a string) bool { return a == "s390x" }} {
		if _, err := ResolveEntrypoint(root, []string{"/bin/app"}, nil, "/", emulates); err == nil || !strings.Contains(err.Error(), "exec format error") {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestReadHeader(t *testing.T) {
	t.Parallel()
	long := "#!/" + strings.Repeat("x", 300)
	for name, tc := range map[string]struct {
		file, goos, goarch string
		want               header
		err                error
	}{
		"static":                 {elfFor(62, 2, binary.LittleEndian, ""), "linux", "amd64", header{}, nil},
		"dynamic":                {elfFor(183, 2, binary.LittleEndian, "/lib/ld.so"), "linux", "arm64", header{interpreter: "/lib/ld.so"}, nil},
		"32 bits":                {elfFor(40, 1, binary.LittleEndian, "/lib/ld.so"), "linux", "arm", header{interpreter: "/lib/ld.so"}, nil},
		"big endian":             {elfFor(22, 2, binary.BigEndian, "/lib/ld.so"), "linux", "s390x", header{interpreter: "/lib/ld.so"}, nil},
		"ppc64le":                {elfFor(21, 2, binary.LittleEndian, ""), "linux", "ppc64le", header{}, nil},
		"another machine":        {elfFor(183, 2, binary.LittleEndian, ""), "linux", "amd64", header{foreign: "a program for linux/arm64"}, nil},
		"an unknown machine":     {elfFor(999, 2, binary.LittleEndian, ""), "linux", "amd64", header{foreign: "a program for linux/machine 999"}, nil},
		"on a Mac":               {elfFor(183, 2, binary.LittleEndian, ""), "darwin", "arm64", header{foreign: "a program for linux/arm64"}, nil},
		"Mach-O":                 {"\xcf\xfa\xed\xfe\x0c\x00\x00\x01", "darwin", "arm64", header{}, nil},
		"Mach-O of another":      {"\xcf\xfa\xed\xfe\x07\x00\x00\x01", "darwin", "arm64", header{foreign: "a program for darwin/amd64"}, nil},
		"universal":              {"\xca\xfe\xba\xbe\x00\x00\x00\x02", "darwin", "arm64", header{}, nil},
		"script":                 {"#!/bin/sh\n", "linux", "amd64", header{script: true, interpreter: "/bin/sh"}, nil},
		"script without newline": {"#!/bin/sh", "linux", "amd64", header{script: true, interpreter: "/bin/sh"}, nil},
		"script with spaces":     {"#! \t/bin/sh \t -a  b \nx", "linux", "amd64", header{script: true, interpreter: "/bin/sh", arg: "-a  b"}, nil},
		"a name too long":        {long, "linux", "amd64", header{}, syscall.ENOEXEC},
		"a short ELF":            {"\x7fELF\x02\x01", "linux", "amd64", header{}, syscall.ENOEXEC},
		"no header":              {"x", "linux", "amd64", header{}, syscall.ENOEXEC},
	} {
		got, err := readHeader(bytes.NewReader([]byte(tc.file)), tc.goos, tc.goarch)
		if !errors.Is(err, tc.err) || got != tc.want {
			t.Errorf("%s: %+v, %v", name, got, err)
		}
	}
}

func FuzzReadHeader(f *testing.F) {
	f.Add([]byte(elfFor(62, 2, binary.LittleEndian, "/lib/ld.so")))
	f.Add([]byte(elfFor(62, 1, binary.BigEndian, "")))
	f.Add([]byte("#!/bin/sh -x\n"))
	f.Add([]byte("\xcf\xfa\xed\xfe\x0c\x00\x00\x01"))
	f.Fuzz(func(t *testing.T, b []byte) {
		h, err := readHeader(bytes.NewReader(b), "linux", "amd64")
		if err != nil {
			return
		}
		if h.script && h.interpreter == "" || strings.ContainsRune(h.interpreter, 0) || len(h.interpreter) > maxLoader {
			t.Errorf("%+v", h)
		}
	})
}

// What a machine has installed is read as the system's own tools read it.
func TestReadHeaderOfHost(t *testing.T) {
	t.Parallel()
	testenv.Require(t, testenv.Linux)
	p, err := exec.LookPath("ls")
	if err != nil {
		t.Skip("no ls")
	}
	file := must(os.Open(p))(t)
	defer file.Close()
	h, err := readHeader(file, "linux", goruntime.GOARCH)
	check(t, err)
	if h.script || h.foreign != "" {
		t.Errorf("%s: %+v", p, h)
	}
	if h.interpreter != "" {
		if _, err := os.Stat(h.interpreter); err != nil {
			t.Errorf("%s asks for a loader that is not there: %v", p, err)
		}
	}
}

func BenchmarkResolveEntrypoint(b *testing.B) {
	root, err := flat(b, Limits{}, tarOf(b, exe("app/worker", elf(""))))
	check(b, err)
	argv := []string{"/app/worker"}
	for b.Loop() {
		if _, err := ResolveEntrypoint(root, argv, nil, "/", nil); err != nil {
			b.Fatal(err)
		}
	}
}
