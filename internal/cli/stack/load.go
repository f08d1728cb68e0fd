// Package stack brings AWS Batch resources described in JSON files about, and takes them away again. The files have the
// AWS CLI's own form: what `aws batch create-... --cli-input-json` takes, or what `aws batch describe-...` prints, so that
// a queue or a job definition can be carried from AWS as it is. It is a client: it works against AWS too.
package stack

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"

	"github.com/aws/aws-sdk-go-v2/service/batch"
	"github.com/aws/aws-sdk-go-v2/service/batch/types"
	"github.com/aws/aws-sdk-go-v2/service/cloudwatchlogs"
	logtypes "github.com/aws/aws-sdk-go-v2/service/cloudwatchlogs/types"
)

// Kind is a kind of resource.
type Kind string

// The kinds, in the order in which they are made; they are taken away in the opposite one.
const (
	LogGroup           Kind = "log group"
	SchedulingPolicy   Kind = "scheduling policy"
	ConsumableResource Kind = "consumable resource"
	ComputeEnvironment Kind = "compute environment"
	JobQueue           Kind = "job queue"
	JobDefinition      Kind = "job definition"
)

// Resource is one resource as a file wants it. Input is a pointer to the input of the operation that makes it, such as
// *batch.CreateJobQueueInput.
type Resource struct {
	Kind  Kind
	Name  string
	File  string
	Input any
}

// form is how resources of a kind are recognised and read.
type form struct {
	kind   Kind
	name   string   // the member with the resource's name
	marks  []string // members of which one must be there too, where the name alone does not tell
	list   string   // the member that describe-... puts them in
	input  reflect.Type
	detail reflect.Type // of the list's elements
}

var forms = []form{
	{LogGroup, "logGroupName", nil, "logGroups", reflect.TypeFor[cloudwatchlogs.CreateLogGroupInput](), reflect.TypeFor[logtypes.LogGroup]()},
	{SchedulingPolicy, "name", []string{"fairsharePolicy", "quotaSharePolicy"}, "schedulingPolicies",
		reflect.TypeFor[batch.CreateSchedulingPolicyInput](), reflect.TypeFor[types.SchedulingPolicyDetail]()},
	{ConsumableResource, "consumableResourceName", nil, "consumableResources",
		reflect.TypeFor[batch.CreateConsumableResourceInput](), reflect.TypeFor[batch.DescribeConsumableResourceOutput]()},
	{ComputeEnvironment, "computeEnvironmentName", nil, "computeEnvironments",
		reflect.TypeFor[batch.CreateComputeEnvironmentInput](), reflect.TypeFor[types.ComputeEnvironmentDetail]()},
	{JobQueue, "jobQueueName", nil, "jobQueues", reflect.TypeFor[batch.CreateJobQueueInput](), reflect.TypeFor[types.JobQueueDetail]()},
	{JobDefinition, "jobDefinitionName", nil, "jobDefinitions", reflect.TypeFor[batch.RegisterJobDefinitionInput](), reflect.TypeFor[types.JobDefinition]()},
}

// Loader reads files of resources.
type Loader struct {
	// Vars answers the value of a variable, written ${NAME} in a string. What it does not know stays as it is, for job
	// definitions hold shell commands with variables of their own.
	Vars func(name string) (value string, ok bool, err error)
	// Note is told what was left out of what a file says, as a sentence.
	Note func(string)
}

// Load reads the files, and of directories the files *.json in them, and returns the resources in the order in which they
// are to be made.
func (l *Loader) Load(paths []string) ([]Resource, error) {
	var files []string
	for _, p := range paths {
		info, err := os.Stat(p)
		if err != nil {
			return nil, err
		}
		if !info.IsDir() {
			files = append(files, p)
			continue
		}
		found, err := filepath.Glob(filepath.Join(p, "*.json"))
		if err != nil {
			return nil, err
		}
		if len(found) == 0 {
			return nil, fmt.Errorf("%s: no *.json files in it", p)
		}
		files = append(files, found...)
	}
	var all []Resource
	for _, f := range files {
		resources, err := l.file(f)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", f, err)
		}
		all = append(all, resources...)
	}
	for i, r := range all {
		for _, other := range all[:i] {
			if r.Kind == other.Kind && r.Name == other.Name {
				return nil, fmt.Errorf("%s: %s %s is in %s too", r.File, r.Kind, r.Name, other.File)
			}
		}
	}
	slices.SortStableFunc(all, func(a, b Resource) int { return order(a.Kind) - order(b.Kind) })
	return all, nil
}

func order(k Kind) int {
	return slices.IndexFunc(forms, func(f form) bool { return f.kind == k })
}

func (l *Loader) file(path string) ([]Resource, error) {
	raw, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	d := json.NewDecoder(bytes.NewReader(raw))
	d.UseNumber()
	var doc any
	if err := d.Decode(&doc); err != nil {
		return nil, at(raw, err)
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		return nil, errors.New("more than one JSON value")
	}
	object, ok := doc.(map[string]any)
	if !ok {
		return nil, errors.New("not a JSON object")
	}
	for _, f := range forms {
		if list, ok := object[f.list].([]any); ok {
			return l.described(f, list, path)
		}
	}
	for _, f := range forms {
		if f.is(object) {
			r, err := l.resource(f, object, path, object[arnOf(f)] != nil)
			return []Resource{r}, err
		}
	}
	return nil, errors.New("no resource that is known: it has none of the members logGroupName, fairsharePolicy, " +
		"consumableResourceName, computeEnvironmentName, jobQueueName and jobDefinitionName")
}

// at says where, or in which way, a file is no JSON.
func at(raw []byte, err error) error {
	var syntax *json.SyntaxError
	switch {
	case errors.Is(err, io.EOF):
		return errors.New("the file is empty")
	case errors.Is(err, io.ErrUnexpectedEOF):
		return errors.New("the file ends within its JSON object")
	case !errors.As(err, &syntax):
		return err
	}
	before := raw[:min(int(syntax.Offset), len(raw))]
	line := bytes.Count(before, []byte("\n")) + 1
	return fmt.Errorf("line %d, column %d: %w", line, len(before)-bytes.LastIndexByte(before, '\n')-1, err)
}

func (f form) is(object map[string]any) bool {
	if _, ok := object[f.name].(string); !ok {
		return false
	}
	return f.marks == nil || slices.ContainsFunc(f.marks, func(m string) bool { return object[m] != nil })
}

// arnOf is the member that only a description has.
func arnOf(f form) string {
	if f.kind == SchedulingPolicy || f.kind == LogGroup {
		return "arn"
	}
	return strings.TrimSuffix(f.name, "Name") + "Arn"
}

// described reads a list that describe-... has printed. Of job definitions it takes the newest active revision of each
// name, since registering makes revisions of its own.
func (l *Loader) described(f form, list []any, path string) ([]Resource, error) {
	newest := make(map[string]map[string]any)
	var objects []map[string]any
	for i, v := range list {
		object, ok := v.(map[string]any)
		if !ok || !f.is(object) {
			return nil, fmt.Errorf("%s[%d] is no %s", f.list, i, f.kind)
		}
		if f.kind != JobDefinition {
			objects = append(objects, object)
			continue
		}
		name := object[f.name].(string)
		if object["status"] == "INACTIVE" {
			l.Note(fmt.Sprintf("%s: left out revision %v of %s, which is INACTIVE", path, object["revision"], name))
			continue
		}
		other := newest[name]
		switch {
		case other == nil:
			objects = append(objects, object)
			newest[name] = object
		case revision(object) > revision(other):
			l.Note(fmt.Sprintf("%s: left out revision %v of %s, which is older", path, other["revision"], name))
			objects[slices.IndexFunc(objects, func(o map[string]any) bool { return o[f.name] == name })] = object
			newest[name] = object
		default:
			l.Note(fmt.Sprintf("%s: left out revision %v of %s, which is older", path, object["revision"], name))
		}
	}
	resources := make([]Resource, 0, len(objects))
	for _, object := range objects {
		r, err := l.resource(f, object, path, true)
		if err != nil {
			return nil, err
		}
		resources = append(resources, r)
	}
	return resources, nil
}

func revision(object map[string]any) int64 {
	n, ok := object["revision"].(json.Number)
	if !ok {
		return 0
	}
	i, err := n.Int64()
	if err != nil {
		return 0
	}
	return i
}

// resource turns an object into the operation's input. Of a description, members that are output only are left out in
// silence, and those this program has never heard of with a note; elsewhere such a member is an error, since it is most
// likely misspelt.
func (l *Loader) resource(f form, object map[string]any, path string, described bool) (Resource, error) {
	r := Resource{Kind: f.kind, Name: object[f.name].(string), File: path}
	for name, v := range object {
		if fieldOf(f.input, name).Name != "" {
			continue
		}
		switch {
		case described && fieldOf(f.detail, name).Name != "":
		case described:
			l.Note(fmt.Sprintf("%s: left out %s of %s %s, which is not known", path, name, f.kind, r.Name))
		case fieldOf(f.detail, name).Name != "" && v != nil:
			return r, fmt.Errorf("%s %s: %s is output only", f.kind, r.Name, name)
		default:
			return r, fmt.Errorf("%s %s: no such member: %s", f.kind, r.Name, name)
		}
		delete(object, name)
	}
	expanded, err := l.expand(object)
	if err != nil {
		return r, err
	}
	c := checker{}
	c.check(expanded, f.input, "")
	for _, u := range c.unknown {
		if !described {
			return r, fmt.Errorf("%s %s: no such member: %s", f.kind, r.Name, u.path)
		}
		delete(u.in, u.name)
		l.Note(fmt.Sprintf("%s: left out %s of %s %s, which is not known", path, u.path, f.kind, r.Name))
	}
	if c.wrong != "" {
		return r, fmt.Errorf("%s %s: %s", f.kind, r.Name, c.wrong)
	}
	raw, err := json.Marshal(expanded)
	if err != nil {
		return r, err
	}
	input := reflect.New(f.input).Interface()
	if err := json.Unmarshal(raw, input); err != nil {
		return r, fmt.Errorf("%s %s: %w", f.kind, r.Name, err)
	}
	r.Input = input
	if described {
		undescribe(input)
	}
	return r, nil
}

// undescribe takes back what AWS Batch fills in when a resource is made without it, where the value belongs to the
// account it comes from.
func undescribe(input any) {
	ce, ok := input.(*batch.CreateComputeEnvironmentInput)
	if ok && ce.ServiceRole != nil && strings.Contains(*ce.ServiceRole, ":role/aws-service-role/") {
		ce.ServiceRole = nil
	}
}

// expand replaces ${NAME} in all strings of v.
func (l *Loader) expand(v any) (any, error) {
	switch v := v.(type) {
	case string:
		return l.expandString(v)
	case []any:
		for i := range v {
			e, err := l.expand(v[i])
			if err != nil {
				return nil, err
			}
			v[i] = e
		}
	case map[string]any:
		for name := range v {
			e, err := l.expand(v[name])
			if err != nil {
				return nil, err
			}
			v[name] = e
		}
	}
	return v, nil
}

func (l *Loader) expandString(s string) (string, error) {
	var b strings.Builder
	for {
		before, after, ok := strings.Cut(s, "${")
		b.WriteString(before)
		if !ok {
			return b.String(), nil
		}
		name, rest, closed := strings.Cut(after, "}")
		if closed {
			value, known, err := l.Vars(name)
			if err != nil {
				return "", err
			}
			if known {
				b.WriteString(value)
				s = rest
				continue
			}
		}
		b.WriteString("${")
		s = after
	}
}
