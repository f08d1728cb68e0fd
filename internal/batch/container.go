package batch

import (
	"maps"
	"math"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"unicode/utf8"
)

// reservedPrefix starts the names of the variables Batch sets itself.
const reservedPrefix = "AWS_BATCH"

// userPattern is the service's pattern for user, with the group forms of the API reference.
var userPattern = sync.OnceValue(func() *regexp.Regexp {
	return regexp.MustCompile(`^[a-z0-9_][a-z0-9_-]{0,30}(:[a-z0-9_][a-z0-9_-]{0,30})?$`)
})

// checkContainer checks containerProperties, or one container of ecsProperties, and returns what it asks for. The texts
// are those the reference documents in 2.3; those marked "cdk-preflight" were recorded from the service by that project.
func (s taskScope) checkContainer(c object) (Demand, error) {
	switch image := c.str("image"); {
	case image == "":
		return Demand{}, Invalidf("ECS Container Image must be provided.")
	case utf8.RuneCountInString(image) > 255:
		// unverified: text; the limit is in the API reference, ContainerProperties.
		return Demand{}, Invalidf("ECS Container Image must be at most 255 characters.")
	}
	if s.fargate && s.executionRole == "" {
		return Demand{}, Invalidf("executionRoleArn is required for Fargate jobs.")
	}
	demand, err := s.demand(c)
	if err != nil {
		return Demand{}, err
	}
	for _, check := range []func(object) error{
		s.checkEnvironment, s.checkSecrets, s.checkLogging, s.checkLinuxParameters, s.checkUlimits, s.checkUser,
		s.checkMountPoints, s.checkPrivileges,
	} {
		if err := check(c); err != nil {
			return Demand{}, err
		}
	}
	return demand, nil
}

var (
	decimalValue = regexp.MustCompile(`^[0-9]{1,9}(\.[0-9]{1,9})?$`)
	wholeValue   = regexp.MustCompile(`^[0-9]{1,12}$`)
)

// demand reads and checks what a container asks for in resourceRequirements or the members vcpus and memory that came
// before them. On Fargate a container of ecsProperties is not checked against the table: the sum of the task is.
func (s taskScope) demand(c object) (Demand, error) {
	req := map[string]string{}
	for _, r := range c.objects("resourceRequirements") {
		t, v := r.str("type"), r.str("value")
		if _, twice := req[t]; twice {
			return Demand{}, Invalidf("Cannot provide duplicates in resourceRequirements.")
		}
		form := wholeValue
		switch t {
		case "VCPU":
			form = decimalValue
		case "MEMORY", "GPU":
		default:
			// unverified: text.
			return Demand{}, Invalidf("Resource requirement type %s is not valid. Valid values are: [GPU, VCPU, MEMORY]", t)
		}
		if !form.MatchString(v) {
			return Demand{}, Invalidf("Value %s for type %s in resourceRequirement is not valid. Please provide a numeric value.", v, t) // cdk-preflight
		}
		req[t] = v
	}
	for _, legacy := range legacyMembers {
		n, ok := c.integer(legacy.member)
		if !ok {
			continue
		}
		if _, both := req[legacy.requirement]; both {
			return Demand{}, Invalidf("Cannot use both ECS containerProperties %s and resourceRequirement %s.", legacy.member, legacy.requirement)
		}
		if s.fargate {
			// unverified: text, by analogy with the other members.
			return Demand{}, Invalidf("%s is not applicable for Fargate.", legacy.member)
		}
		req[legacy.requirement] = strconv.FormatInt(n, 10)
	}
	return s.parseDemand(req)
}

// parseDemand turns checked requirement values into a Demand and applies the platform's bounds.
func (s taskScope) parseDemand(req map[string]string) (Demand, error) {
	var d Demand
	if req["VCPU"] == "" {
		return d, Invalidf("vCPU is required.")
	}
	vcpu, err := strconv.ParseFloat(req["VCPU"], 64)
	if err != nil {
		return d, Invalidf("vCPU must be at least 1, got %s.", req["VCPU"])
	}
	d.MilliCPU = int64(math.Ceil(vcpu*1000 - 1e-6)) // up, so that nothing finer passes for a size Fargate has
	switch {
	case !s.fargate && vcpu < 1:
		return d, Invalidf("vCPU must be at least 1, got %s.", req["VCPU"])
	case s.windows && vcpu < 1:
		return d, Invalidf("vCPU must be at least 1 for Windows Job definition, got %s.", req["VCPU"])
	case !s.fargate && vcpu != math.Trunc(vcpu):
		// unverified: that fractions of a vCPU above 1 are refused on EC2.
		return d, Invalidf("Value %s for type VCPU in resourceRequirement is not valid. Please provide a numeric value.", req["VCPU"])
	}
	if req["MEMORY"] == "" {
		return d, Invalidf("Memory is required.") // unverified: text, by analogy with "vCPU is required."
	}
	if d.MemoryMiB, err = strconv.ParseInt(req["MEMORY"], 10, 64); err != nil || d.MemoryMiB < 4 {
		return d, Invalidf("Memory must be at least 4 Mib, got %s Mib.", req["MEMORY"])
	}
	if gpu := req["GPU"]; gpu != "" {
		if s.fargate {
			return d, Invalidf("GPU is not applicable for Fargate.")
		}
		if d.GPU, err = strconv.ParseInt(gpu, 10, 64); err != nil || d.GPU < 1 {
			return d, Invalidf("Value %s for type GPU in resourceRequirement is not valid. Please provide a numeric value.", gpu) // cdk-preflight
		}
	}
	if s.fargate && !s.several {
		return d, checkFargateSize(d)
	}
	return d, nil
}

func (s taskScope) checkEnvironment(c object) error {
	return checkEnvironment(c.objects("environment"))
}

// checkEnvironment checks variables, of a definition or of overrides.
func checkEnvironment(env []object) error {
	for _, e := range env {
		switch name := e.str("name"); {
		case name == "":
			return Invalidf("Environment variable name is required.") // cdk-preflight
		case strings.HasPrefix(name, reservedPrefix):
			// unverified: text; the rule is in the API reference, ContainerProperties.
			return Invalidf("Environment variables cannot start with %s: %s", reservedPrefix, name)
		}
	}
	return nil
}

func (s taskScope) checkSecrets(c object) error {
	secrets := c.objects("secrets")
	logging, _ := c.object("logConfiguration")
	if s.executionRole == "" && len(secrets)+len(logging.list("secretOptions")) > 0 {
		return Invalidf("executionRoleArn cannot be empty when using secrets or secretOptions")
	}
	names := map[string]bool{}
	for _, e := range c.objects("environment") {
		names[e.str("name")] = true
	}
	for _, e := range append(slices.Clone(secrets), logging.objects("secretOptions")...) {
		if e.str("name") == "" || e.str("valueFrom") == "" {
			return Invalidf("Secret name and valueFrom are required.") // unverified: text; both are required members
		}
	}
	for _, e := range secrets {
		if names[e.str("name")] {
			// unverified: that Batch refuses it already; the text is the one of ECS, RegisterTaskDefinition.
			return Invalidf("The secret name must be unique and not shared with any new or existing environment variables set on the container, such as '%s'.", e.str("name"))
		}
		names[e.str("name")] = true
	}
	return nil
}

// The log drivers (API reference, LogConfiguration) and the options of awslogs (user guide, "Using the awslogs log driver").
var (
	logDrivers = []string{"awsfirelens", "awslogs", "fluentd", "gelf", "journald", "json-file", "splunk", "syslog"}

	awslogsOptions = []string{
		"awslogs-create-group", "awslogs-datetime-format", "awslogs-group", "awslogs-multiline-pattern", "awslogs-region",
		"awslogs-stream-prefix", "max-buffer-size", "mode",
	}
)

func (s taskScope) checkLogging(c object) error {
	l, ok := c.object("logConfiguration")
	if !ok {
		return nil
	}
	driver := l.str("logDriver")
	switch {
	case s.fargate && driver != "awslogs" && driver != "splunk" && (driver != "awsfirelens" || !s.several):
		return Invalidf("Log driver for Fargate is not valid: %s", driver)
	case !slices.Contains(logDrivers, driver):
		return Invalidf("Log driver is not valid: %s", driver) // unverified: text, by analogy with Fargate's
	case driver != "awslogs":
		return nil
	}
	options, _ := l.object("options")
	var unknown []string
	for _, name := range slices.Sorted(maps.Keys(options)) {
		if !slices.Contains(awslogsOptions, name) {
			unknown = append(unknown, name)
		}
	}
	if unknown != nil {
		return Invalidf("Log driver awslogs disallows options: %s", strings.Join(unknown, ", "))
	}
	return nil
}

func (s taskScope) checkLinuxParameters(c object) error {
	lp, ok := c.object("linuxParameters")
	if !ok {
		return nil
	}
	if s.fargate {
		for _, m := range []string{"devices", "maxSwap", "sharedMemorySize", "swappiness", "tmpfs"} {
			if !lp.empty(m) {
				return Invalidf("linuxParameter.%s is not allowed for Fargate.", m)
			}
		}
		return nil
	}
	// The texts below: cdk-preflight.
	for _, d := range lp.objects("devices") {
		for _, p := range d.strings("permissions") {
			if !oneOf(p, "READ", "WRITE", "MKNOD") {
				return Invalidf("Invalid permission: %s for device %s", p, d.str("hostPath"))
			}
		}
	}
	swap, hasSwap := lp.integer("maxSwap")
	swappiness, hasSwappiness := lp.integer("swappiness")
	switch {
	case hasSwap && swap < 0:
		return Invalidf("Invalid swap memory size: %d, must be non-negative.", swap)
	case hasSwappiness && (swappiness < 0 || swappiness > 100):
		return Invalidf("Invalid swappiness: %d, must be between 0 and 100.", swappiness)
	case hasSwap && !hasSwappiness:
		return Invalidf("When container specified swap memory, swappiness value is required.")
	}
	for _, t := range lp.objects("tmpfs") {
		if n, _ := t.integer("size"); n < 1 {
			return Invalidf("Size of a tmpfs is invalid. The size is required and must be a positive integer.")
		}
	}
	return nil
}

// ulimitNames are the limits a container can set (API reference, Ulimit).
var ulimitNames = []string{
	"core", "cpu", "data", "fsize", "locks", "memlock", "msgqueue", "nice", "nofile", "nproc", "rss", "rtprio", "rttime",
	"sigpending", "stack",
}

func (s taskScope) checkUlimits(c object) error {
	if s.fargate && !c.empty("ulimits") {
		return Invalidf("ulimits is not applicable for Fargate.")
	}
	for _, u := range c.objects("ulimits") {
		soft, _ := u.integer("softLimit")
		hard, _ := u.integer("hardLimit")
		// unverified: both texts.
		switch name := u.str("name"); {
		case !slices.Contains(ulimitNames, name):
			return Invalidf("Ulimit name %s is not valid. Valid values are: [%s]", name, strings.Join(ulimitNames, ", "))
		case hard >= 0 && (soft > hard || soft < 0):
			return Invalidf("Ulimit %s: softLimit must not be greater than hardLimit.", name)
		}
	}
	return nil
}

func (s taskScope) checkUser(c object) error {
	if u := c.str("user"); u != "" && !userPattern().MatchString(u) {
		return Invalidf("User '%s' does not match regex", u)
	}
	return nil
}

func (s taskScope) checkMountPoints(c object) error {
	for _, m := range c.objects("mountPoints") {
		if v := m.str("sourceVolume"); !s.volumes[v] {
			// unverified: that Batch refuses it already; the text is the one of ECS, RegisterTaskDefinition.
			return Invalidf("Unknown volume '%s'.", v)
		}
	}
	return nil
}

func (s taskScope) checkPrivileges(c object) error {
	if privileged, _ := c.boolean("privileged"); s.fargate && privileged {
		// unverified: which of Batch and ECS says so; the text is quoted in public notes.
		return Invalidf("Fargate requires that the 'privileged' setting be 'false' at the container level.")
	}
	return nil
}

var fileSystemID = regexp.MustCompile(`^fs-([0-9a-f]{8}|[0-9a-f]{17})$`)

// checkVolumes checks the volumes of containerProperties or of a task of ecsProperties.
func (s taskScope) checkVolumes(o object) error {
	for _, v := range o.objects("volumes") {
		kinds := 0
		for _, m := range []string{"host", "efsVolumeConfiguration", "s3filesVolumeConfiguration"} {
			if v.has(m) {
				kinds++
			}
		}
		host, _ := v.object("host")
		switch {
		case kinds > 1:
			return Invalidf("When the volume parameter is specified, only one volume configuration type should be used.")
		case s.fargate && !host.empty("sourcePath"):
			return Invalidf("host.sourcePath should not be set for volumes in Fargate.")
		case v.has("s3filesVolumeConfiguration") && s.taskRole == "":
			return Invalidf("A jobRoleArn/taskRoleArn is required when using s3filesVolumeConfiguration.") // cdk-preflight
		}
		if efs, ok := v.object("efsVolumeConfiguration"); ok {
			if err := s.checkEFS(efs); err != nil {
				return err
			}
		}
	}
	return nil
}

func (s taskScope) checkEFS(efs object) error {
	if s.fargate && s.platformVersion == "1.3.0" {
		return Invalidf("EFS is supported for Fargate platform versions 1.4.0 or later, provided %s", s.platformVersion)
	}
	if id := efs.str("fileSystemId"); !fileSystemID.MatchString(id) {
		return Invalidf("EFS configuration fileSystemId is not valid: %s.", id) // cdk-preflight
	}
	auth, _ := efs.object("authorizationConfig")
	encrypted := efs.str("transitEncryption") == Enabled
	switch root := efs.str("rootDirectory"); {
	case !auth.empty("accessPointId") && root != "" && root != "/":
		return Invalidf(`When using an EFS access point, the root directory must either be set to "/" or omitted`)
	case auth.str("iam") == Enabled && !encrypted:
		return Invalidf("EFS IAM authorization requires TransitEncryption to be enabled.")
	case !auth.empty("accessPointId") && !encrypted:
		return Invalidf("EFS IAM access point requires TransitEncryption to be enabled.") // cdk-preflight
	}
	if port, ok := efs.integer("transitEncryptionPort"); ok && (port < 0 || port > 65535) {
		return Invalidf("TransitEncryptionPort must be a valid port number.") // cdk-preflight
	}
	return nil
}
