package iam

import (
	"context"
	"net/url"
	"slices"
	"strings"

	"github.com/aws/aws-sdk-go-v2/service/iam"
	"github.com/aws/aws-sdk-go-v2/service/iam/types"

	"github.com/batchbox/batchbox/internal/awswire"
	"github.com/batchbox/batchbox/internal/identity"
	"github.com/batchbox/batchbox/internal/store"
)

// OpenID Connect providers: who may sign the tokens that sts:AssumeRoleWithWebIdentity takes.

// providerOf finds a provider by the ARN the caller gave.
func providerOf(r store.Reader, c *awswire.Call, arn *string) (*identity.Provider, error) {
	if err := checkLength(arn, "openIDConnectProviderArn", 20, 2048); err != nil {
		return nil, err
	}
	prefix := identity.ARN(partition(c), "iam", "oidc-provider/")
	issuer, ok := strings.CutPrefix(str(arn), prefix)
	var p *identity.Provider
	if ok {
		var err error
		if p, ok, err = identity.FindProvider(r, c.Account, issuer); err != nil {
			return nil, err
		}
	}
	if !ok {
		return nil, refuse("NoSuchEntity", "OpenIDConnect Provider not found for arn %s", str(arn))
	}
	return p, nil
}

func (a *api) viewProvider(ctx context.Context, c *awswire.Call, arn *string) (p *identity.Provider, err error) {
	err = a.docs.View(ctx, func(r store.Reader) (err error) {
		p, err = providerOf(r, c, arn)
		return err
	})
	return p, err
}

func (a *api) changeProvider(ctx context.Context, c *awswire.Call, arn *string, change func(p *identity.Provider) error) error {
	return a.docs.Update(ctx, func(w store.Writer) error {
		p, err := providerOf(w, c, arn)
		if err != nil {
			return err
		}
		if err := change(p); err != nil {
			return err
		}
		return identity.PutProvider(w, c.Account, p)
	})
}

// The quotas of a provider (https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_iam-quotas.html).
const (
	maxClientIDs   = 100
	maxThumbprints = 5
)

func (a *api) createProvider(ctx context.Context, c *awswire.Call, in *iam.CreateOpenIDConnectProviderInput) (*iam.CreateOpenIDConnectProviderOutput, error) {
	if err := checkLength(in.Url, "url", 1, 255); err != nil {
		return nil, err
	}
	u, err := url.Parse(str(in.Url))
	if err != nil || u.Scheme != "https" || u.Host == "" || u.RawQuery != "" || u.Fragment != "" || u.User != nil {
		return nil, refuse("ValidationError", "Invalid Open ID Connect Provider URL")
	}
	if err := checkThumbprints(in.ThumbprintList); err != nil {
		return nil, err
	}
	if len(in.ClientIDList) > maxClientIDs {
		return nil, refuse("LimitExceeded", "Cannot exceed quota for ClientIdsPerOpenIdConnectProvider: %d", maxClientIDs)
	}
	tags, err := mergeTags(nil, in.Tags)
	if err != nil {
		return nil, err
	}
	p := &identity.Provider{
		Issuer: strings.TrimPrefix(strings.TrimSuffix(*in.Url, "/"), "https://"), ClientIDs: in.ClientIDList, Thumbprints: in.ThumbprintList,
		CreatedAt: a.now().UnixMilli() / 1000 * 1000, Tags: tags,
	}
	if err := a.docs.Update(ctx, func(w store.Writer) error {
		_, taken, err := identity.FindProvider(w, c.Account, p.Issuer)
		if err != nil {
			return err
		}
		if taken {
			return refuse("EntityAlreadyExists", "Provider with url https://%s already exists.", p.Issuer)
		}
		return identity.PutProvider(w, c.Account, p)
	}); err != nil {
		return nil, err
	}
	out := &iam.CreateOpenIDConnectProviderOutput{OpenIDConnectProviderArn: ptr(p.ARN(partition(c)))}
	if len(p.Tags) > 0 {
		out.Tags = showTags(p.Tags)
	}
	return out, nil
}

func checkThumbprints(list []string) error {
	if len(list) > maxThumbprints {
		return refuse("InvalidInput", "Thumbprint list must contain fewer than %d entries.", maxThumbprints)
	}
	for _, t := range list {
		if err := checkLength(&t, "thumbprintList", 40, 40); err != nil {
			return err
		}
	}
	return nil
}

func (a *api) getProvider(ctx context.Context, c *awswire.Call, in *iam.GetOpenIDConnectProviderInput) (*iam.GetOpenIDConnectProviderOutput, error) {
	p, err := a.viewProvider(ctx, c, in.OpenIDConnectProviderArn)
	if err != nil {
		return nil, err
	}
	return &iam.GetOpenIDConnectProviderOutput{
		Url: ptr(p.Issuer), ClientIDList: append([]string{}, p.ClientIDs...), ThumbprintList: append([]string{}, p.Thumbprints...),
		CreateDate: timeOf(p.CreatedAt), Tags: showTags(p.Tags),
	}, nil
}

func (a *api) listProviders(ctx context.Context, c *awswire.Call, _ *iam.ListOpenIDConnectProvidersInput) (*iam.ListOpenIDConnectProvidersOutput, error) {
	list := []types.OpenIDConnectProviderListEntry{}
	err := a.docs.View(ctx, func(r store.Reader) error {
		return identity.ListProviders(r, c.Account, func(p *identity.Provider) error {
			list = append(list, types.OpenIDConnectProviderListEntry{Arn: ptr(p.ARN(partition(c)))})
			return nil
		})
	})
	if err != nil {
		return nil, err
	}
	return &iam.ListOpenIDConnectProvidersOutput{OpenIDConnectProviderList: list}, nil
}

// deleteProvider removes a provider; roles that trust it stay as they are.
func (a *api) deleteProvider(ctx context.Context, c *awswire.Call, in *iam.DeleteOpenIDConnectProviderInput) (*iam.DeleteOpenIDConnectProviderOutput, error) {
	return nil, a.docs.Update(ctx, func(w store.Writer) error {
		p, err := providerOf(w, c, in.OpenIDConnectProviderArn)
		if err != nil {
			return err
		}
		return identity.DeleteProvider(w, c.Account, p.Issuer)
	})
}

func (a *api) addClientID(ctx context.Context, c *awswire.Call, in *iam.AddClientIDToOpenIDConnectProviderInput) (*iam.AddClientIDToOpenIDConnectProviderOutput, error) {
	if err := checkLength(in.ClientID, "clientID", 1, 255); err != nil {
		return nil, err
	}
	return nil, a.changeProvider(ctx, c, in.OpenIDConnectProviderArn, func(p *identity.Provider) error {
		if slices.Contains(p.ClientIDs, str(in.ClientID)) {
			return nil // "does not fail or return an error if you add an existing client ID"
		}
		if len(p.ClientIDs) == maxClientIDs {
			return refuse("LimitExceeded", "Cannot exceed quota for ClientIdsPerOpenIdConnectProvider: %d", maxClientIDs)
		}
		p.ClientIDs = append(p.ClientIDs, *in.ClientID)
		return nil
	})
}

func (a *api) removeClientID(ctx context.Context, c *awswire.Call, in *iam.RemoveClientIDFromOpenIDConnectProviderInput) (*iam.RemoveClientIDFromOpenIDConnectProviderOutput, error) {
	return nil, a.changeProvider(ctx, c, in.OpenIDConnectProviderArn, func(p *identity.Provider) error {
		p.ClientIDs = slices.DeleteFunc(p.ClientIDs, func(id string) bool { return id == str(in.ClientID) })
		return nil
	})
}

func (a *api) updateThumbprint(ctx context.Context, c *awswire.Call, in *iam.UpdateOpenIDConnectProviderThumbprintInput) (*iam.UpdateOpenIDConnectProviderThumbprintOutput, error) {
	if err := checkThumbprints(in.ThumbprintList); err != nil {
		return nil, err
	}
	return nil, a.changeProvider(ctx, c, in.OpenIDConnectProviderArn, func(p *identity.Provider) error {
		p.Thumbprints = in.ThumbprintList
		return nil
	})
}

func (a *api) tagProvider(ctx context.Context, c *awswire.Call, in *iam.TagOpenIDConnectProviderInput) (*iam.TagOpenIDConnectProviderOutput, error) {
	return nil, a.changeProvider(ctx, c, in.OpenIDConnectProviderArn, func(p *identity.Provider) (err error) {
		p.Tags, err = mergeTags(p.Tags, in.Tags)
		return err
	})
}

func (a *api) untagProvider(ctx context.Context, c *awswire.Call, in *iam.UntagOpenIDConnectProviderInput) (*iam.UntagOpenIDConnectProviderOutput, error) {
	return nil, a.changeProvider(ctx, c, in.OpenIDConnectProviderArn, func(p *identity.Provider) error {
		p.Tags = dropTags(p.Tags, in.TagKeys)
		return nil
	})
}

func (a *api) listProviderTags(ctx context.Context, c *awswire.Call, in *iam.ListOpenIDConnectProviderTagsInput) (*iam.ListOpenIDConnectProviderTagsOutput, error) {
	p, err := a.viewProvider(ctx, c, in.OpenIDConnectProviderArn)
	if err != nil {
		return nil, err
	}
	tags, err := tagPage(p.Tags, in.Marker, in.MaxItems)
	if err != nil {
		return nil, err
	}
	return &iam.ListOpenIDConnectProviderTagsOutput{Tags: tags.items, IsTruncated: tags.truncated, Marker: tags.marker}, nil
}
