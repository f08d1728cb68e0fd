package identity

import (
	"encoding/json"
	"fmt"

	"github.com/batchbox/batchbox/internal/batch"
	"github.com/batchbox/batchbox/internal/store"
)

// Provider is an OpenID Connect provider of an account. Its JSON is how the store keeps it.
type Provider struct {
	Issuer      string   `json:"issuer"` // the URL without "https://"
	ClientIDs   []string `json:"clientIds,omitempty"`
	Thumbprints []string `json:"thumbprints,omitempty"`
	CreatedAt   int64    `json:"createdAt"` // ms
	Tags        []Tag    `json:"tags,omitempty"`
}

// ARN is the provider's ARN in an account.
func (p *Provider) ARN(in batch.Partition) string { return ARN(in, "iam", "oidc-provider/"+p.Issuer) }

const kindProvider = "iam-oidc-provider"

// FindProvider finds a provider by its issuer, without "https://".
func FindProvider(r store.Reader, account, issuer string) (*Provider, bool, error) {
	p := &Provider{}
	ok, err := r.Get(global(account), kindProvider, issuer, p)
	if err != nil || !ok {
		return nil, false, err
	}
	return p, true, nil
}

// ListProviders calls fn for every provider of an account, by issuer.
func ListProviders(r store.Reader, account string, fn func(*Provider) error) error {
	return r.List(global(account), kindProvider, "", func(key string, raw []byte) (bool, error) {
		p := &Provider{}
		if err := json.Unmarshal(raw, p); err != nil {
			return false, fmt.Errorf("OpenID Connect provider %q: %w", key, err)
		}
		return true, fn(p)
	})
}

// PutProvider stores a provider.
func PutProvider(w store.Writer, account string, p *Provider) error {
	return w.Put(global(account), kindProvider, p.Issuer, p)
}

// DeleteProvider removes a provider.
func DeleteProvider(w store.Writer, account, issuer string) error {
	_, err := w.Delete(global(account), kindProvider, issuer)
	return err
}
