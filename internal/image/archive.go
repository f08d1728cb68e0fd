package image

import (
	"archive/tar"
	"bufio"
	"compress/gzip"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"github.com/google/go-containerregistry/pkg/name"
	"github.com/google/go-containerregistry/pkg/v1/layout"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/google/go-containerregistry/pkg/v1/tarball"

	"github.com/batchbox/batchbox/internal/fsys"
	"github.com/batchbox/batchbox/internal/runtime"
)

// Archive is a file of images: the output of `docker save`, or an OCI image layout as a tar or a directory. Close it
// when its images have been pushed.
type Archive struct {
	Images []Archived
	files  fsys.FS
	tmp    string // "" or a directory to be removed
}

// Archived is one image or index of an archive.
type Archived struct {
	// Ref is the name the archive has for it: a reference with `docker save`, often only a tag in an OCI layout, "" if none.
	Ref string
	// Content is what Push takes.
	Content remote.Taggable
}

// Close removes what OpenArchive unpacked.
func (a *Archive) Close() error {
	if a.tmp == "" {
		return nil
	}
	return removeTree(a.files, a.tmp)
}

// OpenArchive reads what images an archive has. A tar may be gzipped.
func OpenArchive(ctx context.Context, file string) (*Archive, error) {
	a, err := openArchive(ctx, fsys.OS, file)
	if err != nil {
		return nil, fmt.Errorf("reading images from %s: %w", file, err)
	}
	return a, nil
}

func openArchive(ctx context.Context, files fsys.FS, file string) (*Archive, error) {
	fi, err := os.Stat(file)
	if err != nil {
		return nil, err
	}
	a := &Archive{files: files}
	if fi.IsDir() {
		return a, a.addLayout(file)
	}
	docker, err := isDockerSave(file)
	if err != nil {
		return nil, err
	}
	if docker {
		return a, a.addDockerSave(file)
	}
	if a.tmp, err = files.MkdirTemp("", "batchbox-archive-"); err != nil {
		return nil, err
	}
	if err := errors.Join(unpackArchive(ctx, files, file, a.tmp), a.addLayout(a.tmp)); err != nil {
		return nil, errors.Join(err, a.Close())
	}
	return a, nil
}

// openTar opens a tar that may be gzipped.
func openTar(file string) (io.ReadCloser, error) {
	f, err := os.Open(file)
	if err != nil {
		return nil, err
	}
	buf := bufio.NewReader(f)
	// What is shorter than the mark is no gzip; that it is no tar either is found out by reading it.
	if magic, _ := buf.Peek(2); len(magic) < 2 || magic[0] != 0x1f || magic[1] != 0x8b {
		return readCloser{buf, f}, nil
	}
	gz, err := gzip.NewReader(buf)
	if err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return readCloser{gz, f}, nil
}

type readCloser struct {
	io.Reader
	io.Closer
}

// isDockerSave says whether a tar has docker's list of images; newer versions of docker save write both forms into one.
func isDockerSave(file string) (bool, error) {
	rc, err := openTar(file)
	if err != nil {
		return false, err
	}
	defer rc.Close()
	oci := false
	for tr := tar.NewReader(rc); ; {
		h, err := tr.Next()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return false, fmt.Errorf("it is not a tar: %w", err)
		}
		switch filepath.Clean(h.Name) {
		case "manifest.json":
			return true, nil
		case "index.json":
			oci = true
		}
	}
	if !oci {
		return false, errors.New("it has neither docker's manifest.json nor an OCI layout's index.json")
	}
	return false, nil
}

func (a *Archive) addDockerSave(file string) error {
	opener := func() (io.ReadCloser, error) { return openTar(file) }
	list, err := tarball.LoadManifest(opener)
	if err != nil {
		return err
	}
	for _, d := range list {
		if len(d.RepoTags) == 0 {
			if len(list) > 1 {
				return errors.New("it has several images, not all with a name: save them by name")
			}
			img, err := tarball.Image(opener, nil)
			if err != nil {
				return err
			}
			a.Images = append(a.Images, Archived{Content: img})
		}
		for _, ref := range d.RepoTags {
			tag, err := name.NewTag(ref)
			if err != nil {
				return err
			}
			img, err := tarball.Image(opener, &tag)
			if err != nil {
				return err
			}
			a.Images = append(a.Images, Archived{Ref: ref, Content: img})
		}
	}
	return nil
}

// unpackArchive unpacks the tar of an OCI layout.
func unpackArchive(ctx context.Context, files fsys.FS, file, dir string) error {
	rc, err := openTar(file)
	if err != nil {
		return err
	}
	defer rc.Close()
	u := &unpacker{files: files, form: runtime.RootfsFlat, limits: Limits{}.withDefaults()}
	if u.root, err = os.OpenRoot(dir); err != nil {
		return err
	}
	return errors.Join(u.layer(ctx, rc), u.root.Close())
}

// The annotations by which the images of a layout are named.
const (
	annotationRefName   = "org.opencontainers.image.ref.name"
	annotationImageName = "io.containerd.image.name"
)

func (a *Archive) addLayout(dir string) error {
	idx, err := layout.ImageIndexFromPath(dir)
	if err != nil {
		return err
	}
	im, err := idx.IndexManifest()
	if err != nil {
		return err
	}
	for _, d := range im.Manifests {
		it := Archived{Ref: d.Annotations[annotationImageName]}
		if it.Ref == "" {
			it.Ref = d.Annotations[annotationRefName]
		}
		switch {
		case d.MediaType.IsIndex():
			it.Content, err = idx.ImageIndex(d.Digest)
		case d.MediaType.IsImage():
			it.Content, err = idx.Image(d.Digest)
		default:
			continue
		}
		if err != nil {
			return err
		}
		a.Images = append(a.Images, it)
	}
	if len(a.Images) == 0 {
		return errors.New("its index lists no image")
	}
	return nil
}
