package identity

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"strings"
	"sync"
	"time"

	"github.com/batchbox/batchbox/internal/awswire"
)

// KeyFile is a file of access keys that may sign, in the form of the AWS CLI's ~/.aws/credentials
// (https://docs.aws.amazon.com/cli/latest/userguide/cli-configure-files.html), so that it can be the clients'
// AWS_SHARED_CREDENTIALS_FILE as it is:
//
//	# whose key it is
//	[ci]
//	aws_access_key_id = AKIAEXAMPLE1
//	aws_secret_access_key = ...
//	aws_account_id = 111122223333
//
// aws_account_id is optional: without it the account is the key's own if the key is one, else the engine's. A profile with
// only one of key and secret, a key given twice, and a secret shorter than 20 characters are errors; session tokens are not for
// such a file; other settings are passed over. Lines hold at most 4096 bytes, the file 1 MiB.
//
// The file is read again when it has changed, so that a key can be taken away from a running engine. While it can not be
// read, or is wrong, no key of it is good. Its methods may be called from many goroutines.
type KeyFile struct {
	path string

	mu   sync.Mutex
	seen fs.FileInfo // what keys was read from
	keys map[string]awswire.Credential
}

// minSecret is the length from which on a secret can not be guessed by trying; AWS's have forty characters.
const minSecret = 20

const (
	maxKeyLine = 4 << 10
	maxKeyFile = 1 << 20
)

// OpenKeyFile reads a file of access keys. The file must be its owner's alone: nobody else may read or write it, since
// whoever has a key can start programs; its owner is this process's user, or root. It must hold a key.
func OpenKeyFile(path string) (*KeyFile, error) {
	f := &KeyFile{path: path}
	if _, err := f.current(); err != nil {
		return nil, err
	}
	return f, nil
}

// Lookup implements awswire.Credentials; a key of the file has no session token.
func (f *KeyFile) Lookup(_ context.Context, accessKeyID, sessionToken string) (awswire.Credential, error) {
	keys, err := f.current()
	if err != nil {
		return awswire.Credential{}, err
	}
	key, ok := keys[accessKeyID]
	if !ok || sessionToken != "" {
		return awswire.Credential{}, awswire.ErrUnknownKey
	}
	return key, nil
}

// current are the keys of the file as it is now.
func (f *KeyFile) current() (map[string]awswire.Credential, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	info, err := os.Stat(f.path)
	if err != nil {
		return nil, fmt.Errorf("access keys: %w", err)
	}
	if f.seen != nil && os.SameFile(f.seen, info) && sameVersion(f.seen, info) {
		return f.keys, nil
	}
	f.seen, f.keys = nil, nil
	keys, info, err := readKeys(f.path)
	if err != nil {
		return nil, fmt.Errorf("access keys: %w", err)
	}
	// A file that was written just now may be written again within what its clock can tell apart.
	if time.Since(info.ModTime()) > 2*time.Second {
		f.seen = info
	}
	f.keys = keys
	return keys, nil
}

func sameVersion(a, b fs.FileInfo) bool {
	return a.Size() == b.Size() && a.ModTime().Equal(b.ModTime()) && a.Mode() == b.Mode()
}

// readKeys opens the file, and checks and reads what it has opened.
func readKeys(path string) (map[string]awswire.Credential, fs.FileInfo, error) {
	file, err := os.Open(path)
	if err != nil {
		return nil, nil, err
	}
	defer file.Close()
	info, err := file.Stat()
	if err != nil {
		return nil, nil, err
	}
	switch {
	case !info.Mode().IsRegular():
		return nil, nil, fmt.Errorf("%s is no regular file", path)
	case info.Mode().Perm()&0o077 != 0:
		return nil, nil, fmt.Errorf("%s may be read or written by others (mode %04o): whoever has a key can start programs here; chmod 600 %s", path, info.Mode().Perm(), path)
	case !ownedByUs(info):
		return nil, nil, fmt.Errorf("%s belongs to another user", path)
	case info.Size() > maxKeyFile:
		return nil, nil, fmt.Errorf("%s is larger than %d bytes", path, maxKeyFile)
	}
	raw, err := io.ReadAll(io.LimitReader(file, maxKeyFile+1))
	if err != nil {
		return nil, nil, err
	}
	keys, err := parseKeys(raw)
	if err == nil && len(keys) == 0 {
		err = errors.New("there is no key in it")
	}
	if err != nil {
		return nil, nil, fmt.Errorf("%s: %w", path, err)
	}
	return keys, info, nil
}

// profile is one section of the file.
type profile struct {
	name, id, secret, account string
	line                      int
}

// parseKeys reads the file's text. Errors name lines and profiles, and never what stands there: it may be a secret.
func parseKeys(raw []byte) (map[string]awswire.Credential, error) {
	keys := map[string]awswire.Credential{}
	var p profile
	lines := bufio.NewScanner(bytes.NewReader(bytes.TrimPrefix(raw, []byte("\ufeff"))))
	lines.Buffer(make([]byte, 0, maxKeyLine), maxKeyLine)
	n := 0
	for lines.Scan() {
		n++
		line := strings.TrimSpace(lines.Text())
		if line == "" || line[0] == '#' || line[0] == ';' {
			continue
		}
		if line[0] == '[' {
			if err := p.addTo(keys); err != nil {
				return nil, err
			}
			name, rest, ok := strings.Cut(line[1:], "]")
			if rest = strings.TrimSpace(rest); !ok || rest != "" && rest[0] != '#' && rest[0] != ';' {
				return nil, fmt.Errorf("line %d begins with [ and is no [PROFILE]", n)
			}
			p = profile{name: strings.TrimSpace(name), line: n}
			continue
		}
		if err := p.set(line, n); err != nil {
			return nil, err
		}
	}
	if err := lines.Err(); err != nil {
		return nil, fmt.Errorf("line %d: %w", n+1, err)
	}
	return keys, p.addTo(keys)
}

// set takes one line of a section.
func (p *profile) set(line string, n int) error {
	name, value, ok := strings.Cut(line, "=")
	if !ok {
		return fmt.Errorf("line %d is neither [PROFILE] nor NAME = VALUE", n)
	}
	if p.line == 0 {
		return fmt.Errorf("line %d stands before the first [PROFILE]", n)
	}
	var to *string
	name, value = strings.ToLower(strings.TrimSpace(name)), strings.TrimSpace(value)
	switch name {
	case "aws_access_key_id":
		to = &p.id
	case "aws_secret_access_key":
		to = &p.secret
	case "aws_account_id":
		to = &p.account
	case "aws_session_token":
		return fmt.Errorf("line %d: temporary credentials can not be given by a file", n)
	default:
		return nil
	}
	if *to != "" || value == "" {
		return fmt.Errorf("line %d: %s is empty or given twice", n, name)
	}
	*to = value
	return nil
}

// addTo adds the profile's key, if it has one.
func (p *profile) addTo(keys map[string]awswire.Credential) error {
	switch {
	case p.id == "" && p.secret == "":
		return nil
	case p.id == "" || p.secret == "":
		return fmt.Errorf("profile %q (line %d) needs both aws_access_key_id and aws_secret_access_key", p.name, p.line)
	case len(p.secret) < minSecret:
		return fmt.Errorf("profile %q (line %d): a secret of fewer than %d characters can be guessed", p.name, p.line, minSecret)
	case p.account != "" && !awswire.IsAccount(p.account):
		return fmt.Errorf("profile %q (line %d): aws_account_id is not a number of twelve digits", p.name, p.line)
	case strings.HasPrefix(p.id, prefixSession):
		return fmt.Errorf("profile %q (line %d): keys that begin with %s are those of sessions", p.name, p.line, prefixSession)
	}
	if _, twice := keys[p.id]; twice {
		return fmt.Errorf("profile %q (line %d) has an access key that another has too", p.name, p.line)
	}
	keys[p.id] = awswire.Credential{SecretAccessKey: p.secret, Account: p.account}
	return nil
}

// Keys are several sources of credentials; the first that knows a key answers for it.
type Keys []awswire.Credentials

// Lookup implements awswire.Credentials.
func (k Keys) Lookup(ctx context.Context, accessKeyID, sessionToken string) (awswire.Credential, error) {
	for _, source := range k {
		c, err := source.Lookup(ctx, accessKeyID, sessionToken)
		if !errors.Is(err, awswire.ErrUnknownKey) {
			return c, err
		}
	}
	return awswire.Credential{}, awswire.ErrUnknownKey
}
