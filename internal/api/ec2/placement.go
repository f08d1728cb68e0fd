package ec2

import (
	"slices"
	"strings"

	"github.com/batchbox/batchbox/internal/awswire"
)

func (a *api) placementOperations() []awswire.Operation {
	return []awswire.Operation{
		change(a, "CreatePlacementGroup", createPlacement),
		change(a, "DeletePlacementGroup", deletePlacement),
		view(a, "DescribePlacementGroups", describePlacements),
	}
}

// placementGroup is a placement group. Its JSON is how the store keeps it.
type placementGroup struct {
	base
	Name       string `json:"name"`
	Strategy   string `json:"strategy"`
	Partitions int32  `json:"partitionCount,omitempty"`
	Spread     string `json:"spreadLevel,omitempty"`
}

// PlacementGroup is a placement group as it is shown.
type PlacementGroup struct {
	GroupArn       *string
	GroupId        *string
	GroupName      *string
	PartitionCount *int32
	SpreadLevel    *string
	State          *string
	Strategy       *string
	Tags           []Tag `awswire:"tagSet"`
}

func (g *placementGroup) show(t *tx) PlacementGroup {
	out := PlacementGroup{
		GroupArn: ptr(t.arn("placement-group/" + g.Name)), GroupId: ptr(g.ID), GroupName: ptr(g.Name), SpreadLevel: optional(g.Spread), State: ptr("available"),
		Strategy: ptr(g.Strategy), Tags: g.Tags,
	}
	if g.Partitions > 0 {
		out.PartitionCount = ptr(g.Partitions)
	}
	return out
}

var placementLook = look[PlacementGroup]{
	filters: map[string]func(*PlacementGroup) []string{
		"group-name":   func(g *PlacementGroup) []string { return one(g.GroupName) },
		"group-arn":    func(g *PlacementGroup) []string { return one(g.GroupArn) },
		"spread-level": func(g *PlacementGroup) []string { return one(g.SpreadLevel) },
		"state":        func(g *PlacementGroup) []string { return one(g.State) },
		"strategy":     func(g *PlacementGroup) []string { return one(g.Strategy) },
	},
	tags: func(g *PlacementGroup) []Tag { return g.Tags },
	key:  func(g *PlacementGroup) string { return *g.GroupId },
}

func unknownPlacement(name string) error {
	return refuse("InvalidPlacementGroup.Unknown", "The Placement Group '%s' is unknown.", name)
}

type createPlacementInput struct {
	DryRun            *bool
	GroupName         *string
	PartitionCount    *int32
	SpreadLevel       *string
	Strategy          *string
	TagSpecifications []TagSpecification `ec2:"TagSpecification"`
}

type createPlacementOutput struct {
	PlacementGroup *PlacementGroup
}

func createPlacement(t *tx, in *createPlacementInput) (*createPlacementOutput, error) {
	g := &placementGroup{Name: str(in.GroupName), Strategy: str(in.Strategy)}
	switch {
	case g.Name == "":
		return nil, missing("groupName")
	case len(g.Name) > 255:
		return nil, invalid("Value (%s) for parameter groupName is invalid. It must not be longer than 255 characters.", g.Name) // unverified text
	case g.Strategy == "":
		return nil, missing("strategy")
	case !slices.Contains([]string{"cluster", "spread", "partition"}, g.Strategy):
		return nil, invalid("Value (%s) for parameter strategy is invalid.", g.Strategy)
	case in.PartitionCount != nil && g.Strategy != "partition":
		return nil, refuse("InvalidParameterCombination", "The partition count may only be specified when the strategy is partition") // unverified text
	case in.PartitionCount != nil && (*in.PartitionCount < 1 || *in.PartitionCount > 7):
		return nil, invalid("Value (%d) for parameter partitionCount is invalid. It must be between 1 and 7.", *in.PartitionCount) // unverified text
	case in.SpreadLevel != nil && g.Strategy != "spread":
		return nil, refuse("InvalidParameterCombination", "The spread level may only be specified when the strategy is spread") // unverified text
	}
	switch g.Strategy {
	case "partition":
		g.Partitions = 2
		if in.PartitionCount != nil {
			g.Partitions = *in.PartitionCount
		}
	case "spread":
		g.Spread = "rack"
		if in.SpreadLevel != nil {
			g.Spread = *in.SpreadLevel
		}
	}
	groups, err := all[placementGroup](t, &kindPlacement)
	if err != nil {
		return nil, err
	}
	if slices.ContainsFunc(groups, func(o *placementGroup) bool { return o.Name == g.Name }) {
		return nil, refuse("InvalidPlacementGroup.Duplicate", "The Placement Group '%s' already exists.", g.Name)
	}
	if g.Tags, err = specified(in.TagSpecifications, kindPlacement.typ); err != nil {
		return nil, err
	}
	if g.ID, err = t.newID(kindPlacement.prefix); err != nil {
		return nil, err
	}
	return &createPlacementOutput{PlacementGroup: ptr(g.show(t))}, t.put(&kindPlacement, g)
}

type placementInput struct {
	DryRun    *bool
	GroupName *string
}

func deletePlacement(t *tx, in *placementInput) (*done, error) {
	groups, err := all[placementGroup](t, &kindPlacement)
	if err != nil {
		return nil, err
	}
	for _, g := range groups {
		if g.Name == str(in.GroupName) {
			return succeed(), t.delete(&kindPlacement, g)
		}
	}
	return nil, unknownPlacement(str(in.GroupName))
}

type describePlacementsInput struct {
	DryRun     *bool
	Filters    []Filter `ec2:"Filter"`
	GroupIds   []string `ec2:"GroupId"`
	GroupNames []string `ec2:"GroupName"`
}

type describePlacementsOutput struct {
	PlacementGroups []PlacementGroup `awswire:"placementGroupSet"`
}

func describePlacements(t *tx, in *describePlacementsInput) (*describePlacementsOutput, error) {
	groups, err := all[placementGroup](t, &kindPlacement)
	if err != nil {
		return nil, err
	}
	var list []PlacementGroup
	for _, g := range groups {
		list = append(list, g.show(t))
	}
	for _, asked := range []struct {
		values []string
		of     func(g *PlacementGroup) string
	}{
		{in.GroupNames, func(g *PlacementGroup) string { return *g.GroupName }},
		{in.GroupIds, func(g *PlacementGroup) string { return *g.GroupId }},
	} {
		for _, v := range asked.values {
			if !slices.ContainsFunc(list, func(g PlacementGroup) bool { return asked.of(&g) == v }) {
				return nil, unknownPlacement(v)
			}
		}
		if len(asked.values) > 0 {
			list = slices.DeleteFunc(list, func(g PlacementGroup) bool { return !slices.Contains(asked.values, asked.of(&g)) })
		}
	}
	slices.SortFunc(list, func(a, b PlacementGroup) int { return strings.Compare(*a.GroupId, *b.GroupId) })
	list, _, err = placementLook.choose(list, query{filters: in.Filters})
	return &describePlacementsOutput{PlacementGroups: list}, err
}
