package server

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/hex"
	"encoding/pem"
	"errors"
	"fmt"
	"io/fs"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/batchbox/batchbox/internal/fsys"
)

// certificate is what the listener shows its clients.
type certificate struct {
	tls tls.Certificate // Leaf is set
	// ca is the file of the authority that has signed it, for clients to trust; "" for a certificate of the user's.
	ca string
}

// fingerprint is the SHA-256 of the certificate, in hexadecimal.
func (c *certificate) fingerprint() string {
	sum := sha256.Sum256(c.tls.Leaf.Raw)
	return hex.EncodeToString(sum[:])
}

// loadCertificate reads the user's own.
func loadCertificate(certFile, keyFile string, now time.Time) (*certificate, error) {
	info, err := os.Stat(keyFile)
	if err != nil {
		return nil, fmt.Errorf("TLS key: %w", err)
	}
	if info.Mode().Perm()&0o007 != 0 {
		return nil, fmt.Errorf("TLS key: everybody may read or write %s (mode %04o)", keyFile, info.Mode().Perm())
	}
	pair, err := tls.LoadX509KeyPair(certFile, keyFile) // its errors show no key
	if err != nil {
		return nil, fmt.Errorf("TLS certificate: %w", err)
	}
	if now.After(pair.Leaf.NotAfter) {
		return nil, fmt.Errorf("TLS certificate: %s has expired on %s", certFile, pair.Leaf.NotAfter.Format(time.DateOnly))
	}
	return &certificate{tls: pair}, nil
}

const (
	// certificateLife is that of a certificate made here: the longest that all clients take.
	certificateLife = 397 * 24 * time.Hour
	// certificateRenewal is how long before its end another is made.
	certificateRenewal = 30 * 24 * time.Hour
)

// makeCertificate finds the certificate of a directory, or makes one if there is none, if it ends soon or lacks one of
// hosts. It is signed by an authority whose key is thrown away at once: nobody can make another that its clients would
// trust. The directory then holds ca.pem, for the clients, and server.pem with certificate and key.
func makeCertificate(files fsys.FS, dir string, hosts []string, now time.Time) (*certificate, error) {
	if err := files.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("TLS certificate: %w", err)
	}
	file, ca := filepath.Join(dir, "server.pem"), filepath.Join(dir, "ca.pem")
	text, err := os.ReadFile(file)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("TLS certificate: %w", err)
	}
	pair, authority, ok := readGenerated(text)
	if !ok || now.Add(certificateRenewal).After(pair.Leaf.NotAfter) || now.Before(pair.Leaf.NotBefore) || !covers(pair.Leaf, hosts) {
		if text, err = generate(hosts, now); err != nil {
			return nil, fmt.Errorf("make a TLS certificate: %w", err)
		}
		if err := fsys.Replace(files, file, text, 0o600); err != nil {
			return nil, fmt.Errorf("TLS certificate: %w", err)
		}
		if pair, authority, ok = readGenerated(text); !ok {
			return nil, errors.New("make a TLS certificate: it can not be read")
		}
	}
	if have, err := os.ReadFile(ca); err != nil || !bytes.Equal(have, authority) {
		if err := fsys.Replace(files, ca, authority, 0o644); err != nil {
			return nil, fmt.Errorf("TLS certificate: %w", err)
		}
	}
	return &certificate{tls: pair, ca: ca}, nil
}

// readGenerated takes server.pem apart: the pair, and the authority's certificate in PEM form.
func readGenerated(text []byte) (pair tls.Certificate, authority []byte, ok bool) {
	pair, err := tls.X509KeyPair(text, text)
	if err != nil || len(pair.Certificate) != 2 {
		return pair, nil, false
	}
	return pair, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: pair.Certificate[1]}), true
}

// covers says whether a certificate is good for all hosts.
func covers(leaf *x509.Certificate, hosts []string) bool {
	return !slices.ContainsFunc(hosts, func(h string) bool { return leaf.VerifyHostname(h) != nil })
}

// generate makes an authority, and a certificate and key in PEM form.
func generate(hosts []string, now time.Time) ([]byte, error) {
	authorityKey, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, err
	}
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, err
	}
	name := pkix.Name{Organization: []string{"batchbox"}, CommonName: "batchbox " + hosts[0]}
	authority := &x509.Certificate{
		Subject: name, NotBefore: now.Add(-time.Hour), NotAfter: now.Add(certificateLife),
		IsCA: true, BasicConstraintsValid: true, MaxPathLenZero: true, KeyUsage: x509.KeyUsageCertSign,
	}
	leaf := &x509.Certificate{
		Subject: pkix.Name{Organization: name.Organization, CommonName: hosts[0]}, NotBefore: authority.NotBefore, NotAfter: authority.NotAfter,
		BasicConstraintsValid: true, KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	}
	for _, h := range hosts {
		if ip := net.ParseIP(h); ip != nil {
			leaf.IPAddresses = append(leaf.IPAddresses, ip)
			continue
		}
		leaf.DNSNames = append(leaf.DNSNames, h)
	}
	for _, c := range []*x509.Certificate{authority, leaf} {
		if c.SerialNumber, err = rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 120)); err != nil {
			return nil, err
		}
	}
	authorityDER, err := x509.CreateCertificate(rand.Reader, authority, authority, authorityKey.Public(), authorityKey)
	if err != nil {
		return nil, err
	}
	if authority, err = x509.ParseCertificate(authorityDER); err != nil {
		return nil, err
	}
	leafDER, err := x509.CreateCertificate(rand.Reader, leaf, authority, key.Public(), authorityKey)
	if err != nil {
		return nil, err
	}
	keyDER, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return nil, err
	}
	var text []byte
	for _, b := range []pem.Block{{Type: "CERTIFICATE", Bytes: leafDER}, {Type: "CERTIFICATE", Bytes: authorityDER}, {Type: "PRIVATE KEY", Bytes: keyDER}} {
		text = append(text, pem.EncodeToMemory(&b)...)
	}
	return text, nil
}

// machineHosts are the names and addresses of this machine, as far as it knows them: extra first, then its own name, the
// loopback's, and for a listener on all addresses those of its interfaces.
func machineHosts(extra []string, listen net.IP) ([]string, error) {
	hosts := slices.Clone(extra)
	if name, err := os.Hostname(); err == nil && validHostname(name) {
		hosts = append(hosts, name)
	}
	hosts = append(hosts, "localhost", "127.0.0.1", "::1")
	if !listen.IsUnspecified() {
		return unique(append(hosts, listen.String())), nil
	}
	addresses, err := net.InterfaceAddrs()
	if err != nil {
		return nil, fmt.Errorf("the addresses of this machine: %w", err)
	}
	for _, a := range addresses {
		if n, ok := a.(*net.IPNet); ok && !n.IP.IsLinkLocalUnicast() {
			hosts = append(hosts, n.IP.String())
		}
	}
	return unique(hosts), nil
}

func unique(list []string) []string {
	var out []string
	for _, s := range list {
		if !slices.Contains(out, s) {
			out = append(out, s)
		}
	}
	return out
}

// validHostname says whether a certificate can be for a name: labels of letters, digits and hyphens.
func validHostname(name string) bool {
	if len(name) > 253 {
		return false
	}
	for label := range strings.SplitSeq(name, ".") {
		if label == "" || len(label) > 63 || label[0] == '-' || label[len(label)-1] == '-' {
			return false
		}
		for i := range len(label) {
			if c := label[i] | 0x20; (c < 'a' || c > 'z') && (label[i] < '0' || label[i] > '9') && label[i] != '-' {
				return false
			}
		}
	}
	return true
}
