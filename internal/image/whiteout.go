package image

import (
	"errors"
	"io/fs"
	"os"
	"path"
	"strings"

	"github.com/batchbox/batchbox/internal/runtime"
)

// The names by which a layer says what it takes away
// (https://github.com/opencontainers/image-spec/blob/v1.1.1/layer.md#whiteouts).
const (
	whiteoutPrefix = ".wh."
	opaqueMarker   = ".wh..wh..opq"
	// metaPrefix marks the bookkeeping of aufs, which is none of the image's content.
	metaPrefix = ".wh..wh."
)

// errNoOverlay refuses layers form where overlayfs does not exist.
var errNoOverlay = errors.New("an image's layers can be kept apart on Linux only")

// whiteoutStyle is the extended attribute that marks an opaque directory.
type whiteoutStyle string

const (
	// trustedWhiteouts need root; they are what overlayfs looks for by default. userWhiteouts are for mounts with the
	// userxattr option, the only ones an unprivileged user can make.
	trustedWhiteouts whiteoutStyle = "trusted.overlay.opaque"
	userWhiteouts    whiteoutStyle = "user.overlay.opaque"
)

// whiteout applies the entry base, which begins with whiteoutPrefix, in the directory dir.
func (u *unpacker) whiteout(dir, base string) error {
	if base == opaqueMarker {
		if u.form == runtime.RootfsLayers {
			return u.opaque(dir)
		}
		return u.hideLower(dir)
	}
	if strings.HasPrefix(base, metaPrefix) {
		return nil
	}
	name := strings.TrimPrefix(base, whiteoutPrefix)
	if name == "" || name == "." || name == ".." {
		return &badEntry{path.Join(dir, base), "is a whiteout of nothing"}
	}
	p := path.Join(dir, name)
	fi, err := u.root.Lstat(p)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	there := err == nil
	switch {
	case there && u.wrote[p] && !fi.IsDir():
		return nil // it replaces what it hides
	case u.form == runtime.RootfsFlat && there && u.wrote[p]:
		return u.hideLower(p)
	case u.form == runtime.RootfsFlat && there:
		return u.remove(p)
	case u.form == runtime.RootfsFlat:
		return nil
	case there && fi.IsDir():
		return u.opaque(p)
	case there:
		return nil // hidden twice
	}
	u.hidden[p] = true
	return u.at("whiteout", p, mkWhiteout)
}

// hideLower removes from a directory what earlier layers put there.
func (u *unpacker) hideLower(dir string) error {
	if u.bared[dir] {
		return nil
	}
	u.bared[dir] = true
	d, err := u.root.Open(dir)
	if err != nil {
		return err
	}
	names, err := d.Readdirnames(-1)
	if err = errors.Join(err, d.Close()); err != nil {
		return err
	}
	for _, n := range names {
		p := path.Join(dir, n)
		if !u.wrote[p] {
			if err := u.remove(p); err != nil {
				return err
			}
			continue
		}
		fi, err := u.root.Lstat(p)
		if err != nil {
			return err
		}
		if fi.IsDir() {
			if err := u.hideLower(p); err != nil {
				return err
			}
		}
	}
	return nil
}

// at calls make with the open parent directory of p and p's last component.
func (u *unpacker) at(op, p string, make func(dir *os.File, name string) error) error {
	dir, base := path.Split(p)
	d, err := u.root.Open(path.Clean(dir))
	if err != nil {
		return err
	}
	return errors.Join(u.files.Do(op, p, func() error { return make(d, base) }), d.Close())
}
