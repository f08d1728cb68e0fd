package identity

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/batchbox/batchbox/internal/awswire"
)

const (
	secretA = "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
	secretB = "bbbbbbbbbbbbbbbbbbbb/+=b"
)

func writeKeys(t *testing.T, text string, mode os.FileMode) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "keys")
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(path, mode); err != nil {
		t.Fatal(err)
	}
	return path
}

func TestKeyFile(t *testing.T) {
	t.Parallel()
	f, err := OpenKeyFile(writeKeys(t, "\ufeff# keys of the team\r\n[ a ] # first\r\naws_access_key_id=AKIAONE\naws_secret_access_key = "+secretA+
		"\nregion = eu-west-1\n\n[empty]\n; nothing\n[b]\nAWS_ACCESS_KEY_ID = 111122223333\naws_secret_access_key="+secretB+"\naws_account_id = 444455556666\n", 0o600))
	if err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		id, token string
		want      awswire.Credential
		err       error
	}{
		{"AKIAONE", "", awswire.Credential{SecretAccessKey: secretA}, nil},
		{"111122223333", "", awswire.Credential{SecretAccessKey: secretB, Account: "444455556666"}, nil},
		{"AKIAONE", "token", awswire.Credential{}, awswire.ErrUnknownKey},
		{"AKIATWO", "", awswire.Credential{}, awswire.ErrUnknownKey},
		{"", "", awswire.Credential{}, awswire.ErrUnknownKey},
	} {
		if got, err := f.Lookup(t.Context(), tt.id, tt.token); got != tt.want || !errors.Is(err, tt.err) {
			t.Errorf("%q, %q: got %v, %v", tt.id, tt.token, got, err)
		}
	}
}

func TestKeyFileRefused(t *testing.T) {
	t.Parallel()
	const id, secret = "aws_access_key_id = AKIAONE\n", "aws_secret_access_key = " + secretA + "\n"
	for _, tt := range []struct {
		name, text string
		mode       os.FileMode
		want       string
	}{
		{"others may read", "[a]\n" + id + secret, 0o640, "may be read or written by others (mode 0640)"},
		{"others may write", "[a]\n" + id + secret, 0o602, "chmod 600"},
		{"empty", "\n", 0o600, "there is no key in it"},
		{"no profile", id + secret, 0o600, "line 1 stands before the first [PROFILE]"},
		{"no secret", "[a]\n" + id, 0o600, `profile "a" (line 1) needs both`},
		{"no key", "[a]\n" + secret + "[b]\n", 0o600, `profile "a" (line 1) needs both`},
		{"short secret", "[a]\n" + id + "aws_secret_access_key = test\n", 0o600, "fewer than 20 characters"},
		{"twice in a profile", "[a]\n" + id + secret + secret, 0o600, "line 4: aws_secret_access_key is empty or given twice"},
		{"empty secret", "[a]\n" + id + "aws_secret_access_key =\n", 0o600, "line 3: aws_secret_access_key is empty"},
		{"twice in the file", "[a]\n" + id + secret + "[b]\n" + id + secret, 0o600, `profile "b" (line 4) has an access key that another has too`},
		{"account", "[a]\n" + id + secret + "aws_account_id = 1\n", 0o600, "twelve digits"},
		{"session", "[a]\n" + id + secret + "aws_session_token = x\n", 0o600, "temporary credentials"},
		{"key of a session", "[a]\naws_access_key_id = ASIAONE\n" + secret, 0o600, "those of sessions"},
		{"no setting", "[a]\n" + secretA + "\n", 0o600, "line 2 is neither"},
		{"half a profile", "[a\n" + id + secret, 0o600, "line 1 begins with ["},
		{"long line", "[a]\nx = " + strings.Repeat("x", maxKeyLine), 0o600, "line 2: "},
		{"long file", strings.Repeat("\n", maxKeyFile+1), 0o600, "larger than"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			_, err := OpenKeyFile(writeKeys(t, tt.text, tt.mode))
			if err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Fatalf("got %v, want %q", err, tt.want)
			}
			if strings.Contains(err.Error(), secretA) {
				t.Errorf("the error shows a secret: %v", err)
			}
		})
	}
	if _, err := OpenKeyFile(t.TempDir()); err == nil {
		t.Error("a directory was read")
	}
	if _, err := OpenKeyFile(filepath.Join(t.TempDir(), "absent")); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("got %v", err)
	}
}

// A key that is taken out of the file is not good any more, without a restart; nor is any while others may read the file.
func TestKeyFileChanges(t *testing.T) {
	t.Parallel()
	path := writeKeys(t, "[a]\naws_access_key_id = AKIAONE\naws_secret_access_key = "+secretA+"\n", 0o600)
	old := time.Now().Add(-time.Hour) // so that what was read is kept
	if err := os.Chtimes(path, old, old); err != nil {
		t.Fatal(err)
	}
	f, err := OpenKeyFile(path)
	if err != nil {
		t.Fatal(err)
	}
	lookup := func(id string) error {
		_, err := f.Lookup(t.Context(), id, "")
		return err
	}
	if err := lookup("AKIAONE"); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte("[a]\naws_access_key_id = AKIATWO\naws_secret_access_key = "+secretB+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := lookup("AKIAONE"); !errors.Is(err, awswire.ErrUnknownKey) {
		t.Errorf("a key that is not there any more: %v", err)
	}
	if err := lookup("AKIATWO"); err != nil {
		t.Errorf("a key that is new: %v", err)
	}
	if err := os.Chmod(path, 0o644); err != nil {
		t.Fatal(err)
	}
	if err := lookup("AKIATWO"); err == nil || errors.Is(err, awswire.ErrUnknownKey) {
		t.Errorf("others may read the file: %v", err)
	}
}

func TestKeysAskEachSource(t *testing.T) {
	t.Parallel()
	broken := errors.New("broken")
	keys := Keys{source{"a": nil}, source{"b": awswire.ErrExpiredToken, "c": broken}, source{"b": nil}}
	for id, want := range map[string]error{"a": nil, "b": awswire.ErrExpiredToken, "c": broken, "d": awswire.ErrUnknownKey} {
		if _, err := keys.Lookup(t.Context(), id, ""); !errors.Is(err, want) {
			t.Errorf("%s: %v, want %v", id, err, want)
		}
	}
}

type source map[string]error

func (s source) Lookup(_ context.Context, id, _ string) (awswire.Credential, error) {
	err, ok := s[id]
	if !ok {
		err = awswire.ErrUnknownKey
	}
	return awswire.Credential{}, err
}

func FuzzKeyFile(f *testing.F) {
	f.Add("[a]\naws_access_key_id = AKIAONE\naws_secret_access_key = " + secretA + "\n")
	f.Add("[a]\n[b\n= =\n\xff")
	f.Fuzz(func(t *testing.T, text string) {
		keys, err := parseKeys([]byte(text))
		for id, c := range keys {
			if err == nil && (id == "" || len(c.SecretAccessKey) < minSecret || c.Account != "" && !awswire.IsAccount(c.Account)) {
				t.Errorf("accepted %q: %+v", id, c)
			}
		}
	})
}
