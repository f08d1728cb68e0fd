package batch

import (
	"slices"
	"strconv"
	"strings"
)

// Limits of a SubmitJob request (user guide, "AWS Batch service quotas").
const (
	maxSubmitSize   = 30 << 10
	maxDependencies = 20
	minArraySize    = 2
	maxArraySize    = 10000
)

// Submission is what a SubmitJob request is resolved against: the values its names refer to, which the caller has looked
// up and found fit to submit to.
type Submission struct {
	Partition  Partition
	Definition *JobDefinition
	Queue      *JobQueue
	// Environments are the queue's, in its order.
	Environments []*ComputeEnvironment
	// SubstituteWithin replaces Ref:: placeholders inside longer arguments too, not only whole arguments.
	SubstituteWithin bool
	Rules            Rules
}

// ResolveJob checks the body of a SubmitJob request and merges it with the job definition into the job's Spec. Whether the
// jobs of dependsOn exist, and have the sizes N_TO_N wants, is the caller's to check, and so are consumable resources.
// Errors are *Error.
func ResolveJob(raw []byte, s Submission) (*Spec, error) {
	if len(raw) > maxSubmitSize {
		return nil, Invalidf("Job size must be less than %d KiB, got %d KiB", maxSubmitSize>>10, kibibytes(len(raw)))
	}
	req, err := parseObject(raw)
	if err != nil {
		return nil, err
	}
	doc, err := parseObject(s.Definition.Document)
	if err != nil {
		return nil, err
	}
	spec := &Spec{
		JobName:          req.str("jobName"),
		Queue:            s.Queue.Name,
		Definition:       s.Definition.Name + ":" + strconv.Itoa(s.Definition.Revision),
		PlatformDeclared: doc.has("platformCapabilities"),
		Tags:             req.stringMap("tags"),
	}
	if !namePattern().MatchString(spec.JobName) {
		return nil, Invalidf("Job name should match valid pattern")
	}
	if isEKS(doc) {
		return nil, errEKS()
	}
	if spec.Platform, err = parsePlatform(doc); err != nil {
		return nil, err
	}
	if err := s.checkPlatform(spec.Platform, doc.str("type") == typeMultinode); err != nil {
		return nil, err
	}
	for _, step := range []func(spec *Spec, req, doc object) error{
		resolveArray, resolveDependencies, s.resolveShare, resolveTags, s.resolveLimits, s.resolveProperties,
	} {
		if err := step(spec, req, doc); err != nil {
			return nil, err
		}
	}
	return spec, nil
}

// checkPlatform refuses a queue that can't run the definition's jobs.
func (s Submission) checkPlatform(platform string, multinode bool) error {
	canRun := func(ce *ComputeEnvironment) bool { return ce.IsFargate() == (platform == Fargate) }
	if !slices.ContainsFunc(s.Environments, canRun) {
		return Refusedf("Job Queue is attached to Compute Environment that can not run Jobs with capability %s.", platform)
	}
	onDemand := func(ce *ComputeEnvironment) bool { return ce.ResourceType == EC2 }
	if multinode && !slices.ContainsFunc(s.Environments, onDemand) {
		// unverified: text; the rule is in the user guide, "Multi-node parallel jobs".
		return Refusedf("Job Queue is attached to Compute Environment that can not run multi-node parallel jobs.")
	}
	return nil
}

func resolveArray(spec *Spec, req, doc object) error {
	ap, _ := req.object("arrayProperties")
	size, ok := ap.integer("size")
	switch {
	case !ok:
		return nil
	case size < minArraySize || size > maxArraySize:
		// unverified: text; a size of 1 is refused.
		return Invalidf("Array size must be between %d and %d, got %d.", minArraySize, maxArraySize, size)
	case doc.str("type") == typeMultinode:
		// unverified: text.
		return Invalidf("arrayProperties is not applicable for multi-node parallel jobs.")
	}
	spec.ArraySize = int(size)
	return nil
}

// resolveDependencies reads dependsOn.
//
// unverified: the texts, save the one on the number of dependencies.
func resolveDependencies(spec *Spec, req, _ object) error {
	deps := req.objects("dependsOn")
	if len(deps) > maxDependencies {
		return Invalidf("Job cannot have more than %d dependencies", maxDependencies)
	}
	for _, e := range deps {
		d := Dependency{JobID: e.str("jobId"), Type: e.str("type")}
		switch {
		case !oneOf(d.Type, "", NToN, Sequential):
			return Invalidf("Job dependency type %s is not valid. Valid values are: [N_TO_N, SEQUENTIAL]", d.Type)
		case d.Type != "" && spec.ArraySize == 0:
			return Invalidf("Job dependency type %s can only be used with array jobs.", d.Type)
		case d.Type == Sequential && d.JobID != "":
			return Invalidf("Job dependency type SEQUENTIAL must not have a jobId.")
		case d.Type != Sequential && d.JobID == "":
			return Invalidf("Job dependency jobId is required.")
		}
		spec.DependsOn = append(spec.DependsOn, d)
	}
	return nil
}

// resolveShare applies the rules of fair-share and FIFO queues. Where neither the request nor the definition has a
// priority it is 0.
//
// unverified: in 2022 the service refused such a job ("Either schedulingPriority in job definition or
// schedulingPriorityOverride should be specified.", quoted in nextflow-io/nextflow#3505); the API reference of today asks
// for none.
func (s Submission) resolveShare(spec *Spec, req, doc object) error {
	share := req.str("shareIdentifier")
	if s.Queue.SchedulingPolicy == "" {
		if share != "" || req.has("schedulingPriorityOverride") {
			return Refusedf("Job with shareIdentifier or schedulingPriority can onlybe submitted to job queue with fair share scheduling policy.")
		}
	} else {
		switch {
		case share == "":
			return Refusedf("shareIdentifier must be specified.") // quoted in boto/boto3#3158
		case !sharePattern().MatchString(share):
			return Invalidf("ShareIdentifier name should match a valid pattern.")
		}
		spec.Share = share
	}
	if err := checkPriority(req, "schedulingPriorityOverride"); err != nil {
		return err
	}
	priority, ok := req.integer("schedulingPriorityOverride")
	if !ok {
		priority, ok = doc.integer("schedulingPriority")
	}
	spec.Priority, spec.PriorityDeclared = int(priority), ok
	return nil
}

// resolveTags reads the job's tags, and what of them and of the definition's goes to the task.
func resolveTags(spec *Spec, req, doc object) error {
	if err := checkTags(spec.Tags); err != nil {
		return err
	}
	propagate, given := req.boolean("propagateTags")
	if !given {
		propagate, _ = doc.boolean("propagateTags")
	}
	spec.PropagateTags = propagate
	return nil
}

// resolveLimits reads retries, timeout, parameters and what the request or the definition gives of them.
func (s Submission) resolveLimits(spec *Spec, req, doc object) error {
	retry, timeout := doc, doc
	if req.has("retryStrategy") {
		retry = req
	}
	if !req.empty("timeout") {
		timeout = req
	}
	var err error
	if spec.Retry, err = parseRetry(retry); err != nil {
		return err
	}
	if spec.Timeout, err = s.Rules.parseTimeout(timeout); err != nil {
		return err
	}
	spec.Parameters = mergeParameters(doc.stringMap("parameters"), req.stringMap("parameters"))
	return nil
}

// addConsumables accumulates requirements by resource, in the order they are first named.
func (s Submission) addConsumables(spec *Spec, list []consumable, times int64) error {
	for _, c := range list {
		name, ok := s.Partition.ResourceName(KindConsumableResource, c.resource)
		if !ok {
			return ConsumableNotFound(c.resource)
		}
		i := slices.IndexFunc(spec.Consumables, func(r ConsumableRequirement) bool { return r.Resource == name })
		if i < 0 {
			i = len(spec.Consumables)
			spec.Consumables = append(spec.Consumables, ConsumableRequirement{Resource: name})
		}
		spec.Consumables[i].Quantity += c.quantity * times
	}
	return nil
}

// injected is the variables Batch adds to a job's containers, with values as long as those they will have.
func (s Submission) injected(spec *Spec) []any {
	id := strings.Repeat("0", 36)
	vars := [][2]string{{"AWS_BATCH_JQ_NAME", spec.Queue}, {"AWS_BATCH_CE_NAME", s.Environments[0].Name}, {"AWS_BATCH_JOB_ATTEMPT", "1"}}
	switch {
	case spec.ArraySize > 0:
		last := spec.ArraySize - 1
		id = ArrayChildID(id, last)
		vars = append(vars, [2]string{"AWS_BATCH_JOB_ARRAY_INDEX", strconv.Itoa(last)}, [2]string{"AWS_BATCH_JOB_ARRAY_SIZE", strconv.Itoa(spec.ArraySize)})
	case spec.NumNodes > 0:
		last := strconv.Itoa(spec.NumNodes - 1)
		id = NodeID(id, spec.NumNodes-1)
		vars = append(vars, [2]string{"AWS_BATCH_JOB_MAIN_NODE_INDEX", strconv.Itoa(spec.MainNode)}, [2]string{"AWS_BATCH_JOB_NODE_INDEX", last},
			[2]string{"AWS_BATCH_JOB_NUM_NODES", strconv.Itoa(spec.NumNodes)}, [2]string{"AWS_BATCH_JOB_MAIN_NODE_PRIVATE_IPV4_ADDRESS", "127.255.255.255"})
	}
	vars = append(vars, [2]string{"AWS_BATCH_JOB_ID", id})
	out := make([]any, len(vars))
	for i, v := range vars {
		out[i] = map[string]any{"name": v[0], "value": v[1]}
	}
	return out
}
