package logs

import (
	"context"
	"regexp"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/aws/aws-sdk-go-v2/aws"
	sdk "github.com/aws/aws-sdk-go-v2/service/cloudwatchlogs"
	"github.com/aws/aws-sdk-go-v2/service/cloudwatchlogs/types"

	"github.com/batchbox/batchbox/internal/awswire"
	"github.com/batchbox/batchbox/internal/logstore/index"
)

// deliveryDays is the retention of the delivery class, whatever is asked for. CreateLogGroup's page says one day; AWS answers
// with two, as TestAccLogsLogGroup_logGroupClassDELIVERY1 of Terraform's AWS provider expects of it.
const deliveryDays = 2

func (a *api) createLogGroup(ctx context.Context, c *awswire.Call, in *sdk.CreateLogGroupInput) (*sdk.CreateLogGroupOutput, error) {
	name := aws.ToString(in.LogGroupName)
	v := checks{}
	v.groupName("logGroupName", name)
	v.tags(in.Tags)
	class := string(in.LogGroupClass)
	if class == "" {
		class = index.ClassStandard
	} else {
		v.oneOf("logGroupClass", class, "STANDARD", "INFREQUENT_ACCESS", "DELIVERY", "ESSENTIALS")
	}
	if in.KmsKeyId != nil {
		v.length("kmsKeyId", *in.KmsKeyId, 0, 256)
	}
	if err := v.err(); err != nil {
		return nil, err
	}
	g := index.Group{Name: name, Class: class, KMSKeyID: aws.ToString(in.KmsKeyId), Tags: in.Tags, Protected: aws.ToBool(in.DeletionProtectionEnabled)}
	if in.LogGroupClass == types.LogGroupClassDelivery {
		g.RetentionDays = deliveryDays
	}
	return nil, a.store.CreateGroup(ctx, partition(c), g)
}

func (a *api) deleteLogGroup(ctx context.Context, c *awswire.Call, in *sdk.DeleteLogGroupInput) (*sdk.DeleteLogGroupOutput, error) {
	name, err := group(c, in.LogGroupName, nil)
	if err != nil {
		return nil, err
	}
	return nil, a.store.DeleteGroup(ctx, partition(c), name)
}

func (a *api) putLogGroupDeletionProtection(ctx context.Context, c *awswire.Call, in *sdk.PutLogGroupDeletionProtectionInput) (*sdk.PutLogGroupDeletionProtectionOutput, error) {
	name, err := group(c, nil, in.LogGroupIdentifier)
	if err != nil {
		return nil, err
	}
	return nil, a.store.UpdateGroup(ctx, partition(c), name, func(g *index.Group) error {
		g.Protected = aws.ToBool(in.DeletionProtectionEnabled)
		return nil
	})
}

func (a *api) describeLogGroups(ctx context.Context, c *awswire.Call, in *sdk.DescribeLogGroupsInput) (*sdk.DescribeLogGroupsOutput, error) {
	v := checks{}
	v.number("limit", in.Limit, 1, defaultPage)
	if in.LogGroupNamePrefix != nil {
		v.groupName("logGroupNamePrefix", *in.LogGroupNamePrefix)
	}
	if in.LogGroupNamePattern != nil {
		v.length("logGroupNamePattern", *in.LogGroupNamePattern, 0, maxName)
	}
	v.count("logGroupIdentifiers", len(in.LogGroupIdentifiers), 0, 50)
	if err := v.err(); err != nil {
		return nil, err
	}
	if in.LogGroupNamePrefix != nil && in.LogGroupNamePattern != nil {
		return nil, refuse(codeInvalid, "LogGroup name prefix and LogGroup name pattern are mutually exclusive parameters.")
	}
	var identified []string
	for _, id := range in.LogGroupIdentifiers {
		name, err := group(c, nil, &id)
		if err != nil {
			return nil, err
		}
		identified = append(identified, name)
	}
	groups := a.store.Groups(partition(c), func(g *index.Group) bool {
		return strings.HasPrefix(g.Name, aws.ToString(in.LogGroupNamePrefix)) &&
			strings.Contains(g.Name, aws.ToString(in.LogGroupNamePattern)) &&
			ofClass(g, in.LogGroupClass) &&
			(identified == nil || slices.Contains(identified, g.Name))
	})
	groups, next, err := cutPage("groups", groups, func(g *index.Group) string { return g.Name }, in.NextToken, pageSize(in.Limit))
	if err != nil {
		return nil, err
	}
	out := &sdk.DescribeLogGroupsOutput{LogGroups: []types.LogGroup{}, NextToken: next}
	for i := range groups {
		shown, err := a.showGroup(ctx, c, &groups[i], in.LogGroupNamePattern != nil)
		if err != nil {
			return nil, err
		}
		out.LogGroups = append(out.LogGroups, shown)
	}
	return out, nil
}

// ofClass says whether a group is of a class asked for. "If you specify either INFREQUENT_ACCESS or ESSENTIALS, the
// results include log groups in both" (API reference).
func ofClass(g *index.Group, class types.LogGroupClass) bool {
	light := func(c string) bool { return c == "INFREQUENT_ACCESS" || c == "ESSENTIALS" }
	return class == "" || g.Class == string(class) || light(g.Class) && light(string(class))
}

// showGroup is a group as DescribeLogGroups shows it. A search by pattern leaves two members out (recorded from AWS).
func (a *api) showGroup(ctx context.Context, c *awswire.Call, g *index.Group, byPattern bool) (types.LogGroup, error) {
	p := partition(c)
	filters, err := a.store.MetricFilters(ctx, p, g.Name, "")
	if err != nil {
		return types.LogGroup{}, err
	}
	arn := arnOf(p, g.Name)
	shown := types.LogGroup{
		Arn:               aws.String(arn + ":*"),
		LogGroupArn:       aws.String(arn),
		LogGroupName:      aws.String(g.Name),
		LogGroupClass:     types.LogGroupClass(g.Class),
		CreationTime:      aws.Int64(g.CreatedMS),
		MetricFilterCount: aws.Int32(int32(len(filters))),
		KmsKeyId:          optional(g.KMSKeyID),
	}
	if g.RetentionDays != 0 {
		shown.RetentionInDays = aws.Int32(g.RetentionDays)
	}
	if byPattern {
		return shown, nil
	}
	bytes, err := a.store.StoredBytes(ctx, p, g.Name)
	if err != nil {
		return types.LogGroup{}, err
	}
	shown.StoredBytes = aws.Int64(bytes)
	shown.DeletionProtectionEnabled = aws.Bool(g.Protected)
	return shown, nil
}

// listPattern is what a part of ListLogGroups' pattern may be: 3 to 24 characters of names, perhaps behind ^.
var listPattern = regexp.MustCompile(`^\^?[\.\-_/#A-Za-z0-9]{3,24}$`)

func (a *api) listLogGroups(_ context.Context, c *awswire.Call, in *sdk.ListLogGroupsInput) (*sdk.ListLogGroupsOutput, error) {
	v := checks{}
	v.number("limit", in.Limit, 1, 1000)
	if err := v.err(); err != nil {
		return nil, err
	}
	if len(in.DataSources) > 0 || len(in.FieldIndexNames) > 0 {
		return nil, refuse("ValidationException", "batchbox has neither data sources nor field indexes to list log groups by")
	}
	match := func(string) bool { return true }
	if in.LogGroupNamePattern != nil {
		parts := strings.Split(*in.LogGroupNamePattern, "|")
		for _, part := range parts {
			if !listPattern.MatchString(part) || len(parts) > 5 {
				v.add(*in.LogGroupNamePattern, "logGroupNamePattern", "be one to five patterns of 3 to 24 characters, separated by |") // unverified
				return nil, v.err()
			}
		}
		match = func(name string) bool {
			return slices.ContainsFunc(parts, func(part string) bool {
				if prefix, ok := strings.CutPrefix(part, "^"); ok {
					return strings.HasPrefix(name, prefix)
				}
				return strings.Contains(name, part)
			})
		}
	}
	groups := a.store.Groups(partition(c), func(g *index.Group) bool {
		return match(g.Name) && ofClass(g, in.LogGroupClass) && hasTags(g, in.LogGroupTags)
	})
	groups, next, err := cutPage("groups", groups, func(g *index.Group) string { return g.Name }, in.NextToken, pageSize(in.Limit))
	if err != nil {
		return nil, err
	}
	out := &sdk.ListLogGroupsOutput{LogGroups: []types.LogGroupSummary{}, NextToken: next}
	for _, g := range groups {
		out.LogGroups = append(out.LogGroups, types.LogGroupSummary{
			LogGroupArn:   aws.String(arnOf(partition(c), g.Name)),
			LogGroupName:  aws.String(g.Name),
			LogGroupClass: types.LogGroupClass(g.Class),
		})
	}
	return out, nil
}

func hasTags(g *index.Group, filters []types.TagFilter) bool {
	for _, f := range filters {
		value, ok := g.Tags[aws.ToString(f.Key)]
		if !ok || len(f.Values) > 0 && !slices.Contains(f.Values, value) {
			return false
		}
	}
	return true
}

// retentions are the days a retention policy may have (API reference, PutRetentionPolicy).
var retentions = []int32{1, 3, 5, 7, 14, 30, 60, 90, 120, 150, 180, 365, 400, 545, 731, 1096, 1827, 2192, 2557, 2922, 3288, 3653}

func (a *api) putRetentionPolicy(ctx context.Context, c *awswire.Call, in *sdk.PutRetentionPolicyInput) (*sdk.PutRetentionPolicyOutput, error) {
	name, err := group(c, in.LogGroupName, nil)
	if err != nil {
		return nil, err
	}
	days := aws.ToInt32(in.RetentionInDays)
	if !slices.Contains(retentions, days) {
		v := checks{}
		v.add(days, "retentionInDays", "satisfy enum value set: [1, 3, 5, 7, 14, 30, 60, 90, 120, 150, 180, 365, 400, 545, 731, 1096, 1827, 2192, 2557, 2922, 3288, 3653]") // unverified
		return nil, v.err()
	}
	return nil, a.setRetention(ctx, c, name, days)
}

func (a *api) deleteRetentionPolicy(ctx context.Context, c *awswire.Call, in *sdk.DeleteRetentionPolicyInput) (*sdk.DeleteRetentionPolicyOutput, error) {
	name, err := group(c, in.LogGroupName, nil)
	if err != nil {
		return nil, err
	}
	return nil, a.setRetention(ctx, c, name, 0)
}

func (a *api) setRetention(ctx context.Context, c *awswire.Call, name string, days int32) error {
	return a.store.UpdateGroup(ctx, partition(c), name, func(g *index.Group) error {
		if g.Class == string(types.LogGroupClassDelivery) {
			return refuse(codeInvalid, "The retention of a log group of the DELIVERY class can not be changed.") // unverified
		}
		g.RetentionDays = days
		return nil
	})
}

func (a *api) associateKmsKey(ctx context.Context, c *awswire.Call, in *sdk.AssociateKmsKeyInput) (*sdk.AssociateKmsKeyOutput, error) {
	v := checks{}
	v.length("kmsKeyId", aws.ToString(in.KmsKeyId), 0, 256)
	if err := v.err(); err != nil {
		return nil, err
	}
	return nil, a.setKey(ctx, c, in.LogGroupName, in.ResourceIdentifier, aws.ToString(in.KmsKeyId))
}

func (a *api) disassociateKmsKey(ctx context.Context, c *awswire.Call, in *sdk.DisassociateKmsKeyInput) (*sdk.DisassociateKmsKeyOutput, error) {
	return nil, a.setKey(ctx, c, in.LogGroupName, in.ResourceIdentifier, "")
}

func (a *api) setKey(ctx context.Context, c *awswire.Call, name, resource *string, key string) error {
	if name == nil && resource != nil && strings.HasSuffix(*resource, ":query-result:*") {
		return refuse(codeInvalid, "batchbox has no query results to encrypt")
	}
	found, err := group(c, name, resource)
	if err != nil {
		return err
	}
	return a.store.UpdateGroup(ctx, partition(c), found, func(g *index.Group) error {
		g.KMSKeyID = key
		return nil
	})
}

// groupOfResource is the group that an ARN of the tagging operations names; it must not end in ":*".
func groupOfResource(c *awswire.Call, arn *string) (string, error) {
	name, ok := groupOfARN(partition(c), aws.ToString(arn))
	if !ok || utf8.RuneCountInString(aws.ToString(arn)) > 1011 {
		return "", refuse("ValidationException", "Invalid resourceArn")
	}
	return name, nil
}

func (a *api) tagResource(ctx context.Context, c *awswire.Call, in *sdk.TagResourceInput) (*sdk.TagResourceOutput, error) {
	name, err := groupOfResource(c, in.ResourceArn)
	if err != nil {
		return nil, err
	}
	return nil, a.tag(ctx, c, name, in.Tags)
}

func (a *api) tagLogGroup(ctx context.Context, c *awswire.Call, in *sdk.TagLogGroupInput) (*sdk.TagLogGroupOutput, error) {
	name, err := group(c, in.LogGroupName, nil)
	if err != nil {
		return nil, err
	}
	return nil, a.tag(ctx, c, name, in.Tags)
}

func (a *api) tag(ctx context.Context, c *awswire.Call, name string, tags map[string]string) error {
	v := checks{}
	v.count("tags", len(tags), 1, maxTags)
	v.tags(tags)
	if err := v.err(); err != nil {
		return err
	}
	return a.store.UpdateGroup(ctx, partition(c), name, func(g *index.Group) error {
		if g.Tags == nil {
			g.Tags = map[string]string{}
		}
		for k, value := range tags {
			g.Tags[k] = value
		}
		if len(g.Tags) > maxTags {
			e := refuse("TooManyTagsException", "The resource has too many tags.") // unverified
			e.Members = map[string]any{"resourceName": arnOf(partition(c), name)}
			return e
		}
		return nil
	})
}

func (a *api) untagResource(ctx context.Context, c *awswire.Call, in *sdk.UntagResourceInput) (*sdk.UntagResourceOutput, error) {
	name, err := groupOfResource(c, in.ResourceArn)
	if err != nil {
		return nil, err
	}
	return nil, a.untag(ctx, c, name, "tagKeys", in.TagKeys)
}

func (a *api) untagLogGroup(ctx context.Context, c *awswire.Call, in *sdk.UntagLogGroupInput) (*sdk.UntagLogGroupOutput, error) {
	name, err := group(c, in.LogGroupName, nil)
	if err != nil {
		return nil, err
	}
	return nil, a.untag(ctx, c, name, "tags", in.Tags)
}

func (a *api) untag(ctx context.Context, c *awswire.Call, name, member string, keys []string) error {
	v := checks{}
	v.count(member, len(keys), 0, maxTags)
	for _, k := range keys {
		v.tagKey(member, k)
	}
	if err := v.err(); err != nil {
		return err
	}
	return a.store.UpdateGroup(ctx, partition(c), name, func(g *index.Group) error {
		for _, k := range keys {
			delete(g.Tags, k)
		}
		return nil
	})
}

func (a *api) listTagsForResource(_ context.Context, c *awswire.Call, in *sdk.ListTagsForResourceInput) (*sdk.ListTagsForResourceOutput, error) {
	name, err := groupOfResource(c, in.ResourceArn)
	if err != nil {
		return nil, err
	}
	tags, err := a.tagsOf(c, name)
	return &sdk.ListTagsForResourceOutput{Tags: tags}, err
}

func (a *api) listTagsLogGroup(_ context.Context, c *awswire.Call, in *sdk.ListTagsLogGroupInput) (*sdk.ListTagsLogGroupOutput, error) {
	name, err := group(c, in.LogGroupName, nil)
	if err != nil {
		return nil, err
	}
	tags, err := a.tagsOf(c, name)
	return &sdk.ListTagsLogGroupOutput{Tags: tags}, err
}

func (a *api) tagsOf(c *awswire.Call, name string) (map[string]string, error) {
	g, err := a.store.Group(partition(c), name)
	if err != nil {
		return nil, err
	}
	if g.Tags == nil {
		return map[string]string{}, nil
	}
	return g.Tags, nil
}
