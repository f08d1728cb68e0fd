package ec2

import (
	"bytes"
	"crypto/ed25519"
	"crypto/md5" //nolint:gosec // what EC2 calls a fingerprint is defined with it
	"crypto/rsa"
	"crypto/sha1" //nolint:gosec // likewise
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/binary"
	"encoding/hex"
	"encoding/pem"
	"fmt"
	"io"
	"math/big"
	"strings"
)

// The keys of EC2 are SSH's: RFC 4253, section 6.6, for RSA, RFC 8709 for Ed25519, and the private form of OpenSSH
// (https://github.com/openssh/openssh-portable/blob/master/PROTOCOL.key). What a fingerprint is differs with the key and
// who made it: https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/verify-keys.html.

type madeKey struct {
	private, public, fingerprint string
}

func makeRSA(random io.Reader, comment string) (madeKey, error) {
	key, err := rsa.GenerateKey(random, 2048)
	if err != nil {
		return madeKey{}, fmt.Errorf("make an RSA key: %w", err)
	}
	pkcs8, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return madeKey{}, fmt.Errorf("make an RSA key: %w", err)
	}
	sum := sha1.Sum(pkcs8) //nolint:gosec // see the import
	return madeKey{
		private:     string(pem.EncodeToMemory(&pem.Block{Type: "RSA PRIVATE KEY", Bytes: x509.MarshalPKCS1PrivateKey(key)})),
		public:      "ssh-rsa " + base64.StdEncoding.EncodeToString(rsaBlob(&key.PublicKey)) + " " + comment,
		fingerprint: colons(sum[:]),
	}, nil
}

func makeEd25519(random io.Reader, comment string) (madeKey, error) {
	public, private, err := ed25519.GenerateKey(random)
	if err != nil {
		return madeKey{}, fmt.Errorf("make an Ed25519 key: %w", err)
	}
	blob := sshStrings([]byte("ssh-ed25519"), public)
	check := make([]byte, 4)
	if _, err := io.ReadFull(random, check); err != nil {
		return madeKey{}, fmt.Errorf("make an Ed25519 key: %w", err)
	}
	secret := append(append(append([]byte(nil), check...), check...), blob...)
	secret = append(secret, sshStrings(private, []byte(comment))...)
	for i := byte(1); len(secret)%8 != 0; i++ {
		secret = append(secret, i)
	}
	file := append([]byte("openssh-key-v1\x00"), sshStrings([]byte("none"), []byte("none"), nil)...)
	file = append(file, 0, 0, 0, 1)
	file = append(file, sshStrings(blob, secret)...)
	return madeKey{
		private:     string(pem.EncodeToMemory(&pem.Block{Type: "OPENSSH PRIVATE KEY", Bytes: file})),
		public:      "ssh-ed25519 " + base64.StdEncoding.EncodeToString(blob) + " " + comment,
		fingerprint: ed25519Fingerprint(blob),
	}, nil
}

func ed25519Fingerprint(blob []byte) string {
	sum := sha256.Sum256(blob)
	return base64.StdEncoding.EncodeToString(sum[:])
}

// colons writes bytes as 1f:51:...
func colons(b []byte) string {
	var parts []string
	for _, one := range b {
		parts = append(parts, hex.EncodeToString([]byte{one}))
	}
	return strings.Join(parts, ":")
}

// sshStrings writes values one after the other, each with its length before it.
func sshStrings(values ...[]byte) []byte {
	var b []byte
	for _, v := range values {
		b = binary.BigEndian.AppendUint32(b, uint32(len(v)))
		b = append(b, v...)
	}
	return b
}

func rsaBlob(key *rsa.PublicKey) []byte {
	return sshStrings([]byte("ssh-rsa"), mpint(big.NewInt(int64(key.E))), mpint(key.N))
}

// mpint is a positive number as SSH has it: with a zero before a first bit that is set.
func mpint(n *big.Int) []byte {
	b := n.Bytes()
	if len(b) > 0 && b[0]&0x80 != 0 {
		b = append([]byte{0}, b...)
	}
	return b
}

type publicKey struct {
	typ, fingerprint, line string
}

// readPublicKey reads a public key in one of the forms EC2 imports: OpenSSH's line, RFC 4716, or DER in base64, with or
// without PEM around it.
func readPublicKey(material []byte) (publicKey, bool) {
	text := strings.TrimSpace(string(material))
	var blob []byte
	comment := ""
	switch {
	case strings.HasPrefix(text, "ssh-"):
		fields := strings.Fields(text)
		if len(fields) < 2 || strings.ContainsAny(text, "\r\n") {
			return publicKey{}, false
		}
		var err error
		if blob, err = base64.StdEncoding.DecodeString(fields[1]); err != nil {
			return publicKey{}, false
		}
		comment = strings.Join(fields[2:], " ")
		if name, _, ok := sshString(blob); !ok || string(name) != fields[0] {
			return publicKey{}, false
		}
	case strings.HasPrefix(text, "---- BEGIN SSH2 PUBLIC KEY ----"):
		blob = readSSH2(text)
	default:
		der := []byte(nil)
		if b, _ := pem.Decode([]byte(text)); b != nil {
			der = b.Bytes
		} else if b, err := base64.StdEncoding.DecodeString(strings.Join(strings.Fields(text), "")); err == nil {
			der = b
		}
		key, err := x509.ParsePKIXPublicKey(der)
		if err != nil {
			return publicKey{}, false
		}
		switch key := key.(type) {
		case *rsa.PublicKey:
			blob = rsaBlob(key)
		case ed25519.PublicKey:
			blob = sshStrings([]byte("ssh-ed25519"), key)
		default:
			return publicKey{}, false
		}
	}
	return readBlob(blob, comment)
}

// readSSH2 takes the data out of the form of RFC 4716; nil if it is not.
func readSSH2(text string) []byte {
	var data strings.Builder
	continued := false
	for line := range strings.Lines(text) {
		line = strings.TrimSpace(line)
		header := continued || strings.Contains(line, ":")
		continued = header && strings.HasSuffix(line, `\`)
		if header || strings.HasPrefix(line, "----") {
			continue
		}
		data.WriteString(line)
	}
	blob, err := base64.StdEncoding.DecodeString(data.String())
	if err != nil {
		return nil
	}
	return blob
}

func sshString(b []byte) (value, rest []byte, ok bool) {
	if len(b) < 4 {
		return nil, nil, false
	}
	n := binary.BigEndian.Uint32(b)
	if uint64(n) > uint64(len(b)-4) {
		return nil, nil, false
	}
	return b[4 : 4+n], b[4+n:], true
}

func readBlob(blob []byte, comment string) (publicKey, bool) {
	name, rest, ok := sshString(blob)
	if !ok {
		return publicKey{}, false
	}
	k := publicKey{line: strings.TrimSpace(string(name) + " " + base64.StdEncoding.EncodeToString(blob) + " " + comment)}
	switch string(name) {
	case "ssh-rsa":
		e, rest, okE := sshString(rest)
		n, rest, okN := sshString(rest)
		exponent, modulus := new(big.Int).SetBytes(e), new(big.Int).SetBytes(n)
		if !okE || !okN || len(rest) > 0 || !exponent.IsInt64() || exponent.Int64() < 3 || exponent.Int64() > 1<<31-1 ||
			modulus.BitLen() < 1024 || modulus.BitLen() > 16384 || !bytes.Equal(mpint(modulus), n) {
			return publicKey{}, false
		}
		der, err := x509.MarshalPKIXPublicKey(&rsa.PublicKey{N: modulus, E: int(exponent.Int64())})
		if err != nil {
			return publicKey{}, false
		}
		sum := md5.Sum(der) //nolint:gosec // see the import
		k.typ, k.fingerprint = "rsa", colons(sum[:])
	case "ssh-ed25519":
		key, rest, ok := sshString(rest)
		if !ok || len(key) != ed25519.PublicKeySize || len(rest) > 0 {
			return publicKey{}, false
		}
		k.typ, k.fingerprint = "ed25519", ed25519Fingerprint(blob)
	default:
		return publicKey{}, false
	}
	return k, true
}
