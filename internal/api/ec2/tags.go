package ec2

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/batchbox/batchbox/internal/awswire"
)

func (a *api) tagOperations() []awswire.Operation {
	return []awswire.Operation{change(a, "CreateTags", createTags), change(a, "DeleteTags", deleteTags), view(a, "DescribeTags", describeTags)}
}

const maxTags = 50

// specified takes the tags for a type out of a request's TagSpecifications.
func specified(specs []TagSpecification, typ string) ([]Tag, error) {
	var tags []Tag
	for _, s := range specs {
		if str(s.ResourceType) != typ {
			return nil, invalid("'%s' is not a valid taggable resource type for this operation.", str(s.ResourceType))
		}
		for _, t := range s.Tags {
			if slices.ContainsFunc(tags, func(have Tag) bool { return str(have.Key) == str(t.Key) }) {
				return nil, invalid("Duplicate tag key '%s' specified.", str(t.Key))
			}
			tags = append(tags, t)
		}
	}
	return merge(nil, tags)
}

// merge gives the tags of a resource after some were set.
func merge(have, set []Tag) ([]Tag, error) {
	have = slices.Clone(have)
	for _, t := range set {
		key := str(t.Key)
		switch {
		case key == "":
			return nil, missing("Tag.1.Key")
		case utf8.RuneCountInString(key) > 127:
			return nil, invalid("Tag key exceeds the maximum length of 127 characters")
		case utf8.RuneCountInString(str(t.Value)) > 255:
			return nil, invalid("Tag value exceeds the maximum length of 255 characters")
		case strings.HasPrefix(strings.ToLower(key), "aws:"):
			return nil, invalid("Tag keys starting with 'aws:' are reserved for internal use")
		}
		t = Tag{Key: &key, Value: ptr(str(t.Value))}
		if i := slices.IndexFunc(have, func(h Tag) bool { return str(h.Key) == key }); i >= 0 {
			have[i] = t
		} else {
			have = append(have, t)
		}
	}
	if len(have) > maxTags {
		return nil, refuse("TagLimitExceeded", "More than %d tags specified", maxTags)
	}
	return have, nil
}

// drop gives the tags of a resource after some were removed: those given, with their values if they have any, or all.
func drop(have, remove []Tag) []Tag {
	if len(remove) == 0 {
		return nil
	}
	return slices.DeleteFunc(slices.Clone(have), func(h Tag) bool {
		return slices.ContainsFunc(remove, func(r Tag) bool {
			return str(r.Key) == str(h.Key) && (r.Value == nil || *r.Value == str(h.Value))
		})
	})
}

type tagsInput struct {
	DryRun    *bool
	Resources []string `ec2:"ResourceId"`
	Tags      []Tag    `ec2:"Tag"`
}

func createTags(t *tx, in *tagsInput) (*done, error) {
	if len(in.Tags) == 0 {
		return nil, missing("Tag")
	}
	return t.retag(in.Resources, func(have []Tag) ([]Tag, error) { return merge(have, in.Tags) })
}

func deleteTags(t *tx, in *tagsInput) (*done, error) {
	return t.retag(in.Resources, func(have []Tag) ([]Tag, error) { return drop(have, in.Tags), nil })
}

// retag changes the tags of resources of any kind.
func (t *tx) retag(ids []string, change func(have []Tag) ([]Tag, error)) (*done, error) {
	if len(ids) == 0 {
		return nil, missing("ResourceId")
	}
	for _, id := range ids {
		if strings.HasPrefix(id, rulePrefix) {
			g, i, err := t.ruleOf(id)
			if err != nil {
				return nil, err
			}
			if g.Rules[i].Tags, err = change(g.Rules[i].Tags); err != nil {
				return nil, err
			}
			if err := t.put(&kindGroup, g); err != nil {
				return nil, err
			}
			continue
		}
		i := slices.IndexFunc(kinds, func(k kind) bool { return strings.HasPrefix(id, k.prefix) })
		if i < 0 {
			return nil, refuse("InvalidID", "The ID '%s' is not valid", id)
		}
		k := &kinds[i]
		r := k.make()
		ok, err := t.r.Get(t.Partition, k.doc, id, r)
		if err == nil && !ok {
			err = k.unknown(id)
		}
		if err != nil {
			return nil, err
		}
		head := r.head()
		if head.Tags, err = change(head.Tags); err != nil {
			return nil, err
		}
		if err := t.put(k, r); err != nil {
			return nil, err
		}
	}
	return succeed(), nil
}

type describeTagsInput struct {
	DryRun     *bool
	Filters    []Filter `ec2:"Filter"`
	MaxResults *int32
	NextToken  *string
}

// TagDescription is a tag with whose it is.
type TagDescription struct {
	Key          *string
	ResourceId   *string
	ResourceType *string
	Value        *string
}

type describeTagsOutput struct {
	NextToken *string
	Tags      []TagDescription `awswire:"tagSet"`
}

var tagLook = look[TagDescription]{
	filters: map[string]func(*TagDescription) []string{
		"key":           func(d *TagDescription) []string { return one(d.Key) },
		"value":         func(d *TagDescription) []string { return one(d.Value) },
		"resource-id":   func(d *TagDescription) []string { return one(d.ResourceId) },
		"resource-type": func(d *TagDescription) []string { return one(d.ResourceType) },
	},
	tags: func(d *TagDescription) []Tag { return []Tag{{Key: d.Key, Value: d.Value}} },
	key:  func(d *TagDescription) string { return *d.ResourceId + " " + *d.Key },
}

func describeTags(t *tx, in *describeTagsInput) (*describeTagsOutput, error) {
	var list []TagDescription
	add := func(typ, id string, tags []Tag) {
		for _, tag := range tags {
			list = append(list, TagDescription{Key: tag.Key, Value: tag.Value, ResourceId: &id, ResourceType: &typ})
		}
	}
	for i := range kinds {
		k := &kinds[i]
		if err := t.r.List(t.Partition, k.doc, "", func(key string, raw []byte) (bool, error) {
			r := k.make()
			if err := json.Unmarshal(raw, r); err != nil {
				return false, fmt.Errorf("%s %s: %w", k.doc, key, err)
			}
			add(k.typ, r.head().ID, r.head().Tags)
			if g, ok := r.(*group); ok {
				for _, rule := range g.Rules {
					add("security-group-rule", rule.ID, rule.Tags)
				}
			}
			return true, nil
		}); err != nil {
			return nil, err
		}
	}
	slices.SortFunc(list, func(a, b TagDescription) int { return strings.Compare(tagLook.key(&a), tagLook.key(&b)) })
	list, next, err := tagLook.choose(list, query{in.Filters, in.MaxResults, in.NextToken})
	return &describeTagsOutput{NextToken: next, Tags: list}, err
}
