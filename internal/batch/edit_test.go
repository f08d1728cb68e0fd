package batch

import (
	"encoding/json"
	"errors"
	"maps"
	"strconv"
	"strings"
	"testing"
)

var here = Partition{Account: "111122223333", Region: "us-east-1"}

// edit is a JSON document with members set or removed: each change is `path = JSON` or `-path`, where a path is member
// names and list indexes with dots between them. A list grows by one when its length is the index.
func edit(base string, changes ...string) []byte {
	var doc any
	mustUnmarshal(base, &doc)
	for _, c := range changes {
		if path, ok := strings.CutPrefix(c, "-"); ok {
			doc = setPath(doc, strings.Split(path, "."), nil, true)
			continue
		}
		path, text, ok := strings.Cut(c, "=")
		if !ok {
			panic("edit: no '=' in " + c)
		}
		var v any
		mustUnmarshal(text, &v)
		doc = setPath(doc, strings.Split(strings.TrimSpace(path), "."), v, false)
	}
	out, err := json.Marshal(doc)
	if err != nil {
		panic(err)
	}
	return out
}

func mustUnmarshal(text string, into any) {
	dec := json.NewDecoder(strings.NewReader(text))
	dec.UseNumber()
	if err := dec.Decode(into); err != nil {
		panic("edit: " + text + ": " + err.Error())
	}
}

func setPath(in any, path []string, v any, remove bool) any {
	if len(path) == 0 {
		return v
	}
	switch in := in.(type) {
	case []any:
		i, err := strconv.Atoi(path[0])
		if err != nil {
			panic("edit: " + path[0] + " is no list index")
		}
		if i == len(in) {
			in = append(in, nil)
		}
		in[i] = setPath(in[i], path[1:], v, remove)
		return in
	case map[string]any:
		if remove && len(path) == 1 {
			delete(in, path[0])
			return in
		}
		in[path[0]] = setPath(in[path[0]], path[1:], v, remove)
		return in
	default:
		return setPath(map[string]any{}, path, v, remove)
	}
}

// member is the JSON of one member of a document.
func member(doc []byte, name string) string {
	var o map[string]any
	mustUnmarshal(string(doc), &o)
	return string(canonical(o[name]))
}

// wantRefusal fails unless err is an *Error of the code with exactly the text.
func wantRefusal(t *testing.T, err error, code Code, text string) {
	t.Helper()
	var e *Error
	if !errors.As(err, &e) {
		t.Fatalf("got %v, want the refusal %q", err, text)
	}
	if e.Message != text {
		t.Errorf("text %q\nwant %q", e.Message, text)
	}
	if e.Code != code {
		t.Errorf("code %d, want %d", e.Code, code)
	}
}

// sameJSON fails unless got and want are the same JSON value, numbers digit by digit.
func sameJSON(t *testing.T, got []byte, want string) {
	t.Helper()
	var g, w any
	mustUnmarshal(string(got), &g)
	mustUnmarshal(want, &w)
	gs, ws := canonical(g), canonical(w)
	if string(gs) != string(ws) {
		t.Errorf("got  %s\nwant %s", gs, ws)
	}
}

func sameMap(t *testing.T, got, want map[string]string) {
	t.Helper()
	if !maps.Equal(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
}

// Fixtures: requests that are accepted as they stand, for tables to change one member of.
const (
	fargateEnv = `{"computeEnvironmentName":"ce","type":"MANAGED","serviceRole":"","computeResources":{
		"type":"FARGATE","maxvCpus":4,"subnets":["subnet-1"],"securityGroupIds":["sg-1"]}}`
	ec2Env = `{"computeEnvironmentName":"ce","type":"MANAGED","computeResources":{
		"type":"EC2","minvCpus":0,"maxvCpus":16,"desiredvCpus":4,"instanceRole":"ecsInstanceRole","instanceTypes":["m6i.large"],
		"allocationStrategy":"BEST_FIT_PROGRESSIVE","subnets":["subnet-1"],"securityGroupIds":["sg-1"]}}`
	fargateDef = `{"jobDefinitionName":"jd","type":"container","platformCapabilities":["FARGATE"],"containerProperties":{
		"image":"busybox","executionRoleArn":"arn:aws:iam::111122223333:role/exec",
		"resourceRequirements":[{"type":"VCPU","value":"0.25"},{"type":"MEMORY","value":"512"}]}}`
	ec2Def = `{"jobDefinitionName":"jd","type":"container","containerProperties":{
		"image":"busybox","resourceRequirements":[{"type":"VCPU","value":"2"},{"type":"MEMORY","value":"512"}]}}`
	ecsDef = `{"jobDefinitionName":"jd","type":"container","platformCapabilities":["FARGATE"],"ecsProperties":{"taskProperties":[{
		"executionRoleArn":"arn:aws:iam::111122223333:role/exec","containers":[
		{"name":"main","image":"busybox","resourceRequirements":[{"type":"VCPU","value":"0.5"},{"type":"MEMORY","value":"1024"}]},
		{"name":"side","image":"busybox","essential":false,"resourceRequirements":[{"type":"VCPU","value":"0.5"},{"type":"MEMORY","value":"1024"}]}]}]}}`
	nodesDef = `{"jobDefinitionName":"jd","type":"multinode","nodeProperties":{"numNodes":4,"mainNode":0,"nodeRangeProperties":[
		{"targetNodes":"0:","container":{"image":"worker","command":["w","Ref::n"],"resourceRequirements":[{"type":"VCPU","value":"1"},{"type":"MEMORY","value":"64"}]}},
		{"targetNodes":"0","container":{"image":"main","resourceRequirements":[{"type":"VCPU","value":"2"},{"type":"MEMORY","value":"128"}]}}]}}`
)
