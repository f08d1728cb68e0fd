package launcher_test

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/batchbox/batchbox/internal/launcher"
)

func TestSecretsFile(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "secrets.json")
	const content = `{
		"arn:aws:secretsmanager:us-east-1:000000000000:secret:db-AbCdEf": {"password": "p1", "port": 5432},
		"plain": "p2", "text": "{\"user\": \"u\"}", "/app/token": "p3", "bare": "p4"}`
	if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
	f := launcher.SecretsFile(path)
	if err := f.Check(); err != nil {
		t.Fatal(err)
	}
	const sm, ssm = "arn:aws:secretsmanager:us-east-1:000000000000:secret:", "arn:aws:ssm:us-east-1:000000000000:parameter/"
	for _, tc := range []struct{ valueFrom, want, fails string }{
		{sm + "db-AbCdEf:password::", "p1", ""},
		{sm + "db-AbCdEf:port::", "5432", ""},
		{sm + "db-AbCdEf", `{"password": "p1", "port": 5432}`, ""},
		{sm + "db-AbCdEf:user::", "", "did not contain json key user"},
		{sm + "plain-XyZ123", "p2", ""},
		{sm + "plain", "p2", ""},
		{sm + "plain:key::", "", "has no keys"},
		{sm + "text:user::", "u", ""},
		{ssm + "app/token", "p3", ""},
		{"/app/token", "p3", ""},
		{ssm + "bare", "p4", ""},
		{sm + "absent", "", "ResourceNotFoundException"},
	} {
		got, err := f.Secret(context.Background(), home, tc.valueFrom)
		switch {
		case tc.fails != "" && (err == nil || !strings.Contains(err.Error(), tc.fails)):
			t.Errorf("%s: %q, %v; want an error with %q", tc.valueFrom, got, err, tc.fails)
		case tc.fails == "" && (err != nil || got != tc.want):
			t.Errorf("%s: %q, %v; want %q", tc.valueFrom, got, err, tc.want)
		}
	}

	if err := os.Chmod(path, 0o644); err != nil {
		t.Fatal(err)
	}
	if err := f.Check(); err == nil || !strings.Contains(err.Error(), "chmod 600") {
		t.Errorf("a file others can read: %v", err)
	}
	if err := os.WriteFile(path, []byte(`{"a": "do not show this`), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := f.Secret(context.Background(), home, "a"); err == nil || strings.Contains(err.Error(), "do not show") {
		t.Errorf("a broken file: %v", err)
	}
}
