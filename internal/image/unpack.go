package image

import (
	"archive/tar"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/batchbox/batchbox/internal/fsys"
	"github.com/batchbox/batchbox/internal/runtime"
)

// Limits bound what one image may unpack to. The zero value of a member means its default.
type Limits struct {
	// Bytes bounds the sum of all files of all layers (20 GiB, the storage of a Fargate task, image included).
	Bytes int64
	// Entries bounds the number of entries in all layers (1,000,000).
	Entries int
	// Layers bounds their number (500, what the kernel's overlay can stack).
	Layers int
}

func (l Limits) withDefaults() Limits {
	if l.Bytes == 0 {
		l.Bytes = 20 << 30
	}
	if l.Entries == 0 {
		l.Entries = 1_000_000
	}
	if l.Layers == 0 {
		l.Layers = 500
	}
	return l
}

const (
	maxPath = 4096
	// maxDepth bounds the directories of a path: finding one's way costs their square.
	maxDepth = 256
	// maxFollow is how many symbolic links one path may go through, as in Linux.
	maxFollow = 40
)

// unpacker writes the layers of one image below a root. Every path of a tar is resolved as the kernel would resolve it
// for a process whose root this is: links lead only inside, and ".." stops at the top. What is written goes through an
// os.Root, so even a mistake here does not leave the directory.
//
// Flat form merges all layers into one root: whiteouts remove, everything belongs to the current user, set-user-id bits
// are dropped (the files lie on the host's own file system), owners always may read and write. Layers form writes one
// layer as overlayfs wants it: whiteouts are character devices 0:0, opaque directories carry an extended attribute, modes
// stay, and owners too when the current user is root.
//
// Devices are left out in both: a runtime makes its own /dev, and a device 0:0 in a layer would be a whiteout.
type unpacker struct {
	files  fsys.FS
	root   *os.Root
	form   runtime.RootfsForm
	limits Limits
	// lower are the layers below in layers form, nearest first: an entry may be in a directory, or a hard link to a file,
	// that only they have.
	lower []*os.Root
	// whiteouts says how whiteouts are written in layers form.
	whiteouts whiteoutStyle
	chown     bool

	bytes   int64
	entries int

	// wrote holds what this layer wrote, and every directory above it: its own whiteouts do not hide that.
	wrote map[string]bool
	// hidden holds what whiteouts of this layer put a device at (layers form): a directory that comes to stand there
	// instead must be opaque.
	hidden map[string]bool
	// bared holds the directories whose content of lower layers was removed (flat form), so that it is looked for once.
	bared map[string]bool
	// real remembers directories that were found or made and are no links.
	real map[string]bool
	// dirs are finished last: what is written into a directory changes its time, and its mode may forbid writing.
	dirs map[string]*tar.Header
	// open is the directory openName, or nil; see inside.
	open     *os.Root
	openName string
}

// badEntry is an entry that no honest image has.
type badEntry struct {
	name, why string
}

func (e *badEntry) Error() string { return fmt.Sprintf("entry %q %s", e.name, e.why) }

// begin makes the root what it is if no layer has an entry for it: like the one below, else 0755.
func (u *unpacker) begin() error {
	if len(u.lower) == 0 {
		return u.chmod(".", 0o755)
	}
	return u.like(u.lower[0], ".")
}

// layer writes the entries of one tar stream and reads it to its end.
func (u *unpacker) layer(ctx context.Context, r io.Reader) (err error) {
	u.wrote, u.hidden, u.bared, u.real, u.dirs = map[string]bool{}, map[string]bool{}, map[string]bool{}, map[string]bool{}, map[string]*tar.Header{}
	defer func() { err = errors.Join(err, u.leave()) }()
	// A stream may hold more than its files: headers, padding, garbage after the end. Twice the bound is generous for
	// that, and is an end for a stream without one.
	stream := &boundedReader{r: r, left: 2*u.limits.Bytes + 64<<20}
	tr := tar.NewReader(stream)
	for {
		if err := ctx.Err(); err != nil {
			return err
		}
		h, err := tr.Next()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return fmt.Errorf("reading the layer: %w", err)
		}
		if u.entries++; u.entries > u.limits.Entries {
			return fmt.Errorf("the image has more than %d entries", u.limits.Entries)
		}
		if h.Size < 0 {
			return &badEntry{h.Name, "has a negative size"}
		}
		if u.bytes += h.Size; u.bytes > u.limits.Bytes {
			return fmt.Errorf("the image unpacks to more than %d bytes", u.limits.Bytes)
		}
		if err := u.entry(h, tr); err != nil {
			return fmt.Errorf("entry %q: %w", h.Name, err)
		}
	}
	if _, err := io.Copy(io.Discard, stream); err != nil {
		return fmt.Errorf("reading the layer: %w", err)
	}
	return u.finishDirs()
}

type boundedReader struct {
	r    io.Reader
	left int64
}

func (b *boundedReader) Read(p []byte) (int, error) {
	if b.left <= 0 {
		return 0, errors.New("the stream is longer than its content may be")
	}
	if int64(len(p)) > b.left {
		p = p[:b.left]
	}
	n, err := b.r.Read(p)
	b.left -= int64(n)
	return n, err
}

// clean makes a tar's path relative to the root, "." for the root itself.
func clean(name string) (string, error) {
	if len(name) > maxPath {
		return "", &badEntry{name[:64] + "...", fmt.Sprintf("has a path of more than %d bytes", maxPath)}
	}
	if strings.ContainsRune(name, 0) {
		return "", &badEntry{name, "has a zero byte in its path"}
	}
	p := path.Clean(strings.TrimLeft(name, "/"))
	if p == ".." || strings.HasPrefix(p, "../") {
		return "", &badEntry{name, "leads out of the image"}
	}
	if strings.Count(p, "/") > maxDepth {
		return "", &badEntry{name[:64] + "...", fmt.Sprintf("is more than %d directories deep", maxDepth)}
	}
	return p, nil
}

func (u *unpacker) entry(h *tar.Header, r io.Reader) error {
	switch h.Typeflag {
	case tar.TypeXGlobalHeader, tar.TypeChar, tar.TypeBlock:
		return nil
	}
	p, err := clean(h.Name)
	if err != nil {
		return err
	}
	if p == "." {
		if h.Typeflag == tar.TypeDir {
			u.dirs["."] = h
		}
		return nil
	}
	dir, base := path.Split(p)
	if dir, err = u.parent(path.Clean(dir)); err != nil {
		return err
	}
	p = path.Join(dir, base)
	if strings.HasPrefix(base, whiteoutPrefix) {
		return u.whiteout(dir, base)
	}
	if err := u.write(h, p, r); err != nil {
		return err
	}
	for ; p != "." && !u.wrote[p]; p = path.Dir(p) {
		u.wrote[p] = true
	}
	return nil
}

// write makes an entry at p, whose directory is resolved. What is there gives way, but a directory stays for a directory.
func (u *unpacker) write(h *tar.Header, p string, r io.Reader) error {
	err := u.create(h, p, r)
	if !errors.Is(err, fs.ErrExist) {
		return err
	}
	fi, err := u.root.Lstat(p)
	if err != nil {
		return err
	}
	if fi.IsDir() && h.Typeflag == tar.TypeDir {
		u.real[p] = true
		u.dirs[p] = h
		return nil
	}
	if err := u.remove(p); err != nil {
		return err
	}
	return u.create(h, p, r)
}

// create makes an entry at p where nothing is; if something is, it reads nothing of r and the error is fs.ErrExist.
func (u *unpacker) create(h *tar.Header, p string, r io.Reader) error {
	dir, base := path.Split(p)
	in, err := u.inside(path.Clean(dir))
	if err != nil {
		return err
	}
	switch h.Typeflag {
	case tar.TypeDir:
		if err := u.mkdir(p); err != nil {
			return err
		}
		u.real[p] = true
		u.dirs[p] = h
		return nil
	case tar.TypeReg, tar.TypeGNUSparse:
		return u.file(h, in, p, base, r)
	case tar.TypeSymlink:
		if len(h.Linkname) > maxPath {
			return &badEntry{h.Name, "is a link with too long a target"}
		}
		if err := u.files.Do("symlink", p, func() error { return in.Symlink(h.Linkname, base) }); err != nil {
			return err
		}
		if u.chown {
			return u.files.Do("chown", p, func() error { return in.Lchown(base, h.Uid, h.Gid) })
		}
		return nil
	case tar.TypeLink:
		return u.link(h, p)
	case tar.TypeFifo:
		if err := u.at("mkfifo", p, mkfifo); err != nil {
			return err
		}
		return u.finish(h, p)
	default:
		return &badEntry{h.Name, fmt.Sprintf("is of type %q, which no image has", h.Typeflag)}
	}
}

// inside opens a resolved directory. The last one stays open: most entries of a tar are in the directory of the one before.
func (u *unpacker) inside(dir string) (*os.Root, error) {
	if u.open != nil && u.openName == dir {
		return u.open, nil
	}
	if err := u.leave(); err != nil {
		return nil, err
	}
	d, err := u.root.OpenRoot(dir)
	if err != nil {
		return nil, err
	}
	u.open, u.openName = d, dir
	return d, nil
}

// leave closes the directory that inside opened.
func (u *unpacker) leave() error {
	if u.open == nil {
		return nil
	}
	err := u.open.Close()
	u.open = nil
	return err
}

// remove takes away what an earlier entry or layer put at p.
func (u *unpacker) remove(p string) error {
	clear(u.real)
	return errors.Join(u.leave(), u.files.Do("remove-all", p, func() error { return u.root.RemoveAll(p) }))
}

func (u *unpacker) chmod(p string, mode fs.FileMode) error {
	return u.files.Do("chmod", p, func() error { return u.root.Chmod(p, mode) })
}

func (u *unpacker) lchown(p string, uid, gid int) error {
	return u.files.Do("chown", p, func() error { return u.root.Lchown(p, uid, gid) })
}

// opaque hides from a directory what it has in lower layers.
func (u *unpacker) opaque(p string) error {
	return u.files.Do("opaque", p, func() error { return setOpaque(u.root, p, u.whiteouts) })
}

// mkdir makes a directory, opaque if a whiteout stood there.
func (u *unpacker) mkdir(p string) error {
	if err := u.files.Do("mkdir", p, func() error { return u.root.Mkdir(p, 0o700) }); err != nil {
		return err
	}
	if u.hidden[p] {
		return u.opaque(p)
	}
	return nil
}

// parent resolves a directory of the tar to one that exists and is no link, making what is missing.
func (u *unpacker) parent(dir string) (string, error) {
	if dir == "." || u.real[dir] {
		return dir, nil
	}
	real, err := walk(dir, func(p string) (fs.FileInfo, error) { return u.root.Lstat(p) }, u.root.Readlink, u.makeParent)
	if err != nil {
		return "", err
	}
	u.real[real] = true
	return real, nil
}

// makeParent makes a directory for which the tar has no entry, as it is in the layers below, if it is there. What stands
// in its place gives way.
func (u *unpacker) makeParent(p string, fi fs.FileInfo) error {
	if fi != nil {
		if err := u.remove(p); err != nil {
			return err
		}
	}
	if err := u.mkdir(p); err != nil {
		return err
	}
	for _, l := range u.lower {
		if fi, err := l.Lstat(p); err == nil && fi.IsDir() {
			return u.like(l, p)
		}
	}
	return u.chmod(p, 0o755)
}

// like gives a directory the owner and mode it has in a lower layer.
func (u *unpacker) like(lower *os.Root, p string) error {
	fi, err := lower.Lstat(p)
	if err != nil {
		return err
	}
	if st, ok := fi.Sys().(*syscall.Stat_t); ok && u.chown {
		if err := u.lchown(p, int(st.Uid), int(st.Gid)); err != nil {
			return err
		}
	}
	return u.chmod(p, fi.Mode()&modeBits)
}

// walk resolves a path inside a root to one without links, component by component: a link leads to where it would for a
// process with that root. missing is called for a component that is not there (its info is nil) or is no directory.
func walk(p string, lstat func(string) (fs.FileInfo, error), readlink func(string) (string, error), missing func(string, fs.FileInfo) error) (string, error) {
	at, rest := ".", strings.Split(p, "/")
	for follows := 0; len(rest) > 0; {
		c := rest[0]
		rest = rest[1:]
		switch c {
		case "", ".":
			continue
		case "..":
			at = path.Dir(at) // of "." it is "."
			continue
		}
		next := path.Join(at, c)
		fi, err := lstat(next)
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return "", err
		}
		switch {
		case err != nil:
			if err := missing(next, nil); err != nil {
				return "", err
			}
		case fi.Mode()&fs.ModeSymlink != 0:
			if follows++; follows > maxFollow {
				return "", fmt.Errorf("%s: %w", p, syscall.ELOOP)
			}
			target, err := readlink(next)
			if err != nil {
				return "", err
			}
			if len(target)+len(rest) > 2*maxPath {
				return "", fmt.Errorf("%s: %w", p, syscall.ENAMETOOLONG)
			}
			if path.IsAbs(target) {
				at = "."
			}
			rest = slices.Concat(strings.Split(target, "/"), rest)
			continue
		case !fi.IsDir():
			if err := missing(next, fi); err != nil {
				return "", err
			}
		}
		at = next
	}
	return at, nil
}

func (u *unpacker) file(h *tar.Header, in *os.Root, p, base string, r io.Reader) error {
	var f *os.File
	err := u.files.Do("open", p, func() (err error) {
		f, err = in.OpenFile(base, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
		return err
	})
	if f == nil {
		return err
	}
	w := u.files.Wrap(f)
	if err == nil {
		_, err = io.Copy(w, r)
	}
	if err == nil && u.chown {
		err = u.files.Do("chown", p, func() error { return f.Chown(h.Uid, h.Gid) })
	}
	if err == nil && u.form == runtime.RootfsLayers {
		err = u.files.Do("xattr", p, func() error { return setXattrs(f, h) })
	}
	if err == nil { // after the change of owner, which drops set-user-id bits
		err = u.files.Do("chmod", p, func() error { return f.Chmod(u.mode(h)) })
	}
	if err = errors.Join(err, w.Close()); err != nil {
		return err
	}
	return u.files.Do("chtimes", p, func() error { return in.Chtimes(base, time.Time{}, modTime(h)) })
}

// modTime is an entry's time, if it is one that file systems can have.
func modTime(h *tar.Header) time.Time {
	if s := h.ModTime.Unix(); s < 0 || s > 1<<33 {
		return time.Unix(0, 0)
	}
	return h.ModTime
}

const modeBits = fs.ModePerm | fs.ModeSetuid | fs.ModeSetgid | fs.ModeSticky

// mode is the mode an entry gets.
func (u *unpacker) mode(h *tar.Header) fs.FileMode {
	m := h.FileInfo().Mode() & modeBits
	if u.form == runtime.RootfsFlat {
		m &= fs.ModePerm | fs.ModeSticky
		m |= 0o600
		if h.Typeflag == tar.TypeDir {
			m |= 0o100
		}
	}
	return m
}

// finish gives an entry that is no regular file its owner, mode and time.
func (u *unpacker) finish(h *tar.Header, p string) error {
	if u.chown {
		if err := u.lchown(p, h.Uid, h.Gid); err != nil {
			return err
		}
	}
	if err := u.chmod(p, u.mode(h)); err != nil {
		return err
	}
	return u.files.Do("chtimes", p, func() error { return u.root.Chtimes(p, time.Time{}, modTime(h)) })
}

// finishDirs gives directories what their entries say, the deepest first.
func (u *unpacker) finishDirs() error {
	var names []string
	for p := range u.dirs {
		names = append(names, p)
	}
	slices.SortFunc(names, func(a, b string) int { return strings.Compare(b, a) })
	gone := func(string, fs.FileInfo) error { return fs.ErrNotExist }
	for _, p := range names {
		// A later entry may have taken its place, or a link that of a directory above it.
		if real, err := walk(p, u.root.Lstat, u.root.Readlink, gone); errors.Is(err, fs.ErrNotExist) || err == nil && real != p {
			continue
		} else if err != nil {
			return fmt.Errorf("entry %q: %w", p, err)
		}
		if err := u.finish(u.dirs[p], p); err != nil {
			return fmt.Errorf("entry %q: %w", p, err)
		}
	}
	return nil
}

// link makes a hard link to a file of this layer or, by copying it, of one below.
func (u *unpacker) link(h *tar.Header, p string) error {
	target, err := clean(h.Linkname)
	if err != nil {
		return err
	}
	if target == "." {
		return &badEntry{h.Name, "is a hard link to the root"}
	}
	dir, base := path.Split(target)
	none := func(string, fs.FileInfo) error { return fs.ErrNotExist }
	for i, root := range append([]*os.Root{u.root}, u.lower...) {
		real, err := walk(path.Clean(dir), root.Lstat, root.Readlink, none)
		if err == nil {
			real = path.Join(real, base)
			var fi fs.FileInfo
			if fi, err = root.Lstat(real); err == nil {
				if !fi.Mode().IsRegular() && fi.Mode()&fs.ModeSymlink == 0 {
					return &badEntry{h.Name, fmt.Sprintf("is a hard link to %q, which is no file", h.Linkname)}
				}
				if i == 0 {
					return u.files.Do("link", p, func() error { return u.root.Link(real, p) })
				}
				return u.copyUp(root, real, fi, p)
			}
		}
		if !errors.Is(err, fs.ErrNotExist) {
			return err
		}
	}
	return &badEntry{h.Name, fmt.Sprintf("is a hard link to %q, which is not there", h.Linkname)}
}

// copyUp copies a file of a lower layer, as overlayfs does when one writes to it.
func (u *unpacker) copyUp(lower *os.Root, from string, fi fs.FileInfo, p string) error {
	h, err := tar.FileInfoHeader(fi, "")
	if err != nil {
		return err
	}
	h.Name = p
	if h.Typeflag == tar.TypeSymlink {
		if h.Linkname, err = lower.Readlink(from); err != nil {
			return err
		}
		return u.write(h, p, nil)
	}
	if u.bytes += h.Size; u.bytes > u.limits.Bytes {
		return fmt.Errorf("the image unpacks to more than %d bytes", u.limits.Bytes)
	}
	f, err := lower.Open(from)
	if err != nil {
		return err
	}
	defer f.Close()
	return u.write(h, p, f)
}
