package provider_test

import (
	"cmp"
	"encoding/json"
	"slices"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/batch/types"
)

// The provider keeps container_properties, ecs_properties and node_properties as JSON, and takes two documents for the same
// when they are equal after what follows here. Anything else a service adds, drops or moves is a plan that is never empty.

// plainContainer takes away what a document may have and another lack.
func plainContainer(c *types.ContainerProperties) {
	c.Environment = plainEnvironment(c.Environment)
	c.Command, c.MountPoints, c.ResourceRequirements = unlessEmpty(c.Command), unlessEmpty(c.MountPoints), unlessEmpty(c.ResourceRequirements)
	c.Secrets, c.Ulimits, c.Volumes = unlessEmpty(c.Secrets), unlessEmpty(c.Ulimits), unlessEmpty(c.Volumes)
	if f := c.FargatePlatformConfiguration; f != nil && aws.ToString(f.PlatformVersion) == "LATEST" {
		c.FargatePlatformConfiguration = nil
	}
	if l := c.LinuxParameters; l != nil {
		l.Devices, l.Tmpfs = unlessEmpty(l.Devices), unlessEmpty(l.Tmpfs)
		for i := range l.Devices {
			l.Devices[i].Permissions = unlessEmpty(l.Devices[i].Permissions)
		}
		for i := range l.Tmpfs {
			l.Tmpfs[i].MountOptions = unlessEmpty(l.Tmpfs[i].MountOptions)
		}
	}
	if l := c.LogConfiguration; l != nil {
		l.SecretOptions = unlessEmpty(l.SecretOptions)
		if len(l.Options) == 0 {
			l.Options = nil
		}
	}
}

// plainEnvironment sorts variables and leaves out those without a value.
func plainEnvironment(list []types.KeyValuePair) []types.KeyValuePair {
	list = slices.DeleteFunc(list, func(v types.KeyValuePair) bool { return aws.ToString(v.Value) == "" })
	slices.SortFunc(list, func(a, b types.KeyValuePair) int { return cmp.Compare(aws.ToString(a.Name), aws.ToString(b.Name)) })
	return unlessEmpty(list)
}

func unlessEmpty[T any](list []T) []T {
	if len(list) == 0 {
		return nil
	}
	return list
}

// plainTask does it for ecs_properties, where fewer members may differ: linuxParameters, resourceRequirements and the options
// of a log have to come back as they were sent.
func plainTask(e *types.EcsProperties) {
	for i := range e.TaskProperties {
		task := &e.TaskProperties[i]
		slices.SortFunc(task.Containers, func(a, b types.TaskContainerProperties) int {
			return cmp.Compare(aws.ToString(a.Name), aws.ToString(b.Name))
		})
		for j := range task.Containers {
			c := &task.Containers[j]
			if c.Essential == nil {
				c.Essential = aws.Bool(true)
			}
			slices.SortFunc(c.Secrets, func(a, b types.Secret) int { return cmp.Compare(aws.ToString(a.Name), aws.ToString(b.Name)) })
			c.Environment = plainEnvironment(c.Environment)
			c.Command, c.DependsOn, c.MountPoints = unlessEmpty(c.Command), unlessEmpty(c.DependsOn), unlessEmpty(c.MountPoints)
			c.Secrets, c.Ulimits = unlessEmpty(c.Secrets), unlessEmpty(c.Ulimits)
			if c.LogConfiguration != nil {
				c.LogConfiguration.SecretOptions = unlessEmpty(c.LogConfiguration.SecretOptions)
			}
		}
		if task.PlatformVersion == nil {
			task.PlatformVersion = aws.String("LATEST")
		}
		task.Volumes = unlessEmpty(task.Volumes)
	}
}

// nodes is what the provider compares of node_properties: instanceTypes and consumable resources are not among it.
type nodes struct {
	MainNode, NumNodes  *int64
	NodeRangeProperties []struct {
		Container     *types.ContainerProperties
		EcsProperties *types.EcsProperties
		TargetNodes   *string
	}
}

func plainNodes(n *nodes) {
	for _, r := range n.NodeRangeProperties {
		if r.Container != nil {
			plainContainer(r.Container)
		}
		if r.EcsProperties != nil {
			plainTask(r.EcsProperties)
		}
	}
}

// plain reads a document, in which letter case does not count in members' names, and writes it again.
func plain[T any](t testing.TB, document any, take func(*T)) string {
	t.Helper()
	raw, ok := document.(string)
	if !ok {
		raw = string(must(json.Marshal(document))(t))
	}
	if raw == "" {
		raw = "{}"
	}
	var v T
	if err := json.Unmarshal([]byte(raw), &v); err != nil {
		t.Fatalf("%v\n%s", err, raw)
	}
	take(&v)
	return string(must(json.Marshal(v))(t))
}

// equivalent fails unless the provider takes the two documents for the same.
func equivalent[T any](t testing.TB, step string, configured string, read any, take func(*T)) {
	t.Helper()
	if a, b := plain(t, configured, take), plain(t, read, take); a != b {
		t.Errorf("%s: the provider would plan a change\nfrom %s\nto   %s", step, b, a)
	}
}

// sameJSON fails unless two documents are equal as JSON.
func sameJSON(t testing.TB, step string, got any, want string) {
	t.Helper()
	var a, b any
	if err := json.Unmarshal(must(json.Marshal(got))(t), &a); err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal([]byte(want), &b); err != nil {
		t.Fatal(err)
	}
	x, y := string(must(json.Marshal(a))(t)), string(must(json.Marshal(b))(t))
	if x != y {
		t.Errorf("%s: got\n%s\nwant\n%s", step, x, y)
	}
}
