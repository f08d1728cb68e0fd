package batch

import (
	"slices"
	"strings"
)

// resolveProperties merges the request's overrides and parameters into the definition's property block, checks the result
// like a definition's, and derives what the job asks for.
func (s Submission) resolveProperties(spec *Spec, req, doc object) error {
	if err := checkOverrideKind(req, doc); err != nil {
		return err
	}
	if err := s.resolveConsumables(spec, req, doc); err != nil {
		return err
	}
	var longest bool
	var err error
	if container, ok := doc.object("containerProperties"); ok {
		longest, err = s.resolveContainer(spec, req, container)
	} else if ecs, ok := doc.object("ecsProperties"); ok {
		longest, err = s.resolveECS(spec, req, ecs)
	} else {
		np, _ := doc.object("nodeProperties")
		longest, err = s.resolveNodes(spec, req, np)
	}
	if err != nil {
		return err
	}
	if longest {
		spec.FailAtDispatch = reasonOverridesTooLong
	}
	if spec.PropagateTags {
		spec.DefinitionTags = s.Definition.Tags
		if len(mergeParameters(spec.DefinitionTags, spec.Tags)) > maxTags {
			spec.FailAtDispatch = reasonTooManyTags
		}
	}
	return nil
}

// overrideKinds are the override members of SubmitJob and the property block of the definition each belongs to.
var overrideKinds = []struct{ override, properties string }{
	{"containerOverrides", "containerProperties"},
	{"ecsPropertiesOverride", "ecsProperties"},
	{"nodeOverrides", "nodeProperties"},
	{"eksPropertiesOverride", "eksProperties"},
}

// checkOverrideKind refuses overrides of another kind of definition.
//
// unverified: the text.
func checkOverrideKind(req, doc object) error {
	for _, k := range overrideKinds {
		if !req.empty(k.override) && !doc.has(k.properties) {
			return Invalidf("%s can only be used with a job definition that has %s.", k.override, k.properties)
		}
	}
	return nil
}

func (s Submission) resolveConsumables(spec *Spec, req, doc object) error {
	list, err := checkConsumables(doc, "consumableResourceProperties")
	if err != nil {
		return err
	}
	if req.has("consumableResourcePropertiesOverride") {
		if list, err = checkConsumables(req, "consumableResourcePropertiesOverride"); err != nil {
			return err
		}
	}
	return s.addConsumables(spec, list, 1)
}

// substitute replaces the placeholders in a container's command.
func (s Submission) substitute(c object, parameters map[string]string) error {
	if !c.has("command") {
		return nil
	}
	command, err := substituteCommand(c.strings("command"), parameters, s.SubstituteWithin)
	if err != nil {
		return err
	}
	c["command"] = toList(command)
	return nil
}

// resolveContainer merges containerOverrides; tooLong says whether ECS would refuse the overrides at dispatch.
func (s Submission) resolveContainer(spec *Spec, req, c object) (tooLong bool, err error) {
	over, _ := req.object("containerOverrides")
	demand, err := s.mergeContainer(spec, c, over)
	if err != nil {
		return false, err
	}
	spec.Demand = []Demand{demand}
	spec.Container = canonical(c)
	var t taskOverride
	t.add(defaultContainer, c.list("command"), over, s.injected(spec))
	return t.tooLong(), nil
}

// mergeContainer is resolveContainer for any containerProperties, those of a node range included.
func (s Submission) mergeContainer(spec *Spec, c, over object) (Demand, error) {
	fargate := spec.Platform == Fargate
	if err := overrideContainer(c, over, fargate); err != nil {
		return Demand{}, err
	}
	if err := s.substitute(c, spec.Parameters); err != nil {
		return Demand{}, err
	}
	return checkContainerProperties(c, fargate)
}

func (s Submission) resolveECS(spec *Spec, req, ecs object) (tooLong bool, err error) {
	over, _ := req.object("ecsPropertiesOverride")
	demand, t, err := s.mergeECS(spec, ecs, over)
	if err != nil {
		return false, err
	}
	spec.Demand = []Demand{demand}
	spec.ECS = canonical(ecs)
	return t.tooLong(), nil
}

// mergeECS merges an ecsPropertiesOverride, matching containers by name.
func (s Submission) mergeECS(spec *Spec, ecs, over object) (Demand, taskOverride, error) {
	var t taskOverride
	overrides := map[string]object{}
	for _, task := range over.objects("taskProperties") {
		for _, c := range task.objects("containers") {
			overrides[c.str("name")] = c
		}
	}
	injected := s.injected(spec)
	for _, task := range ecs.objects("taskProperties") {
		for _, c := range task.objects("containers") {
			name := c.str("name")
			o := overrides[name]
			delete(overrides, name)
			if err := overrideContainer(c, o, spec.Platform == Fargate); err != nil {
				return Demand{}, t, err
			}
			if err := s.substitute(c, spec.Parameters); err != nil {
				return Demand{}, t, err
			}
			t.add(name, c.list("command"), o, injected)
		}
	}
	for _, task := range over.objects("taskProperties") {
		for _, c := range task.objects("containers") {
			if name := c.str("name"); overrides[name] != nil {
				// unverified: text, by analogy with the one for dependsOn.
				return Demand{}, t, Invalidf("containerName %s must reference a defined container.", name)
			}
		}
	}
	demand, err := checkECSProperties(ecs, spec.Platform == Fargate)
	return demand, t, err
}

// resolveNodes merges nodeOverrides.
func (s Submission) resolveNodes(spec *Spec, req, np object) (tooLong bool, err error) {
	over, _ := req.object("nodeOverrides")
	ranges, err := overrideNumNodes(np, over)
	if err != nil {
		return false, err
	}
	overrides, err := matchNodeOverrides(over.objects("nodePropertyOverrides"), ranges)
	if err != nil {
		return false, err
	}
	layout, err := parseNodeLayout(np)
	if err != nil {
		return false, err
	}
	spec.NumNodes, spec.MainNode = layout.numNodes, layout.mainNode
	props := np.objects("nodeRangeProperties")
	for i, p := range props {
		long, err := s.mergeNodeRange(spec, p, overrides[i])
		if err != nil {
			return false, err
		}
		tooLong = tooLong || long
	}
	if _, spec.Demand, err = checkNodeProperties(np); err != nil {
		return false, err
	}
	if err := s.addNodeConsumables(spec, props, layout); err != nil {
		return false, err
	}
	spec.Nodes = canonical(np)
	return tooLong, nil
}

// overrideNumNodes applies the numNodes of nodeOverrides, which needs a range with an open end, and returns the
// definition's ranges.
//
// unverified: the text; the rule is in the API reference, NodeOverrides.
func overrideNumNodes(np, over object) ([]nodeRange, error) {
	var ranges []nodeRange
	for _, p := range np.objects("nodeRangeProperties") {
		r, err := parseTargetNodes(p.str("targetNodes"))
		if err != nil {
			return nil, err
		}
		ranges = append(ranges, r)
	}
	n, ok := over.integer("numNodes")
	if !ok {
		return ranges, nil
	}
	if !slices.ContainsFunc(ranges, func(r nodeRange) bool { return r.open }) {
		return nil, Refusedf("Number of nodes can only be overridden if the job definition has a node range with an open end.")
	}
	np["numNodes"] = jsonInt(n)
	return ranges, nil
}

// matchNodeOverrides finds the definition's range of each entry of nodePropertyOverrides: the result maps the index of a
// range to its override. The refusal is quoted in aws/aws-parallelcluster#964.
func matchNodeOverrides(entries []object, ranges []nodeRange) (map[int]object, error) {
	found := map[int]object{}
	var strangers []string
	for _, e := range entries {
		r, err := parseTargetNodes(e.str("targetNodes"))
		if err != nil {
			return nil, err
		}
		i := slices.Index(ranges, r)
		if i < 0 {
			strangers = append(strangers, e.str("targetNodes"))
			continue
		}
		found[i] = e
	}
	if strangers != nil {
		return nil, Refusedf("NodeOverride targets should match job definition. Non matching targets - %s", strings.Join(strangers, ", "))
	}
	return found, nil
}

func (s Submission) mergeNodeRange(spec *Spec, p, over object) (tooLong bool, err error) {
	if !over.empty("instanceTypes") {
		p["instanceTypes"] = over["instanceTypes"]
	}
	if over.has("consumableResourcePropertiesOverride") {
		p["consumableResourceProperties"] = over["consumableResourcePropertiesOverride"]
	}
	container, hasContainer := p.object("container")
	ecs, _ := p.object("ecsProperties")
	switch {
	case over.has("eksPropertiesOverride"):
		return false, errEKS()
	case hasContainer && over.has("ecsPropertiesOverride"), !hasContainer && over.has("containerOverrides"):
		// unverified: text.
		return false, Invalidf("Overrides of node range %s do not match the kind of its properties.", p.str("targetNodes"))
	case hasContainer:
		co, _ := over.object("containerOverrides")
		if it := co.str("instanceType"); it != "" {
			container["instanceType"] = it
		}
		if _, err := s.mergeContainer(spec, container, co); err != nil {
			return false, err
		}
		var t taskOverride
		t.add(defaultContainer, container.list("command"), co, s.injected(spec))
		return t.tooLong(), nil
	default:
		eo, _ := over.object("ecsPropertiesOverride")
		_, t, err := s.mergeECS(spec, ecs, eo)
		return t.tooLong(), err
	}
}

// addNodeConsumables adds what the ranges of a multi-node job hold beside the job as a whole.
//
// unverified: that a range's quantity is meant for each of its nodes.
func (s Submission) addNodeConsumables(spec *Spec, props []object, layout nodeLayout) error {
	nodes := make([]int64, len(props))
	for _, r := range layout.ofNode {
		nodes[r]++
	}
	for i, p := range props {
		list, err := checkConsumables(p, "consumableResourceProperties")
		if err != nil {
			return err
		}
		if err := s.addConsumables(spec, list, nodes[i]); err != nil {
			return err
		}
	}
	return nil
}
