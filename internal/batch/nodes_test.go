package batch

import (
	"reflect"
	"strconv"
	"testing"
)

// TestNodePropertiesTexts produces every refusal of the reference, section 8.
func TestNodePropertiesTexts(t *testing.T) {
	t.Parallel()
	const np, first = "nodeProperties.", "nodeProperties.nodeRangeProperties.0."
	six := `[{"targetNodes":"0:"},{"targetNodes":"0"},{"targetNodes":"1"},{"targetNodes":"2"},{"targetNodes":"3"},{"targetNodes":"0:1"}]`
	ecs := `{"taskProperties":[{"containers":[{"name":"a","image":"i","resourceRequirements":[{"type":"VCPU","value":"1"},{"type":"MEMORY","value":"64"}]}]}]}`
	digits := "targetNodes should contain only digits."
	for _, c := range []struct{ change, text string }{
		{`-nodeProperties`, "Node properties of multinode job is required."},
		{np + `numNodes=0`, "Number of nodes must be between 1 and 1000."},
		{np + `numNodes=1001`, "Number of nodes must be between 1 and 1000."},
		{np + `mainNode=4`, "Main node index is out of range, must be less than numNodes."},
		{np + `mainNode=-1`, "Main node index is out of range, must be less than numNodes."},
		{np + `nodeRangeProperties=` + six, "Maximum allowed size of node range properties is 5"},
		{np + `nodeRangeProperties=[]`, "Node ranges must cover all nodes from 0 to 3: node 0 has no range."},
		{first + `targetNodes="0:2"`, "Node ranges must cover all nodes from 0 to 3: node 3 has no range."},
		{first + `targetNodes="0:4"`, "Node range 0:4 is out of range, must be less than numNodes."},
		{first + `targetNodes="3:2"`, "Node range 3:2 is out of range, must be less than numNodes."},
		{first + `targetNodes="4:"`, "Node range 4: is out of range, must be less than numNodes."},
		{first + `targetNodes="0:99999999999999999999"`, "Node range 0:1000 is out of range, must be less than numNodes."},
		{first + `targetNodes="zero:"`, digits}, {first + `targetNodes=""`, digits}, {first + `targetNodes="0-3"`, digits},
		{first + `targetNodes="0:1:2"`, digits}, {first + `targetNodes="-1"`, digits}, {first + `targetNodes="+1"`, digits},
		{`-` + first + `container`, "Must specify container for node range 0:"},
		{first + `ecsProperties=` + ecs, "NodeRangeProperties can not use both ecsProperties and container fields"},
		{first + `instanceTypes=["p3.2xlarge"]`, "Using instanceTypes with nodeRangeProperty is only allowed for ecsProperties jobs."},
		{`-` + first + `container.image`, "ECS Container Image must be provided."},
		{first + `container.resourceRequirements=[]`, "vCPU is required."},
		{first + `container.networkConfiguration={"assignPublicIp":"ENABLED"}`, "networkConfiguration not applicable for EC2."},
		{first + `consumableResourceProperties.consumableResourceList=[{"consumableResource":"a"},{"consumableResource":"a"}]`, "Cannot have duplicate consumableResource in consumableResourceProperties"},
	} {
		t.Run(c.change, func(t *testing.T) {
			t.Parallel()
			_, err := NewJobDefinition(edit(nodesDef, c.change))
			wantRefusal(t, err, Invalid, c.text)
		})
	}
	if _, err := NewJobDefinition(edit(nodesDef, `-`+first+`container`, first+`ecsProperties=`+ecs, first+`instanceTypes=["p3.2xlarge"]`)); err != nil {
		t.Error(err)
	}
}

func TestParseTargetNodes(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]nodeRange{
		"0:3": {0, 3, false}, ":3": {0, 3, false}, "2:": {2, 0, true}, ":": {0, 0, true}, "7": {7, 7, false}, "007": {7, 7, false},
		"5:1": {5, 1, false},
	} {
		if got, err := parseTargetNodes(text); err != nil || got != want {
			t.Errorf("%q: %+v %v", text, got, err)
		}
	}
}

// TestRangeOfNode is the reference, section 8: ranges may nest, the narrower and the later one overrides.
func TestRangeOfNode(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		ranges []nodeRange
		want   []int // range of each node from 0; -1 for none
	}{
		{[]nodeRange{{0, 10, false}, {4, 5, false}}, []int{0, 0, 0, 0, 1, 1, 0, 0, 0, 0, 0, -1}},
		{[]nodeRange{{4, 5, false}, {0, 10, false}}, []int{1, 1, 1, 1, 0, 0, 1}},
		{[]nodeRange{{0, 1, false}, {1, 2, false}}, []int{0, 1, 1, -1}},
		{[]nodeRange{{0, 2, false}, {0, 2, false}}, []int{1, 1, 1}},
	} {
		var got []int
		for node := range c.want {
			i, ok := rangeOfNode(c.ranges, node)
			if !ok {
				i = -1
			}
			got = append(got, i)
		}
		if !reflect.DeepEqual(got, c.want) {
			t.Errorf("%v: %v, want %v", c.ranges, got, c.want)
		}
	}
}

func FuzzTargetNodes(f *testing.F) {
	for _, s := range []string{"0:3", ":", "2:", ":2", "5", "", "a", "1:b", "0:99999999999999999999", "-1:", "0:1:2"} {
		f.Add(s, 4)
	}
	f.Fuzz(func(t *testing.T, s string, numNodes int) {
		r, err := parseTargetNodes(s)
		if err != nil {
			return
		}
		again, err := parseTargetNodes(r.String())
		if err != nil || again != r {
			t.Fatalf("%q reads as %+v, which is written %q and reads as %+v, %v", s, r, r, again, err)
		}
		c, err := r.within(numNodes)
		if err == nil && (c.from < 0 || c.from > c.to || c.to >= numNodes) {
			t.Fatalf("%q within %s nodes: %+v", s, strconv.Itoa(numNodes), c)
		}
	})
}
