package ec2_test

import (
	"encoding/xml"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	api "github.com/batchbox/batchbox/internal/api/ec2"
	"github.com/batchbox/batchbox/internal/awswire"
	"github.com/batchbox/batchbox/internal/store"
	"github.com/batchbox/batchbox/internal/store/memory"
)

const (
	account = "111122223333"
	region  = "eu-west-1"
)

var now = time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC)

// client speaks EC2 Query as the SDK does; importing the SDK's EC2 would cost every build of the tests a minute.
type client struct {
	t               *testing.T
	url             string
	account, region string
}

func newClient(t *testing.T) *client {
	t.Helper()
	return clientOn(t, memory.New())
}

func clientOn(t *testing.T, docs store.Docs) *client {
	t.Helper()
	mux, err := awswire.NewMux(awswire.Options{
		Services:       []*awswire.Service{api.New(api.Options{Docs: docs, Now: func() time.Time { return now }})},
		DefaultAccount: account, DefaultRegion: region, Logger: slog.New(slog.DiscardHandler), NewRequestID: func() string { return "request-1" },
	})
	check(t, err)
	srv := httptest.NewServer(mux)
	t.Cleanup(srv.Close)
	return &client{t: t, url: srv.URL, account: account, region: region}
}

func (c *client) in(account, region string) *client {
	return &client{t: c.t, url: c.url, account: account, region: region}
}

func check(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// node is an element of a reply.
type node struct {
	XMLName xml.Name
	Text    string `xml:",chardata"`
	Nodes   []node `xml:",any"`
}

// all gives the elements at a path such as "vpcSet/item/vpcId".
func (n *node) all(path string) []*node {
	first, rest, more := strings.Cut(path, "/")
	var found []*node
	for i := range n.Nodes {
		if n.Nodes[i].XMLName.Local != first {
			continue
		}
		if more {
			found = append(found, n.Nodes[i].all(rest)...)
		} else {
			found = append(found, &n.Nodes[i])
		}
	}
	return found
}

// texts gives the texts at a path, joined.
func (n *node) texts(path string) string {
	var parts []string
	for _, e := range n.all(path) {
		parts = append(parts, e.Text)
	}
	return strings.Join(parts, " ")
}

// text gives the one text at a path, "" if there is none.
func (n *node) text(path string) string {
	if e := n.all(path); len(e) == 1 {
		return e[0].Text
	}
	return ""
}

// send makes a request. Its parameters come in pairs.
func (c *client) send(action string, parameters ...string) (status int, body []byte) {
	c.t.Helper()
	form := url.Values{"Action": {action}, "Version": {"2016-11-15"}}
	for i := 0; i < len(parameters); i += 2 {
		form.Set(parameters[i], parameters[i+1])
	}
	req, err := http.NewRequestWithContext(c.t.Context(), http.MethodPost, c.url, strings.NewReader(form.Encode()))
	check(c.t, err)
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded; charset=utf-8")
	req.Header.Set("Authorization", "AWS4-HMAC-SHA256 Credential="+c.account+"/20261123/"+c.region+"/ec2/aws4_request, SignedHeaders=host, Signature=00")
	req.Header.Set("X-Amz-Date", "20261123T120000Z")
	resp, err := http.DefaultClient.Do(req)
	check(c.t, err)
	defer resp.Body.Close()
	body, err = io.ReadAll(resp.Body)
	check(c.t, err)
	return resp.StatusCode, body
}

// call makes a request that works.
func (c *client) call(action string, parameters ...string) *node {
	c.t.Helper()
	status, body := c.send(action, parameters...)
	if status != http.StatusOK {
		c.t.Fatalf("%s %q: %d\n%s", action, parameters, status, body)
	}
	var n node
	check(c.t, xml.Unmarshal(body, &n))
	if n.XMLName.Local != action+"Response" || n.text("requestId") != "request-1" {
		c.t.Errorf("%s was answered\n%s", action, body)
	}
	return &n
}

// refused makes a request that is refused with a code and a text.
func (c *client) refused(code, text, action string, parameters ...string) {
	c.t.Helper()
	status, body := c.send(action, parameters...)
	var n node
	check(c.t, xml.Unmarshal(body, &n))
	if got, message := n.text("Errors/Error/Code"), n.text("Errors/Error/Message"); got != code || message != text || status < 400 {
		c.t.Errorf("%s %q:\n got %d %s: %s\nwant %s: %s", action, parameters, status, got, message, code, text)
	}
}

// tagged gives the parameters of a TagSpecification.
func tagged(typ string, pairs ...string) []string {
	list := []string{"TagSpecification.1.ResourceType", typ}
	for i := 0; i < len(pairs); i += 2 {
		n := i/2 + 1
		list = append(list, fmt.Sprintf("TagSpecification.1.Tag.%d.Key", n), pairs[i], fmt.Sprintf("TagSpecification.1.Tag.%d.Value", n), pairs[i+1])
	}
	return list
}

// filtered gives the parameters of filters, each a name with one value.
func filtered(pairs ...string) []string {
	var list []string
	for i := 0; i < len(pairs); i += 2 {
		n := i/2 + 1
		list = append(list, fmt.Sprintf("Filter.%d.Name", n), pairs[i], fmt.Sprintf("Filter.%d.Value.1", n), pairs[i+1])
	}
	return list
}

// same checks a text.
func (c *client) same(what, got, want string) {
	c.t.Helper()
	if got != want {
		c.t.Errorf("%s: got %q, want %q", what, got, want)
	}
}
