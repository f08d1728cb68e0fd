package ec2

import (
	"encoding/base64"
	"fmt"
	"reflect"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/batchbox/batchbox/internal/awswire"
	"github.com/batchbox/batchbox/internal/identity"
)

func (a *api) templateOperations() []awswire.Operation {
	return []awswire.Operation{
		change(a, "CreateLaunchTemplate", createTemplate),
		change(a, "CreateLaunchTemplateVersion", createTemplateVersion),
		change(a, "ModifyLaunchTemplate", modifyTemplate),
		change(a, "DeleteLaunchTemplate", deleteTemplate),
		change(a, "DeleteLaunchTemplateVersions", deleteTemplateVersions),
		view(a, "DescribeLaunchTemplates", describeTemplates),
		view(a, "DescribeLaunchTemplateVersions", describeTemplateVersions),
	}
}

// template is a launch template. Its JSON is how the store keeps it.
type template struct {
	base
	Name      string            `json:"name"`
	CreatedAt int64             `json:"createdAt"` // ms
	Default   int64             `json:"defaultVersion"`
	Latest    int64             `json:"latestVersion"` // numbers are not used again
	Versions  []templateVersion `json:"versions"`      // ascending
}

type templateVersion struct {
	Number      int64         `json:"number"`
	Description string        `json:"description,omitempty"`
	CreatedAt   int64         `json:"createdAt"` // ms
	Data        *TemplateData `json:"data"`
}

// LaunchTemplate is a launch template as it is shown.
type LaunchTemplate struct {
	CreateTime           *time.Time
	CreatedBy            *string
	DefaultVersionNumber *int64
	LatestVersionNumber  *int64
	LaunchTemplateId     *string
	LaunchTemplateName   *string
	Tags                 []Tag `awswire:"tagSet"`
}

// LaunchTemplateVersion is a version of one as it is shown.
type LaunchTemplateVersion struct {
	CreateTime         *time.Time
	CreatedBy          *string
	DefaultVersion     *bool
	LaunchTemplateData *TemplateData
	LaunchTemplateId   *string
	LaunchTemplateName *string
	VersionDescription *string
	VersionNumber      *int64
}

func (l *template) show(t *tx) *LaunchTemplate {
	return &LaunchTemplate{
		CreateTime: timeOf(l.CreatedAt), CreatedBy: ptr(identity.RootARN(t.Partition)), DefaultVersionNumber: ptr(l.Default), LatestVersionNumber: ptr(l.Latest),
		LaunchTemplateId: ptr(l.ID), LaunchTemplateName: ptr(l.Name), Tags: l.Tags,
	}
}

func (l *template) showVersion(t *tx, v *templateVersion) LaunchTemplateVersion {
	return LaunchTemplateVersion{
		CreateTime: timeOf(v.CreatedAt), CreatedBy: ptr(identity.RootARN(t.Partition)), DefaultVersion: ptr(v.Number == l.Default), LaunchTemplateData: v.Data,
		LaunchTemplateId: ptr(l.ID), LaunchTemplateName: ptr(l.Name), VersionDescription: optional(v.Description), VersionNumber: ptr(v.Number),
	}
}

var templateLook = look[LaunchTemplate]{
	filters: map[string]func(*LaunchTemplate) []string{
		"create-time":          func(l *LaunchTemplate) []string { return []string{l.CreateTime.Format(time.RFC3339)} },
		"launch-template-name": func(l *LaunchTemplate) []string { return one(l.LaunchTemplateName) },
	},
	tags: func(l *LaunchTemplate) []Tag { return l.Tags },
	key:  func(l *LaunchTemplate) string { return *l.LaunchTemplateId },
}

var templateVersionLook = look[LaunchTemplateVersion]{
	filters: map[string]func(*LaunchTemplateVersion) []string{
		"create-time":        func(v *LaunchTemplateVersion) []string { return []string{v.CreateTime.Format(time.RFC3339)} },
		"is-default-version": func(v *LaunchTemplateVersion) []string { return flag(v.DefaultVersion) },
		"image-id":           func(v *LaunchTemplateVersion) []string { return one(v.LaunchTemplateData.ImageId) },
		"instance-type":      func(v *LaunchTemplateVersion) []string { return one(v.LaunchTemplateData.InstanceType) },
		"kernel-id":          func(v *LaunchTemplateVersion) []string { return one(v.LaunchTemplateData.KernelId) },
		"ram-disk-id":        func(v *LaunchTemplateVersion) []string { return one(v.LaunchTemplateData.RamDiskId) },
		"ebs-optimized":      func(v *LaunchTemplateVersion) []string { return flag(v.LaunchTemplateData.EbsOptimized) },
		"iam-instance-profile": func(v *LaunchTemplateVersion) []string {
			if p := v.LaunchTemplateData.IamInstanceProfile; p != nil {
				return one(p.Arn)
			}
			return nil
		},
	},
	// The newest first, as EC2 lists them.
	key: func(v *LaunchTemplateVersion) string {
		return *v.LaunchTemplateId + fmt.Sprintf(" %012d", 1_000_000_000_000-*v.VersionNumber)
	},
}

// template finds a launch template by id or by name.
func (t *tx) template(id, name *string) (*template, error) {
	switch {
	case id != nil && name != nil: // unverified text
		return nil, refuse("InvalidParameterCombination", "Only one of LaunchTemplateId and LaunchTemplateName may be given")
	case id == nil && name == nil:
		return nil, missing("LaunchTemplateId")
	case id != nil && !strings.HasPrefix(*id, kindTemplate.prefix):
		return nil, refuse("InvalidLaunchTemplateId.Malformed", `Invalid id: "%s" (expecting "lt-...")`, *id)
	}
	templates, err := all[template](t, &kindTemplate)
	if err != nil {
		return nil, err
	}
	for _, l := range templates {
		if id != nil && l.ID == *id || name != nil && l.Name == *name {
			return l, nil
		}
	}
	if id != nil {
		return nil, refuse("InvalidLaunchTemplateId.NotFound", "The specified launch template, with template ID %s, does not exist.", *id)
	}
	return nil, refuse("InvalidLaunchTemplateName.NotFoundException", "The specified launch template, with template name %s, does not exist.", *name)
}

// version finds a version by number, $Latest or $Default.
func (l *template) version(text string) (int, error) {
	number := l.Default
	switch text {
	case "$Default":
	case "$Latest":
		number = l.Versions[len(l.Versions)-1].Number
	default:
		var err error
		if number, err = strconv.ParseInt(text, 10, 64); err != nil || number < 1 {
			return 0, refuse("InvalidLaunchTemplateId.VersionMalformed", "Launch template version '%s' is malformed", text) // unverified
		}
	}
	i := slices.IndexFunc(l.Versions, func(v templateVersion) bool { return v.Number == number })
	if i < 0 {
		return 0, refuse("InvalidLaunchTemplateId.VersionNotFound", "Could not find the specified version %s for the launch template with ID %s.", text, l.ID)
	}
	return i, nil
}

var templateNameRE = sync.OnceValue(func() *regexp.Regexp { return regexp.MustCompile(`^[a-zA-Z0-9().\-/_]{3,128}$`) })

type createTemplateInput struct {
	ClientToken        *string
	DryRun             *bool
	LaunchTemplateData *TemplateData
	LaunchTemplateName *string
	TagSpecifications  []TagSpecification `ec2:"TagSpecification"`
	VersionDescription *string
}

type templateOutput struct {
	LaunchTemplate *LaunchTemplate
}

// checkData refuses what EC2 refuses when a template is made; the rest it finds when an instance is started.
func checkData(d *TemplateData) error {
	switch {
	case d == nil:
		return missing("LaunchTemplateData")
	case d.InstanceType != nil && d.InstanceRequirements != nil:
		return refuse("InvalidParameterCombination", "InstanceRequirements and InstanceType cannot both be specified in one launch template") // unverified text
	}
	if d.UserData != nil {
		if _, err := base64.StdEncoding.DecodeString(*d.UserData); err != nil {
			return refuse("InvalidUserData.Malformed", "Invalid BASE64 encoding of user data.")
		}
	}
	return nil
}

func checkVersionDescription(s *string) error {
	if s != nil && len(*s) > 255 {
		return invalid("The version description must not be longer than 255 characters") // unverified text
	}
	return nil
}

func createTemplate(t *tx, in *createTemplateInput) (*templateOutput, error) {
	switch {
	case in.LaunchTemplateName == nil:
		return nil, missing("LaunchTemplateName")
	case !templateNameRE().MatchString(*in.LaunchTemplateName):
		return nil, refuse("InvalidLaunchTemplateName.MalformedException", "Launch template names must be between 3 and 128 characters, and may contain letters, numbers, and the following characters: ( ) . - / _")
	}
	if err := checkData(in.LaunchTemplateData); err != nil {
		return nil, err
	}
	if err := checkVersionDescription(in.VersionDescription); err != nil {
		return nil, err
	}
	templates, err := all[template](t, &kindTemplate)
	if err != nil {
		return nil, err
	}
	if slices.ContainsFunc(templates, func(l *template) bool { return l.Name == *in.LaunchTemplateName }) {
		return nil, refuse("InvalidLaunchTemplateName.AlreadyExistsException", "Launch template name already in use.")
	}
	tags, err := specified(in.TagSpecifications, kindTemplate.typ)
	if err != nil {
		return nil, err
	}
	id, err := t.newID(kindTemplate.prefix)
	if err != nil {
		return nil, err
	}
	now := t.a.now().UnixMilli() / 1000 * 1000
	l := &template{base: base{id, tags}, Name: *in.LaunchTemplateName, CreatedAt: now, Default: 1, Latest: 1, Versions: []templateVersion{
		{Number: 1, Description: str(in.VersionDescription), CreatedAt: now, Data: in.LaunchTemplateData},
	}}
	return &templateOutput{LaunchTemplate: l.show(t)}, t.put(&kindTemplate, l)
}

type createTemplateVersionInput struct {
	ClientToken        *string
	DryRun             *bool
	LaunchTemplateData *TemplateData
	LaunchTemplateId   *string
	LaunchTemplateName *string
	SourceVersion      *string
	VersionDescription *string
}

type templateVersionOutput struct {
	LaunchTemplateVersion *LaunchTemplateVersion
}

// createTemplateVersion adds a version. With a source it has the source's members where the request has none
// (https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_CreateLaunchTemplateVersion.html).
func createTemplateVersion(t *tx, in *createTemplateVersionInput) (*templateVersionOutput, error) {
	l, err := t.template(in.LaunchTemplateId, in.LaunchTemplateName)
	if err != nil {
		return nil, err
	}
	if err := checkVersionDescription(in.VersionDescription); err != nil {
		return nil, err
	}
	data := in.LaunchTemplateData
	if in.SourceVersion != nil {
		i, err := l.version(*in.SourceVersion)
		if err != nil {
			return nil, err
		}
		merged := *l.Versions[i].Data
		if data != nil {
			from, to := reflect.ValueOf(data).Elem(), reflect.ValueOf(&merged).Elem()
			for i := range from.NumField() {
				if !from.Field(i).IsZero() {
					to.Field(i).Set(from.Field(i))
				}
			}
		}
		data = &merged
	}
	if err := checkData(data); err != nil {
		return nil, err
	}
	l.Latest++
	l.Versions = append(l.Versions, templateVersion{Number: l.Latest, Description: str(in.VersionDescription), CreatedAt: t.a.now().UnixMilli() / 1000 * 1000, Data: data})
	shown := l.showVersion(t, &l.Versions[len(l.Versions)-1])
	return &templateVersionOutput{LaunchTemplateVersion: &shown}, t.put(&kindTemplate, l)
}

type modifyTemplateInput struct {
	ClientToken        *string
	DefaultVersion     *string `ec2:"SetDefaultVersion"`
	DryRun             *bool
	LaunchTemplateId   *string
	LaunchTemplateName *string
}

func modifyTemplate(t *tx, in *modifyTemplateInput) (*templateOutput, error) {
	l, err := t.template(in.LaunchTemplateId, in.LaunchTemplateName)
	if err != nil {
		return nil, err
	}
	if in.DefaultVersion == nil {
		return nil, missing("DefaultVersion")
	}
	i, err := l.version(*in.DefaultVersion)
	if err != nil {
		return nil, err
	}
	l.Default = l.Versions[i].Number
	return &templateOutput{LaunchTemplate: l.show(t)}, t.put(&kindTemplate, l)
}

type templateInput struct {
	DryRun             *bool
	LaunchTemplateId   *string
	LaunchTemplateName *string
}

func deleteTemplate(t *tx, in *templateInput) (*templateOutput, error) {
	l, err := t.template(in.LaunchTemplateId, in.LaunchTemplateName)
	if err != nil {
		return nil, err
	}
	return &templateOutput{LaunchTemplate: l.show(t)}, t.delete(&kindTemplate, l)
}

type deleteTemplateVersionsInput struct {
	DryRun             *bool
	LaunchTemplateId   *string
	LaunchTemplateName *string
	Versions           []string `ec2:"LaunchTemplateVersion"`
}

// DeletedVersion is a version that was deleted, or not.
type DeletedVersion struct {
	LaunchTemplateId   *string
	LaunchTemplateName *string
	ResponseError      *ResponseError
	VersionNumber      *int64
}

// ResponseError is why one part of a request failed.
type ResponseError struct {
	Code    *string
	Message *string
}

type deleteTemplateVersionsOutput struct {
	Successful   []DeletedVersion `awswire:"successfullyDeletedLaunchTemplateVersionSet"`
	Unsuccessful []DeletedVersion `awswire:"unsuccessfullyDeletedLaunchTemplateVersionSet"`
}

// deleteTemplateVersions removes versions one by one; the default one stays.
func deleteTemplateVersions(t *tx, in *deleteTemplateVersionsInput) (*deleteTemplateVersionsOutput, error) {
	l, err := t.template(in.LaunchTemplateId, in.LaunchTemplateName)
	if err != nil {
		return nil, err
	}
	if len(in.Versions) == 0 {
		return nil, missing("LaunchTemplateVersion")
	}
	out := &deleteTemplateVersionsOutput{Successful: []DeletedVersion{}, Unsuccessful: []DeletedVersion{}}
	for _, text := range in.Versions {
		number, err := strconv.ParseInt(text, 10, 64)
		if err != nil {
			return nil, refuse("InvalidLaunchTemplateId.VersionMalformed", "Launch template version '%s' is malformed", text) // unverified
		}
		d := DeletedVersion{LaunchTemplateId: ptr(l.ID), LaunchTemplateName: ptr(l.Name), VersionNumber: &number}
		i := slices.IndexFunc(l.Versions, func(v templateVersion) bool { return v.Number == number })
		switch {
		case i < 0:
			d.ResponseError = &ResponseError{ptr("launchTemplateVersionDoesNotExist"), ptr("The specified launch template version does not exist.")}
		case number == l.Default: // unverified
			d.ResponseError = &ResponseError{ptr("unexpectedError"), ptr("The default version of a launch template cannot be deleted.")}
		default:
			l.Versions = slices.Delete(l.Versions, i, i+1)
			out.Successful = append(out.Successful, d)
			continue
		}
		out.Unsuccessful = append(out.Unsuccessful, d)
	}
	return out, t.put(&kindTemplate, l)
}

type describeTemplatesInput struct {
	DryRun              *bool
	Filters             []Filter `ec2:"Filter"`
	LaunchTemplateIds   []string `ec2:"LaunchTemplateId"`
	LaunchTemplateNames []string `ec2:"LaunchTemplateName"`
	MaxResults          *int32
	NextToken           *string
}

type describeTemplatesOutput struct {
	LaunchTemplates []LaunchTemplate
	NextToken       *string
}

func describeTemplates(t *tx, in *describeTemplatesInput) (*describeTemplatesOutput, error) {
	templates, err := all[template](t, &kindTemplate)
	if err != nil {
		return nil, err
	}
	if len(in.LaunchTemplateIds)+len(in.LaunchTemplateNames) > 0 {
		templates = nil
		for _, id := range in.LaunchTemplateIds {
			l, err := t.template(&id, nil)
			if err != nil {
				return nil, err
			}
			templates = append(templates, l)
		}
		for _, name := range in.LaunchTemplateNames {
			l, err := t.template(nil, &name)
			if err != nil {
				return nil, err
			}
			templates = append(templates, l)
		}
		slices.SortFunc(templates, func(a, b *template) int { return strings.Compare(a.ID, b.ID) })
		templates = slices.CompactFunc(templates, func(a, b *template) bool { return a.ID == b.ID })
	}
	var list []LaunchTemplate
	for _, l := range templates {
		list = append(list, *l.show(t))
	}
	list, next, err := templateLook.choose(list, query{in.Filters, in.MaxResults, in.NextToken})
	return &describeTemplatesOutput{LaunchTemplates: list, NextToken: next}, err
}

type describeTemplateVersionsInput struct {
	DryRun             *bool
	Filters            []Filter `ec2:"Filter"`
	LaunchTemplateId   *string
	LaunchTemplateName *string
	MaxResults         *int32
	MaxVersion         *string
	MinVersion         *string
	NextToken          *string
	Versions           []string `ec2:"LaunchTemplateVersion"`
}

type describeTemplateVersionsOutput struct {
	LaunchTemplateVersions []LaunchTemplateVersion `awswire:"launchTemplateVersionSet"`
	NextToken              *string
}

// describeTemplateVersions shows versions of one launch template, or the latest or default ones of all.
func describeTemplateVersions(t *tx, in *describeTemplateVersionsInput) (*describeTemplateVersionsOutput, error) {
	var list []LaunchTemplateVersion
	if in.LaunchTemplateId == nil && in.LaunchTemplateName == nil {
		if len(in.Versions) == 0 || slices.ContainsFunc(in.Versions, func(v string) bool { return v != "$Latest" && v != "$Default" }) {
			return nil, missing("LaunchTemplateId")
		}
		templates, err := all[template](t, &kindTemplate)
		if err != nil {
			return nil, err
		}
		for _, l := range templates {
			if list, err = t.versions(list, l, in); err != nil {
				return nil, err
			}
		}
	} else {
		l, err := t.template(in.LaunchTemplateId, in.LaunchTemplateName)
		if err != nil {
			return nil, err
		}
		if list, err = t.versions(nil, l, in); err != nil {
			return nil, err
		}
	}
	slices.SortFunc(list, func(a, b LaunchTemplateVersion) int {
		return strings.Compare(templateVersionLook.key(&a), templateVersionLook.key(&b))
	})
	list, next, err := templateVersionLook.choose(list, query{in.Filters, in.MaxResults, in.NextToken})
	return &describeTemplateVersionsOutput{LaunchTemplateVersions: list, NextToken: next}, err
}

// versions adds the versions of one launch template that a request asks for.
func (t *tx) versions(list []LaunchTemplateVersion, l *template, in *describeTemplateVersionsInput) ([]LaunchTemplateVersion, error) {
	wanted := map[int]bool{}
	for _, text := range in.Versions {
		i, err := l.version(text)
		if err != nil {
			return nil, err
		}
		wanted[i] = true
	}
	least, most := int64(0), l.Latest
	for _, bound := range []struct {
		text *string
		n    *int64
	}{{in.MinVersion, &least}, {in.MaxVersion, &most}} {
		if bound.text == nil {
			continue
		}
		n, err := strconv.ParseInt(*bound.text, 10, 64)
		if err != nil {
			return nil, refuse("InvalidLaunchTemplateId.VersionMalformed", "Launch template version '%s' is malformed", *bound.text) // unverified
		}
		*bound.n = n
	}
	for i := range l.Versions {
		v := &l.Versions[i]
		if (len(in.Versions) == 0 || wanted[i]) && v.Number >= least && v.Number <= most {
			list = append(list, l.showVersion(t, v))
		}
	}
	return list, nil
}
