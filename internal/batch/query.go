package batch

import (
	"strconv"
	"strings"
	"unicode/utf8"
)

// Page sizes (API reference): of ListJobs without and with a filter, and of every other operation that pages; and how many
// names or ids a Describe operation takes.
const (
	maxJobsPage         = 1000
	maxFilteredJobsPage = 100
	maxPage             = 100
	maxDescribed        = 100
	maxReasonLength     = 1024
)

// PageSize is the number of results of a page: maxResults, 1 to 100, or 100 when not given.
//
// unverified: text.
func PageSize(maxResults *int32) (int, error) {
	switch {
	case maxResults == nil:
		return maxPage, nil
	case *maxResults < 1 || *maxResults > maxPage:
		return 0, Invalidf("maxResults must be between 1 and %d.", maxPage)
	}
	return int(*maxResults), nil
}

// CheckDescribe checks the members of a Describe operation that names resources or pages through all of them. member is the
// list's name as the refusal has it: ComputeEnvironments, JobQueues, JobDefinitions.
//
// unverified: the text for too many names, made like the one of DescribeJobs.
func CheckDescribe(member string, names int, maxResults *int32) error {
	switch {
	case names > 0 && maxResults != nil:
		return Invalidf("%s and MaxResults cannot both be set", member)
	case names > maxDescribed:
		return Invalidf("Maximum number of %s supported is  %d#", member, maxDescribed)
	}
	return nil
}

// CheckDescribeJobs checks the number of ids of a DescribeJobs request. The two spaces and the # are the service's.
func CheckDescribeJobs(ids int) error {
	if ids > maxDescribed {
		return Invalidf("Maximum number of jobs supported is  %d#", maxDescribed)
	}
	return nil
}

// CheckReason checks the reason of CancelJob and TerminateJob.
//
// unverified: text.
func CheckReason(reason string) error {
	if reason == "" || utf8.RuneCountInString(reason) > maxReasonLength {
		return Invalidf("Reason must have between 1 and %d characters.", maxReasonLength)
	}
	return nil
}

// RequestedJobID reads the jobId of CancelJob and TerminateJob. An id that has the form of one but is unknown is no error
// there.
//
// unverified: the text for a malformed id.
func RequestedJobID(id string) (JobID, error) {
	j, ok := ParseJobID(id)
	if !ok {
		return JobID{}, Invalidf("Job id %s is not valid.", id)
	}
	return j, nil
}

// JobsQuery is a ListJobs request. One of Queue, ArrayJob and MultiNodeJob is set.
type JobsQuery struct {
	Queue        string // short name
	ArrayJob     string // job id
	MultiNodeJob string // job id
	// Status restricts the jobs; 0 does not.
	Status Status

	// At most one of the following filters is set, and none for children and nodes. Names compare without letter case,
	// definitions with: Definition is "name:revision", DefinitionPrefix the start of one.
	Name, NamePrefix             string
	Definition, DefinitionPrefix string
	CreatedBefore, CreatedAfter  int64 // ms, exclusive
	Share                        string

	PageSize  int
	NextToken string
}

// ParseListJobs checks the body of a ListJobs request. Errors are *Error.
func ParseListJobs(raw []byte, p Partition) (JobsQuery, error) {
	req, err := parseObject(raw)
	if err != nil {
		return JobsQuery{}, err
	}
	q := JobsQuery{ArrayJob: req.str("arrayJobId"), MultiNodeJob: req.str("multiNodeJobId"), NextToken: req.str("nextToken")}
	if err := q.setSelector(req, p); err != nil {
		return JobsQuery{}, err
	}
	status := Running
	if s := req.str("jobStatus"); s != "" {
		var ok bool
		if status, ok = ParseStatus(s); !ok {
			// unverified: text.
			return JobsQuery{}, Invalidf("Job status %s is not valid. Valid values are: [%s]", s, strings.Join(statusNames[1:], ", "))
		}
	}
	q.Status, q.PageSize = status, maxJobsPage
	filters := req.objects("filters")
	if len(filters) > 0 && q.Queue != "" {
		q.Status, q.PageSize = 0, maxFilteredJobsPage
		if err := q.setFilter(filters, p); err != nil {
			return JobsQuery{}, err
		}
		if q.Share != "" && req.has("jobStatus") {
			q.Status = status
		}
	}
	if n, ok := req.integer("maxResults"); ok {
		if n < 1 {
			return JobsQuery{}, Invalidf("maxResults must be at least 1.") // unverified: text
		}
		// unverified: that a larger number is no error; the API reference says "up to".
		q.PageSize = int(min(n, int64(q.PageSize)))
	}
	return q, nil
}

// setSelector reads what the jobs are listed of.
//
// unverified: the texts.
func (q *JobsQuery) setSelector(req object, p Partition) error {
	given := 0
	for _, m := range []string{"jobQueue", "arrayJobId", "multiNodeJobId"} {
		if !req.empty(m) {
			given++
		}
	}
	if given != 1 {
		return Invalidf("Exactly one of jobQueue, arrayJobId and multiNodeJobId must be specified.")
	}
	if queue := req.str("jobQueue"); queue != "" {
		var ok bool
		if q.Queue, ok = p.ResourceName(KindJobQueue, queue); !ok {
			return Refusedf("%s does not exist", queue)
		}
	}
	return nil
}

// setFilter reads the one filter of a request.
//
// unverified: the texts, and that a filter takes exactly one value.
func (q *JobsQuery) setFilter(filters []object, p Partition) error {
	if len(filters) > 1 {
		return Invalidf("Only one filter can be used at a time.")
	}
	name, values := filters[0].str("name"), filters[0].strings("values")
	if len(values) != 1 || values[0] == "" {
		return Invalidf("Filter %s must have exactly one value.", name)
	}
	value := values[0]
	prefix, wild := strings.CutSuffix(value, "*")
	switch name {
	case "JOB_NAME":
		if wild {
			q.NamePrefix = prefix
		} else {
			q.Name = value
		}
	case "JOB_DEFINITION":
		return q.setDefinition(value, p)
	case "BEFORE_CREATED_AT", "AFTER_CREATED_AT":
		ms, err := strconv.ParseInt(value, 10, 64)
		if err != nil || ms < 0 {
			return Invalidf("Filter %s must be a number of milliseconds since the epoch, got %s.", name, value)
		}
		if name == "BEFORE_CREATED_AT" {
			q.CreatedBefore = max(ms, 1) // 0 would be no restriction
		} else {
			q.CreatedAfter = ms
		}
	case "SHARE_IDENTIFIER":
		q.Share = value
	default:
		return Invalidf("Filter name %s is not valid. Valid values are: [JOB_NAME, JOB_DEFINITION, BEFORE_CREATED_AT, AFTER_CREATED_AT, SHARE_IDENTIFIER]", name)
	}
	return nil
}

// setDefinition reads the JOB_DEFINITION filter: a name for all its revisions, the start of names with '*' after it, or an
// ARN with a revision, which takes no '*'.
func (q *JobsQuery) setDefinition(value string, p Partition) error {
	name, ok := p.ResourceName(KindJobDefinition, value)
	isARN := name != value
	prefix, wild := strings.CutSuffix(name, "*")
	switch {
	case !ok, isARN && wild:
		return Invalidf("Filter JOB_DEFINITION must be the name or ARN of a job definition, got %s.", value)
	case wild:
		q.DefinitionPrefix = prefix
	case strings.Contains(name, ":"):
		q.Definition = name
	default:
		q.DefinitionPrefix = name + ":"
	}
	return nil
}

// MatchesName is the comparison of name filters: without letter case, and by prefix if the filter ends in '*'.
func MatchesName(filter, name string) bool {
	prefix, wild := strings.CutSuffix(filter, "*")
	if !wild {
		return strings.EqualFold(filter, name)
	}
	return strings.HasPrefix(strings.ToLower(name), strings.ToLower(prefix))
}

// TaggedResource takes apart the ARN of a resource whose tags are asked for or changed. name is what the ARN has after the
// kind: a job id for a job, name:revision for a job definition. Whether it exists is the caller's to find out.
//
// unverified: the text, and that array children and nodes are refused with it; they can't have tags.
func (p Partition) TaggedResource(arn string) (kind, name string, err error) {
	for _, kind := range []string{
		KindComputeEnvironment, KindJobQueue, KindJobDefinition, KindSchedulingPolicy, KindConsumableResource, KindJob,
	} {
		name, ok := strings.CutPrefix(arn, p.BatchARN(kind, ""))
		if !ok || name == "" {
			continue
		}
		if kind == KindJob {
			if id, ok := ParseJobID(name); !ok || id.Index >= 0 {
				break
			}
		}
		return kind, name, nil
	}
	return "", "", Refusedf("Resource %s does not exist or cannot be tagged.", arn)
}
