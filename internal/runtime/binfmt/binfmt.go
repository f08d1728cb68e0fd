// Package binfmt finds out whether this machine's kernel hands programs for another architecture to an emulator
// (https://docs.kernel.org/admin-guide/binfmt-misc.html).
package binfmt

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
)

// Dir is where Linux shows what is registered.
const Dir = "/proc/sys/fs/binfmt_misc"

// Emulator is a registered interpreter.
type Emulator struct {
	Name        string // of the registration, "qemu-aarch64"
	Interpreter string // its path on the host
	// Fixed: the kernel opened the interpreter when it was registered (flag F), so that it is there in any root file system.
	Fixed bool
}

// machines are the ELF machine numbers (e_machine) of architectures in Go's names.
var machines = map[string]uint16{"386": 3, "arm": 40, "amd64": 62, "arm64": 183, "ppc64le": 21, "riscv64": 243, "s390x": 22, "loong64": 258}

// Find looks for an emulator of an architecture, in Go's names, among those registered in dir. There being none is not an
// error; a registration that can not be read is.
func Find(dir, arch string) (e Emulator, found bool, err error) {
	machine, ok := machines[arch]
	if !ok {
		return e, false, nil
	}
	if status, err := os.ReadFile(filepath.Join(dir, "status")); errors.Is(err, fs.ErrNotExist) {
		return e, false, nil // not mounted, or not Linux
	} else if err != nil {
		return e, false, err
	} else if strings.TrimSpace(string(status)) != "enabled" {
		return e, false, nil
	}
	entries, err := os.ReadDir(dir)
	if err != nil {
		return e, false, err
	}
	// The kernel tries the latest registration first, which the listing does not tell: one that works everywhere is preferred.
	header := elfHeader(arch, machine)
	for _, entry := range entries {
		if entry.Name() == "status" || entry.Name() == "register" {
			continue
		}
		r, err := read(filepath.Join(dir, entry.Name()))
		if err != nil {
			return e, false, err
		}
		if r.matches(header) && (!found || !e.Fixed) {
			e, found = r.Emulator, true
		}
	}
	return e, found, nil
}

// elfHeader is the beginning of an executable for a machine.
func elfHeader(arch string, machine uint16) []byte {
	h := make([]byte, 128) // as much as the kernel looks at
	class, data, order := byte(2), byte(1), binary.ByteOrder(binary.LittleEndian)
	switch arch {
	case "386", "arm":
		class = 1
	case "s390x":
		data, order = 2, binary.BigEndian
	}
	copy(h, []byte{0x7f, 'E', 'L', 'F', class, data, 1})
	order.PutUint16(h[16:], 2) // ET_EXEC
	order.PutUint16(h[18:], machine)
	order.PutUint32(h[20:], 1)
	return h
}

// registration is one of the kernel's.
type registration struct {
	Emulator
	enabled     bool
	offset      int
	magic, mask []byte
}

func read(path string) (r registration, err error) {
	b, err := os.ReadFile(path)
	if err != nil {
		return r, err
	}
	r.Name = filepath.Base(path)
	for s := bufio.NewScanner(bytes.NewReader(b)); s.Scan(); {
		word, value, _ := strings.Cut(s.Text(), " ")
		switch word {
		case "enabled":
			r.enabled = true
		case "interpreter":
			r.Interpreter = value
		case "flags:":
			r.Fixed = strings.Contains(value, "F")
		case "offset":
			r.offset, err = strconv.Atoi(value)
		case "magic":
			r.magic, err = hex.DecodeString(value)
		case "mask":
			r.mask, err = hex.DecodeString(value)
		}
		if err != nil {
			return r, fmt.Errorf("%s: %s: %w", path, word, err)
		}
	}
	return r, nil
}

// matches does what the kernel does with the beginning of a file.
func (r *registration) matches(header []byte) bool {
	if !r.enabled || len(r.magic) == 0 || r.offset < 0 || r.offset+len(r.magic) > len(header) {
		return false
	}
	for i, want := range r.magic {
		have := header[r.offset+i]
		if i < len(r.mask) {
			have &= r.mask[i]
			want &= r.mask[i]
		}
		if have != want {
			return false
		}
	}
	return true
}
