package batch

import (
	"strings"
)

// fargateSizes is the table of task sizes Fargate offers (API reference, ResourceRequirement): each vCPU count with the
// spans of memory, in MiB, that go with it.
var fargateSizes = []struct {
	milliCPU int64
	memory   []memorySpan
}{
	{250, []memorySpan{{512, 512, 512}, {1024, 2048, 1024}}},
	{500, []memorySpan{{1024, 4096, 1024}}},
	{1000, []memorySpan{{2048, 8192, 1024}}},
	{2000, []memorySpan{{4096, 16384, 1024}}},
	{4000, []memorySpan{{8192, 30720, 1024}}},
	{8000, []memorySpan{{16384, 61440, 4096}}},
	{16000, []memorySpan{{32768, 122880, 8192}}},
}

// memorySpan is from, from+step, ... up to and including to.
type memorySpan struct{ from, to, step int64 }

// checkFargateSize wants one of Fargate's task sizes.
func checkFargateSize(d Demand) error {
	for _, size := range fargateSizes {
		if size.milliCPU != d.MilliCPU {
			continue
		}
		for _, m := range size.memory {
			if d.MemoryMiB >= m.from && d.MemoryMiB <= m.to && (d.MemoryMiB-m.from)%m.step == 0 {
				return nil
			}
		}
	}
	return Invalidf("Fargate resource requirements (%.2f vCPU, %d MiB) not valid.", float64(d.MilliCPU)/1000, d.MemoryMiB)
}

// fargateTaskDemand is the size of a Fargate task of several containers.
//
// unverified: that the sum has to be a size as it stands, and is not rounded up to the next one.
func fargateTaskDemand(containers []Demand) (Demand, error) {
	total := sumDemand(containers)
	return total, checkFargateSize(total)
}

func sumDemand(ds []Demand) Demand {
	var total Demand
	for _, d := range ds {
		total.MilliCPU += d.MilliCPU
		total.MemoryMiB += d.MemoryMiB
		total.GPU += d.GPU
	}
	return total
}

// The operating system families Fargate names (cdk-preflight records the service's list).
var operatingSystems = []string{
	"WINDOWS_SERVER_2019_CORE", "WINDOWS_SERVER_2019_FULL", "WINDOWS_SERVER_2022_CORE", "WINDOWS_SERVER_2022_FULL", "LINUX",
}

// taskScope is what the checks of a container need to know of its task: the members that containerProperties hold
// themselves and ecsProperties hold for all containers.
type taskScope struct {
	fargate         bool
	several         bool // the container is one of ecsProperties
	executionRole   string
	taskRole        string
	platformVersion string // of Fargate; "" means LATEST
	platformMember  string // the member that platformVersion came from
	windows         bool
	volumes         map[string]bool // names
}

func containerScope(c object, fargate bool) taskScope {
	s := taskScope{
		fargate: fargate, executionRole: c.str("executionRoleArn"), taskRole: c.str("jobRoleArn"),
		platformMember: "fargatePlatformConfiguration", volumes: volumeNames(c),
	}
	if pc, ok := c.object("fargatePlatformConfiguration"); ok {
		s.platformVersion = pc.str("platformVersion")
	}
	s.windows = runsWindows(c)
	return s
}

func ecsScope(task object, fargate bool) taskScope {
	return taskScope{
		fargate: fargate, several: true, executionRole: task.str("executionRoleArn"), taskRole: task.str("taskRoleArn"),
		platformVersion: task.str("platformVersion"), platformMember: "platformVersion",
		windows: runsWindows(task), volumes: volumeNames(task),
	}
}

func volumeNames(o object) map[string]bool {
	names := map[string]bool{}
	for _, v := range o.objects("volumes") {
		names[v.str("name")] = true
	}
	return names
}

func runsWindows(o object) bool {
	rp, _ := o.object("runtimePlatform")
	return strings.HasPrefix(rp.str("operatingSystemFamily"), "WINDOWS")
}

// checkTask checks the members that belong to a whole task: o is containerProperties or one of taskProperties.
func (s taskScope) checkTask(o object) error {
	if s.fargate {
		return s.checkFargateTask(o)
	}
	for _, m := range []struct{ name, text string }{
		{"networkConfiguration", "networkConfiguration not applicable for EC2."},
		{s.platformMember, s.platformMember + " not applicable for EC2."},
		{"runtimePlatform", "runtimePlatform is not applicable for EC2."},
		{"ephemeralStorage", "ephemeralStorage not applicable for EC2."}, // unverified: text, by analogy
	} {
		if !o.empty(m.name) {
			return Invalidf("%s", m.text)
		}
	}
	return nil
}

func (s taskScope) checkFargateTask(o object) error {
	if es, ok := o.object("ephemeralStorage"); ok {
		if n, _ := es.integer("sizeInGiB"); n < 21 || n > 200 {
			return Invalidf("Ephemeral storage for Fargate tasks can be only between range 21 GiB to 200 GiB")
		}
	}
	// unverified: the texts for values the service does not know.
	if nc, ok := o.object("networkConfiguration"); ok && !oneOf(nc.str("assignPublicIp"), "", Enabled, Disabled) {
		return Invalidf("assignPublicIp %s is not valid. Valid values are: [ENABLED, DISABLED]", nc.str("assignPublicIp"))
	}
	if !oneOf(s.platformVersion, "", "LATEST", "1.4.0", "1.3.0") {
		return Invalidf("Fargate platform version %s is not valid. Valid values are: [LATEST, 1.4.0, 1.3.0]", s.platformVersion)
	}
	if !oneOf(o.str("instanceType"), "") {
		return Invalidf("instanceType is not applicable for Fargate.")
	}
	rp, ok := o.object("runtimePlatform")
	if !ok {
		return nil
	}
	cpu, family := rp.str("cpuArchitecture"), rp.str("operatingSystemFamily")
	switch {
	case family != "" && !oneOf(family, operatingSystems...) && !s.windows:
		return Invalidf("RuntimePlatform supports only one from [%s] operating systems, provided %s", strings.Join(operatingSystems, ", "), family)
	case s.windows && !oneOf(cpu, "", "X86_64"):
		return Invalidf("Windows supported only by X86_64 cpuArchitecture")
	case !oneOf(cpu, "", "X86_64", "ARM64"):
		return Invalidf("cpuArchitecture %s is not valid. Valid values are: [X86_64, ARM64]", cpu)
	}
	return nil
}

// refuseWindows is the last word on a definition that passed every check of the service.
func (s taskScope) refuseWindows() error {
	if s.windows {
		return Unsupportedf("batchbox runs Linux containers only: a WINDOWS_SERVER operatingSystemFamily is not supported")
	}
	return nil
}

func oneOf(s string, values ...string) bool {
	for _, v := range values {
		if s == v {
			return true
		}
	}
	return false
}
