package batch

import (
	"bytes"
	"encoding/json"
	"errors"
	"reflect"
	"strings"
	"testing"
	"unicode/utf8"
)

func TestParseObject(t *testing.T) {
	t.Parallel()
	for in, want := range map[string]string{
		`{"b":1.50,"a":{"n":null,"l":[null,{"x":null},"s"]},"big":123456789012345678901234567890}`: `{"a":{"l":[{},"s"]},"b":1.50,"big":123456789012345678901234567890}`,
		` { "h" : "<&>\u2028" } `: `{"h":"<&>\u2028"}`,
		`{}`:                      `{}`,
		`{"a":1,"a":2}`:           `{"a":2}`,
	} {
		o, err := parseObject([]byte(in))
		if err != nil || string(canonical(o)) != want {
			t.Errorf("%s: %s %v, want %s", in, canonical(o), err, want)
		}
	}
	for _, v := range []any{strings.Repeat("\x01", 50), []any{"\u2028\"\\\n", true, json.Number("-1.5e300")}, map[string]any{"\x00": map[string]any{}, "b": []any{}}} {
		if n := utf8.RuneCount(canonical(v)); lengthBound(v) < n {
			t.Errorf("%q has %d characters, at most %d were expected", v, n, lengthBound(v))
		}
	}
	for _, in := range []string{``, `null`, `[]`, `"x"`, `{`, `{} {}`, `{}x`, `{"a":01}`} {
		if _, err := parseObject([]byte(in)); err == nil {
			t.Errorf("%q is accepted", in)
		}
	}
}

// FuzzParser compares the parser with encoding/json.
func FuzzParser(f *testing.F) {
	for _, s := range []string{
		fargateDef, nodesDef, `{"a":[1,-0.5e+3,null,true,false,{}],"a":null,"":"\ud83d\ude00\u00e9\n\\\"é\xff"}`, `{"a":[]}x`, `[{"a":01}]`, `[1 2]`,
		`{"a" 1}`, `{"a":1,}`, `[1,]`, `"\q"`, "\"\n\"", `-`, `1.`, `tru`, ` 1 `, `"a\`, "[\x00]", `{a:1}`, strings.Repeat("[", 10000) + "1" + strings.Repeat("]", 10000),
		strings.Repeat("[", 10001) + strings.Repeat("]", 10001),
	} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		dec := json.NewDecoder(bytes.NewReader(text))
		dec.UseNumber()
		var want any
		err := dec.Decode(&want)
		valid := err == nil && json.Valid(text) // the one value is all there is
		p := parser{text: text}
		got, ok := p.value(0)
		if ok = ok && p.next() == 0 && p.at == len(text); ok != valid {
			t.Fatalf("%q: read: %v, encoding/json: %v", text, ok, err)
		}
		if ok && !reflect.DeepEqual(got, withoutNulls(want)) {
			t.Fatalf("%q:\n%#v, encoding/json:\n%#v", text, got, want)
		}
	})
}

func withoutNulls(v any) any {
	switch v := v.(type) {
	case map[string]any:
		for k, e := range v {
			if v[k] = withoutNulls(e); e == nil {
				delete(v, k)
			}
		}
	case []any:
		kept := []any{}
		for _, e := range v {
			if e != nil {
				kept = append(kept, withoutNulls(e))
			}
		}
		return kept
	}
	return v
}

func TestWholeNumber(t *testing.T) {
	t.Parallel()
	for n, want := range map[json.Number]int64{"3": 3, "-3": -3, "3.0": 3, "3e2": 300, "9223372036854775807": 9223372036854775807} {
		if got, ok := wholeNumber(n); !ok || got != want {
			t.Errorf("%s: %d %v", n, got, ok)
		}
	}
	for _, n := range []json.Number{"2.5", "1e400", "9223372036854775808", "1e-1"} {
		if got, ok := wholeNumber(n); ok {
			t.Errorf("%s: %d", n, got)
		}
	}
}

// FuzzDefinition registers whatever comes and, if it is accepted, submits it: nothing panics, what is shown is shown alike
// after a second registration, and an accepted job has a task.
func FuzzDefinition(f *testing.F) {
	for _, s := range []string{fargateDef, ec2Def, ecsDef, nodesDef} {
		f.Add([]byte(s), []byte(plainJob))
	}
	f.Add(edit(ec2Def, `containerProperties.command=["Ref::a"]`), edit(plainJob, `parameters.a="b"`, `arrayProperties.size=3`, `containerOverrides={"vcpus":1,"command":["x"]}`))
	f.Add([]byte(nodesDef), edit(plainJob, `parameters.n="1"`, `nodeOverrides={"numNodes":2,"nodePropertyOverrides":[{"targetNodes":"0:"}]}`))
	f.Add([]byte(ecsDef), edit(plainJob, `ecsPropertiesOverride.taskProperties=[{"containers":[{"name":"side","environment":[{"name":"A","value":"B"}]}]}]`))
	fargate, err := NewComputeEnvironment([]byte(fargateEnv), here, "u")
	if err != nil {
		f.Fatal(err)
	}
	ec2, err := NewComputeEnvironment([]byte(ec2Env), here, "u")
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, definition, job []byte) {
		jd, err := NewJobDefinition(definition)
		if err != nil {
			return
		}
		var doc any
		mustUnmarshal(string(jd.Document), &doc)
		if n := utf8.RuneCount(canonical(doc)); lengthBound(doc) < n {
			t.Fatalf("%s has %d characters, at most %d were expected", jd.Document, n, lengthBound(doc))
		}
		again, err := NewJobDefinition(jd.Document)
		if err == nil && !bytes.Equal(again.Document, jd.Document) {
			t.Fatalf("registered %s\nagain      %s", jd.Document, again.Document)
		}
		for _, env := range []*ComputeEnvironment{&fargate, &ec2} {
			s := Submission{Partition: here, Definition: &jd, Queue: &JobQueue{Name: "q"}, Environments: []*ComputeEnvironment{env}, SubstituteWithin: len(job)%2 == 0}
			spec, err := ResolveJob(job, s)
			if err != nil {
				continue
			}
			if len(spec.Demand) != max(1, spec.NumNodes) {
				t.Fatalf("%d nodes, %d demands", spec.NumNodes, len(spec.Demand))
			}
			v, err := spec.Task(spec.NumNodes - 1)
			if err != nil || len(v.Containers) == 0 {
				t.Fatalf("%s\n%s\nhas no task: %v", definition, job, err)
			}
		}
	})
}

// FuzzRequests hands whatever comes to every other function that reads a request body.
func FuzzRequests(f *testing.F) {
	for _, s := range []string{fargateEnv, ec2Env, plainQueue, plainPolicy, `{"jobQueue":"q","filters":[{"name":"JOB_NAME","values":["a*"]}]}`,
		`{"consumableResourceName":"a","totalQuantity":1}`, `{"operation":"ADD","quantity":1}`, `{"computeResources":{"maxvCpus":2,"desiredvCpus":4}}`} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, raw []byte) {
		if ce, err := NewComputeEnvironment(raw, here, "u"); err == nil {
			next, err := UpdateComputeEnvironment(ce, raw, here)
			if err == nil && !bytes.Equal(next.ComputeResources, ce.ComputeResources) && ce.IsFargate() {
				t.Fatalf("an environment updated to what it is changed from %s to %s", ce.ComputeResources, next.ComputeResources)
			}
		}
		if q, err := NewJobQueue(raw, here); err == nil {
			if _, _, err := UpdateJobQueue(q, raw, here); err != nil {
				t.Fatalf("a queue refuses its own request: %v", err)
			}
		}
		if sp, err := NewSchedulingPolicy(raw); err == nil {
			if _, err := UpdateSchedulingPolicy(sp, raw); err != nil {
				t.Fatalf("a policy refuses its own request: %v", err)
			}
		}
		if cr, err := NewConsumableResource(raw); err == nil && cr.Total < 0 {
			t.Fatalf("%+v", cr)
		}
		if cr, err := UpdateConsumableResource(ConsumableResource{Total: 3}, raw); err == nil && cr.Total < 0 {
			t.Fatalf("%+v", cr)
		}
		if q, err := ParseListJobs(raw, here); err == nil && (q.PageSize < 1 || q.PageSize > 1000) {
			t.Fatalf("%+v", q)
		}
	})
}

// TestAnyMember puts a value of every JSON type at every place of the fixtures: whatever it is, the answer is a definition,
// a job with a task, or a refusal.
func TestAnyMember(t *testing.T) {
	t.Parallel()
	values := []any{nil, "", "x", "0:", json.Number("0"), json.Number("-1"), json.Number("1.5"), json.Number("1e400"), true, []any{}, []any{nil}, []any{"a"},
		[]any{map[string]any{}}, map[string]any{}, map[string]any{"name": "a"}}
	fargate, ec2 := newEnv(t, fargateEnv), newEnv(t, ec2Env)
	queue := &JobQueue{Name: "q"}
	job := edit(plainJob, `parameters={"n":"1"}`, `arrayProperties={"size":2}`, `dependsOn=[{"jobId":"a","type":"N_TO_N"}]`, `tags={"a":"b"}`, `propagateTags=true`,
		`retryStrategy={"attempts":2,"evaluateOnExit":[{"onExitCode":"1","action":"EXIT"}]}`, `timeout.attemptDurationSeconds=60`,
		`consumableResourcePropertiesOverride.consumableResourceList=[{"consumableResource":"c","quantity":1}]`)
	overrides := `{"command":["c"],"environment":[{"name":"A","value":"1"}],"resourceRequirements":[{"type":"MEMORY","value":"1024"}]}`
	jobs := [][]byte{
		edit(string(job), `containerOverrides=`+overrides),
		edit(string(job), `ecsPropertiesOverride={"taskProperties":[{"containers":[`+string(edit(overrides, `name="main"`))+`]}]}`),
		edit(string(job), `-arrayProperties`, `-dependsOn`, `nodeOverrides={"numNodes":3,"nodePropertyOverrides":[{"targetNodes":"0:","containerOverrides":`+overrides+`}]}`),
	}
	try := func(definition, job []byte) {
		jd, err := NewJobDefinition(definition)
		if err != nil {
			wantError(t, err)
			return
		}
		for _, env := range []*ComputeEnvironment{&fargate, &ec2} {
			spec, err := ResolveJob(job, Submission{Partition: here, Definition: &jd, Queue: queue, Environments: []*ComputeEnvironment{env}})
			if err != nil {
				wantError(t, err)
				continue
			}
			if _, err := spec.Task(0); err != nil {
				t.Errorf("%s\n%s\nhas no task: %v", definition, job, err)
			}
		}
	}
	definitions := []string{
		string(edit(fargateDef, `containerProperties.environment=[{"name":"A","value":"1"}]`, `containerProperties.volumes=[{"name":"v","host":{}}]`,
			`containerProperties.mountPoints=[{"sourceVolume":"v"}]`, `containerProperties.logConfiguration={"logDriver":"awslogs","options":{"mode":"x"}}`,
			`containerProperties.runtimePlatform.cpuArchitecture="ARM64"`, `containerProperties.secrets=[{"name":"S","valueFrom":"arn"}]`)),
		string(edit(ec2Def, `containerProperties.linuxParameters={"maxSwap":1,"swappiness":1,"tmpfs":[{"size":1}],"devices":[{"permissions":["READ"]}]}`,
			`containerProperties.ulimits=[{"name":"nofile","softLimit":1,"hardLimit":1}]`,
			`containerProperties.volumes=[{"name":"v","efsVolumeConfiguration":{"fileSystemId":"fs-12345678","authorizationConfig":{"iam":"DISABLED"}}}]`)),
		ecsDef, nodesDef,
	}
	for i, d := range definitions {
		j := jobs[max(0, i-1)]
		everyPlace(d, values, func(changed []byte) { try(changed, j) })
		everyPlace(string(j), values, func(changed []byte) { try([]byte(d), changed) })
	}
	for _, r := range []string{fargateEnv, ec2Env, plainQueue, plainPolicy, `{"state":"ENABLED","computeResources":{"maxvCpus":2,"desiredvCpus":4,"subnets":["s"]},"updatePolicy":{"jobExecutionTimeoutMinutes":1}}`} {
		everyPlace(r, values, func(raw []byte) {
			_, err := NewComputeEnvironment(raw, here, "u")
			wantError(t, err)
			_, err = UpdateComputeEnvironment(ec2, raw, here)
			wantError(t, err)
			_, err = NewJobQueue(raw, here)
			wantError(t, err)
			_, err = NewSchedulingPolicy(raw)
			wantError(t, err)
		})
	}
}

// wantError fails if err is anything but nil or an *Error.
func wantError(t *testing.T, err error) {
	t.Helper()
	var e *Error
	if err != nil && (!errors.As(err, &e) || e.Message == "" || e.Code == 0) {
		t.Errorf("%#v is no refusal", err)
	}
}

// everyPlace calls f with each document that differs from doc by one of the values in one place.
func everyPlace(doc string, values []any, f func([]byte)) {
	var root any
	mustUnmarshal(doc, &root)
	var walk func(v any, put func(any))
	walk = func(v any, put func(any)) {
		for _, change := range values {
			put(change)
			f(canonical(root))
		}
		put(v)
		switch v := v.(type) {
		case map[string]any:
			for k, e := range v {
				walk(e, func(e any) { v[k] = e })
			}
		case []any:
			for i, e := range v {
				walk(e, func(e any) { v[i] = e })
			}
		}
	}
	walk(root, func(v any) { root = v })
}
