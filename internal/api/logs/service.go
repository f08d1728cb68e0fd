// Package logs is the CloudWatch Logs API over internal/logstore/index, in the types of the AWS SDK. Requests and replies
// follow the API reference (https://docs.aws.amazon.com/AmazonCloudWatchLogs/latest/APIReference/); the texts of errors
// are AWS's where clients have quoted or recorded them in public, and where a comment says "unverified" they are a guess.
//
// What differs from AWS on purpose: what is written is seen at once, a stream's events come in the order they were
// appended (package index says why), tokens do not expire, metric filters are kept, shown and can be tried but publish
// nothing, resource policies are kept and shown but not enforced, and nothing is encrypted.
package logs

import (
	"errors"
	"fmt"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"

	"github.com/batchbox/batchbox/internal/awswire"
	"github.com/batchbox/batchbox/internal/batch"
	"github.com/batchbox/batchbox/internal/logstore/index"
	"github.com/batchbox/batchbox/internal/store"
)

// Options are what the API stands on. All are required.
type Options struct {
	Store *index.Store
	// Docs keeps the resource policies.
	Docs store.Docs
}

type api struct {
	store *index.Store
	docs  store.Docs
}

// New describes the service for an awswire.Mux.
func New(o Options) (*awswire.Service, error) {
	a := &api{o.Store, o.Docs}
	// A batch of 1 MiB of messages is longer in JSON: each byte may be escaped.
	put := awswire.Op("PutLogEvents", a.putLogEvents)
	put.MaxBody = 8 << 20
	s := &awswire.Service{
		Name: "logs",
		Operations: []awswire.Operation{
			put,
			awswire.Op("AssociateKmsKey", a.associateKmsKey),
			awswire.Op("CreateLogGroup", a.createLogGroup),
			awswire.Op("CreateLogStream", a.createLogStream),
			awswire.Op("DeleteLogGroup", a.deleteLogGroup),
			awswire.Op("DeleteLogStream", a.deleteLogStream),
			awswire.Op("DeleteMetricFilter", a.deleteMetricFilter),
			awswire.Op("DeleteResourcePolicy", a.deleteResourcePolicy),
			awswire.Op("DeleteRetentionPolicy", a.deleteRetentionPolicy),
			awswire.Op("DeleteSubscriptionFilter", a.deleteSubscriptionFilter),
			awswire.Op("DescribeLogGroups", a.describeLogGroups),
			awswire.Op("DescribeLogStreams", a.describeLogStreams),
			awswire.Op("DescribeMetricFilters", a.describeMetricFilters),
			awswire.Op("DescribeResourcePolicies", a.describeResourcePolicies),
			awswire.Op("DescribeSubscriptionFilters", a.describeSubscriptionFilters),
			awswire.Op("DisassociateKmsKey", a.disassociateKmsKey),
			awswire.Op("FilterLogEvents", a.filterLogEvents),
			awswire.Op("GetLogEvents", a.getLogEvents),
			awswire.Op("ListLogGroups", a.listLogGroups),
			awswire.Op("ListTagsForResource", a.listTagsForResource),
			awswire.Op("ListTagsLogGroup", a.listTagsLogGroup),
			awswire.Op("PutLogGroupDeletionProtection", a.putLogGroupDeletionProtection),
			awswire.Op("PutMetricFilter", a.putMetricFilter),
			awswire.Op("PutResourcePolicy", a.putResourcePolicy),
			awswire.Op("PutRetentionPolicy", a.putRetentionPolicy),
			awswire.Op("TagLogGroup", a.tagLogGroup),
			awswire.Op("TagResource", a.tagResource),
			awswire.Op("TestMetricFilter", a.testMetricFilter),
			awswire.Op("UntagLogGroup", a.untagLogGroup),
			awswire.Op("UntagResource", a.untagResource),
		},
		Refused: map[string]string{
			"PutSubscriptionFilter": "batchbox delivers log events to no destination; follow them with FilterLogEvents or GetLogEvents",
			"StartLiveTail":         "batchbox has no Live Tail; aws logs tail --follow works",
			"StartQuery":            "batchbox has no Logs Insights; FilterLogEvents takes filter patterns",
			"CreateExportTask":      "batchbox does not export log events; its segments are files in the data directory",
		},
		RefusedCode: "OperationNotSupportedException",
		MissingCode: "InvalidParameterException",
		MapError:    mapError,
	}
	if err := s.ApplyModel(awswire.LogsModel()); err != nil {
		return nil, fmt.Errorf("logs: %w", err)
	}
	s.RefuseOthers(func(string) string { return "batchbox does not provide this operation of CloudWatch Logs" })
	return s, nil
}

// The codes most errors have.
const (
	codeInvalid  = "InvalidParameterException"
	codeNotFound = "ResourceNotFoundException"
	codeExists   = "ResourceAlreadyExistsException"
)

// answers are the errors of the index in AWS's words. "already exists" without a full stop is no slip (recorded from AWS
// in localstack/localstack, tests/aws/services/logs, as are the others unless said otherwise).
var answers = []struct {
	err           error
	code, message string
}{
	{index.ErrNoGroup, codeNotFound, "The specified log group does not exist."},
	{index.ErrNoStream, codeNotFound, "The specified log stream does not exist."},
	{index.ErrNoFilter, codeNotFound, "The specified metric filter does not exist."}, // unverified, by analogy
	{index.ErrGroupExists, codeExists, "The specified log group already exists"},
	{index.ErrStreamExists, codeExists, "The specified log stream already exists"},
	{index.ErrBadToken, codeInvalid, "The specified nextToken is invalid."},
	{index.ErrProtected, "ValidationException", "The specified log group has deletion protection enabled."}, // unverified
}

func mapError(_ *awswire.Call, err error) *awswire.Error {
	for _, a := range answers {
		if errors.Is(err, a.err) {
			return &awswire.Error{Code: a.code, Message: a.message, Cause: err}
		}
	}
	var name *index.NameError
	if errors.As(err, &name) {
		return &awswire.Error{Code: codeInvalid, Message: name.Text}
	}
	if errors.Is(err, store.ErrUnavailable) {
		return &awswire.Error{Code: "ServiceUnavailableException", Message: "The service cannot complete the request.", Server: true, Cause: err}
	}
	return nil
}

func refuse(code, format string, args ...any) *awswire.Error {
	return &awswire.Error{Code: code, Message: fmt.Sprintf(format, args...)}
}

func partition(c *awswire.Call) batch.Partition {
	return batch.Partition{Account: c.Account, Region: c.Region}
}

// arnOf is the ARN of a log group, without the ":*" that DescribeLogGroups puts behind it.
func arnOf(p batch.Partition, group string) string {
	return fmt.Sprintf("arn:%s:logs:%s:%s:log-group:%s", awsPartition(p.Region), p.Region, p.Account, group)
}

func awsPartition(region string) string {
	switch {
	case strings.HasPrefix(region, "cn-"):
		return "aws-cn"
	case strings.HasPrefix(region, "us-gov-"):
		return "aws-us-gov"
	}
	return "aws"
}

// groupOfARN takes the ARN of a log group apart; ok is false if it is none of this account and region.
func groupOfARN(p batch.Partition, arn string) (group string, ok bool) {
	group, ok = strings.CutPrefix(arn, arnOf(p, ""))
	return group, ok && groupNames.MatchString(group)
}

// group is the log group a request is about: by name, or by an identifier that is a name or an ARN. Exactly one must be
// given.
func group(c *awswire.Call, name, identifier *string) (string, error) {
	v := checks{}
	switch {
	case name != nil && identifier != nil:
		return "", refuse("ValidationException", "LogGroup name and LogGroup ARN are mutually exclusive parameters.")
	case name != nil:
		v.groupName("logGroupName", *name)
		return *name, v.err()
	case identifier == nil:
		return "", refuse("ValidationException", "LogGroup name or LogGroup ARN must be specified.") // unverified
	}
	id := *identifier
	if !strings.HasPrefix(id, "arn:") {
		v.groupName("logGroupIdentifier", id)
		return id, v.err()
	}
	found, ok := groupOfARN(partition(c), strings.TrimSuffix(id, ":*"))
	if !ok {
		return "", fmt.Errorf("%s: %w", id, index.ErrNoGroup)
	}
	return found, nil
}

// optional is nil for "", the absent member.
func optional(s string) *string {
	if s == "" {
		return nil
	}
	return aws.String(s)
}
