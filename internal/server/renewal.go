package server

import (
	"crypto/tls"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"sync"
	"syscall"
	"time"
)

// renewal shows clients the newest certificate that the user's files have held: they are looked at with each handshake, so
// that what renews them needs to tell nobody. What can not be used is not taken; the one before is shown on, and the log
// says why. The names that the engine goes by stay those of its start.
type renewal struct {
	certFile, keyFile string // "" for a certificate made here: it does not change while the engine runs
	names             []string
	now               func() time.Time
	log               *slog.Logger

	mu   sync.Mutex
	cert *certificate
	// tried is what the files were when they were last read.
	tried [2]fileStamp
	// announce is told of another certificate before a client sees it; an error keeps the one before.
	announce func(*certificate) error
}

// fileStamp changes when a file is written to or replaced.
type fileStamp struct {
	inode    uint64
	size     int64
	modified time.Time
}

func stampOf(info fs.FileInfo) fileStamp {
	s := fileStamp{size: info.Size(), modified: info.ModTime()}
	if st, ok := info.Sys().(*syscall.Stat_t); ok {
		s.inode = st.Ino
	}
	return s
}

// stampsOf are those of two files; the zero one is a file's that is not there.
func stampsOf(files ...string) (stamps [2]fileStamp) {
	for i, file := range files {
		if info, err := os.Stat(file); err == nil {
			stamps[i] = stampOf(info)
		}
	}
	return stamps
}

// get is tls.Config.GetCertificate.
func (r *renewal) get(*tls.ClientHelloInfo) (*tls.Certificate, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.certFile != "" {
		if found := stampsOf(r.certFile, r.keyFile); found != r.tried {
			if again, err := r.renew(); err != nil {
				r.log.Warn("the files of the TLS certificate have changed, and what they hold is not used", "error", err)
				if again {
					found = r.tried
				}
			}
			r.tried = found
		}
	}
	return &r.cert.tls, nil
}

// renew takes the certificate that the files hold. An error may pass without a change of the files: again.
func (r *renewal) renew() (again bool, err error) {
	c, err := loadCertificate(r.certFile, r.keyFile, r.now())
	if err != nil {
		return false, err
	}
	for _, name := range r.names {
		if err := c.tls.Leaf.VerifyHostname(name); err != nil {
			return false, fmt.Errorf("clients know the engine as %s, and %s is not for that: %w", name, r.certFile, err)
		}
	}
	if r.announce != nil {
		if err := r.announce(c); err != nil {
			return true, err
		}
	}
	r.cert = c
	r.log.Info("another TLS certificate", "file", r.certFile, "fingerprint", c.fingerprint(), "until", c.tls.Leaf.NotAfter.Format(time.DateOnly))
	return false, nil
}
