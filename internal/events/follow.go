package events

import (
	"context"
	"errors"
	"time"
)

// Follower carries events to somewhere, each at least once, in the order of the journal. Where it is is remembered, so that
// it goes on there after a restart.
type Follower struct {
	Hub *Hub
	// Name is what the position is remembered by, and what log lines call the place.
	Name string
	// Deliver takes the events of a page of the journal. If it answers an error it is called again with those after the
	// first done of them, after a pause that grows; nobody else is held up.
	Deliver func(ctx context.Context, page []Event) (done int, err error)
	// Idle, if set, says that at present no event is of interest: then they are passed over without being read.
	Idle func() bool
	// FirstPause and LongestPause are the bounds of the pause; half a second and a minute if zero.
	FirstPause, LongestPause time.Duration

	reader *Reader
	// saved is the position as remembered, and savedAt when.
	saved   int64
	savedAt time.Time
}

// saveInterval is how often the position is saved: what was delivered since is delivered again after a crash.
const saveInterval = time.Second

// Run follows the journal from where the follower was, or, if it is new, from where the hub began, until ctx is done or the
// hub is closed.
func (f *Follower) Run(ctx context.Context) {
	if f.FirstPause <= 0 {
		f.FirstPause = 500 * time.Millisecond
	}
	if f.LongestPause <= 0 {
		f.LongestPause = time.Minute
	}
	if !f.insist(ctx, "the position of a reader of events could not be read", func() error { return f.begin(ctx) }) {
		return
	}
	for f.step(ctx) {
	}
	if f.reader.Position() == f.saved {
		return
	}
	last, cancel := context.WithTimeout(context.WithoutCancel(ctx), 5*time.Second)
	defer cancel()
	if err := f.save(last); err != nil {
		f.Hub.log.Warn("the position of a reader of events could not be saved; some will be delivered again", "reader", f.Name, "error", err)
	}
}

func (f *Follower) begin(ctx context.Context) error {
	at, err := f.Hub.position(ctx, f.Name)
	if err != nil {
		return err
	}
	f.saved, f.savedAt = at, time.Now()
	if at < 0 {
		at = f.Hub.opened
	}
	f.reader = f.Hub.Read(at, Filter{})
	if f.saved < 0 {
		return f.save(ctx)
	}
	return nil
}

func (f *Follower) save(ctx context.Context) error {
	at := f.reader.Position()
	if err := f.Hub.remember(ctx, f.Name, at); err != nil {
		return err
	}
	f.saved, f.savedAt = at, time.Now()
	return nil
}

// step reads a page and delivers it; false at the end.
func (f *Follower) step(ctx context.Context) bool {
	if f.Idle != nil && !f.pass(ctx) {
		return false
	}
	page, ok := f.next(ctx)
	if !ok {
		return false
	}
	if missed := f.reader.Missed(); missed > 0 {
		f.Hub.log.Warn("events were removed from the journal before they could be delivered", "reader", f.Name, "events", missed)
	}
	if len(page) > 0 && !f.insist(ctx, "events could not be delivered", func() error {
		done, err := f.Deliver(ctx, page)
		page = page[done:]
		return err
	}) {
		if len(page) > 0 {
			f.reader.after = page[0].ID - 1
		}
		return false
	}
	if f.reader.Position() == f.saved || time.Since(f.savedAt) < saveInterval {
		return true
	}
	return f.insist(ctx, "the position of a reader of events could not be saved", func() error { return f.save(ctx) })
}

// pass passes over events while they are of no interest.
func (f *Follower) pass(ctx context.Context) bool {
	for {
		// In this order: what happens after the question was asked is read.
		last, news := f.Hub.Last(), f.Hub.news()
		if !f.Idle() {
			return true
		}
		f.reader.after = max(f.reader.after, last)
		f.saved = f.reader.after // what was passed over need not be remembered
		select {
		case <-news:
		case <-f.Hub.closed:
			return false
		case <-ctx.Done():
			return false
		}
	}
}

// next reads the next page, or none when the position is to be saved.
func (f *Follower) next(ctx context.Context) (page []Event, ok bool) {
	ok = f.insist(ctx, "the event journal could not be read", func() (err error) {
		waiting := ctx
		if f.reader.Position() != f.saved {
			var cancel context.CancelFunc
			waiting, cancel = context.WithTimeout(ctx, saveInterval)
			defer cancel()
		}
		if page, err = f.reader.Next(waiting); err != nil && waiting.Err() != nil && ctx.Err() == nil {
			return nil
		}
		return err
	})
	return page, ok
}

// insist tries until it works; false when it is time to end.
func (f *Follower) insist(ctx context.Context, what string, try func() error) bool {
	for pause, attempt := f.FirstPause, 1; ; attempt++ {
		err := try()
		switch {
		case err == nil && attempt > 1:
			f.Hub.log.Info("it works again: "+what, "reader", f.Name, "attempts", attempt)
			return true
		case err == nil:
			return true
		case ctx.Err() != nil || errors.Is(err, ErrClosed):
			return false
		}
		f.Hub.log.Warn(what, "reader", f.Name, "attempt", attempt, "pause", pause, "error", err)
		timer := time.NewTimer(pause)
		select {
		case <-timer.C:
		case <-f.Hub.closed:
			timer.Stop()
			return false
		case <-ctx.Done():
			timer.Stop()
			return false
		}
		pause = min(2*pause, f.LongestPause)
	}
}
