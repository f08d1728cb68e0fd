package rules

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/batchbox/batchbox/internal/batch"
	"github.com/batchbox/batchbox/internal/events"
	"github.com/batchbox/batchbox/internal/store"
)

// Logs is where events go that are sent to a log group.
type Logs interface {
	// Append adds events to a stream, which is made if it is not there; they are durable when it returns. The error wraps
	// ErrNoGroup if there is no such log group; others may pass.
	Append(ctx context.Context, stream Stream, events []LogEvent) error
}

// Stream names a log stream.
type Stream struct {
	Partition   batch.Partition
	Group, Name string
}

// LogEvent is what is written to one.
type LogEvent struct {
	At      time.Time
	Message string
}

// ErrNoGroup says that there is no such log group.
var ErrNoGroup = errors.New("no such log group")

// Jobs submits jobs: request is the JSON of the Batch API's SubmitJob. A refusal is a *batch.Error of a code other than
// batch.Unavailable.
type Jobs func(ctx context.Context, p batch.Partition, request json.RawMessage) (id string, err error)

// Options are what a Bus is made of. All are required.
type Options struct {
	Docs   store.Docs
	Hub    *events.Hub
	Logs   Logs
	Jobs   Jobs
	Now    func() time.Time
	Logger *slog.Logger
}

// Bus is the default event bus of every account and region: their rules, and the delivery of events to their targets.
//
// An event is delivered to a target at least once. What fails for good (a log group that is not there, a job that is refused)
// is logged and not tried again, where EventBridge goes on for a day and has a queue for what is left; what may pass is tried
// until it does.
type Bus struct {
	o Options

	config sync.Mutex // held while rules are changed
	mu     sync.RWMutex
	rules  map[batch.Partition]map[string]*compiled
}

// The kinds of documents.
const (
	kindRule      = "events-rule"
	kindPartition = "events-partition"
)

// Open loads the rules.
func Open(ctx context.Context, o Options) (*Bus, error) {
	b := &Bus{o: o, rules: map[batch.Partition]map[string]*compiled{}}
	err := o.Docs.View(ctx, func(r store.Reader) error {
		var partitions []batch.Partition
		err := r.List(batch.Partition{}, kindPartition, "", func(key string, _ []byte) (bool, error) {
			account, region, _ := strings.Cut(key, "/")
			partitions = append(partitions, batch.Partition{Account: account, Region: region})
			return true, nil
		})
		for _, p := range partitions {
			err = errors.Join(err, r.List(p, kindRule, "", func(key string, raw []byte) (bool, error) {
				var rule Rule
				if err := json.Unmarshal(raw, &rule); err != nil {
					return false, fmt.Errorf("event rule %s: %w", key, err)
				}
				c, err := compile(p, rule)
				if err != nil {
					return false, err
				}
				b.set(p, c)
				return true, nil
			}))
		}
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("reading the event rules: %w", err)
	}
	return b, nil
}

func (b *Bus) set(p batch.Partition, c *compiled) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.rules[p] == nil {
		b.rules[p] = map[string]*compiled{}
	}
	b.rules[p][c.Name] = c
}

func (b *Bus) find(p batch.Partition, name string) *compiled {
	b.mu.RLock()
	defer b.mu.RUnlock()
	return b.rules[p][name]
}

// Rule returns a copy of a rule.
func (b *Bus) Rule(p batch.Partition, name string) (Rule, error) {
	c := b.find(p, name)
	if c == nil {
		return Rule{}, notFound(name)
	}
	return c.clone(), nil
}

func (r *Rule) clone() Rule {
	out := *r
	out.Tags = maps.Clone(r.Tags)
	out.Targets = slices.Clone(r.Targets)
	return out
}

// Rules returns copies of the rules for which match is true, by name.
func (b *Bus) Rules(p batch.Partition, match func(*Rule) bool) []Rule {
	b.mu.RLock()
	defer b.mu.RUnlock()
	var out []Rule
	for _, name := range sortedKeys(b.rules[p]) {
		if c := b.rules[p][name]; match(&c.Rule) {
			out = append(out, c.clone())
		}
	}
	return out
}

// change applies edit to a copy of a rule, keeps it, and then lets it be seen.
func (b *Bus) change(ctx context.Context, p batch.Partition, name string, edit func(*Rule) error) error {
	b.config.Lock()
	defer b.config.Unlock()
	old := b.find(p, name)
	if old == nil {
		return notFound(name)
	}
	rule := old.clone()
	if err := edit(&rule); err != nil {
		return err
	}
	return b.keep(ctx, p, rule)
}

func (b *Bus) keep(ctx context.Context, p batch.Partition, rule Rule) error {
	c, err := compile(p, rule)
	if err != nil {
		return err
	}
	err = b.o.Docs.Update(ctx, func(w store.Writer) error {
		return errors.Join(w.Put(batch.Partition{}, kindPartition, p.Account+"/"+p.Region, struct{}{}), w.Put(p, kindRule, rule.Name, rule))
	})
	if err != nil {
		return fmt.Errorf("event rule %s: %w", rule.Name, err)
	}
	b.set(p, c)
	return nil
}

// PutRule makes a rule, or changes what PutRule says of one: its targets stay, and so do its tags.
func (b *Bus) PutRule(ctx context.Context, p batch.Partition, rule Rule) error {
	if err := rule.check(); err != nil {
		return err
	}
	b.config.Lock()
	defer b.config.Unlock()
	rule.Since = b.o.Hub.Last()
	if old := b.find(p, rule.Name); old != nil {
		rule.Targets, rule.Tags = old.Targets, old.Tags
		if old.State != Disabled {
			rule.Since = old.Since
		}
		return b.keep(ctx, p, rule)
	}
	b.mu.RLock()
	n := len(b.rules[p])
	b.mu.RUnlock()
	if n >= maxRules {
		return refuse(LimitExceeded, "The requested resource exceeds the maximum number allowed: %d rules.", maxRules)
	}
	return b.keep(ctx, p, rule)
}

// SetState enables or disables a rule.
func (b *Bus) SetState(ctx context.Context, p batch.Partition, name, state string) error {
	return b.change(ctx, p, name, func(r *Rule) error {
		if r.State == Disabled && state != Disabled {
			r.Since = b.o.Hub.Last()
		}
		r.State = state
		return nil
	})
}

// DeleteRule removes a rule that has no targets. That there is none of that name is no error.
func (b *Bus) DeleteRule(ctx context.Context, p batch.Partition, name string) error {
	b.config.Lock()
	defer b.config.Unlock()
	old := b.find(p, name)
	switch {
	case old == nil:
		return nil
	case len(old.Targets) > 0:
		return refuse(Invalid, "Rule can't be deleted since it has targets.")
	}
	err := b.o.Docs.Update(ctx, func(w store.Writer) error {
		_, err := w.Delete(p, kindRule, name)
		return err
	})
	if err != nil {
		return fmt.Errorf("event rule %s: %w", name, err)
	}
	b.mu.Lock()
	delete(b.rules[p], name)
	b.mu.Unlock()
	return nil
}

// PutTargets adds targets to a rule, or replaces those with the same ids.
func (b *Bus) PutTargets(ctx context.Context, p batch.Partition, name string, targets []Target) error {
	return b.change(ctx, p, name, func(r *Rule) error {
		for i := range targets {
			t := &targets[i]
			if err := t.check(p); err != nil {
				return err
			}
			at := slices.IndexFunc(r.Targets, func(old Target) bool { return old.ID == t.ID })
			if at >= 0 {
				r.Targets[at] = *t
			} else {
				r.Targets = append(r.Targets, *t)
			}
		}
		if len(r.Targets) > maxTargets {
			return refuse(LimitExceeded, "The requested resource exceeds the maximum number allowed: %d targets.", maxTargets)
		}
		return nil
	})
}

// RemoveTargets removes targets from a rule; missing are the ids it has none of.
func (b *Bus) RemoveTargets(ctx context.Context, p batch.Partition, name string, ids []string) (missing []string, err error) {
	err = b.change(ctx, p, name, func(r *Rule) error {
		for _, id := range ids {
			n := len(r.Targets)
			if r.Targets = slices.DeleteFunc(r.Targets, func(t Target) bool { return t.ID == id }); len(r.Targets) == n {
				missing = append(missing, id)
			}
		}
		return nil
	})
	return missing, err
}

// Tag adds tags to a rule and removes others.
func (b *Bus) Tag(ctx context.Context, p batch.Partition, name string, add map[string]string, remove []string) error {
	return b.change(ctx, p, name, func(r *Rule) error {
		if r.Tags == nil {
			r.Tags = map[string]string{}
		}
		maps.Copy(r.Tags, add)
		for _, k := range remove {
			delete(r.Tags, k)
		}
		return checkTags(r.Tags)
	})
}

func sortedKeys[V any](m map[string]V) []string { return slices.Sorted(maps.Keys(m)) }
