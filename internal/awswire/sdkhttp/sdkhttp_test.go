package sdkhttp_test

import (
	"bytes"
	"context"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/batchbox/batchbox/internal/awswire/sdkhttp"
)

// hasty is a body as smithy-go's is: closed, its WriteTo fails with io.EOF. It is closed before net/http looks for its end.
type hasty struct {
	*bytes.Reader
	closed bool
}

func (h *hasty) Read(p []byte) (int, error) {
	if h.closed {
		return 0, io.EOF
	}
	n, err := h.Reader.Read(p)
	h.closed = h.Len() == 0
	return n, err
}

func (h *hasty) WriteTo(w io.Writer) (int64, error) {
	if h.closed {
		return 0, io.EOF
	}
	return h.Reader.WriteTo(w)
}

func (h *hasty) Close() error { return nil }

func TestBodyClosedWhileItsEndIsLookedFor(t *testing.T) {
	t.Parallel()
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err != nil || string(body) != "request" {
			t.Errorf("the server read %q, %v", body, err)
		}
		_, _ = io.WriteString(w, strings.Repeat("answer", 100_000))
	}))
	defer srv.Close()
	client := sdkhttp.Client()
	defer client.CloseIdleConnections()
	r, err := http.NewRequestWithContext(context.Background(), http.MethodPost, srv.URL, &hasty{Reader: bytes.NewReader([]byte("request"))})
	if err != nil {
		t.Fatal(err)
	}
	r.ContentLength = int64(len("request"))
	res, err := client.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	if b, err := io.ReadAll(res.Body); err != nil || len(b) != 600_000 {
		t.Errorf("read %d bytes, error %v", len(b), err)
	}
}
