package image

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"encoding/hex"
	"hash"
	"io"
	"strings"

	v1 "github.com/google/go-containerregistry/pkg/v1"
)

// layerWriter makes a layer whose bytes depend on nothing but what is put into it, in the order it is put. It keeps the
// first error for finish.
type layerWriter struct {
	buf bytes.Buffer
	gz  *gzip.Writer
	sum hash.Hash // of the tar
	tw  *tar.Writer
	err error
}

func newLayerWriter() *layerWriter {
	w := &layerWriter{sum: sha256.New()}
	w.gz = gzip.NewWriter(&w.buf)
	w.tw = tar.NewWriter(io.MultiWriter(w.gz, w.sum))
	return w
}

func (w *layerWriter) header(h *tar.Header) {
	h.ModTime, h.Format = epoch, tar.FormatUSTAR
	if w.err == nil {
		w.err = w.tw.WriteHeader(h)
	}
}

// dir puts a directory that belongs to the user and group id owner.
func (w *layerWriter) dir(name string, mode int64, owner int) {
	w.header(&tar.Header{Name: name + "/", Typeflag: tar.TypeDir, Mode: mode, Uid: owner, Gid: owner})
}

// file puts a file of root's with size bytes of r.
func (w *layerWriter) file(name string, mode int64, r io.Reader, size int64) {
	w.header(&tar.Header{Name: name, Typeflag: tar.TypeReg, Mode: mode, Size: size})
	if w.err == nil {
		_, w.err = io.CopyN(w.tw, r, size)
	}
}

func (w *layerWriter) text(name, content string) {
	w.file(name, 0o644, strings.NewReader(content), int64(len(content)))
}

func (w *layerWriter) finish() (*memoryLayer, error) {
	if w.err == nil {
		w.err = w.tw.Close()
	}
	if w.err == nil {
		w.err = w.gz.Close()
	}
	if w.err != nil {
		return nil, w.err
	}
	l := &memoryLayer{compressed: w.buf.Bytes()}
	l.diffID = v1.Hash{Algorithm: "sha256", Hex: hex.EncodeToString(w.sum.Sum(nil))}
	digest := sha256.Sum256(l.compressed)
	l.digest = v1.Hash{Algorithm: "sha256", Hex: hex.EncodeToString(digest[:])}
	return l, nil
}
