package index

// poller follows a stream by its forward token, as scripts with boto3 do.
type poller struct {
	x             *world
	group, stream string
	token         string
	seen          []string
}

func newPoller(x *world, group, stream string) *poller {
	return &poller{x: x, group: group, stream: stream}
}

// poll reads until the token comes back.
func (p *poller) poll() {
	p.x.t.Helper()
	for {
		page, err := p.x.Events(p.x.t.Context(), key(p.group, p.stream), EventQuery{Head: true, Token: p.token, Limit: 3})
		p.x.check(err)
		for _, e := range page.Events {
			p.seen = append(p.seen, e.Message)
		}
		if page.Forward == p.token {
			return
		}
		p.token = page.Forward
	}
}
