package ecr

import (
	"context"
	"encoding/json"

	sdk "github.com/aws/aws-sdk-go-v2/service/ecr"
	"github.com/aws/aws-sdk-go-v2/service/ecr/types"

	"github.com/batchbox/batchbox/internal/awswire"
	"github.com/batchbox/batchbox/internal/batch"
	"github.com/batchbox/batchbox/internal/registry"
	"github.com/batchbox/batchbox/internal/store"
)

// maxPolicy is the longest policy of a repository or registry (API reference, SetRepositoryPolicy).
const maxPolicy = 10240

// checkPolicy says whether text can be the policy of a repository or registry ("repository", "registry"): a policy
// document whose statements have an effect, an action and, but for the registry's default, a principal.
func checkPolicy(what, text string) error {
	bad := invalid("PolicyText", "Invalid %s policy provided", what)
	if len(text) > maxPolicy {
		return invalid("PolicyText", "must have length less than or equal to %d", maxPolicy)
	}
	var doc struct {
		Version   string
		Statement statements
	}
	if err := json.Unmarshal([]byte(text), &doc); err != nil || len(doc.Statement) == 0 {
		return bad
	}
	if doc.Version != "" && doc.Version != "2012-10-17" && doc.Version != "2008-10-17" {
		return bad
	}
	for _, s := range doc.Statement {
		if s.Effect != "Allow" && s.Effect != "Deny" {
			return bad
		}
		if s.Action == nil && s.NotAction == nil || s.Principal == nil && s.NotPrincipal == nil {
			return bad
		}
	}
	return nil
}

type statement struct {
	Effect                                     string
	Action, NotAction, Principal, NotPrincipal json.RawMessage
}

// statements is a Statement member: a list, or one statement by itself.
type statements []statement

func (s *statements) UnmarshalJSON(b []byte) error {
	if len(b) > 0 && b[0] == '[' {
		return json.Unmarshal(b, (*[]statement)(s))
	}
	*s = make([]statement, 1)
	return json.Unmarshal(b, &(*s)[0])
}

func noRepositoryPolicy(p batch.Partition, name string) *awswire.Error {
	return refuse("RepositoryPolicyNotFoundException", "Repository policy does not exist for the repository with name '%s' in the registry with id '%s'", name, p.Account)
}

func noLifecyclePolicy(p batch.Partition, name string) *awswire.Error {
	return refuse("LifecyclePolicyNotFoundException", "Lifecycle policy does not exist for the repository with name '%s' in the registry with id '%s'", name, p.Account)
}

func (a *api) setRepositoryPolicy(ctx context.Context, c *awswire.Call, in *sdk.SetRepositoryPolicyInput) (*sdk.SetRepositoryPolicyOutput, error) {
	p, err := partition(c, in.RegistryId)
	if err != nil {
		return nil, err
	}
	rec, err := a.reg.UpdateRepository(ctx, p, str(in.RepositoryName), func(r *registry.Repository) error {
		r.Policy = str(in.PolicyText)
		return checkPolicy("repository", r.Policy)
	})
	if err != nil {
		return nil, err
	}
	return &sdk.SetRepositoryPolicyOutput{PolicyText: &rec.Policy, RegistryId: &p.Account, RepositoryName: &rec.Name}, nil
}

func (a *api) getRepositoryPolicy(_ context.Context, c *awswire.Call, in *sdk.GetRepositoryPolicyInput) (*sdk.GetRepositoryPolicyOutput, error) {
	p, err := partition(c, in.RegistryId)
	if err != nil {
		return nil, err
	}
	rec, err := a.reg.Repository(p, str(in.RepositoryName))
	if err != nil {
		return nil, err
	}
	if rec.Policy == "" {
		return nil, noRepositoryPolicy(p, rec.Name)
	}
	return &sdk.GetRepositoryPolicyOutput{PolicyText: &rec.Policy, RegistryId: &p.Account, RepositoryName: &rec.Name}, nil
}

func (a *api) deleteRepositoryPolicy(ctx context.Context, c *awswire.Call, in *sdk.DeleteRepositoryPolicyInput) (*sdk.DeleteRepositoryPolicyOutput, error) {
	p, err := partition(c, in.RegistryId)
	if err != nil {
		return nil, err
	}
	var old string
	rec, err := a.reg.UpdateRepository(ctx, p, str(in.RepositoryName), func(r *registry.Repository) error {
		if r.Policy == "" {
			return noRepositoryPolicy(p, r.Name)
		}
		old, r.Policy = r.Policy, ""
		return nil
	})
	if err != nil {
		return nil, err
	}
	return &sdk.DeleteRepositoryPolicyOutput{PolicyText: &old, RegistryId: &p.Account, RepositoryName: &rec.Name}, nil
}

func (a *api) putLifecyclePolicy(ctx context.Context, c *awswire.Call, in *sdk.PutLifecyclePolicyInput) (*sdk.PutLifecyclePolicyOutput, error) {
	p, err := partition(c, in.RegistryId)
	if err != nil {
		return nil, err
	}
	rec, err := a.reg.UpdateRepository(ctx, p, str(in.RepositoryName), func(r *registry.Repository) error {
		r.LifecyclePolicy = str(in.LifecyclePolicyText)
		return checkLifecyclePolicy(r.LifecyclePolicy)
	})
	if err != nil {
		return nil, err
	}
	return &sdk.PutLifecyclePolicyOutput{LifecyclePolicyText: &rec.LifecyclePolicy, RegistryId: &p.Account, RepositoryName: &rec.Name}, nil
}

func (a *api) getLifecyclePolicy(_ context.Context, c *awswire.Call, in *sdk.GetLifecyclePolicyInput) (*sdk.GetLifecyclePolicyOutput, error) {
	p, err := partition(c, in.RegistryId)
	if err != nil {
		return nil, err
	}
	rec, err := a.reg.Repository(p, str(in.RepositoryName))
	if err != nil {
		return nil, err
	}
	if rec.LifecyclePolicy == "" {
		return nil, noLifecyclePolicy(p, rec.Name)
	}
	return &sdk.GetLifecyclePolicyOutput{LifecyclePolicyText: &rec.LifecyclePolicy, RegistryId: &p.Account, RepositoryName: &rec.Name}, nil
}

func (a *api) deleteLifecyclePolicy(ctx context.Context, c *awswire.Call, in *sdk.DeleteLifecyclePolicyInput) (*sdk.DeleteLifecyclePolicyOutput, error) {
	p, err := partition(c, in.RegistryId)
	if err != nil {
		return nil, err
	}
	var old string
	rec, err := a.reg.UpdateRepository(ctx, p, str(in.RepositoryName), func(r *registry.Repository) error {
		if r.LifecyclePolicy == "" {
			return noLifecyclePolicy(p, r.Name)
		}
		old, r.LifecyclePolicy = r.LifecyclePolicy, ""
		return nil
	})
	if err != nil {
		return nil, err
	}
	return &sdk.DeleteLifecyclePolicyOutput{LifecyclePolicyText: &old, RegistryId: &p.Account, RepositoryName: &rec.Name}, nil
}

// kindSettings is the document of what belongs to a registry as a whole; its key is empty.
const kindSettings = "ecr.settings"

type settings struct {
	Policy   string                               `json:"policy,omitempty"`
	Scanning *types.RegistryScanningConfiguration `json:"scanning,omitempty"`
}

func callerPartition(c *awswire.Call) batch.Partition {
	return batch.Partition{Account: c.Account, Region: c.Region}
}

func (a *api) settings(ctx context.Context, p batch.Partition) (s settings, err error) {
	err = a.docs.View(ctx, func(r store.Reader) error {
		_, err := r.Get(p, kindSettings, "", &s)
		return err
	})
	return s, err
}

func (a *api) changeSettings(ctx context.Context, p batch.Partition, change func(*settings) error) error {
	return a.docs.Update(ctx, func(w store.Writer) error {
		var s settings
		if _, err := w.Get(p, kindSettings, "", &s); err != nil {
			return err
		}
		if err := change(&s); err != nil {
			return err
		}
		return w.Put(p, kindSettings, "", s)
	})
}

func noRegistryPolicy(p batch.Partition) *awswire.Error {
	return refuse("RegistryPolicyNotFoundException", "Registry policy does not exist in the registry with id '%s'", p.Account)
}

func (a *api) getRegistryPolicy(ctx context.Context, c *awswire.Call, _ *sdk.GetRegistryPolicyInput) (*sdk.GetRegistryPolicyOutput, error) {
	p := callerPartition(c)
	s, err := a.settings(ctx, p)
	if err != nil {
		return nil, err
	}
	if s.Policy == "" {
		return nil, noRegistryPolicy(p)
	}
	return &sdk.GetRegistryPolicyOutput{PolicyText: &s.Policy, RegistryId: &p.Account}, nil
}

func (a *api) putRegistryPolicy(ctx context.Context, c *awswire.Call, in *sdk.PutRegistryPolicyInput) (*sdk.PutRegistryPolicyOutput, error) {
	p, text := callerPartition(c), str(in.PolicyText)
	if err := checkPolicy("registry", text); err != nil {
		return nil, err
	}
	err := a.changeSettings(ctx, p, func(s *settings) error {
		s.Policy = text
		return nil
	})
	if err != nil {
		return nil, err
	}
	return &sdk.PutRegistryPolicyOutput{PolicyText: &text, RegistryId: &p.Account}, nil
}

func (a *api) deleteRegistryPolicy(ctx context.Context, c *awswire.Call, _ *sdk.DeleteRegistryPolicyInput) (*sdk.DeleteRegistryPolicyOutput, error) {
	p := callerPartition(c)
	var old string
	err := a.changeSettings(ctx, p, func(s *settings) error {
		if s.Policy == "" {
			return noRegistryPolicy(p)
		}
		old, s.Policy = s.Policy, ""
		return nil
	})
	if err != nil {
		return nil, err
	}
	return &sdk.DeleteRegistryPolicyOutput{PolicyText: &old, RegistryId: &p.Account}, nil
}

// describeRegistry shows a registry that replicates nowhere: PutReplicationConfiguration is refused.
func (a *api) describeRegistry(_ context.Context, c *awswire.Call, _ *sdk.DescribeRegistryInput) (*sdk.DescribeRegistryOutput, error) {
	return &sdk.DescribeRegistryOutput{
		RegistryId: &c.Account, ReplicationConfiguration: &types.ReplicationConfiguration{Rules: []types.ReplicationRule{}},
	}, nil
}

// scanning is the registry's scanning configuration; BASIC without rules until it is put.
func (s *settings) scanning() *types.RegistryScanningConfiguration {
	if s.Scanning == nil {
		return &types.RegistryScanningConfiguration{ScanType: types.ScanTypeBasic, Rules: []types.RegistryScanningRule{}}
	}
	return s.Scanning
}

func (a *api) getRegistryScanningConfiguration(ctx context.Context, c *awswire.Call, _ *sdk.GetRegistryScanningConfigurationInput) (*sdk.GetRegistryScanningConfigurationOutput, error) {
	p := callerPartition(c)
	s, err := a.settings(ctx, p)
	if err != nil {
		return nil, err
	}
	return &sdk.GetRegistryScanningConfigurationOutput{RegistryId: &p.Account, ScanningConfiguration: s.scanning()}, nil
}

func (a *api) putRegistryScanningConfiguration(ctx context.Context, c *awswire.Call, in *sdk.PutRegistryScanningConfigurationInput) (*sdk.PutRegistryScanningConfigurationOutput, error) {
	conf := &types.RegistryScanningConfiguration{ScanType: in.ScanType, Rules: in.Rules}
	if conf.ScanType == "" {
		conf.ScanType = types.ScanTypeBasic
	}
	if conf.ScanType != types.ScanTypeBasic && conf.ScanType != types.ScanTypeEnhanced {
		return nil, invalid("scanType", "Member must satisfy enum value set: [BASIC, ENHANCED]")
	}
	if conf.Rules == nil {
		conf.Rules = []types.RegistryScanningRule{}
	}
	err := a.changeSettings(ctx, callerPartition(c), func(s *settings) error {
		s.Scanning = conf
		return nil
	})
	if err != nil {
		return nil, err
	}
	return &sdk.PutRegistryScanningConfigurationOutput{RegistryScanningConfiguration: conf}, nil
}

func (a *api) batchGetRepositoryScanningConfiguration(_ context.Context, c *awswire.Call, in *sdk.BatchGetRepositoryScanningConfigurationInput) (*sdk.BatchGetRepositoryScanningConfigurationOutput, error) {
	p := callerPartition(c)
	if len(in.RepositoryNames) < 1 || len(in.RepositoryNames) > 25 {
		return nil, invalid("repositoryNames", "must have length between 1 and 25")
	}
	out := &sdk.BatchGetRepositoryScanningConfigurationOutput{
		ScanningConfigurations: []types.RepositoryScanningConfiguration{}, Failures: []types.RepositoryScanningConfigurationFailure{},
	}
	for _, name := range in.RepositoryNames {
		rec, err := a.reg.Repository(p, name)
		if is(err, registry.RepositoryNotFound) {
			out.Failures = append(out.Failures, types.RepositoryScanningConfigurationFailure{
				RepositoryName: &name, FailureCode: types.ScanningConfigurationFailureCodeRepositoryNotFound, FailureReason: ptr(err.Error()),
			})
			continue
		}
		if err != nil {
			return nil, err
		}
		frequency := types.ScanFrequencyManual
		if rec.ScanOnPush {
			frequency = types.ScanFrequencyScanOnPush
		}
		out.ScanningConfigurations = append(out.ScanningConfigurations, types.RepositoryScanningConfiguration{
			AppliedScanFilters: []types.ScanningRepositoryFilter{}, RepositoryArn: ptr(p.ARN("ecr", "repository/"+name)),
			RepositoryName: &name, ScanFrequency: frequency, ScanOnPush: rec.ScanOnPush,
		})
	}
	return out, nil
}
