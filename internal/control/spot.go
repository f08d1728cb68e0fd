package control

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
)

// SpotInterruptPath is where Spot capacity is reclaimed.
const SpotInterruptPath = "/_batchbox/spot/interrupt"

// SpotInterruptRequest names the job whose Spot capacity is to be reclaimed: that of all running children for an array.
type SpotInterruptRequest struct {
	Job string `json:"job"`
	// Account and Region are those of the job; the engine's own if empty.
	Account string `json:"account,omitempty"`
	Region  string `json:"region,omitempty"`
}

// SpotInterruptReply says how many attempts were interrupted.
type SpotInterruptReply struct {
	Interrupted int `json:"interrupted"`
}

// Doer sends requests, and signs them if need be.
type Doer interface {
	Do(*http.Request) (*http.Response, error)
}

// InterruptSpot asks the engine at url to reclaim the Spot capacity under a job. The error is the engine's own sentence if
// the job does not run on such. by sends the request; nil does for an engine that verifies no signatures.
func InterruptSpot(ctx context.Context, by Doer, url string, ask SpotInterruptRequest) (interrupted int, err error) {
	body, err := json.Marshal(ask)
	if err != nil {
		return 0, err
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, strings.TrimSuffix(url, "/")+SpotInterruptPath, bytes.NewReader(body))
	if err != nil {
		return 0, err
	}
	req.Header.Set("Content-Type", "application/json")
	if by == nil {
		by = client
	}
	res, err := by.Do(req)
	if err != nil {
		return 0, err
	}
	defer res.Body.Close()
	text, err := io.ReadAll(io.LimitReader(res.Body, 64<<10))
	if err != nil {
		return 0, err
	}
	if res.StatusCode != http.StatusOK {
		if res.StatusCode == http.StatusConflict {
			return 0, errors.New(string(bytes.TrimSpace(text)))
		}
		return 0, fmt.Errorf("%s%s: HTTP %s %s", url, SpotInterruptPath, res.Status, bytes.TrimSpace(text))
	}
	var reply SpotInterruptReply
	if err := json.Unmarshal(text, &reply); err != nil {
		return 0, fmt.Errorf("%s is no engine of batchbox: %w", url, err)
	}
	return reply.Interrupted, nil
}
