package batch

import (
	"encoding/json"
	"fmt"
)

// NodeBlocks are the container or ecsProperties of one node of a multi-node job, as JSON; one of the two is nil.
func (s *Spec) NodeBlocks(node int) (container, ecs json.RawMessage, err error) {
	np, err := parseObject(s.Nodes)
	if err != nil {
		return nil, nil, fmt.Errorf("nodeProperties of job %s: %w", s.JobName, err)
	}
	layout, err := parseNodeLayout(np)
	if err != nil {
		return nil, nil, fmt.Errorf("nodeProperties of job %s: %w", s.JobName, err)
	}
	if node < 0 || node >= layout.numNodes {
		return nil, nil, fmt.Errorf("node %d of job %s: it has %d nodes", node, s.JobName, layout.numNodes)
	}
	block := np.objects("nodeRangeProperties")[layout.ofNode[node]]
	if c, ok := block.object("container"); ok {
		return canonical(c), nil, nil
	}
	e, _ := block.object("ecsProperties")
	return nil, canonical(e), nil
}
