package batch

import "slices"

// The values of a definition's type.
const (
	typeContainer = "container"
	typeMultinode = "multinode"
)

// maxDefinitionSize is the size of a RegisterJobDefinition request in bytes (user guide, "AWS Batch service quotas").
const maxDefinitionSize = 24 << 10

// maxPriority is the largest schedulingPriority.
const maxPriority = 9999

// NewJobDefinition checks the body of a RegisterJobDefinition request and makes an ACTIVE revision of it, whose number is the
// caller's to give. Errors are *Error.
func NewJobDefinition(raw []byte) (JobDefinition, error) { return Rules{}.NewJobDefinition(raw) }

// NewJobDefinition is the function of that name under other rules.
func (r Rules) NewJobDefinition(raw []byte) (JobDefinition, error) {
	if len(raw) > maxDefinitionSize {
		// unverified: text, by analogy with the one for SubmitJob; and that it is the request that is measured.
		return JobDefinition{}, Invalidf("Job definition size must be less than %d KiB, got %d KiB", maxDefinitionSize>>10, kibibytes(len(raw)))
	}
	doc, err := parseObject(raw)
	if err != nil {
		return JobDefinition{}, err
	}
	jd := JobDefinition{Name: doc.str("jobDefinitionName"), Status: Active, Tags: doc.stringMap("tags")}
	if !namePattern().MatchString(jd.Name) {
		return JobDefinition{}, Invalidf("Job definition name should match a valid pattern.")
	}
	if err := checkTags(jd.Tags); err != nil {
		return JobDefinition{}, err
	}
	platform, err := parsePlatform(doc)
	if err != nil {
		return JobDefinition{}, err
	}
	if err := checkProperties(doc, platform == Fargate); err != nil {
		return JobDefinition{}, err
	}
	if err := r.checkScheduling(doc); err != nil {
		return JobDefinition{}, err
	}
	normaliseDefinition(doc, platform)
	jd.Document = canonical(doc)
	return jd, nil
}

// kibibytes is a size in KiB, rounded up.
func kibibytes(n int) int { return (n + 1023) >> 10 }

// parsePlatform reads platformCapabilities: Fargate or EC2, which is the default.
func parsePlatform(doc object) (string, error) {
	caps := doc.strings("platformCapabilities")
	for _, c := range caps {
		switch c {
		case Fargate, EC2:
		case "MANAGED_INSTANCES":
			return "", Unsupportedf("batchbox does not run jobs with platform capability MANAGED_INSTANCES")
		default:
			return "", Invalidf("Capability %s is not valid. Valid capabilities: [FARGATE, EC2, MANAGED_INSTANCES]", c)
		}
	}
	switch len(caps) {
	case 0:
		return EC2, nil
	case 1:
		return caps[0], nil
	default:
		return "", Invalidf("Exactly 1 capability must be provided.")
	}
}

// checkProperties checks that the definition has the one property block its type wants, and the block.
func checkProperties(doc object, fargate bool) error {
	container, hasContainer := doc.object("containerProperties")
	ecs, hasECS := doc.object("ecsProperties")
	nodes, hasNodes := doc.object("nodeProperties")
	eks, hasEKS := doc.object("eksProperties")
	switch {
	case hasContainer && hasECS:
		return Invalidf("Cannot use both ECS containerProperties and ecsProperties")
	case hasContainer && hasEKS:
		return Invalidf("Cannot use both ECS containerProperties and eksProperties")
	case hasECS && hasEKS:
		return Invalidf("Cannot use both ecsProperties and eksProperties")
	}
	var err error
	switch t := doc.str("type"); t {
	case typeMultinode:
		switch {
		case fargate:
			err = Invalidf("Fargate does not support MNP jobs")
		case !hasNodes:
			err = Invalidf("Node properties of multinode job is required.")
		case hasContainer || hasECS || hasEKS:
			err = Invalidf("Job definition of type multinode must have nodeProperties only.") // unverified: text
		default:
			_, _, err = checkNodeProperties(nodes)
		}
	case typeContainer:
		switch {
		case hasNodes && fargate:
			err = Invalidf("Fargate does not support MNP jobs")
		case hasNodes:
			err = Invalidf("nodeProperties is not applicable for a job definition of type container.") // unverified: text
		case hasEKS:
			err = checkEKSProperties(eks, fargate)
		case hasECS:
			_, err = checkECSProperties(ecs, fargate)
		case hasContainer:
			_, err = checkContainerProperties(container, fargate)
		default:
			err = Invalidf("ECS Container Image must be provided.")
		}
	default:
		err = Invalidf("Job definition type %s is not valid. Valid values are: [container, multinode]", t) // unverified: text
	}
	return err
}

// checkScheduling checks the members that say how and how often jobs run.
func (r Rules) checkScheduling(doc object) error {
	if err := checkPriority(doc, "schedulingPriority"); err != nil {
		return err
	}
	if _, err := parseRetry(doc); err != nil {
		return err
	}
	if _, err := r.parseTimeout(doc); err != nil {
		return err
	}
	_, err := checkConsumables(doc, "consumableResourceProperties")
	return err
}

func checkPriority(o object, member string) error {
	if n, ok := o.integer(member); ok && (n < 0 || n > maxPriority) {
		return Invalidf("Scheduling priority must be between 0 and %d.", maxPriority)
	}
	return nil
}

// normaliseDefinition turns a request into what DescribeJobDefinitions shows of it. Terraform compares the result with
// what it sent and takes exactly these additions, so nothing else is filled in.
func normaliseDefinition(doc object, platform string) {
	for _, m := range []string{"tags", "jobDefinitionArn", "revision", "status"} {
		delete(doc, m)
	}
	if doc.empty("platformCapabilities") {
		delete(doc, "platformCapabilities")
	}
	doc.setDefault("parameters", map[string]any{})
	doc.setDefault("propagateTags", false)
	doc["containerOrchestrationType"] = "ECS"
	if isEKS(doc) {
		doc["containerOrchestrationType"] = "EKS"
	}
	if c, ok := doc.object("containerProperties"); ok {
		normaliseContainer(c)
		if platform == Fargate {
			pc, ok := c.object("fargatePlatformConfiguration")
			if !ok {
				pc = object{}
				c["fargatePlatformConfiguration"] = map[string]any(pc)
			}
			pc.setDefault("platformVersion", "LATEST")
		}
	}
	if eks, ok := doc.object("eksProperties"); ok {
		normaliseEKS(eks)
	}
	if np, ok := doc.object("nodeProperties"); ok {
		for _, r := range np.objects("nodeRangeProperties") {
			r.setDefault("instanceTypes", []any{})
			if c, ok := r.object("container"); ok {
				normaliseContainer(c)
			}
			if eks, ok := r.object("eksProperties"); ok {
				normaliseEKS(eks)
			}
		}
	}
}

// normaliseContainer fills in the lists of containerProperties that come back empty when not given, and drops variables
// without a value.
func normaliseContainer(c object) {
	for _, m := range []string{"command", "environment", "mountPoints", "resourceRequirements", "secrets", "ulimits", "volumes"} {
		c.setDefault(m, []any{})
	}
	if env, ok := c["environment"].([]any); ok {
		c["environment"] = withoutEmptyValues(env)
	}
	if l, ok := c.object("logConfiguration"); ok {
		l.setDefault("options", map[string]any{})
		l.setDefault("secretOptions", []any{})
	}
	if lp, ok := c.object("linuxParameters"); ok {
		lp.setDefault("devices", []any{})
		lp.setDefault("tmpfs", []any{})
	}
}

func withoutEmptyValues(env []any) []any {
	return slices.DeleteFunc(slices.Clone(env), func(e any) bool {
		m, ok := e.(map[string]any)
		return ok && object(m).str("value") == ""
	})
}
