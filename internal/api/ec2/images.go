package ec2

import (
	"slices"
	"strings"

	"github.com/batchbox/batchbox/internal/awswire"
)

func (a *api) imageOperations() []awswire.Operation {
	return []awswire.Operation{view(a, "DescribeImages", describeImages)}
}

// image is one of Amazon's public machine images. They are stand-ins for configurations that look an image up for an EC2
// compute environment: their names follow those of Amazon's, their ids are batchbox's own, and nothing is started from them.
type image struct {
	name, architecture, description, owner, created string
}

const (
	ownerAmazon = "137112412989"
	ownerECS    = "591542846629"
)

var images = []image{
	{"amzn2-ami-hvm-2.0.20260302.0-x86_64-gp2", "x86_64", "Amazon Linux 2 AMI 2.0.20260302.0 x86_64 HVM gp2", ownerAmazon, "2026-03-02T00:00:00.000Z"},
	{"amzn2-ami-hvm-2.0.20260302.0-arm64-gp2", "arm64", "Amazon Linux 2 LTS Arm64 AMI 2.0.20260302.0 arm64 HVM gp2", ownerAmazon, "2026-03-02T00:00:00.000Z"},
	{"amzn2-ami-minimal-hvm-2.0.20260302.0-x86_64-ebs", "x86_64", "Amazon Linux 2 AMI 2.0.20260302.0 x86_64 Minimal HVM ebs", ownerAmazon, "2026-03-02T00:00:00.000Z"},
	{"amzn2-ami-minimal-hvm-2.0.20260302.0-arm64-ebs", "arm64", "Amazon Linux 2 AMI 2.0.20260302.0 arm64 Minimal HVM ebs", ownerAmazon, "2026-03-02T00:00:00.000Z"},
	{"al2023-ami-2023.10.20260302.0-kernel-6.1-x86_64", "x86_64", "Amazon Linux 2023 AMI 2023.10.20260302.0 x86_64 HVM kernel-6.1", ownerAmazon, "2026-03-02T00:00:00.000Z"},
	{"al2023-ami-2023.10.20260302.0-kernel-6.1-arm64", "arm64", "Amazon Linux 2023 AMI 2023.10.20260302.0 arm64 HVM kernel-6.1", ownerAmazon, "2026-03-02T00:00:00.000Z"},
	{"al2023-ami-minimal-2023.10.20260302.0-kernel-6.1-x86_64", "x86_64", "Amazon Linux 2023 AMI 2023.10.20260302.0 x86_64 Minimal HVM kernel-6.1", ownerAmazon, "2026-03-02T00:00:00.000Z"},
	{"amzn2-ami-ecs-hvm-2.0.20260305-x86_64-ebs", "x86_64", "Amazon Linux AMI 2.0.20260305 x86_64 ECS HVM GP2", ownerECS, "2026-03-05T00:00:00.000Z"},
	{"amzn2-ami-ecs-hvm-2.0.20260305-arm64-ebs", "arm64", "Amazon Linux AMI 2.0.20260305 arm64 ECS HVM GP2", ownerECS, "2026-03-05T00:00:00.000Z"},
	{"amzn2-ami-ecs-gpu-hvm-2.0.20260305-x86_64-ebs", "x86_64", "Amazon Linux AMI 2.0.20260305 x86_64 ECS GPU HVM GP2", ownerECS, "2026-03-05T00:00:00.000Z"},
	{"al2023-ami-ecs-hvm-2023.0.20260305-kernel-6.1-x86_64", "x86_64", "Amazon Linux AMI 2023.0.20260305 x86_64 ECS HVM EBS", ownerECS, "2026-03-05T00:00:00.000Z"},
	{"al2023-ami-ecs-hvm-2023.0.20260305-kernel-6.1-arm64", "arm64", "Amazon Linux AMI 2023.0.20260305 arm64 ECS HVM EBS", ownerECS, "2026-03-05T00:00:00.000Z"},
	{"al2023-ami-ecs-gpu-hvm-2023.0.20260305-kernel-6.1-x86_64", "x86_64", "Amazon Linux AMI 2023.0.20260305 x86_64 ECS GPU HVM EBS", ownerECS, "2026-03-05T00:00:00.000Z"},
}

// Image is a machine image as it is shown.
type Image struct {
	Architecture        *string
	BlockDeviceMappings []BlockDeviceMapping `awswire:"blockDeviceMapping"`
	CreationDate        *string
	Description         *string
	EnaSupport          *bool
	Hypervisor          *string
	ImageId             *string
	ImageLocation       *string
	ImageOwnerAlias     *string
	ImageType           *string
	Name                *string
	OwnerId             *string `awswire:"imageOwnerId"`
	PlatformDetails     *string
	Public              *bool `awswire:"isPublic"`
	RootDeviceName      *string
	RootDeviceType      *string
	SriovNetSupport     *string
	State               *string `awswire:"imageState"`
	Tags                []Tag   `awswire:"tagSet"`
	UsageOperation      *string
	VirtualizationType  *string
}

func (i *image) show(t *tx) Image {
	return Image{
		Architecture: ptr(i.architecture), CreationDate: ptr(i.created), Description: ptr(i.description), EnaSupport: ptr(true), Hypervisor: ptr("xen"),
		BlockDeviceMappings: []BlockDeviceMapping{{DeviceName: ptr("/dev/xvda"), Ebs: &EBSBlockDevice{
			DeleteOnTermination: ptr(true), Encrypted: ptr(false), SnapshotId: ptr(t.firstID("snap-", i.name)), VolumeSize: ptr(int32(30)), VolumeType: ptr("gp3"),
		}}},
		ImageId: ptr(t.firstID("ami-", i.name)), ImageLocation: ptr("amazon/" + i.name), ImageOwnerAlias: ptr("amazon"), ImageType: ptr("machine"), Name: ptr(i.name),
		OwnerId: ptr(i.owner), PlatformDetails: ptr("Linux/UNIX"), Public: ptr(true), RootDeviceName: ptr("/dev/xvda"), RootDeviceType: ptr("ebs"),
		SriovNetSupport: ptr("simple"), State: ptr("available"), UsageOperation: ptr("RunInstances"), VirtualizationType: ptr("hvm"),
	}
}

var imageLook = look[Image]{
	filters: map[string]func(*Image) []string{
		"architecture":                     func(i *Image) []string { return one(i.Architecture) },
		"block-device-mapping.volume-type": func(i *Image) []string { return one(i.BlockDeviceMappings[0].Ebs.VolumeType) },
		"creation-date":                    func(i *Image) []string { return one(i.CreationDate) },
		"description":                      func(i *Image) []string { return one(i.Description) },
		"ena-support":                      func(i *Image) []string { return flag(i.EnaSupport) },
		"hypervisor":                       func(i *Image) []string { return one(i.Hypervisor) },
		"image-id":                         func(i *Image) []string { return one(i.ImageId) },
		"image-type":                       func(i *Image) []string { return one(i.ImageType) },
		"is-public":                        func(i *Image) []string { return flag(i.Public) },
		"name":                             func(i *Image) []string { return one(i.Name) },
		"owner-alias":                      func(i *Image) []string { return one(i.ImageOwnerAlias) },
		"owner-id":                         func(i *Image) []string { return one(i.OwnerId) },
		"platform":                         func(*Image) []string { return nil },
		"root-device-name":                 func(i *Image) []string { return one(i.RootDeviceName) },
		"root-device-type":                 func(i *Image) []string { return one(i.RootDeviceType) },
		"state":                            func(i *Image) []string { return one(i.State) },
		"virtualization-type":              func(i *Image) []string { return one(i.VirtualizationType) },
	},
	tags: func(i *Image) []Tag { return i.Tags },
	key:  func(i *Image) string { return *i.ImageId },
}

type describeImagesInput struct {
	DryRun     *bool
	Filters    []Filter `ec2:"Filter"`
	ImageIds   []string `ec2:"ImageId"`
	MaxResults *int32
	NextToken  *string
	Owners     []string `ec2:"Owner"`
}

type describeImagesOutput struct {
	Images    []Image `awswire:"imagesSet"`
	NextToken *string
}

func describeImages(t *tx, in *describeImagesInput) (*describeImagesOutput, error) {
	var list []Image
	for _, i := range images {
		list = append(list, i.show(t))
	}
	slices.SortFunc(list, func(a, b Image) int { return strings.Compare(*a.ImageId, *b.ImageId) })
	for _, id := range in.ImageIds {
		if !slices.ContainsFunc(list, func(i Image) bool { return *i.ImageId == id }) {
			return nil, refuse("InvalidAMIID.NotFound", "The image id '[%s]' does not exist", id)
		}
	}
	list = slices.DeleteFunc(list, func(i Image) bool {
		return len(in.ImageIds) > 0 && !slices.Contains(in.ImageIds, *i.ImageId) ||
			len(in.Owners) > 0 && !slices.Contains(in.Owners, *i.ImageOwnerAlias) && !slices.Contains(in.Owners, *i.OwnerId)
	})
	list, next, err := imageLook.choose(list, query{in.Filters, in.MaxResults, in.NextToken})
	return &describeImagesOutput{Images: list, NextToken: next}, err
}
