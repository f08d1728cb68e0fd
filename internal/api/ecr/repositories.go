package ecr

import (
	"context"
	"encoding/base64"
	"maps"
	"regexp"
	"slices"
	"strings"
	"sync"

	sdk "github.com/aws/aws-sdk-go-v2/service/ecr"
	"github.com/aws/aws-sdk-go-v2/service/ecr/types"
	"github.com/google/uuid"

	"github.com/batchbox/batchbox/internal/awswire"
	"github.com/batchbox/batchbox/internal/batch"
	"github.com/batchbox/batchbox/internal/registry"
)

// show is a repository as answers have it.
func (a *api) show(p batch.Partition, rec registry.Repository) types.Repository {
	return types.Repository{
		CreatedAt:                          &rec.CreatedAt,
		EncryptionConfiguration:            &types.EncryptionConfiguration{EncryptionType: types.EncryptionType(rec.EncryptionType), KmsKey: optional(rec.KMSKey)},
		ImageScanningConfiguration:         &types.ImageScanningConfiguration{ScanOnPush: rec.ScanOnPush},
		ImageTagMutability:                 types.ImageTagMutability(rec.TagMutability),
		ImageTagMutabilityExclusionFilters: showFilters(rec.Exclusions),
		RegistryId:                         &p.Account,
		RepositoryArn:                      ptr(p.ARN("ecr", "repository/"+rec.Name)),
		RepositoryName:                     &rec.Name,
		RepositoryUri:                      ptr(a.endpoint.RepositoryURI(p, rec.Name)),
	}
}

func showFilters(patterns []string) []types.ImageTagMutabilityExclusionFilter {
	var out []types.ImageTagMutabilityExclusionFilter
	for _, p := range patterns {
		out = append(out, types.ImageTagMutabilityExclusionFilter{Filter: &p, FilterType: types.ImageTagMutabilityExclusionFilterTypeWildcard})
	}
	return out
}

func (a *api) createRepository(ctx context.Context, c *awswire.Call, in *sdk.CreateRepositoryInput) (*sdk.CreateRepositoryOutput, error) {
	p, err := partition(c, in.RegistryId)
	if err != nil {
		return nil, err
	}
	rec := registry.Repository{Name: str(in.RepositoryName)}
	if rec.TagMutability, rec.Exclusions, err = mutability(in.ImageTagMutability, in.ImageTagMutabilityExclusionFilters); err != nil {
		return nil, err
	}
	if in.ImageScanningConfiguration != nil {
		rec.ScanOnPush = in.ImageScanningConfiguration.ScanOnPush
	}
	if rec.EncryptionType, rec.KMSKey, err = encryption(p, in.EncryptionConfiguration); err != nil {
		return nil, err
	}
	if rec.Tags, err = mergeTags(nil, in.Tags); err != nil {
		return nil, err
	}
	if rec, err = a.reg.CreateRepository(ctx, p, rec); err != nil {
		return nil, err
	}
	return &sdk.CreateRepositoryOutput{Repository: ptr(a.show(p, rec))}, nil
}

// encryption checks an encryption configuration. Without a key, KMS uses the account's own for ECR.
func encryption(p batch.Partition, in *types.EncryptionConfiguration) (kind, key string, err error) {
	if in == nil {
		return string(types.EncryptionTypeAes256), "", nil
	}
	key = str(in.KmsKey)
	switch in.EncryptionType {
	case types.EncryptionTypeAes256:
		if key != "" {
			return "", "", invalid("encryptionConfiguration", "kmsKey can't be set when encryptionType is AES256") // unverified text
		}
	case types.EncryptionTypeKms, types.EncryptionTypeKmsDsse:
		if key == "" {
			key = managedKey(p)
		}
	default:
		return "", "", invalid("encryptionConfiguration.encryptionType", "Member must satisfy enum value set: [AES256, KMS, KMS_DSSE]")
	}
	return string(in.EncryptionType), key, nil
}

// managedKey is the ARN of the key that AWS manages for ECR in an account and region. Its id, which AWS draws at random, is
// made from its alias here: every repository names the same one.
func managedKey(p batch.Partition) string {
	return p.ARN("kms", "key/"+uuid.NewSHA1(uuid.NameSpaceURL, []byte(p.ARN("kms", "alias/aws/ecr"))).String())
}

var filterRE = sync.OnceValue(func() *regexp.Regexp { return regexp.MustCompile(`^[0-9a-zA-Z._*-]{1,128}$`) })

// mutability checks a tag mutability with its exclusion filters and gives both as the registry keeps them.
func mutability(m types.ImageTagMutability, filters []types.ImageTagMutabilityExclusionFilter) (string, []string, error) {
	if m == "" {
		m = types.ImageTagMutabilityMutable
	}
	switch m {
	case types.ImageTagMutabilityMutable, types.ImageTagMutabilityImmutable:
		if filters != nil {
			return "", nil, invalid("imageTagMutabilityExclusionFilters", "ImageTagMutabilityExclusionFilters must be null when imageTagMutability is set as %s", m) // unverified text
		}
		return string(m), nil, nil
	case types.ImageTagMutabilityImmutableWithExclusion, types.ImageTagMutabilityMutableWithExclusion:
	default:
		return "", nil, invalid("imageTagMutability", "Member must satisfy enum value set: [IMMUTABLE, MUTABLE, MUTABLE_WITH_EXCLUSION, IMMUTABLE_WITH_EXCLUSION]")
	}
	if len(filters) == 0 {
		return "", nil, invalid("imageTagMutabilityExclusionFilters", "ImageTagMutabilityExclusionFilters can't be null when imageTagMutability is set as %s", m)
	}
	// The bounds are those of the API reference.
	if len(filters) > 5 {
		return "", nil, invalid("imageTagMutabilityExclusionFilters", "must have length less than or equal to 5")
	}
	var patterns []string
	for _, f := range filters {
		if f.FilterType != types.ImageTagMutabilityExclusionFilterTypeWildcard {
			return "", nil, invalid("imageTagMutabilityExclusionFilters.filterType", "Member must satisfy enum value set: [WILDCARD]")
		}
		pattern := str(f.Filter)
		if !filterRE().MatchString(pattern) || strings.Count(pattern, "*") > 2 {
			return "", nil, invalid("imageTagMutabilityExclusionFilters.filter", "must satisfy regular expression '%s' and have at most two wildcards", filterRE())
		}
		patterns = append(patterns, pattern)
	}
	return string(m), patterns, nil
}

func (a *api) describeRepositories(_ context.Context, c *awswire.Call, in *sdk.DescribeRepositoriesInput) (*sdk.DescribeRepositoriesOutput, error) {
	p, err := partition(c, in.RegistryId)
	if err != nil {
		return nil, err
	}
	out := &sdk.DescribeRepositoriesOutput{Repositories: []types.Repository{}}
	var recs []registry.Repository
	if len(in.RepositoryNames) > 0 {
		if len(in.RepositoryNames) > 100 {
			return nil, invalid("repositoryNames", "must have length less than or equal to 100")
		}
		for _, name := range in.RepositoryNames {
			rec, err := a.reg.Repository(p, name)
			if err != nil {
				return nil, err
			}
			recs = append(recs, rec)
		}
	} else {
		recs, out.NextToken, err = page(a.reg.Repositories(p), func(r registry.Repository) string { return r.Name }, in.MaxResults, in.NextToken)
		if err != nil {
			return nil, err
		}
	}
	for _, rec := range recs {
		out.Repositories = append(out.Repositories, a.show(p, rec))
	}
	return out, nil
}

func (a *api) deleteRepository(ctx context.Context, c *awswire.Call, in *sdk.DeleteRepositoryInput) (*sdk.DeleteRepositoryOutput, error) {
	p, err := partition(c, in.RegistryId)
	if err != nil {
		return nil, err
	}
	rec, err := a.reg.DeleteRepository(ctx, p, str(in.RepositoryName), in.Force)
	if err != nil {
		return nil, err
	}
	return &sdk.DeleteRepositoryOutput{Repository: ptr(a.show(p, rec))}, nil
}

func (a *api) putImageTagMutability(ctx context.Context, c *awswire.Call, in *sdk.PutImageTagMutabilityInput) (*sdk.PutImageTagMutabilityOutput, error) {
	p, err := partition(c, in.RegistryId)
	if err != nil {
		return nil, err
	}
	m, patterns, err := mutability(in.ImageTagMutability, in.ImageTagMutabilityExclusionFilters)
	if err != nil {
		return nil, err
	}
	rec, err := a.reg.UpdateRepository(ctx, p, str(in.RepositoryName), func(r *registry.Repository) error {
		r.TagMutability, r.Exclusions = m, patterns
		return nil
	})
	if err != nil {
		return nil, err
	}
	return &sdk.PutImageTagMutabilityOutput{
		ImageTagMutability: types.ImageTagMutability(rec.TagMutability), ImageTagMutabilityExclusionFilters: showFilters(rec.Exclusions),
		RegistryId: &p.Account, RepositoryName: &rec.Name,
	}, nil
}

func (a *api) putImageScanningConfiguration(ctx context.Context, c *awswire.Call, in *sdk.PutImageScanningConfigurationInput) (*sdk.PutImageScanningConfigurationOutput, error) {
	p, err := partition(c, in.RegistryId)
	if err != nil {
		return nil, err
	}
	rec, err := a.reg.UpdateRepository(ctx, p, str(in.RepositoryName), func(r *registry.Repository) error {
		r.ScanOnPush = in.ImageScanningConfiguration.ScanOnPush
		return nil
	})
	if err != nil {
		return nil, err
	}
	return &sdk.PutImageScanningConfigurationOutput{
		ImageScanningConfiguration: &types.ImageScanningConfiguration{ScanOnPush: rec.ScanOnPush},
		RegistryId:                 &p.Account, RepositoryName: &rec.Name,
	}, nil
}

// maxTags is how many tags a repository may have (API reference, CreateRepository).
const maxTags = 50

// mergeTags adds tags to those there are.
func mergeTags(have map[string]string, add []types.Tag) (map[string]string, error) {
	out := maps.Clone(have)
	for _, t := range add {
		key, value := str(t.Key), str(t.Value)
		switch {
		case key == "" || len(key) > 128 || len(value) > 256:
			return nil, refuse("InvalidTagParameterException", "a tag's key has 1 to 128 characters, its value at most 256") // unverified text
		case strings.HasPrefix(key, "aws:"):
			return nil, refuse("InvalidTagParameterException", "aws: prefixed tag key names are not allowed for external use.") // unverified text
		}
		if out == nil {
			out = map[string]string{}
		}
		out[key] = value
	}
	if len(out) > maxTags {
		return nil, refuse("TooManyTagsException", "a repository can have at most %d tags", maxTags) // unverified text
	}
	return out, nil
}

func (a *api) tagResource(ctx context.Context, _ *awswire.Call, in *sdk.TagResourceInput) (*sdk.TagResourceOutput, error) {
	p, name, err := repositoryOfARN(in.ResourceArn)
	if err != nil {
		return nil, err
	}
	_, err = a.reg.UpdateRepository(ctx, p, name, func(r *registry.Repository) error {
		tags, err := mergeTags(r.Tags, in.Tags)
		r.Tags = tags
		return err
	})
	if err != nil {
		return nil, err
	}
	return &sdk.TagResourceOutput{}, nil
}

func (a *api) untagResource(ctx context.Context, _ *awswire.Call, in *sdk.UntagResourceInput) (*sdk.UntagResourceOutput, error) {
	p, name, err := repositoryOfARN(in.ResourceArn)
	if err != nil {
		return nil, err
	}
	_, err = a.reg.UpdateRepository(ctx, p, name, func(r *registry.Repository) error {
		for _, k := range in.TagKeys {
			delete(r.Tags, k)
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	return &sdk.UntagResourceOutput{}, nil
}

func (a *api) listTagsForResource(_ context.Context, _ *awswire.Call, in *sdk.ListTagsForResourceInput) (*sdk.ListTagsForResourceOutput, error) {
	p, name, err := repositoryOfARN(in.ResourceArn)
	if err != nil {
		return nil, err
	}
	rec, err := a.reg.Repository(p, name)
	if err != nil {
		return nil, err
	}
	out := &sdk.ListTagsForResourceOutput{Tags: []types.Tag{}}
	for _, k := range slices.Sorted(maps.Keys(rec.Tags)) {
		out.Tags = append(out.Tags, types.Tag{Key: &k, Value: ptr(rec.Tags[k])})
	}
	return out, nil
}

// getAuthorizationToken gives out credentials for docker login: one for each registry asked for, AWS's user name and a
// password good for twelve hours.
func (a *api) getAuthorizationToken(_ context.Context, c *awswire.Call, in *sdk.GetAuthorizationTokenInput) (*sdk.GetAuthorizationTokenOutput, error) {
	ids := in.RegistryIds
	if len(ids) == 0 {
		ids = []string{c.Account}
	}
	if len(ids) > 10 {
		return nil, invalid("registryIds", "must have length less than or equal to 10")
	}
	out := &sdk.GetAuthorizationTokenOutput{}
	for _, id := range ids {
		p, err := partition(c, &id)
		if err != nil {
			return nil, err
		}
		password, expires, err := a.reg.IssueToken(p, registry.TokenLife)
		if err != nil {
			return nil, err
		}
		out.AuthorizationData = append(out.AuthorizationData, types.AuthorizationData{
			AuthorizationToken: ptr(base64.StdEncoding.EncodeToString([]byte(registry.TokenUser + ":" + password))),
			ExpiresAt:          &expires,
			ProxyEndpoint:      ptr(a.endpoint.URL()),
		})
	}
	return out, nil
}
