package batch

import (
	"reflect"
	"regexp"
	"slices"
	"strings"
)

// StatusReason texts of resources that are in order.
const (
	reasonEnvironmentHealthy = "ComputeEnvironment Healthy"
	reasonQueueHealthy       = "JobQueue Healthy"
)

// serviceLinkedRole is the path and name of the role Batch makes for itself.
const serviceLinkedRole = "aws-service-role/batch.amazonaws.com/AWSServiceRoleForBatch"

// fargateMembers are the members of computeResources that a Fargate environment has, and all that
// DescribeComputeEnvironments shows of one.
var fargateMembers = []string{"maxvCpus", "securityGroupIds", "subnets", "type"}

// ec2OnlyMembers are the members of computeResources that Fargate environments refuse, in the order they are checked.
var ec2OnlyMembers = []string{
	"allocationStrategy", "bidPercentage", "desiredvCpus", "ec2Configuration", "ec2KeyPair", "imageId", "instanceRole",
	"instanceTypes", "launchTemplate", "minvCpus", "placementGroup", "scalingPolicy", "spotIamFleetRole", "tags",
}

// NewComputeEnvironment checks the body of a CreateComputeEnvironment request and makes the environment, VALID at once.
// uuid becomes part of the environment's ECS cluster name. The account's and region's other resources are not looked at:
// that the name is free is the caller's to check. Errors are *Error.
func NewComputeEnvironment(raw []byte, p Partition, uuid string) (ComputeEnvironment, error) {
	req, err := parseObject(raw)
	if err != nil {
		return ComputeEnvironment{}, err
	}
	ce := ComputeEnvironment{
		Name:         req.str("computeEnvironmentName"),
		UUID:         uuid,
		Type:         strings.ToUpper(req.str("type")),
		State:        Enabled,
		Status:       StatusValid,
		StatusReason: reasonEnvironmentHealthy,
		Context:      req.str("context"),
		Tags:         req.stringMap("tags"),
	}
	if !namePattern().MatchString(ce.Name) {
		return ComputeEnvironment{}, Invalidf("Compute Environment name should match a valid pattern.")
	}
	if !req.empty("state") && strings.ToUpper(req.str("state")) != Enabled {
		return ComputeEnvironment{}, Invalidf("Compute Environment must be created in ENABLED state.")
	}
	if err := checkTags(ce.Tags); err != nil {
		return ComputeEnvironment{}, err
	}
	if !req.empty("eksConfiguration") {
		return ComputeEnvironment{}, Unsupportedf("batchbox does not run compute environments on Amazon EKS: eksConfiguration is not supported")
	}
	ce.ServiceRole = roleARN(p, req.str("serviceRole"))
	switch ce.Type {
	case Managed:
		err = newManaged(&ce, req)
	case Unmanaged:
		err = newUnmanaged(&ce, req, p)
	default:
		// unverified: the service's text for a type it does not know.
		err = Invalidf("Compute Environment type must be one of [MANAGED, UNMANAGED].")
	}
	if err != nil {
		return ComputeEnvironment{}, err
	}
	return ce, nil
}

func newManaged(ce *ComputeEnvironment, req object) error {
	if req.has("unmanagedvCpus") {
		return Invalidf("unmanagedvCpus is not applicable for managed Compute Environments")
	}
	cr, ok := req.object("computeResources")
	if !ok {
		return Invalidf("computeResources must be provided for a MANAGED compute environment")
	}
	return ce.setComputeResources(cr)
}

func newUnmanaged(ce *ComputeEnvironment, req object, p Partition) error {
	switch {
	case req.empty("serviceRole"):
		return Invalidf("ServiceRole is required.")
	case ce.ServiceRole == p.RoleARN(serviceLinkedRole):
		return Invalidf("Service Linked Role cannot be used with UNMANAGED Compute Environment")
	}
	if n, ok := req.integer("unmanagedvCpus"); ok {
		if err := ce.setUnmanagedVCPUs(n); err != nil {
			return err
		}
	}
	if cr, ok := req.object("computeResources"); ok {
		upperMembers(cr, "type")
		if t := cr.str("type"); t == Fargate || t == FargateSpot {
			// unverified: the service's text; the rule is in the user guide, "AWS Batch on AWS Fargate".
			return Invalidf("Fargate compute environments must be of type MANAGED.")
		}
		ce.ComputeResources = canonical(cr)
	}
	return nil
}

func (ce *ComputeEnvironment) setUnmanagedVCPUs(n int64) error {
	if n < 0 {
		// unverified: text, by analogy with minvCpus.
		return Invalidf("unmanagedvCpus should be greater than or equal to 0.")
	}
	ce.UnmanagedVCPUs = int(n)
	ce.MaxMilliCPU = n * 1000
	return nil
}

// roleARN is a service role as DescribeComputeEnvironments shows it: the service-linked role for none (Terraform sends ""),
// the ARN for a name.
func roleARN(p Partition, role string) string {
	switch {
	case role == "":
		return p.RoleARN(serviceLinkedRole)
	case strings.HasPrefix(role, "arn:"):
		return role
	default:
		return p.RoleARN(strings.TrimPrefix(role, "/"))
	}
}

// upperMembers puts enumeration members into upper case.
//
// unverified: that the service takes other letter cases at all; it shows upper case always.
func upperMembers(o object, names ...string) {
	for _, n := range names {
		if s := o.str(n); s != "" {
			o[n] = strings.ToUpper(s)
		}
	}
}

// setComputeResources checks a complete computeResources member of a managed environment and stores it as shown.
func (ce *ComputeEnvironment) setComputeResources(cr object) error {
	upperMembers(cr, "type", "allocationStrategy")
	var err error
	switch t := cr.str("type"); t {
	case Fargate, FargateSpot:
		err = checkFargateResources(cr)
		cr = onlyMembers(cr, fargateMembers)
	case EC2, Spot:
		err = checkEC2Resources(cr)
	case "ECS_MANAGED_INSTANCES":
		err = Unsupportedf("batchbox does not run compute environments of type ECS_MANAGED_INSTANCES")
	default:
		// unverified: text.
		err = Invalidf("Compute resource type must be one of [EC2, SPOT, FARGATE, FARGATE_SPOT].")
	}
	if err != nil {
		return err
	}
	maxCPUs, _ := cr.integer("maxvCpus")
	ce.ComputeResources = canonical(cr)
	ce.ResourceType = cr.str("type")
	ce.MaxMilliCPU = maxCPUs * 1000
	ce.Subnets = cr.strings("subnets")
	return nil
}

func onlyMembers(o object, names []string) object {
	out := object{}
	for _, n := range names {
		if o.has(n) {
			out[n] = o[n]
		}
	}
	return out
}

func checkFargateResources(cr object) error {
	for _, m := range ec2OnlyMembers {
		if !cr.empty(m) {
			return Invalidf("%s is not applicable for Fargate.", m)
		}
	}
	if err := checkMaxVCPUs(cr); err != nil {
		return err
	}
	switch n := len(cr.strings("subnets")); {
	case n == 0:
		return Invalidf("%s", subnetsRequired)
	case n > 16:
		return Invalidf("Fargate supports a maximum of 16 subnets.")
	}
	switch n := len(cr.strings("securityGroupIds")); {
	case n == 0:
		return Invalidf("Security group ids are required.")
	case n > 5:
		return Invalidf("Fargate supports a maximum of 5 security groups.")
	}
	return nil
}

// subnetsRequired refuses computeResources without subnets.
//
// unverified: text, by analogy with "Resource instanceTypes are required."
const subnetsRequired = "Resource subnets are required."

// checkMaxVCPUs wants a maximum of 0 or more: 0 is how people park an environment.
//
// unverified: both texts, by analogy with minvCpus.
func checkMaxVCPUs(cr object) error {
	switch n, ok := cr.integer("maxvCpus"); {
	case !ok:
		return Invalidf("Resource maxvCpus is required.")
	case n < 0 || n > 1<<31-1:
		return Invalidf("maxvCpus should be greater than or equal to 0.")
	}
	return nil
}

var launchTemplateVersion = regexp.MustCompile(`^([0-9]*|\$Default|\$Latest)$`)

// checkEC2Resources is the light check of environments whose instances batchbox does not start. Texts without mark were seen
// on the service; those of instanceTypes, minvCpus and desiredvCpus are recorded by the cdk-preflight project.
func checkEC2Resources(cr object) error {
	if cr.empty("instanceRole") {
		return Invalidf("Instance role is required.")
	}
	minCPUs, ok := cr.integer("minvCpus")
	switch {
	case !ok:
		return Invalidf("Resource minvCpus is required.")
	case minCPUs < 0:
		return Invalidf("minvCpus should be greater than or equal to 0.")
	}
	if err := checkMaxVCPUs(cr); err != nil {
		return err
	}
	maxCPUs, _ := cr.integer("maxvCpus")
	if maxCPUs < minCPUs {
		return Invalidf("maxvCpus should be greater than or equal to minvCpus.")
	}
	// Instances for minvCpus are wanted from the start, so desiredvCpus is never below it (acceptance test createSpot of the
	// Terraform provider).
	cr.setDefault("desiredvCpus", jsonInt(minCPUs))
	if d, _ := cr.integer("desiredvCpus"); d < minCPUs || d > maxCPUs {
		return Invalidf("desiredvCpus should be between minvCpus and maxvCpus.")
	}
	if b, ok := cr.integer("bidPercentage"); ok && (b < 0 || b > 100) {
		return Invalidf("Bid percentage must be between 0 to 100.")
	}
	if cr.str("type") == Spot && bestFit(cr) && cr.empty("spotIamFleetRole") {
		return Invalidf("compute resource spotIamFleetRole is required.")
	}
	if err := checkInstanceTypes(cr.strings("instanceTypes")); err != nil {
		return err
	}
	template, hasTemplate := cr.object("launchTemplate")
	if hasTemplate && !launchTemplateVersion.MatchString(template.str("version")) {
		return Invalidf("LaunchTemplateVersion must be either empty or a number or $Default or $Latest")
	}
	if len(cr.strings("subnets")) == 0 {
		return Invalidf("%s", subnetsRequired)
	}
	if len(cr.strings("securityGroupIds")) == 0 && !hasTemplate {
		return Invalidf("Security group ids are required.")
	}
	cr.setDefault("ec2Configuration", []any{map[string]any{"imageType": "ECS_AL2023"}})
	return nil
}

// bestFit says whether the environment's allocation strategy is BEST_FIT, which is also the default.
func bestFit(cr object) bool {
	s := cr.str("allocationStrategy")
	return s == "" || s == "BEST_FIT"
}

// instanceType is the form of what instanceTypes lists: a type, a family, or a bundle such as "optimal". The part after
// the family's generation number names its attributes.
var instanceType = regexp.MustCompile(`^([a-z][a-z0-9-]*[a-z]|[a-z])([0-9]+)([a-z0-9-]*)(\.[a-z0-9-]+)?$`)

// checkInstanceTypes wants at least one instance type, each in the form of one, of one CPU architecture.
func checkInstanceTypes(types []string) error {
	if len(types) == 0 {
		return Invalidf("Resource instanceTypes are required.")
	}
	arm := 0
	for _, t := range types {
		switch {
		case t == "optimal" || t == "default_x86_64":
		case t == "default_arm64":
			arm++
		case !instanceType.MatchString(t):
			// unverified: the service lists every instance type of the region here.
			return Invalidf("Instance type can only be one of [optimal, default_x86_64, default_arm64, an instance family, an instance type]: %s", t)
		case isGraviton(t):
			arm++
		}
	}
	if arm != 0 && arm != len(types) {
		return Invalidf("arm-based instance type cannot be used with other instance types")
	}
	return nil
}

// isGraviton tells the Arm families by EC2's naming rule: a "g" among the attributes after the generation number (m6g,
// c7gn, x2gd), and the first generation, a1.
func isGraviton(t string) bool {
	m := instanceType.FindStringSubmatch(t)
	return m != nil && (strings.Contains(m[3], "g") || m[1]+m[2] == "a1")
}

// scalingMembers are the members of computeResources whose change is a scaling update; any other change is an
// infrastructure update (user guide, "Updating compute environments").
var scalingMembers = []string{"desiredvCpus", "maxvCpus", "minvCpus"}

// updatableMembers are what an UpdateComputeEnvironment request changes; it has to name one of them. The service's text is
// quoted in hashicorp/terraform-provider-aws#43969 and older than the last two members.
var updatableMembers = []string{"state", "computeResources", "serviceRole", "unmanagedvCpus", "updatePolicy", "context"}

// UpdateComputeEnvironment checks the body of an UpdateComputeEnvironment request against ce and returns what the
// environment becomes; ce itself is unchanged. Errors are *Error.
func UpdateComputeEnvironment(ce ComputeEnvironment, raw []byte, p Partition) (ComputeEnvironment, error) {
	req, err := parseObject(raw)
	if err != nil {
		return ce, err
	}
	if !slices.ContainsFunc(updatableMembers, req.has) {
		return ce, Refusedf("One of [state | compute-resources | service-role | unmanaged-vcpus] is required.")
	}
	next := ce
	if !req.empty("state") {
		if next.State, err = parseState(req, "Compute Environment"); err != nil {
			return ce, err
		}
	}
	if req.has("context") {
		next.Context = req.str("context")
	}
	if req.has("serviceRole") {
		if next.ServiceRole, err = changedRole(ce, req.str("serviceRole"), p); err != nil {
			return ce, err
		}
	}
	if n, ok := req.integer("unmanagedvCpus"); ok {
		if ce.Type == Managed {
			return ce, Invalidf("unmanagedvCpus is not applicable for managed Compute Environments")
		}
		if err := next.setUnmanagedVCPUs(n); err != nil {
			return ce, err
		}
	}
	if change, ok := req.object("computeResources"); ok && len(change) > 0 {
		if err := next.changeComputeResources(change, p); err != nil {
			return ce, err
		}
	}
	if policy, ok := req.object("updatePolicy"); ok {
		policy.setDefault("terminateJobsOnUpdate", false)
		policy.setDefault("jobExecutionTimeoutMinutes", jsonInt(30))
		if n, ok := policy.integer("jobExecutionTimeoutMinutes"); !ok || n < 1 || n > 7200 {
			// unverified: text.
			return ce, Invalidf("jobExecutionTimeoutMinutes must be between 1 and 7200.")
		}
		next.UpdatePolicy = canonical(policy)
	}
	return next, nil
}

// parseState reads a state member; what names the resource in the refusal.
//
// unverified: text.
func parseState(req object, what string) (string, error) {
	switch s := strings.ToUpper(req.str("state")); s {
	case Enabled, Disabled:
		return s, nil
	default:
		return "", Invalidf("%s state must be one of [ENABLED, DISABLED].", what)
	}
}

// changedRole is the service role after an update, which can't cross between service-linked and ordinary roles.
//
// unverified: the texts of both refusals; the rules are in the API reference of UpdateComputeEnvironment.
func changedRole(ce ComputeEnvironment, role string, p Partition) (string, error) {
	next, linked := roleARN(p, role), p.RoleARN(serviceLinkedRole)
	switch {
	case ce.Type == Unmanaged && next == linked:
		return "", Invalidf("Service Linked Role cannot be used with UNMANAGED Compute Environment")
	case (ce.ServiceRole == linked) != (next == linked):
		return "", Invalidf("Compute Environment can not change between a service linked role and another service role.")
	}
	return next, nil
}

func (ce *ComputeEnvironment) changeComputeResources(change object, p Partition) error {
	if ce.Type == Unmanaged {
		// unverified: text, by analogy with unmanagedvCpus.
		return Invalidf("computeResources is not applicable for unmanaged Compute Environments")
	}
	cr, err := parseObject(ce.ComputeResources)
	if err != nil {
		return err
	}
	upperMembers(change, "type", "allocationStrategy")
	if ce.IsFargate() {
		return ce.changeFargate(cr, change)
	}
	return ce.changeEC2(cr, change, p)
}

// changeFargate applies an update to a Fargate environment. Lists that are sent empty change nothing.
func (ce *ComputeEnvironment) changeFargate(cr, change object) error {
	if t := change.str("type"); t != "" && t != ce.ResourceType {
		// unverified: text; the API reference names the type among the members of EC2 updates only.
		return Invalidf("type is not applicable for Fargate.")
	}
	for _, m := range ec2OnlyMembers {
		if !change.empty(m) {
			return Invalidf("%s is not applicable for Fargate.", m)
		}
	}
	for _, m := range fargateMembers {
		if !change.empty(m) {
			cr[m] = change[m]
		}
	}
	return ce.setComputeResources(cr)
}

// changeEC2 applies an update to an EC2 or SPOT environment: each member that differs replaces the present one, and
// an empty string, a launchTemplate with empty names and empty tags take it away (API reference, ComputeResourceUpdate).
//
// unverified: the texts that refuse an infrastructure update; the rules are in the user guide, "Updating compute environments".
func (ce *ComputeEnvironment) changeEC2(cr, change object, p Partition) error {
	if t, ok := change.object("launchTemplate"); ok {
		dropEmpty(t, "launchTemplateId", "launchTemplateName", "version")
	}
	infrastructure := false
	for m, v := range change {
		if reflect.DeepEqual(v, cr[m]) || takesAway(change, m) && !cr.has(m) {
			delete(change, m)
		} else if !slices.Contains(scalingMembers, m) {
			infrastructure = true
		}
	}
	if infrastructure {
		if ce.ServiceRole != p.RoleARN(serviceLinkedRole) {
			return Invalidf("Infrastructure updates need a Compute Environment with the service linked role.")
		}
		if bestFit(cr) && bestFit(change) {
			return Invalidf("Infrastructure updates are not supported for allocation strategy BEST_FIT.")
		}
	}
	if d, ok := change.integer("desiredvCpus"); ok {
		if present, _ := cr.integer("desiredvCpus"); d < present {
			// User guide, "Error message when you update the desiredvCpus setting".
			return Invalidf("Manually scaling down compute environment is not supported. " +
				"Disconnecting job queues from compute environment will cause it to scale-down to minvCpus.")
		}
	}
	for m, v := range change {
		switch {
		case m == "updateToLatestImageVersion": // an order, not a property: Describe does not show it
		case takesAway(change, m):
			delete(cr, m)
		default:
			cr[m] = v
		}
	}
	if !change.has("desiredvCpus") {
		keepDesired(cr)
	}
	return ce.setComputeResources(cr)
}

// dropEmpty removes members that are empty strings.
func dropEmpty(o object, names ...string) {
	for _, n := range names {
		if o[n] == "" {
			delete(o, n)
		}
	}
}

// takesAway says whether member m of an update removes what it names.
func takesAway(change object, m string) bool {
	if change[m] == "" {
		return true
	}
	o, ok := change.object(m)
	return ok && (m == "launchTemplate" || m == "tags") && len(o) == 0
}

// keepDesired moves desiredvCpus no further than new bounds want: instances that are there stay when minvCpus falls
// (acceptance test ComputeResources_minVCPUs of the Terraform provider).
//
// unverified: that it follows a lower maxvCpus at once.
func keepDesired(cr object) {
	desired, ok := cr.integer("desiredvCpus")
	if !ok {
		return // an environment stored before desiredvCpus was shown
	}
	minCPUs, _ := cr.integer("minvCpus")
	maxCPUs, _ := cr.integer("maxvCpus")
	cr["desiredvCpus"] = jsonInt(max(minCPUs, min(desired, maxCPUs)))
}
