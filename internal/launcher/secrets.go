package launcher

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"strings"

	"github.com/batchbox/batchbox/internal/batch"
)

// SecretsFile stands in for Secrets Manager and the SSM parameter store: a JSON object from what valueFrom names to the
// value, read anew for each task, so that it can be edited while the engine runs.
//
//	{
//	  "arn:aws:secretsmanager:us-east-1:123456789012:secret:db-AbCdEf": {"username": "app", "password": "..."},
//	  "db": "...",
//	  "/app/token": "..."
//	}
//
// A secret is found by its ARN as the definition has it, with or without the six characters that Secrets Manager appends to
// names, or by its name alone; a parameter by its ARN or its name. A key of a JSON secret is named as on AWS, behind the
// ARN: "arn:...:secret:db-AbCdEf:password::" (ECS developer guide, "Pass Secrets Manager secrets through environment
// variables").
type SecretsFile string

// Secret implements Secrets.
func (f SecretsFile) Secret(_ context.Context, _ batch.Partition, valueFrom string) (string, error) {
	raw, err := os.ReadFile(string(f))
	if err != nil {
		return "", err
	}
	var entries map[string]json.RawMessage
	if err := json.Unmarshal(raw, &entries); err != nil {
		return "", fmt.Errorf("secrets file %s is not a JSON object", string(f)) // the error of the parser could quote a secret
	}
	names, key := secretNames(valueFrom)
	for _, name := range names {
		if value, ok := entries[name]; ok {
			return secretValue(value, key, valueFrom)
		}
	}
	return "", fmt.Errorf("ResourceNotFoundException: secret %s is not in the secrets file %s", valueFrom, string(f))
}

// secretNames are the names under which what valueFrom names may stand in the file, and the key within a JSON secret.
func secretNames(valueFrom string) (names []string, key string) {
	arn := strings.Split(valueFrom, ":")
	switch {
	case len(arn) >= 7 && arn[2] == "secretsmanager":
		if len(arn) > 7 {
			key = arn[7]
		}
		name := arn[6]
		names = []string{valueFrom, strings.Join(arn[:7], ":"), name}
		if i := strings.LastIndexByte(name, '-'); i > 0 && len(name)-i == len("-AbCdEf") {
			names = append(names, strings.Join(arn[:6], ":")+":"+name[:i], name[:i])
		}
		return names, key
	case len(arn) == 6 && arn[2] == "ssm":
		name := strings.TrimPrefix(arn[5], "parameter/")
		return []string{valueFrom, name, "/" + name}, ""
	default:
		return []string{valueFrom}, ""
	}
}

// secretValue is a string as it stands, any other JSON value as text, or the value of one key of an object.
func secretValue(value json.RawMessage, key, valueFrom string) (string, error) {
	var text string
	plain := json.Unmarshal(value, &text) == nil
	if key == "" {
		if plain {
			return text, nil
		}
		return string(value), nil
	}
	if plain { // a string that holds JSON, as Secrets Manager has it
		value = json.RawMessage(text)
	}
	var object map[string]json.RawMessage
	if json.Unmarshal(value, &object) != nil {
		return "", fmt.Errorf("secret %s has no keys: it is not a JSON object", valueFrom)
	}
	entry, ok := object[key]
	if !ok {
		return "", fmt.Errorf("retrieved secret from Secrets Manager did not contain json key %s", key)
	}
	if json.Unmarshal(entry, &text) == nil {
		return text, nil
	}
	return string(entry), nil
}

// Check says what is wrong with the file before anybody needs it.
func (f SecretsFile) Check() error {
	info, err := os.Stat(string(f))
	switch {
	case err != nil:
		return fmt.Errorf("secrets file: %w", err)
	case info.Mode().Perm()&0o077 != 0:
		return fmt.Errorf("secrets file %s can be read by others (mode %04o): chmod 600 it", string(f), info.Mode().Perm())
	}
	_, err = f.Secret(context.Background(), batch.Partition{}, "")
	if err != nil && !strings.HasPrefix(err.Error(), "ResourceNotFoundException") {
		return err
	}
	return nil
}
