package batch

import (
	"strconv"
	"strings"
)

// Bounds of multi-node parallel jobs (API reference, NodeProperties).
const (
	maxNodes      = 1000
	maxNodeRanges = 5
)

// nodeRange is a targetNodes member: node indexes from and to, both included. An open end, "2:", reaches to the last node
// whatever their number is.
type nodeRange struct {
	from, to int
	open     bool
}

// parseTargetNodes reads "a:b", ":b", "a:", ":" and "a".
func parseTargetNodes(s string) (nodeRange, error) {
	from, to, isRange := strings.Cut(s, ":")
	if !isRange {
		to = from
	}
	r := nodeRange{open: isRange && to == ""}
	var ok bool
	if r.from, ok = nodeIndex(from); !ok && (from != "" || !isRange) {
		return nodeRange{}, Invalidf("targetNodes should contain only digits.")
	}
	if r.to, ok = nodeIndex(to); !ok && !r.open {
		return nodeRange{}, Invalidf("targetNodes should contain only digits.")
	}
	return r, nil
}

// nodeIndex reads digits. What is too large for a number becomes maxNodes, which no job has and within refuses.
func nodeIndex(s string) (index int, ok bool) {
	if s == "" || strings.Trim(s, "0123456789") != "" {
		return 0, false
	}
	n, err := strconv.Atoi(s)
	if err != nil {
		n = maxNodes
	}
	return n, true
}

// within closes an open range at the last of numNodes and checks that the range has nodes and all of them exist.
//
// unverified: the text; the rule is in the API reference, NodeRangeProperty.
func (r nodeRange) within(numNodes int) (nodeRange, error) {
	closed := r
	if r.open {
		closed.to = numNodes - 1
	}
	if closed.from > closed.to || closed.to >= numNodes {
		return r, Invalidf("Node range %s is out of range, must be less than numNodes.", r)
	}
	return closed, nil
}

// String is the range as AWS writes it.
func (r nodeRange) String() string {
	if r.open {
		return strconv.Itoa(r.from) + ":"
	}
	return strconv.Itoa(r.from) + ":" + strconv.Itoa(r.to)
}

// rangeOfNode finds the range whose properties a node has: the narrowest that holds it, the later of two as narrow. The
// ranges are closed. ok is false if none holds it.
func rangeOfNode(ranges []nodeRange, node int) (index int, ok bool) {
	for i, r := range ranges {
		if node < r.from || node > r.to {
			continue
		}
		if !ok || r.to-r.from <= ranges[index].to-ranges[index].from {
			index, ok = i, true
		}
	}
	return index, ok
}

// nodeLayout is a checked nodeProperties member: which range each node belongs to.
type nodeLayout struct {
	numNodes, mainNode int
	ranges             []nodeRange // as written, in the order of nodeRangeProperties
	ofNode             []int       // index into ranges, for each node
}

// parseNodeLayout checks the numbers of nodeProperties: bounds, ranges, and that every node has a range.
func parseNodeLayout(np object) (nodeLayout, error) {
	numNodes, _ := np.integer("numNodes")
	mainNode, _ := np.integer("mainNode")
	props := np.objects("nodeRangeProperties")
	switch {
	case numNodes < 1 || numNodes > maxNodes:
		return nodeLayout{}, Invalidf("Number of nodes must be between 1 and %d.", maxNodes)
	case mainNode < 0 || mainNode >= numNodes:
		return nodeLayout{}, Invalidf("Main node index is out of range, must be less than numNodes.")
	case len(props) > maxNodeRanges:
		return nodeLayout{}, Invalidf("Maximum allowed size of node range properties is %d", maxNodeRanges)
	}
	l := nodeLayout{numNodes: int(numNodes), mainNode: int(mainNode)}
	closed := make([]nodeRange, 0, len(props))
	for _, p := range props {
		r, err := parseTargetNodes(p.str("targetNodes"))
		if err != nil {
			return nodeLayout{}, err
		}
		c, err := r.within(l.numNodes)
		if err != nil {
			return nodeLayout{}, err
		}
		l.ranges, closed = append(l.ranges, r), append(closed, c)
	}
	l.ofNode = make([]int, l.numNodes)
	for i := range l.ofNode {
		index, ok := rangeOfNode(closed, i)
		if !ok {
			// unverified: text; the rule is in the API reference, NodeRangeProperty.
			return nodeLayout{}, Invalidf("Node ranges must cover all nodes from 0 to %d: node %d has no range.", l.numNodes-1, i)
		}
		l.ofNode[i] = index
	}
	return l, nil
}

// checkNodeProperties checks the nodeProperties of a definition or of a job with its overrides merged in, and returns what
// each node asks for.
func checkNodeProperties(np object) (nodeLayout, []Demand, error) {
	l, err := parseNodeLayout(np)
	if err != nil {
		return nodeLayout{}, nil, err
	}
	props := np.objects("nodeRangeProperties")
	ofRange := make([]Demand, len(props))
	for i, p := range props {
		if ofRange[i], err = checkNodeRange(p); err != nil {
			return nodeLayout{}, nil, err
		}
	}
	demand := make([]Demand, l.numNodes)
	for i, r := range l.ofNode {
		demand[i] = ofRange[r]
	}
	return l, demand, nil
}

// checkNodeRange checks what the nodes of one range run. The texts on ecsProperties and instanceTypes: cdk-preflight.
func checkNodeRange(p object) (Demand, error) {
	container, hasContainer := p.object("container")
	ecs, hasECS := p.object("ecsProperties")
	eks, hasEKS := p.object("eksProperties")
	switch {
	case hasContainer && hasECS:
		return Demand{}, Invalidf("NodeRangeProperties can not use both ecsProperties and container fields")
	case hasEKS && (hasContainer || hasECS):
		return Demand{}, Invalidf("NodeRangeProperties can not use eksProperties with other properties") // unverified: text
	case hasEKS:
		return Demand{}, checkEKSProperties(eks, false)
	case !hasContainer && !hasECS:
		return Demand{}, Invalidf("Must specify container for node range %s", p.str("targetNodes"))
	case !hasECS && !p.empty("instanceTypes"):
		return Demand{}, Invalidf("Using instanceTypes with nodeRangeProperty is only allowed for ecsProperties jobs.")
	}
	if _, err := checkConsumables(p, "consumableResourceProperties"); err != nil {
		return Demand{}, err
	}
	if hasECS {
		return checkECSProperties(ecs, false)
	}
	return checkContainerProperties(container, false)
}
