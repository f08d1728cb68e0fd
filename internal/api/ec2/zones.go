package ec2

import (
	"slices"
	"strings"

	"github.com/batchbox/batchbox/internal/awswire"
)

func (a *api) placeOperations() []awswire.Operation {
	return []awswire.Operation{
		view(a, "DescribeAvailabilityZones", describeAvailabilityZones),
		view(a, "DescribeRegions", describeRegions),
		view(a, "DescribeAccountAttributes", describeAccountAttributes),
	}
}

// zoneLetters are the availability zones of regions that do not have a, b and c.
var zoneLetters = map[string]string{
	"us-east-1": "abcdef", "us-west-1": "ab", "us-west-2": "abcd", "ca-central-1": "abd", "ap-northeast-1": "acd", "ap-northeast-2": "abcd",
	"cn-north-1": "abd",
}

// zones are the names of a region's availability zones.
func zones(region string) []string {
	letters := zoneLetters[region]
	if letters == "" {
		letters = "abc"
	}
	var names []string
	for _, l := range letters {
		names = append(names, region+string(l))
	}
	return names
}

// zoneID is the id of a zone, such as euw1-az1. AWS maps names to ids differently in every account; here they go in order.
func zoneID(region, zone string) string {
	i := slices.Index(zones(region), zone)
	return shortRegion(region) + "-az" + string(rune('1'+i))
}

// shortRegion abbreviates a region as zone ids do: eu-west-1 is euw1, us-gov-east-1 usge1.
func shortRegion(region string) string {
	parts := strings.Split(region, "-")
	var b strings.Builder
	for i, p := range parts {
		switch {
		case i == 0:
			b.WriteString(p)
		case p == "gov" || p == "iso" || p == "isob":
			b.WriteString(p[:1])
		case len(p) > 5: // northeast, southwest
			for _, direction := range []string{"north", "south", "east", "west", "central"} {
				if strings.Contains(p, direction) {
					b.WriteByte(direction[0])
				}
			}
		case p != "":
			b.WriteByte(p[0])
		}
	}
	return b.String()
}

type describeAvailabilityZonesInput struct {
	AllAvailabilityZones *bool
	DryRun               *bool
	Filters              []Filter `ec2:"Filter"`
	ZoneIds              []string `ec2:"ZoneId"`
	ZoneNames            []string `ec2:"ZoneName"`
}

// AvailabilityZone is an availability zone.
type AvailabilityZone struct {
	GroupName          *string
	NetworkBorderGroup *string
	OptInStatus        *string
	RegionName         *string
	State              *string `awswire:"zoneState"`
	ZoneId             *string
	ZoneName           *string
	ZoneType           *string
	Messages           []Tag `awswire:"messageSet"`
}

type describeAvailabilityZonesOutput struct {
	AvailabilityZones []AvailabilityZone `awswire:"availabilityZoneInfo"`
}

var zoneLook = look[AvailabilityZone]{
	filters: map[string]func(*AvailabilityZone) []string{
		"group-name":       func(z *AvailabilityZone) []string { return one(z.GroupName) },
		"opt-in-status":    func(z *AvailabilityZone) []string { return one(z.OptInStatus) },
		"region-name":      func(z *AvailabilityZone) []string { return one(z.RegionName) },
		"state":            func(z *AvailabilityZone) []string { return one(z.State) },
		"zone-id":          func(z *AvailabilityZone) []string { return one(z.ZoneId) },
		"zone-name":        func(z *AvailabilityZone) []string { return one(z.ZoneName) },
		"zone-type":        func(z *AvailabilityZone) []string { return one(z.ZoneType) },
		"message":          func(*AvailabilityZone) []string { return nil },
		"parent-zone-id":   func(*AvailabilityZone) []string { return nil },
		"parent-zone-name": func(*AvailabilityZone) []string { return nil },
	},
	key: func(z *AvailabilityZone) string { return *z.ZoneName },
}

func describeAvailabilityZones(t *tx, in *describeAvailabilityZonesInput) (*describeAvailabilityZonesOutput, error) {
	var list []AvailabilityZone
	for _, name := range zones(t.Region) {
		list = append(list, AvailabilityZone{
			GroupName: ptr(t.Region), NetworkBorderGroup: ptr(t.Region), OptInStatus: ptr("opt-in-not-required"), RegionName: ptr(t.Region),
			State: ptr("available"), ZoneId: ptr(zoneID(t.Region, name)), ZoneName: ptr(name), ZoneType: ptr("availability-zone"), Messages: []Tag{},
		})
	}
	for _, asked := range []struct {
		values []string
		of     func(z *AvailabilityZone) string
	}{
		{in.ZoneNames, func(z *AvailabilityZone) string { return *z.ZoneName }},
		{in.ZoneIds, func(z *AvailabilityZone) string { return *z.ZoneId }},
	} {
		for _, v := range asked.values {
			if !slices.ContainsFunc(list, func(z AvailabilityZone) bool { return asked.of(&z) == v }) {
				return nil, invalid("Invalid availability zone: [%s]", v)
			}
		}
		if len(asked.values) > 0 {
			list = slices.DeleteFunc(list, func(z AvailabilityZone) bool { return !slices.Contains(asked.values, asked.of(&z)) })
		}
	}
	list, _, err := zoneLook.choose(list, query{filters: in.Filters})
	return &describeAvailabilityZonesOutput{AvailabilityZones: list}, err
}

// regions are the regions of AWS's commercial partition that an account has without asking
// (https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/using-regions-availability-zones.html).
var regions = strings.Fields(`ap-northeast-1 ap-northeast-2 ap-northeast-3 ap-south-1 ap-southeast-1 ap-southeast-2 ca-central-1 eu-central-1 eu-north-1
	eu-west-1 eu-west-2 eu-west-3 sa-east-1 us-east-1 us-east-2 us-west-1 us-west-2`)

type describeRegionsInput struct {
	AllRegions  *bool
	DryRun      *bool
	Filters     []Filter `ec2:"Filter"`
	RegionNames []string `ec2:"RegionName"`
}

// Region is a region.
type Region struct {
	Endpoint    *string `awswire:"regionEndpoint"`
	OptInStatus *string
	RegionName  *string
}

type describeRegionsOutput struct {
	Regions []Region `awswire:"regionInfo"`
}

var regionLook = look[Region]{
	filters: map[string]func(*Region) []string{
		"endpoint":      func(r *Region) []string { return one(r.Endpoint) },
		"opt-in-status": func(r *Region) []string { return one(r.OptInStatus) },
		"region-name":   func(r *Region) []string { return one(r.RegionName) },
	},
	key: func(r *Region) string { return *r.RegionName },
}

func describeRegions(t *tx, in *describeRegionsInput) (*describeRegionsOutput, error) {
	names := regions
	if !slices.Contains(names, t.Region) {
		names = append(slices.Clone(names), t.Region) // the caller is there
		slices.Sort(names)
	}
	var list []Region
	for _, name := range names {
		list = append(list, Region{Endpoint: ptr("ec2." + name + ".amazonaws.com"), OptInStatus: ptr("opt-in-not-required"), RegionName: ptr(name)})
	}
	for _, name := range in.RegionNames {
		if !slices.Contains(names, name) {
			return nil, invalid("Invalid region: [%s]", name)
		}
	}
	if len(in.RegionNames) > 0 {
		list = slices.DeleteFunc(list, func(r Region) bool { return !slices.Contains(in.RegionNames, *r.RegionName) })
	}
	list, _, err := regionLook.choose(list, query{filters: in.Filters})
	return &describeRegionsOutput{Regions: list}, err
}

type describeAccountAttributesInput struct {
	AttributeNames []string `ec2:"AttributeName"`
	DryRun         *bool
}

// AccountAttribute is a setting of the account.
type AccountAttribute struct {
	AttributeName   *string
	AttributeValues []AccountAttributeValue `awswire:"attributeValueSet"`
}

// AccountAttributeValue is a value of one.
type AccountAttributeValue struct {
	AttributeValue *string
}

type describeAccountAttributesOutput struct {
	AccountAttributes []AccountAttribute `awswire:"accountAttributeSet"`
}

func describeAccountAttributes(t *tx, in *describeAccountAttributesInput) (*describeAccountAttributesOutput, error) {
	home, err := t.defaultVPC()
	if err != nil {
		return nil, err
	}
	id := "none"
	if home != nil {
		id = home.ID
	}
	out := &describeAccountAttributesOutput{AccountAttributes: []AccountAttribute{}}
	for _, a := range [][2]string{
		{"supported-platforms", "VPC"}, {"default-vpc", id}, {"max-instances", "20"}, {"max-elastic-ips", "5"}, {"vpc-max-elastic-ips", "5"},
		{"vpc-max-security-groups-per-interface", "5"},
	} {
		if len(in.AttributeNames) == 0 || slices.Contains(in.AttributeNames, a[0]) {
			out.AccountAttributes = append(out.AccountAttributes, AccountAttribute{
				AttributeName: ptr(a[0]), AttributeValues: []AccountAttributeValue{{AttributeValue: ptr(a[1])}},
			})
		}
	}
	return out, nil
}
