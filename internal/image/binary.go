package image

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"strings"
	"syscall"
)

// header is what the beginning of an executable file says about running it.
type header struct {
	// script: a "#!" line names interpreter and arg. Otherwise interpreter is a binary's dynamic loader, "" if it is static.
	script           bool
	interpreter, arg string
	// foreign describes a binary that is not for the machine asked about; "" if it is.
	foreign string
}

// foreignLinux is how header.foreign begins for programs of Linux; the architecture follows.
const foreignLinux = "a program for linux/"

// maxShebang is how much of a script's first line Linux reads.
const maxShebang = 256

// maxLoader bounds the path of a dynamic loader, as Linux does.
const maxLoader = 4096

// maxSegments bounds an ELF file's program headers: Linux takes at most 64 KiB of them.
const maxSegments = 1170

// readHeader reads it. The error is ENOEXEC ("exec format error") for what is neither a script nor a binary.
func readHeader(r io.ReaderAt, goos, goarch string) (header, error) {
	buf := make([]byte, maxShebang)
	n, err := r.ReadAt(buf, 0)
	if err != nil && !errors.Is(err, io.EOF) {
		return header{}, err
	}
	buf = buf[:n]
	switch {
	case bytes.HasPrefix(buf, []byte("#!")):
		return shebang(buf[2:])
	case bytes.HasPrefix(buf, []byte("\x7fELF")):
		return elfHeader(r, buf, goos, goarch)
	case n >= 8 && isMachO(binary.LittleEndian.Uint32(buf)), n >= 8 && isMachO(binary.BigEndian.Uint32(buf)):
		return machHeader(buf, goos, goarch), nil
	case bytes.HasPrefix(buf, []byte("MZ")):
		return header{foreign: "a program for Windows"}, nil
	default:
		return header{}, syscall.ENOEXEC
	}
}

// shebang takes a "#!" line apart as Linux does: the interpreter's path, and all the rest of the line as one argument.
func shebang(line []byte) (header, error) {
	end := bytes.IndexByte(line, '\n')
	if end < 0 {
		end = len(line)
		if end == maxShebang-2 && !bytes.ContainsAny(bytes.TrimLeft(line, " \t"), " \t") {
			return header{}, fmt.Errorf("the first line is longer than %d bytes: %w", maxShebang, syscall.ENOEXEC)
		}
	}
	text := strings.Trim(string(line[:end]), " \t\r")
	if strings.ContainsRune(text, 0) {
		return header{}, syscall.ENOEXEC
	}
	name, arg := text, ""
	if i := strings.IndexAny(text, " \t"); i >= 0 {
		name, arg = text[:i], strings.Trim(text[i:], " \t")
	}
	if name == "" {
		return header{}, syscall.ENOEXEC
	}
	return header{script: true, interpreter: name, arg: arg}, nil
}

// elfMachines are the e_machine values of the architectures images are made for.
var elfMachines = map[uint16]string{
	3: "386", 8: "mips", 20: "ppc", 21: "ppc64", 22: "s390x", 40: "arm", 62: "amd64", 183: "arm64", 243: "riscv64", 258: "loong64",
}

// elfHeader reads an ELF file's header and its PT_INTERP, of any class and byte order. It is done by hand because
// debug/elf also reads, and so fails on, the section headers, which nobody needs to run a program.
func elfHeader(r io.ReaderAt, buf []byte, goos, goarch string) (header, error) {
	bad := func(what string) (header, error) {
		return header{}, fmt.Errorf("ELF file with %s: %w", what, syscall.ENOEXEC)
	}
	if len(buf) < 64 {
		return bad("a short header")
	}
	var bo binary.ByteOrder = binary.LittleEndian
	switch buf[5] {
	case 1:
	case 2:
		bo = binary.BigEndian
	default:
		return bad("an unknown byte order")
	}
	is64 := buf[4] == 2
	if !is64 && buf[4] != 1 {
		return bad("an unknown class")
	}
	machine, ok := elfMachines[bo.Uint16(buf[18:])]
	if !ok {
		machine = fmt.Sprintf("machine %d", bo.Uint16(buf[18:]))
	}
	if machine == "ppc64" && bo == binary.LittleEndian {
		machine = "ppc64le"
	}
	if goos != "linux" || machine != goarch {
		return header{foreign: foreignLinux + machine}, nil
	}
	phoff, size, num := uint64(bo.Uint32(buf[28:])), bo.Uint16(buf[42:]), bo.Uint16(buf[44:])
	want := uint16(32)
	if is64 {
		phoff, size, num, want = bo.Uint64(buf[32:]), bo.Uint16(buf[54:]), bo.Uint16(buf[56:]), 56
	}
	if size != want || num == 0 || num > maxSegments || phoff > 1<<40 {
		return bad("unusable program headers")
	}
	ph := make([]byte, int(size)*int(num))
	if _, err := r.ReadAt(ph, int64(phoff)); err != nil {
		return bad("program headers beyond its end")
	}
	for ; len(ph) > 0; ph = ph[size:] {
		const ptInterp = 3
		if bo.Uint32(ph) != ptInterp {
			continue
		}
		off, n := uint64(bo.Uint32(ph[4:])), uint64(bo.Uint32(ph[16:]))
		if is64 {
			off, n = bo.Uint64(ph[8:]), bo.Uint64(ph[32:])
		}
		if n < 2 || n > maxLoader || off > 1<<40 {
			return bad("an unusable loader name")
		}
		name := make([]byte, n)
		if _, err := r.ReadAt(name, int64(off)); err != nil || name[n-1] != 0 {
			return bad("an unusable loader name")
		}
		name = name[:bytes.IndexByte(name, 0)]
		if len(name) == 0 {
			return bad("an unusable loader name")
		}
		return header{interpreter: string(name)}, nil
	}
	return header{}, nil
}

// isMachO says whether a file's first four bytes are those of a Mach-O file, of one architecture or several.
func isMachO(magic uint32) bool {
	return magic == 0xfeedface || magic == 0xfeedfacf || magic == 0xcafebabe
}

// machHeader looks at a Mach-O file. On macOS every program is linked with the system's library, which is in no image,
// so a loader is none of the image's business there.
func machHeader(buf []byte, goos, goarch string) header {
	bo := binary.ByteOrder(binary.LittleEndian)
	if isMachO(binary.BigEndian.Uint32(buf)) {
		bo = binary.BigEndian
	}
	arch := map[uint32]string{0x01000007: "amd64", 0x0100000c: "arm64"}[bo.Uint32(buf[4:])]
	switch {
	case bo.Uint32(buf) == 0xcafebabe:
		arch = goarch // has a part for each; the kernel picks
	case arch == "":
		arch = fmt.Sprintf("machine %#x", bo.Uint32(buf[4:]))
	}
	if goos != "darwin" || arch != goarch {
		return header{foreign: "a program for darwin/" + arch}
	}
	return header{}
}
