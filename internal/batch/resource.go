package batch

import (
	"encoding/json"
	"strconv"
	"strings"
)

// The values of state, status and type members, in AWS's spelling.
const (
	Enabled  = "ENABLED"
	Disabled = "DISABLED"

	StatusCreating = "CREATING"
	StatusUpdating = "UPDATING"
	StatusValid    = "VALID"
	StatusInvalid  = "INVALID"
	StatusDeleting = "DELETING"

	Managed   = "MANAGED"
	Unmanaged = "UNMANAGED"

	Fargate     = "FARGATE"
	FargateSpot = "FARGATE_SPOT"
	EC2         = "EC2"
	Spot        = "SPOT"

	Active   = "ACTIVE"
	Inactive = "INACTIVE"
)

// Service quotas of a region (User Guide, "AWS Batch service quotas").
const (
	MaxComputeEnvironments = 50
	MaxJobQueues           = 50
	// MaxActiveShares is the number of active share identifiers of a job queue.
	MaxActiveShares = 500
)

// ComputeEnvironment is a compute environment. Its JSON is how the store keeps it.
type ComputeEnvironment struct {
	Name         string `json:"name"`
	UUID         string `json:"uuid"`
	Type         string `json:"type"` // Managed or Unmanaged
	State        string `json:"state"`
	Status       string `json:"status"`
	StatusReason string `json:"statusReason,omitempty"`
	ServiceRole  string `json:"serviceRole,omitempty"` // ARN; the service-linked role when the request gave none
	// ComputeResources is the canonical JSON of the member as DescribeComputeEnvironments shows it; nil when UNMANAGED
	// without one.
	ComputeResources json.RawMessage `json:"computeResources,omitempty"`
	UpdatePolicy     json.RawMessage `json:"updatePolicy,omitempty"`
	UnmanagedVCPUs   int             `json:"unmanagedvCpus,omitempty"`
	Context          string          `json:"context,omitempty"`

	Tags map[string]string `json:"tags,omitempty"`

	// The narrow view of ComputeResources the scheduler needs.
	ResourceType string   `json:"resourceType,omitempty"` // Fargate, FargateSpot, EC2, Spot; "" when UNMANAGED
	MaxMilliCPU  int64    `json:"maxMilliCpu"`            // maxvCpus in thousandths of a vCPU
	Subnets      []string `json:"subnets,omitempty"`
}

// IsFargate says whether the environment belongs to the Fargate family.
func (ce *ComputeEnvironment) IsFargate() bool {
	return ce.ResourceType == Fargate || ce.ResourceType == FargateSpot
}

// Cluster is the short name of the ECS cluster that AWS Batch makes for the environment.
func (ce *ComputeEnvironment) Cluster() string { return "AWSBatch-" + ce.Name + "-" + ce.UUID }

// JobQueue is a job queue. Its JSON is how the store keeps it.
type JobQueue struct {
	Name                    string              `json:"name"`
	State                   string              `json:"state"`
	Status                  string              `json:"status"`
	StatusReason            string              `json:"statusReason,omitempty"`
	Priority                int                 `json:"priority"`
	Type                    string              `json:"type,omitempty"`                    // jobQueueType: ECS, ECS_FARGATE, EKS, SAGEMAKER_TRAINING
	ComputeEnvironmentOrder []ComputeOrder      `json:"computeEnvironmentOrder,omitempty"` // as sent; Environments sorts it
	SchedulingPolicy        string              `json:"schedulingPolicy,omitempty"`        // name
	TimeLimitActions        []JobStateTimeLimit `json:"jobStateTimeLimitActions,omitempty"`
	Tags                    map[string]string   `json:"tags,omitempty"`
}

// ComputeOrder is one entry of computeEnvironmentOrder, by the environment's short name.
type ComputeOrder struct {
	Order              int    `json:"order"`
	ComputeEnvironment string `json:"computeEnvironment"`
}

// JobStateTimeLimit is one entry of jobStateTimeLimitActions.
type JobStateTimeLimit struct {
	Reason         string `json:"reason"`
	State          string `json:"state"`
	MaxTimeSeconds int    `json:"maxTimeSeconds"`
	Action         string `json:"action"`
}

// JobDefinition is one revision of a job definition.
type JobDefinition struct {
	Name     string `json:"name"`
	Revision int    `json:"revision"`
	Status   string `json:"status"` // Active or Inactive
	// Document is the registered definition as DescribeJobDefinitions shows it, canonical JSON: what was sent (unknown
	// members included) with the normalisation of the reference, section 2.3; without jobDefinitionArn, revision, status
	// and tags, which are added when it is shown.
	Document json.RawMessage   `json:"document"`
	Tags     map[string]string `json:"tags,omitempty"`
	// DeregisteredAt is in milliseconds; INACTIVE revisions are removed 180 days after it.
	DeregisteredAt int64 `json:"deregisteredAt,omitempty"`
}

// SchedulingPolicy is a fair-share scheduling policy.
type SchedulingPolicy struct {
	Name string `json:"name"`
	// FairShare is the canonical JSON of fairsharePolicy as sent.
	FairShare json.RawMessage `json:"fairsharePolicy,omitempty"`
	// QuotaShare is the canonical JSON of quotaSharePolicy as sent; a policy has one kind or the other, for ever.
	QuotaShare json.RawMessage   `json:"quotaSharePolicy,omitempty"`
	Tags       map[string]string `json:"tags,omitempty"`

	// The narrow view the scheduler needs.
	ShareDecaySeconds  int           `json:"shareDecaySeconds,omitempty"`
	ComputeReservation int           `json:"computeReservation,omitempty"` // percent
	Shares             []ShareWeight `json:"shares,omitempty"`
}

// ShareWeight is one entry of shareDistribution; Identifier may end in '*'.
type ShareWeight struct {
	Identifier string  `json:"shareIdentifier"`
	Weight     float64 `json:"weightFactor"`
}

// ConsumableResource is a countable thing jobs hold while they run.
type ConsumableResource struct {
	Name      string            `json:"name"`
	Type      string            `json:"type"` // REPLENISHABLE or NON_REPLENISHABLE
	Total     int64             `json:"total"`
	CreatedAt int64             `json:"createdAt"` // ms
	Tags      map[string]string `json:"tags,omitempty"`
}

// ID is "name:revision".
func (jd *JobDefinition) ID() string { return jd.Name + ":" + strconv.Itoa(jd.Revision) }

// SplitDefinition takes "name:revision" apart; ok is false if it has not that form.
func SplitDefinition(id string) (name string, revision int, ok bool) {
	name, number, found := strings.Cut(id, ":")
	revision, err := strconv.Atoi(number)
	return name, revision, found && err == nil && revision > 0 && name != ""
}
