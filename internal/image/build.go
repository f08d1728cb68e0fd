package image

import (
	"bytes"
	"compress/gzip"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	goruntime "runtime"
	"slices"
	"strings"
	"time"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/google/go-containerregistry/pkg/v1/types"
)

// BuildOptions say what image to make of a Go program. Package is required.
type BuildOptions struct {
	// Package is the main package as `go build` understands it, seen from Dir ("" is the current directory).
	Package, Dir string
	// Platforms are those to build for, "linux/amd64"; DefaultPlatforms if empty.
	Platforms []string
	// Ldflags are added to the linker's, Tags are build tags.
	Ldflags string
	Tags    []string
	// Env (NAME=VALUE), Cmd, Labels and User go into the image's configuration. User is DefaultUser if empty.
	Env    []string
	Cmd    []string
	Labels map[string]string
	User   string
	// CACerts is a PEM file that becomes the image's certificate authorities; "" leaves the image without any, so that
	// the digest does not depend on the machine.
	CACerts string
	// Go is the go command ("go").
	Go string
}

// DefaultUser is whom a built image runs as: the uid and gid that distroless images call nonroot.
const DefaultUser = "65532:65532"

// DefaultPlatforms are those of Fargate, and the machine's own if it is another, as the process runtime needs on a Mac.
func DefaultPlatforms() []string {
	list := []string{"linux/amd64", "linux/arm64"}
	if own := goruntime.GOOS + "/" + goruntime.GOARCH; !slices.Contains(list, own) {
		list = append(list, own)
	}
	return list
}

// Built is an image that was built: an index if it is for several platforms, else an image.
type Built struct {
	// Name is the program's, Digest and MediaType those of the index or image.
	Name, Digest, MediaType string
	Platforms               []string
	// Size is the sum of the compressed layers in bytes.
	Size int64
	// Content is what Push takes.
	Content remote.Taggable
}

// Build compiles a Go program and makes an image of it, with nothing but the go command. The image is the same to the
// digest wherever and whenever it is built of the same source with the same toolchain: no times, no paths, no version
// control stamp. It has one layer:
//
//	/bin/<name>       the program, static (no cgo, stripped); the entrypoint
//	/etc/passwd, /etc/group   root and nonroot (65532)
//	/home/nonroot     the working directory, nonroot's
//	/tmp              for everyone
//	/etc/ssl/certs/ca-certificates.crt   if BuildOptions.CACerts is set
//
// The error has what the compiler said.
func Build(ctx context.Context, o BuildOptions) (_ *Built, err error) {
	if o.Go == "" {
		o.Go = "go"
	}
	if o.User == "" {
		o.User = DefaultUser
	}
	if len(o.Platforms) == 0 {
		o.Platforms = DefaultPlatforms()
	}
	name, err := programName(ctx, o)
	if err != nil {
		return nil, err
	}
	tmp, err := os.MkdirTemp("", "batchbox-build-")
	if err != nil {
		return nil, fmt.Errorf("building %s: %w", o.Package, err)
	}
	defer func() { err = errors.Join(err, os.RemoveAll(tmp)) }()

	b := &Built{Name: name, Platforms: o.Platforms}
	idx := mutate.IndexMediaType(empty.Index, types.OCIImageIndex)
	var img v1.Image
	for i, s := range o.Platforms {
		p, err := ParsePlatform(s)
		if err != nil {
			return nil, fmt.Errorf("building %s: %w", o.Package, err)
		}
		bin := filepath.Join(tmp, fmt.Sprint(i))
		if err := compile(ctx, o, p, bin); err != nil {
			return nil, fmt.Errorf("building %s for %s: %w", o.Package, s, err)
		}
		l, err := programLayer(o, name, bin)
		if err != nil {
			return nil, fmt.Errorf("building %s for %s: %w", o.Package, s, err)
		}
		b.Size += int64(len(l.compressed))
		if img, err = programImage(o, name, p, l); err != nil {
			return nil, fmt.Errorf("building %s for %s: %w", o.Package, s, err)
		}
		idx = mutate.AppendManifests(idx, mutate.IndexAddendum{Add: img, Descriptor: v1.Descriptor{Platform: &p}})
	}
	var digest v1.Hash
	if len(o.Platforms) == 1 {
		b.Content, b.MediaType = img, string(types.OCIManifestSchema1)
		digest, err = img.Digest()
	} else {
		b.Content, b.MediaType = idx, string(types.OCIImageIndex)
		digest, err = idx.Digest()
	}
	if err != nil {
		return nil, fmt.Errorf("building %s: %w", o.Package, err)
	}
	b.Digest = digest.String()
	return b, nil
}

// programName makes sure that there is a program to build, and says what go would call it.
func programName(ctx context.Context, o BuildOptions) (string, error) {
	args := []string{"list", "-f", "{{.Name}}\n{{.Target}}\n{{.ImportPath}}"}
	if len(o.Tags) > 0 {
		args = append(args, "-tags", strings.Join(o.Tags, ","))
	}
	out, err := runGo(ctx, o, nil, append(args, "--", o.Package)...)
	if err != nil {
		return "", fmt.Errorf("looking for %s: %w", o.Package, err)
	}
	lines := strings.Split(strings.TrimSpace(string(out)), "\n")
	if len(lines) != 3 {
		return "", fmt.Errorf("looking for %s: it names %d packages, want one", o.Package, len(lines)/3)
	}
	if lines[0] != "main" {
		return "", fmt.Errorf("%s is package %s, not a program (package main)", o.Package, lines[0])
	}
	name := strings.TrimSuffix(filepath.Base(lines[1]), ".exe")
	if lines[1] == "" {
		name = path.Base(lines[2])
	}
	return name, nil
}

// runGo runs the go command and returns its output; the error has what it said.
func runGo(ctx context.Context, o BuildOptions, env []string, args ...string) ([]byte, error) {
	cmd := exec.CommandContext(ctx, o.Go, args...)
	cmd.Dir = o.Dir
	cmd.Env = append(os.Environ(), env...)
	var said bytes.Buffer
	cmd.Stderr = &said
	out, err := cmd.Output()
	switch {
	case ctx.Err() != nil:
		return nil, ctx.Err()
	case errors.Is(err, exec.ErrNotFound):
		return nil, fmt.Errorf("%w: images are built with the Go toolchain, see https://go.dev/dl", err)
	case err != nil:
		return nil, fmt.Errorf("%s %s: %w\n%s", o.Go, args[0], err, bytes.TrimSpace(said.Bytes()))
	}
	return out, nil
}

func compile(ctx context.Context, o BuildOptions, p v1.Platform, bin string) error {
	env := []string{"CGO_ENABLED=0", "GOOS=" + p.OS, "GOARCH=" + p.Architecture}
	switch v := strings.TrimPrefix(p.Variant, "v"); p.Architecture {
	case "arm":
		if v == "" {
			v = "7"
		}
		env = append(env, "GOARM="+v)
	case "amd64":
		if v == "" {
			v = "1"
		}
		env = append(env, "GOAMD64=v"+v)
	case "arm64":
		env = append(env, "GOARM64=v8.0")
	}
	args := []string{"build", "-o", bin, "-trimpath", "-buildvcs=false", "-ldflags", strings.TrimSpace("-s -w -buildid= " + o.Ldflags)}
	if len(o.Tags) > 0 {
		args = append(args, "-tags", strings.Join(o.Tags, ","))
	}
	_, err := runGo(ctx, o, env, append(args, "--", o.Package)...)
	return err
}

// epoch is the time of everything in an image.
var epoch = time.Unix(0, 0).UTC()

const (
	passwd = "root:x:0:0:root:/root:/sbin/nologin\nnonroot:x:65532:65532:nonroot:/home/nonroot:/sbin/nologin\n"
	group  = "root:x:0:\nnonroot:x:65532:\n"

	certFile = "etc/ssl/certs/ca-certificates.crt"
)

// programLayer makes the layer of a program.
func programLayer(o BuildOptions, name, bin string) (*memoryLayer, error) {
	w := newLayerWriter()
	w.dir("bin", 0o755, 0)
	f, err := os.Open(bin)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	fi, err := f.Stat()
	if err != nil {
		return nil, err
	}
	w.file("bin/"+name, 0o755, f, fi.Size())
	w.dir("etc", 0o755, 0)
	w.text("etc/group", group)
	w.text("etc/passwd", passwd)
	if o.CACerts != "" {
		pem, err := os.ReadFile(o.CACerts)
		if err != nil {
			return nil, fmt.Errorf("certificate authorities: %w", err)
		}
		if !bytes.Contains(pem, []byte("-----BEGIN CERTIFICATE-----")) {
			return nil, fmt.Errorf("certificate authorities: %s has no certificate in PEM form", o.CACerts)
		}
		w.dir("etc/ssl", 0o755, 0)
		w.dir("etc/ssl/certs", 0o755, 0)
		w.text(certFile, string(pem))
	}
	w.dir("home", 0o755, 0)
	w.dir("home/nonroot", 0o755, 65532)
	w.dir("tmp", 0o1777, 0)
	return w.finish()
}

func programImage(o BuildOptions, name string, p v1.Platform, l *memoryLayer) (v1.Image, error) {
	img := mutate.ConfigMediaType(mutate.MediaType(empty.Image, types.OCIManifestSchema1), types.OCIConfigJSON)
	img, err := mutate.Append(img, mutate.Addendum{Layer: l, History: v1.History{
		Created: v1.Time{Time: epoch}, CreatedBy: "batchbox image build", Comment: "static Go program " + name,
	}})
	if err != nil {
		return nil, err
	}
	conf, err := img.ConfigFile()
	if err != nil {
		return nil, err
	}
	conf = conf.DeepCopy()
	conf.OS, conf.Architecture, conf.Variant = p.OS, p.Architecture, p.Variant
	conf.Created = v1.Time{Time: epoch}
	conf.Config = v1.Config{
		Entrypoint: []string{"/bin/" + name},
		Cmd:        o.Cmd,
		Env:        append([]string{"PATH=" + defaultPath}, o.Env...),
		Labels:     o.Labels,
		User:       o.User,
		WorkingDir: "/home/nonroot",
	}
	return mutate.ConfigFile(img, conf)
}

// memoryLayer is a gzipped layer in memory: a program, compressed, once for each platform of one build.
type memoryLayer struct {
	compressed     []byte
	digest, diffID v1.Hash
}

func (l *memoryLayer) Digest() (v1.Hash, error)            { return l.digest, nil }
func (l *memoryLayer) DiffID() (v1.Hash, error)            { return l.diffID, nil }
func (l *memoryLayer) Size() (int64, error)                { return int64(len(l.compressed)), nil }
func (l *memoryLayer) MediaType() (types.MediaType, error) { return types.OCILayer, nil }
func (l *memoryLayer) Compressed() (io.ReadCloser, error) {
	return io.NopCloser(bytes.NewReader(l.compressed)), nil
}
func (l *memoryLayer) Uncompressed() (io.ReadCloser, error) {
	return gzip.NewReader(bytes.NewReader(l.compressed))
}
