// Package batch holds the words and the rules of AWS Batch as values: resources, jobs, states and their transitions,
// validation with AWS's texts, overrides and parameters, retry rules, dependencies, roll-up of arrays and nodes. It reads
// no clock, makes no id, touches no file and imports the standard library only.
package batch

import (
	"strconv"
	"strings"
)

// Partition is the isolation unit of everything in batchbox: resources and jobs of one account and region never see those
// of another.
type Partition struct {
	Account string `json:"account"` // twelve digits
	Region  string `json:"region"`
}

// awsPartition is the first word of an ARN: "aws-cn" and "aws-us-gov" have regions of their own.
func (p Partition) awsPartition() string {
	switch {
	case strings.HasPrefix(p.Region, "cn-"):
		return "aws-cn"
	case strings.HasPrefix(p.Region, "us-gov-"):
		return "aws-us-gov"
	default:
		return "aws"
	}
}

// ARN is the ARN of a regional resource of this partition, such as ARN("batch", "job-queue/q").
func (p Partition) ARN(service, resource string) string {
	return "arn:" + p.awsPartition() + ":" + service + ":" + p.Region + ":" + p.Account + ":" + resource
}

// RoleARN is the ARN of an IAM role by path and name without the leading slash ("aws-service-role/.../Name").
func (p Partition) RoleARN(pathAndName string) string {
	return "arn:" + p.awsPartition() + ":iam::" + p.Account + ":role/" + pathAndName
}

// The resource types that appear in Batch ARNs.
const (
	KindComputeEnvironment = "compute-environment"
	KindJobQueue           = "job-queue"
	KindJobDefinition      = "job-definition"
	KindSchedulingPolicy   = "scheduling-policy"
	KindConsumableResource = "consumable-resource"
	KindJob                = "job"
)

// BatchARN is the ARN of a Batch resource of kind (one of the Kind constants).
func (p Partition) BatchARN(kind, name string) string {
	return p.ARN("batch", kind+"/"+name)
}

// ResourceName turns what an API member accepts (a short name or a full ARN of kind in this partition) into the short
// name ("name:revision" for a job definition). ok is false for an ARN of another kind, account or region.
func (p Partition) ResourceName(kind, nameOrARN string) (name string, ok bool) {
	if !strings.HasPrefix(nameOrARN, "arn:") {
		return nameOrARN, nameOrARN != ""
	}
	rest, ok := strings.CutPrefix(nameOrARN, p.BatchARN(kind, ""))
	return rest, ok && rest != ""
}

// ArrayChildID is the id of an array job's child (index from 0), NodeID that of a multi-node job's node.
func ArrayChildID(parent string, index int) string { return parent + ":" + strconv.Itoa(index) }

// NodeID is the id of one node of a multi-node parallel job.
func NodeID(parent string, index int) string { return parent + "#" + strconv.Itoa(index) }

// JobID is a job id taken apart: Parent is the UUID; Index is -1 for the job itself.
type JobID struct {
	Parent string
	Sep    byte // ':' for an array child, '#' for a node, 0 for the job itself
	Index  int
}

// ParseJobID takes a job id or the resource part of a job ARN apart; ok is false when it has not the form of one.
func ParseJobID(id string) (JobID, bool) {
	i := strings.IndexAny(id, ":#")
	if i < 0 {
		return JobID{Parent: id, Index: -1}, isUUID(id)
	}
	n, err := strconv.Atoi(id[i+1:])
	if err != nil || n < 0 || strconv.Itoa(n) != id[i+1:] {
		return JobID{}, false
	}
	return JobID{Parent: id[:i], Sep: id[i], Index: n}, isUUID(id[:i])
}

func (id JobID) String() string {
	switch id.Sep {
	case ':':
		return ArrayChildID(id.Parent, id.Index)
	case '#':
		return NodeID(id.Parent, id.Index)
	default:
		return id.Parent
	}
}

func isUUID(s string) bool {
	if len(s) != 36 {
		return false
	}
	for i := range len(s) {
		c := s[i]
		switch i {
		case 8, 13, 18, 23:
			if c != '-' {
				return false
			}
		default:
			if (c < '0' || c > '9') && (c < 'a' || c > 'f') {
				return false
			}
		}
	}
	return true
}
