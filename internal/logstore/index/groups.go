package index

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/batchbox/batchbox/internal/batch"
	"github.com/batchbox/batchbox/internal/logstore"
	"github.com/batchbox/batchbox/internal/store"
)

// Documents. Keys within a group are "<group>:<name>"; neither name may hold a colon.
const (
	kindPartition     = "logs.partition"     // in no partition; key "<account>/<region>": there are groups in it
	kindCounter       = "logs.counter"       // in no partition; key "group": the last group id given out
	kindGroup         = "logs.group"         // key <group>
	kindDeletedStream = "logs.deletedstream" // key <group>:<stream>: cuts
	kindMetricFilter  = "logs.metricfilter"  // key <group>:<filter>
)

// Errors of lookups and creations, for errors.Is.
var (
	ErrNoGroup      = errors.New("no such log group")
	ErrGroupExists  = errors.New("the log group exists already")
	ErrNoStream     = errors.New("no such log stream")
	ErrStreamExists = errors.New("the log stream exists already")
	ErrNoFilter     = errors.New("no such metric filter")
	ErrProtected    = errors.New("the log group is protected from deletion")
)

// Group is a log group as its owner configured it.
type Group struct {
	Name          string            `json:"name"`
	CreatedMS     int64             `json:"created"`
	Class         string            `json:"class"`               // STANDARD, INFREQUENT_ACCESS, DELIVERY
	RetentionDays int32             `json:"retention,omitempty"` // 0: events never expire
	KMSKeyID      string            `json:"kmsKey,omitempty"`
	Protected     bool              `json:"protected,omitempty"` // against deletion
	Tags          map[string]string `json:"tags,omitempty"`
}

// cuts says, by segment owner, from where on what the segments hold counts.
type cuts map[string]cut

type cut struct {
	N      uint32 `json:"n"`
	Offset int64  `json:"offset"`
}

// admit says whether a record at an offset of a segment counts.
func (c cuts) admit(name logstore.SegmentName, offset int64) bool {
	from := c[name.Owner]
	return name.N > from.N || name.N == from.N && offset >= from.Offset
}

// groupDoc is the stored form of a group. ID is never used again: what the index has of a deleted group is not the next
// one's. From are the ends of the segments when the group was made.
type groupDoc struct {
	Group
	ID   int64 `json:"id"`
	From cuts  `json:"from"`
}

// group is a group in memory. It is replaced, never changed, save for deleted, which Store.groupsMu guards.
type group struct {
	groupDoc
	partition batch.Partition
	deleted   map[string]cuts // streams
}

type groupKey struct {
	partition batch.Partition
	name      string
}

// loadGroups reads all groups of all partitions.
func (s *Store) loadGroups(ctx context.Context) error {
	groups := map[groupKey]*group{}
	err := s.docs.View(ctx, func(r store.Reader) error {
		var partitions []batch.Partition
		err := r.List(batch.Partition{}, kindPartition, "", func(key string, _ []byte) (bool, error) {
			account, region, _ := strings.Cut(key, "/")
			partitions = append(partitions, batch.Partition{Account: account, Region: region})
			return true, nil
		})
		if err != nil {
			return err
		}
		for _, p := range partitions {
			err := r.List(p, kindGroup, "", func(key string, raw []byte) (bool, error) {
				g := &group{partition: p, deleted: map[string]cuts{}}
				if err := json.Unmarshal(raw, &g.groupDoc); err != nil {
					return false, fmt.Errorf("log group %s of account %s in %s: %w", key, p.Account, p.Region, err)
				}
				groups[groupKey{p, g.Name}] = g
				return true, nil
			})
			if err != nil {
				return err
			}
			err = r.List(p, kindDeletedStream, "", func(key string, raw []byte) (bool, error) {
				name, stream, _ := strings.Cut(key, ":")
				var c cuts
				if err := json.Unmarshal(raw, &c); err != nil {
					return false, fmt.Errorf("deleted log stream %s of account %s in %s: %w", key, p.Account, p.Region, err)
				}
				if g := groups[groupKey{p, name}]; g != nil {
					g.deleted[stream] = c
				}
				return true, nil
			})
			if err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return fmt.Errorf("reading the log groups: %w", err)
	}
	s.groupsMu.Lock()
	s.groups = groups
	s.groupsMu.Unlock()
	return nil
}

func (s *Store) lookup(p batch.Partition, name string) (*group, error) {
	s.groupsMu.RLock()
	defer s.groupsMu.RUnlock()
	if g := s.groups[groupKey{p, name}]; g != nil {
		return g, nil
	}
	return nil, fmt.Errorf("%s: %w", name, ErrNoGroup)
}

func (s *Store) setGroup(g *group) {
	s.groupsMu.Lock()
	defer s.groupsMu.Unlock()
	s.groups[groupKey{g.partition, g.Name}] = g
}

// NameError is why a log group can not have a name, in AWS's words (public error reports).
type NameError struct{ Text string }

func (e *NameError) Error() string { return e.Text }

// GroupNames matches the names of log groups (API reference, CreateLogGroup).
var GroupNames = regexp.MustCompile(`^[\.\-_/#A-Za-z0-9]+$`)

// MaxName is how many characters the name of a group or stream has at most.
const MaxName = 512

func checkName(name string) error {
	switch {
	case utf8.RuneCountInString(name) > MaxName:
		return &NameError{"Invalid LogGroup or LogStream, both must have length less than or equal to 512."}
	case !GroupNames.MatchString(name):
		return &NameError{fmt.Sprintf("1 validation error detected: Value '%s' at 'logGroupName' failed to satisfy constraint: "+
			`Member must satisfy regular expression pattern: [\.\-_/#A-Za-z0-9]+`, name)}
	case len(name) >= 4 && strings.EqualFold(name[:4], "aws/"):
		return &NameError{"Log groups starting with AWS/ are reserved for AWS."}
	}
	return nil
}

// CreateGroup makes a group. It is empty, whatever the segments hold under its name. g.CreatedMS is filled in. The error
// is a *NameError if there can be no group of that name.
func (s *Store) CreateGroup(ctx context.Context, p batch.Partition, g Group) error {
	if err := checkName(g.Name); err != nil {
		return err
	}
	s.configMu.Lock()
	defer s.configMu.Unlock()
	if _, err := s.lookup(p, g.Name); err == nil {
		return fmt.Errorf("%s: %w", g.Name, ErrGroupExists)
	}
	from, err := s.ends()
	if err != nil {
		return err
	}
	g.CreatedMS = s.now().UnixMilli()
	g.Tags = maps.Clone(g.Tags)
	made := &group{groupDoc: groupDoc{Group: g, From: from}, partition: p, deleted: map[string]cuts{}}
	err = s.docs.Update(ctx, func(w store.Writer) error {
		var id int64
		if _, err := w.Get(batch.Partition{}, kindCounter, "group", &id); err != nil {
			return err
		}
		made.ID = id + 1
		return errors.Join(
			w.Put(batch.Partition{}, kindCounter, "group", made.ID),
			w.Put(batch.Partition{}, kindPartition, p.Account+"/"+p.Region, struct{}{}),
			w.Put(p, kindGroup, g.Name, made.groupDoc))
	})
	if err != nil {
		return fmt.Errorf("creating log group %s: %w", g.Name, err)
	}
	s.setGroup(made)
	return nil
}

// EnsureGroup makes a group of the standard class if there is none of that name. Its errors are CreateGroup's.
func (s *Store) EnsureGroup(ctx context.Context, account, region, name string) error {
	p := batch.Partition{Account: account, Region: region}
	if _, err := s.lookup(p, name); err == nil {
		return nil
	}
	err := s.CreateGroup(ctx, p, Group{Name: name, Class: ClassStandard})
	if errors.Is(err, ErrGroupExists) {
		return nil
	}
	return err
}

// ClassStandard is the class of a group that asked for none.
const ClassStandard = "STANDARD"

// GroupExists says whether there is a group.
func (s *Store) GroupExists(_ context.Context, account, region, name string) (bool, error) {
	_, err := s.lookup(batch.Partition{Account: account, Region: region}, name)
	return err == nil, nil
}

// Group returns a group, or an error that wraps ErrNoGroup.
func (s *Store) Group(p batch.Partition, name string) (Group, error) {
	g, err := s.lookup(p, name)
	if err != nil {
		return Group{}, err
	}
	return g.clone(), nil
}

func (g *group) clone() Group {
	c := g.Group
	c.Tags = maps.Clone(c.Tags)
	return c
}

// Groups returns the groups of a partition for which match is true, ascending by name (bytes). match must not use the
// Store.
func (s *Store) Groups(p batch.Partition, match func(*Group) bool) []Group {
	s.groupsMu.RLock()
	defer s.groupsMu.RUnlock()
	var found []Group
	for k, g := range s.groups {
		if k.partition == p && match(&g.Group) {
			found = append(found, g.clone())
		}
	}
	slices.SortFunc(found, func(a, b Group) int { return strings.Compare(a.Name, b.Name) })
	return found
}

// UpdateGroup changes a group's configuration by edit, which gets a copy and must leave Name and CreatedMS alone.
func (s *Store) UpdateGroup(ctx context.Context, p batch.Partition, name string, edit func(*Group) error) error {
	s.configMu.Lock()
	defer s.configMu.Unlock()
	g, err := s.lookup(p, name)
	if err != nil {
		return err
	}
	changed := *g
	changed.Group = g.clone()
	if err := edit(&changed.Group); err != nil {
		return err
	}
	if err := s.docs.Update(ctx, func(w store.Writer) error { return w.Put(p, kindGroup, name, changed.groupDoc) }); err != nil {
		return fmt.Errorf("changing log group %s: %w", name, err)
	}
	s.setGroup(&changed)
	return nil
}

// DeleteGroup removes a group with its streams, events and metric filters. What is written to it from then on is not
// shown to anyone.
func (s *Store) DeleteGroup(ctx context.Context, p batch.Partition, name string) error {
	s.configMu.Lock()
	defer s.configMu.Unlock()
	g, err := s.lookup(p, name)
	if err != nil {
		return err
	}
	if g.Protected {
		return fmt.Errorf("%s: %w", name, ErrProtected)
	}
	err = s.docs.Update(ctx, func(w store.Writer) error {
		if _, err := w.Delete(p, kindGroup, name); err != nil {
			return err
		}
		for _, kind := range []string{kindDeletedStream, kindMetricFilter} {
			if err := deletePrefix(w, p, kind, name+":"); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return fmt.Errorf("deleting log group %s: %w", name, err)
	}
	s.groupsMu.Lock()
	delete(s.groups, groupKey{p, name})
	s.groupsMu.Unlock()
	s.bury(g.ID)
	return nil
}

func deletePrefix(w store.Writer, p batch.Partition, kind, prefix string) error {
	var keys []string
	err := w.List(p, kind, prefix, func(key string, _ []byte) (bool, error) {
		keys = append(keys, key)
		return true, nil
	})
	if err != nil {
		return err
	}
	for _, key := range keys {
		if _, err := w.Delete(p, kind, key); err != nil {
			return err
		}
	}
	return nil
}

// MetricFilter is a metric filter of a group: kept and shown, and tried by TestMetricFilter. No metric is published.
type MetricFilter struct {
	Group     string `json:"group"`
	Name      string `json:"name"`
	CreatedMS int64  `json:"created"`
	// Body is the rest, in the form of the API that stored it.
	Body json.RawMessage `json:"body"`
}

// PutMetricFilter makes or replaces a filter; a filter that is replaced keeps the time it was created.
func (s *Store) PutMetricFilter(ctx context.Context, p batch.Partition, f MetricFilter) error {
	s.configMu.Lock()
	defer s.configMu.Unlock()
	if _, err := s.lookup(p, f.Group); err != nil {
		return err
	}
	err := s.docs.Update(ctx, func(w store.Writer) error {
		var old MetricFilter
		if _, err := w.Get(p, kindMetricFilter, f.Group+":"+f.Name, &old); err != nil {
			return err
		}
		if f.CreatedMS = old.CreatedMS; f.CreatedMS == 0 {
			f.CreatedMS = s.now().UnixMilli()
		}
		return w.Put(p, kindMetricFilter, f.Group+":"+f.Name, f)
	})
	if err != nil {
		return fmt.Errorf("metric filter %s of log group %s: %w", f.Name, f.Group, err)
	}
	return nil
}

// DeleteMetricFilter removes a filter.
func (s *Store) DeleteMetricFilter(ctx context.Context, p batch.Partition, group, name string) error {
	if _, err := s.lookup(p, group); err != nil {
		return err
	}
	err := s.docs.Update(ctx, func(w store.Writer) error {
		found, err := w.Delete(p, kindMetricFilter, group+":"+name)
		if err == nil && !found {
			err = ErrNoFilter
		}
		return err
	})
	if err != nil {
		return fmt.Errorf("metric filter %s of log group %s: %w", name, group, err)
	}
	return nil
}

// MetricFilters returns the filters of a group whose names begin with prefix, or those of all groups if group is empty,
// ascending by group and name.
func (s *Store) MetricFilters(ctx context.Context, p batch.Partition, group, prefix string) ([]MetricFilter, error) {
	key := ""
	if group != "" {
		if _, err := s.lookup(p, group); err != nil {
			return nil, err
		}
		key = group + ":" + prefix
	}
	var found []MetricFilter
	err := s.docs.View(ctx, func(r store.Reader) error {
		return r.List(p, kindMetricFilter, key, func(_ string, raw []byte) (bool, error) {
			var f MetricFilter
			if err := json.Unmarshal(raw, &f); err != nil {
				return false, err
			}
			if strings.HasPrefix(f.Name, prefix) {
				found = append(found, f)
			}
			return true, nil
		})
	})
	if err != nil {
		return nil, fmt.Errorf("reading metric filters: %w", err)
	}
	return found, nil
}
