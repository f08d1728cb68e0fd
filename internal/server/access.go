package server

import (
	"errors"
	"fmt"
	"net"
	"strings"

	"github.com/batchbox/batchbox/internal/awswire"
	"github.com/batchbox/batchbox/internal/identity"
)

// AccessConfig says who may use the listener. The zero value is for the loopback: any credentials pass there, and what
// comes from web pages does not. A listener that others than this machine reach must have access keys and TLS.
type AccessConfig struct {
	// AccessKeys is the file of the keys that may sign requests (identity.KeyFile). With it, signatures are verified; beside
	// its keys, the session credentials that this engine has given out are good.
	AccessKeys string
	// Verify demands signatures, and so AccessKeys, on the loopback too.
	Verify bool
	// TLSCert and TLSKey are files in PEM form, given both or neither. TLSGenerate makes a certificate, and keeps it in the
	// data directory, for this machine's names and addresses and for TLSHosts.
	TLSCert, TLSKey string
	TLSGenerate     bool
	TLSHosts        []string
	// ClientRate is how many requests a second one client of a listener that is not on the loopback may make in the long run;
	// 0 is DefaultClientRate.
	ClientRate float64
}

// DefaultClientRate is many times what AWS Batch takes (50 a second and account for SubmitJob), and few enough that a
// stranger's requests, which end at the signature, leave a processor to the others.
const DefaultClientRate = 1000

func (a *AccessConfig) tls() bool { return a.TLSCert != "" || a.TLSGenerate }

func (a *AccessConfig) verifies() bool { return a.AccessKeys != "" }

// onLoopback says whether only this machine reaches a listen address, which has been checked.
func onLoopback(listen string) bool {
	host, _, _ := net.SplitHostPort(listen)
	ip := net.ParseIP(host)
	return host == "localhost" || ip != nil && ip.IsLoopback()
}

// checkAccess checks the listen address and who may use it.
func (c *Config) checkAccess() error {
	a := &c.Access
	if _, _, err := net.SplitHostPort(c.Listen); err != nil {
		return fmt.Errorf("listen address %q: %w", c.Listen, err)
	}
	switch {
	case !onLoopback(c.Listen) && (!a.verifies() || !a.tls()):
		return fmt.Errorf("listen address %q is not on the loopback: whoever reaches the API can start programs on this machine. "+
			"It takes --access-keys FILE, whose keys then sign requests, and --tls-generate, or --tls-cert and --tls-key", c.Listen)
	case a.Verify && !a.verifies():
		return errors.New("--verify-signatures takes --access-keys FILE: without a key nobody could sign")
	case (a.TLSCert == "") != (a.TLSKey == ""):
		return errors.New("--tls-cert and --tls-key go together")
	case a.TLSCert != "" && a.TLSGenerate:
		return errors.New("--tls-generate and --tls-cert exclude each other")
	case len(a.TLSHosts) > 0 && !a.TLSGenerate:
		return errors.New("--tls-host is for --tls-generate")
	case !(a.ClientRate >= 0): // nor NaN
		return fmt.Errorf("a client rate of %v requests a second", a.ClientRate)
	case a.ClientRate == 0:
		a.ClientRate = DefaultClientRate
	}
	for _, host := range a.TLSHosts {
		if net.ParseIP(host) == nil && !validHostname(strings.TrimPrefix(host, "*.")) {
			return fmt.Errorf("--tls-host: %q is neither a name nor an address", host)
		}
	}
	return nil
}

// openAccess reads the keys.
func (s *Server) openAccess() (err error) {
	if s.cfg.Access.verifies() {
		s.keys, err = identity.OpenKeyFile(s.cfg.Access.AccessKeys)
	}
	return err
}

// verifier checks the signatures of AWS's requests; nil if none are asked for.
func (s *Server) verifier() *awswire.Verifier {
	if s.keys == nil {
		return nil
	}
	return &awswire.Verifier{Credentials: identity.Keys{s.keys, identity.NewSessions(s.db, s.clock.Now)}}
}
