package iam

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	"github.com/aws/aws-sdk-go-v2/service/iam"
	"github.com/aws/aws-sdk-go-v2/service/iam/types"

	"github.com/batchbox/batchbox/internal/awswire"
	"github.com/batchbox/batchbox/internal/identity"
	"github.com/batchbox/batchbox/internal/store"
)

// kindProfile holds instance profiles by name in lower case.
const kindProfile = "iam-instance-profile"

// profile is an instance profile. Its JSON is how the store keeps it.
type profile struct {
	Name      string         `json:"name"`
	Path      string         `json:"path"`
	ID        string         `json:"id"`
	CreatedAt int64          `json:"createdAt"` // ms
	Role      string         `json:"role,omitempty"`
	Tags      []identity.Tag `json:"tags,omitempty"`
}

func noSuchProfile(name string) error {
	return refuse("NoSuchEntity", "Instance Profile %s cannot be found.", name)
}

func findProfile(r store.Reader, c *awswire.Call, name *string) (*profile, error) {
	if err := checkName(name, "instanceProfileName", 128); err != nil {
		return nil, err
	}
	p := &profile{}
	ok, err := r.Get(shelf(c), kindProfile, strings.ToLower(str(name)), p)
	if err == nil && (!ok || p.Name != str(name)) {
		err = noSuchProfile(str(name))
	}
	return p, err
}

// listProfiles gives all profiles by name.
func listProfiles(r store.Reader, c *awswire.Call) (all []*profile, err error) {
	err = r.List(shelf(c), kindProfile, "", func(_ string, raw []byte) (bool, error) {
		p := &profile{}
		if err := json.Unmarshal(raw, p); err != nil {
			return false, fmt.Errorf("decode an instance profile: %w", err)
		}
		all = append(all, p)
		return true, nil
	})
	return all, err
}

// profilesOf gives the profiles that hold a role.
func profilesOf(r store.Reader, c *awswire.Call, role string) ([]*profile, error) {
	all, err := listProfiles(r, c)
	return slices.DeleteFunc(all, func(p *profile) bool { return p.Role != role }), err
}

// show is a profile with its role. A role can't be deleted while it is in a profile, so it is there.
func (p *profile) show(r store.Reader, c *awswire.Call) (types.InstanceProfile, error) {
	out := types.InstanceProfile{
		Arn: ptr(identity.ARN(partition(c), "iam", "instance-profile"+p.Path+p.Name)), InstanceProfileId: ptr(p.ID), InstanceProfileName: ptr(p.Name),
		Path: ptr(p.Path), CreateDate: timeOf(p.CreatedAt), Roles: []types.Role{},
	}
	if p.Role == "" {
		return out, nil
	}
	role, ok, err := identity.FindRole(r, c.Account, p.Role)
	if err != nil {
		return out, err
	}
	if ok {
		out.Roles = append(out.Roles, showListedRole(partition(c), role))
	}
	return out, nil
}

func (a *api) changeProfile(ctx context.Context, c *awswire.Call, name *string, change func(w store.Writer, p *profile) error) error {
	return a.docs.Update(ctx, func(w store.Writer) error {
		p, err := findProfile(w, c, name)
		if err != nil {
			return err
		}
		if err := change(w, p); err != nil {
			return err
		}
		return w.Put(shelf(c), kindProfile, strings.ToLower(p.Name), p)
	})
}

func (a *api) createInstanceProfile(ctx context.Context, c *awswire.Call, in *iam.CreateInstanceProfileInput) (*iam.CreateInstanceProfileOutput, error) {
	if err := checkName(in.InstanceProfileName, "instanceProfileName", 128); err != nil {
		return nil, err
	}
	path, err := checkPath(in.Path)
	if err != nil {
		return nil, err
	}
	tags, err := mergeTags(nil, in.Tags)
	if err != nil {
		return nil, err
	}
	p := &profile{Name: *in.InstanceProfileName, Path: path, CreatedAt: a.now().UnixMilli() / 1000 * 1000, Tags: tags}
	if p.ID, err = identity.NewID(a.random, identity.PrefixInstanceProfile, c.Account); err != nil {
		return nil, err
	}
	var out types.InstanceProfile
	err = a.docs.Update(ctx, func(w store.Writer) error {
		taken, err := w.Get(shelf(c), kindProfile, strings.ToLower(p.Name), &profile{})
		if err != nil {
			return err
		}
		if taken {
			return refuse("EntityAlreadyExists", "Instance Profile %s already exists.", p.Name)
		}
		if out, err = p.show(w, c); err != nil {
			return err
		}
		return w.Put(shelf(c), kindProfile, strings.ToLower(p.Name), p)
	})
	if err != nil {
		return nil, err
	}
	if len(p.Tags) > 0 {
		out.Tags = showTags(p.Tags)
	}
	return &iam.CreateInstanceProfileOutput{InstanceProfile: &out}, nil
}

func (a *api) getInstanceProfile(ctx context.Context, c *awswire.Call, in *iam.GetInstanceProfileInput) (*iam.GetInstanceProfileOutput, error) {
	var out types.InstanceProfile
	if err := a.docs.View(ctx, func(r store.Reader) error {
		p, err := findProfile(r, c, in.InstanceProfileName)
		if err != nil {
			return err
		}
		if out, err = p.show(r, c); err != nil {
			return err
		}
		out.Tags = showTags(p.Tags)
		return nil
	}); err != nil {
		return nil, err
	}
	return &iam.GetInstanceProfileOutput{InstanceProfile: &out}, nil
}

func (a *api) pageProfiles(ctx context.Context, c *awswire.Call, marker *string, maxItems *int32, choose func(r store.Reader) ([]*profile, error)) (p page[types.InstanceProfile], err error) {
	var all []types.InstanceProfile
	if err := a.docs.View(ctx, func(r store.Reader) error {
		profiles, err := choose(r)
		if err != nil {
			return err
		}
		for _, p := range profiles {
			out, err := p.show(r, c)
			if err != nil {
				return err
			}
			all = append(all, out)
		}
		return nil
	}); err != nil {
		return p, err
	}
	return paginate(all, func(p types.InstanceProfile) string { return strings.ToLower(*p.InstanceProfileName) }, marker, maxItems)
}

func (a *api) listInstanceProfiles(ctx context.Context, c *awswire.Call, in *iam.ListInstanceProfilesInput) (*iam.ListInstanceProfilesOutput, error) {
	p, err := a.pageProfiles(ctx, c, in.Marker, in.MaxItems, func(r store.Reader) ([]*profile, error) {
		all, err := listProfiles(r, c)
		return slices.DeleteFunc(all, func(p *profile) bool { return !strings.HasPrefix(p.Path, str(in.PathPrefix)) }), err
	})
	if err != nil {
		return nil, err
	}
	return &iam.ListInstanceProfilesOutput{InstanceProfiles: p.items, IsTruncated: p.truncated, Marker: p.marker}, nil
}

func (a *api) listInstanceProfilesForRole(ctx context.Context, c *awswire.Call, in *iam.ListInstanceProfilesForRoleInput) (*iam.ListInstanceProfilesForRoleOutput, error) {
	p, err := a.pageProfiles(ctx, c, in.Marker, in.MaxItems, func(r store.Reader) ([]*profile, error) {
		role, err := findRole(r, c, in.RoleName)
		if err != nil {
			return nil, err
		}
		return profilesOf(r, c, role.Name)
	})
	if err != nil {
		return nil, err
	}
	return &iam.ListInstanceProfilesForRoleOutput{InstanceProfiles: p.items, IsTruncated: p.truncated, Marker: p.marker}, nil
}

func (a *api) addRoleToInstanceProfile(ctx context.Context, c *awswire.Call, in *iam.AddRoleToInstanceProfileInput) (*iam.AddRoleToInstanceProfileOutput, error) {
	return nil, a.changeProfile(ctx, c, in.InstanceProfileName, func(w store.Writer, p *profile) error {
		role, err := findRole(w, c, in.RoleName)
		if err != nil {
			return err
		}
		if p.Role != "" {
			return refuse("LimitExceeded", "Cannot exceed quota for InstanceSessionsPerInstanceProfile: 1")
		}
		if role.Service != "" {
			return protected(role)
		}
		p.Role = role.Name
		return nil
	})
}

func (a *api) removeRoleFromInstanceProfile(ctx context.Context, c *awswire.Call, in *iam.RemoveRoleFromInstanceProfileInput) (*iam.RemoveRoleFromInstanceProfileOutput, error) {
	return nil, a.changeProfile(ctx, c, in.InstanceProfileName, func(_ store.Writer, p *profile) error {
		if p.Role != str(in.RoleName) {
			return noSuchRole(str(in.RoleName))
		}
		p.Role = ""
		return nil
	})
}

func (a *api) deleteInstanceProfile(ctx context.Context, c *awswire.Call, in *iam.DeleteInstanceProfileInput) (*iam.DeleteInstanceProfileOutput, error) {
	return nil, a.docs.Update(ctx, func(w store.Writer) error {
		p, err := findProfile(w, c, in.InstanceProfileName)
		if err != nil {
			return err
		}
		if p.Role != "" {
			return refuse("DeleteConflict", "Cannot delete entity, must remove roles from instance profile first.")
		}
		_, err = w.Delete(shelf(c), kindProfile, strings.ToLower(p.Name))
		return err
	})
}

func (a *api) tagInstanceProfile(ctx context.Context, c *awswire.Call, in *iam.TagInstanceProfileInput) (*iam.TagInstanceProfileOutput, error) {
	return nil, a.changeProfile(ctx, c, in.InstanceProfileName, func(_ store.Writer, p *profile) (err error) {
		p.Tags, err = mergeTags(p.Tags, in.Tags)
		return err
	})
}

func (a *api) untagInstanceProfile(ctx context.Context, c *awswire.Call, in *iam.UntagInstanceProfileInput) (*iam.UntagInstanceProfileOutput, error) {
	return nil, a.changeProfile(ctx, c, in.InstanceProfileName, func(_ store.Writer, p *profile) error {
		p.Tags = dropTags(p.Tags, in.TagKeys)
		return nil
	})
}

func (a *api) listInstanceProfileTags(ctx context.Context, c *awswire.Call, in *iam.ListInstanceProfileTagsInput) (*iam.ListInstanceProfileTagsOutput, error) {
	var tags []identity.Tag
	if err := a.docs.View(ctx, func(r store.Reader) error {
		p, err := findProfile(r, c, in.InstanceProfileName)
		tags = p.tags()
		return err
	}); err != nil {
		return nil, err
	}
	p, err := tagPage(tags, in.Marker, in.MaxItems)
	if err != nil {
		return nil, err
	}
	return &iam.ListInstanceProfileTagsOutput{Tags: p.items, IsTruncated: p.truncated, Marker: p.marker}, nil
}

func (p *profile) tags() []identity.Tag {
	if p == nil {
		return nil
	}
	return p.Tags
}
