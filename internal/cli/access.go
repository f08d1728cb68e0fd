package cli

import (
	"fmt"
	"io"

	"github.com/spf13/pflag"

	"github.com/batchbox/batchbox/internal/control"
	"github.com/batchbox/batchbox/internal/server"
)

// addAccessFlags are the flags of serve for who may use it.
func addAccessFlags(f *pflag.FlagSet, a *server.AccessConfig) {
	f.StringVar(&a.AccessKeys, "access-keys", "", "`file` of the access keys that requests must be signed with, in the form of ~/.aws/credentials; needed off the loopback")
	f.BoolVar(&a.Verify, "verify-signatures", false, "verify signatures on the loopback too; with --access-keys they are anyway")
	f.StringVar(&a.TLSCert, "tls-cert", "", "`file` with the certificate, and those between it and its authority, in PEM form")
	f.StringVar(&a.TLSKey, "tls-key", "", "`file` with the certificate's key in PEM form")
	f.BoolVar(&a.TLSGenerate, "tls-generate", false, "make a certificate, keep it in the data directory, and say what clients are to trust")
	f.StringArrayVar(&a.TLSHosts, "tls-host", nil, "further `name` or address for that certificate (repeatable)")
	f.Float64Var(&a.ClientRate, "client-rate", 0, "`number` of requests a second that one client may make off the loopback; 0 is 1000")
}

// tellTLS says by what clients can know an engine with TLS.
func tellTLS(w io.Writer, e control.Engine) {
	if e.Certificate == "" {
		return
	}
	fmt.Fprintf(w, "certificate: SHA-256 %s\n", e.Certificate)
	if e.CA != "" {
		fmt.Fprintf(w, "clients trust it with: export AWS_CA_BUNDLE=%s\n", e.CA)
	}
}
