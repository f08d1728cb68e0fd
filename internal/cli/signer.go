package cli

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"io"
	"net/http"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	v4 "github.com/aws/aws-sdk-go-v2/aws/signer/v4"

	"github.com/batchbox/batchbox/internal/control"
)

// signer sends requests for batchbox's own pages, signed as those for AWS's services are: an engine that others than its own
// machine reach takes no others.
type signer struct{ cfg aws.Config }

// Do implements control.Doer.
func (s signer) Do(r *http.Request) (*http.Response, error) {
	var body []byte
	if r.Body != nil {
		var err error
		if body, err = io.ReadAll(r.Body); err != nil {
			return nil, err
		}
		r.Body = io.NopCloser(bytes.NewReader(body))
	}
	keys, err := s.cfg.Credentials.Retrieve(r.Context())
	if err != nil {
		return nil, err
	}
	sum := sha256.Sum256(body)
	if err := v4.NewSigner().SignHTTP(r.Context(), keys, r, hex.EncodeToString(sum[:]), control.SigningName, s.cfg.Region, time.Now()); err != nil {
		return nil, err
	}
	if s.cfg.HTTPClient == nil {
		return http.DefaultClient.Do(r)
	}
	return s.cfg.HTTPClient.Do(r)
}
