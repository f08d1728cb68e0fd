package events

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"time"
)

// Webhook posts events to a URL: a JSON array of one or more, in EventBridge's shape, in order. Any answer of 2xx takes
// them; anything else, and no answer within 30 seconds, has them sent again, and nothing later is sent before. A receiver
// that gets an event twice knows it by its id.
type Webhook struct {
	hub    *Hub
	url    string
	agent  string
	client *http.Client

	follower Follower
}

// The bounds of a POST.
const (
	webhookEvents   = 100
	webhookPatience = 30 * time.Second
)

// CheckWebhook says what is wrong with a webhook's URL.
func CheckWebhook(target string) error {
	_, err := webhookURL(target)
	return err
}

func webhookURL(target string) (*url.URL, error) {
	u, err := url.Parse(target)
	if err != nil {
		return nil, fmt.Errorf("event webhook: %w", err)
	}
	if u.Scheme != "http" && u.Scheme != "https" || u.Host == "" {
		return nil, fmt.Errorf("event webhook %q is no http or https URL", u.Redacted())
	}
	return u, nil
}

// NewWebhook makes a webhook; agent is its User-Agent. The URL's user and password, if it has them, are sent as Basic
// authentication.
func NewWebhook(h *Hub, target, agent string) (*Webhook, error) {
	u, err := webhookURL(target)
	if err != nil {
		return nil, err
	}
	return &Webhook{
		hub: h, url: target, agent: agent,
		client: &http.Client{
			Transport: http.DefaultTransport.(*http.Transport).Clone(), Timeout: webhookPatience,
			// A POST that is redirected becomes a GET, or goes where nobody said it should.
			CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		},
		// A user name, password or query may be a secret, and names are logged.
		follower: Follower{Hub: h, Name: "webhook " + u.Scheme + "://" + u.Host + u.EscapedPath()},
	}, nil
}

// Run delivers until ctx is done or the hub is closed.
func (w *Webhook) Run(ctx context.Context) {
	defer w.client.CloseIdleConnections()
	w.follower.Deliver = w.deliver
	w.follower.Run(ctx)
}

// deliver posts a page in parts; done is how much of it has been taken.
func (w *Webhook) deliver(ctx context.Context, page []Event) (done int, err error) {
	for done < len(page) {
		part := page[done:min(done+webhookEvents, len(page))]
		var list []Envelope
		for i := range part {
			shown, ok, err := w.hub.Render(ctx, &part[i])
			if err != nil {
				return done, err
			}
			if ok {
				list = append(list, shown)
			}
		}
		if len(list) > 0 {
			if err := w.post(ctx, list); err != nil {
				return done, err
			}
		}
		done += len(part)
	}
	return done, nil
}

func (w *Webhook) post(ctx context.Context, list []Envelope) error {
	body, err := json.Marshal(list)
	if err != nil {
		return err
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, w.url, bytes.NewReader(body))
	if err != nil {
		return err
	}
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("User-Agent", w.agent)
	res, err := w.client.Do(req)
	var where *url.Error
	if errors.As(err, &where) {
		return where.Err // without the URL, which may hold a secret
	}
	if err != nil {
		return err
	}
	defer res.Body.Close()
	text, _ := io.ReadAll(io.LimitReader(res.Body, 512)) // only to say more; the status decides
	if res.StatusCode/100 != 2 {
		return fmt.Errorf("the webhook answered HTTP %s %s", res.Status, bytes.TrimSpace(text))
	}
	return nil
}
