package batch

import (
	"regexp"
	"strings"
	"sync"
)

// sharePattern is the form of a share identifier: 255 characters, with an optional '*' after them.
var sharePattern = sync.OnceValue(func() *regexp.Regexp { return regexp.MustCompile(`^[0-9A-Za-z_-]{1,255}\*?$`) })

// Bounds of a fairsharePolicy (API reference, FairsharePolicy, ShareAttributes).
const (
	maxShareDecay         = 604800
	maxComputeReservation = 99
	maxShares             = 500
	minWeight, maxWeight  = 0.0001, 999.9999
	defaultWeight         = 1.0
)

// NewSchedulingPolicy checks the body of a CreateSchedulingPolicy request and makes the policy. Errors are *Error.
func NewSchedulingPolicy(raw []byte) (SchedulingPolicy, error) {
	req, err := parseObject(raw)
	if err != nil {
		return SchedulingPolicy{}, err
	}
	sp := SchedulingPolicy{Name: req.str("name"), Tags: req.stringMap("tags")}
	if !namePattern().MatchString(sp.Name) {
		return SchedulingPolicy{}, Invalidf("Scheduling policy name should match a valid pattern.")
	}
	if err := checkTags(sp.Tags); err != nil {
		return SchedulingPolicy{}, err
	}
	if err := sp.set(req); err != nil {
		return SchedulingPolicy{}, err
	}
	return sp, nil
}

// UpdateSchedulingPolicy checks the body of an UpdateSchedulingPolicy request against sp and returns what the policy
// becomes; sp itself is unchanged. The kind of a policy never changes. Errors are *Error.
func UpdateSchedulingPolicy(sp SchedulingPolicy, raw []byte) (SchedulingPolicy, error) {
	req, err := parseObject(raw)
	if err != nil {
		return sp, err
	}
	if sp.QuotaShare != nil && req.has("fairsharePolicy") || sp.QuotaShare == nil && req.has("quotaSharePolicy") {
		// The text is the one for both kinds in one request; unverified for a change of kind.
		return sp, Invalidf("A scheduling policy can have either fairsharePolicy or quotaSharePolicy")
	}
	next := sp
	if err := next.set(req); err != nil {
		return sp, err
	}
	return next, nil
}

// set applies the policy members of a request.
func (sp *SchedulingPolicy) set(req object) error {
	fair, hasFair := req.object("fairsharePolicy")
	quota, hasQuota := req.object("quotaSharePolicy")
	switch {
	case hasFair && hasQuota:
		return Invalidf("A scheduling policy can have either fairsharePolicy or quotaSharePolicy")
	case hasQuota:
		if quota.str("idleResourceAssignmentStrategy") != "FIFO" {
			return Invalidf("Idle resource assignment strategy must be one of [FIFO].") // recorded by cdk-preflight
		}
		sp.QuotaShare = canonical(quota)
	case hasFair:
		return sp.setFairShare(fair)
	}
	return nil
}

func (sp *SchedulingPolicy) setFairShare(fair object) error {
	decay, _ := fair.integer("shareDecaySeconds")
	reservation, _ := fair.integer("computeReservation")
	switch {
	case decay < 0 || decay > maxShareDecay:
		return Invalidf("Share decay seconds should be between 0 and %d.", maxShareDecay) // unverified: text
	case reservation < 0 || reservation > maxComputeReservation:
		return Invalidf("Compute reservation should be between 0 and %d.", maxComputeReservation) // unverified: text
	}
	shares, err := parseShares(fair.objects("shareDistribution"))
	if err != nil {
		return err
	}
	sp.FairShare = canonical(fair)
	sp.ShareDecaySeconds, sp.ComputeReservation, sp.Shares = int(decay), int(reservation), shares
	return nil
}

// parseShares reads shareDistribution. No identifier may be another's, nor start with the prefix of one that ends in '*'.
func parseShares(entries []object) ([]ShareWeight, error) {
	if len(entries) > maxShares {
		return nil, Invalidf("ShareDistribution size cannot be greater than %d.", maxShares)
	}
	var out []ShareWeight
	seen := map[string]bool{}
	for _, e := range entries {
		s := ShareWeight{Identifier: e.str("shareIdentifier"), Weight: defaultWeight}
		if w, ok := e.number("weightFactor"); ok {
			s.Weight = w
		}
		switch {
		case !sharePattern().MatchString(s.Identifier):
			return nil, Invalidf("ShareIdentifier name should match a valid pattern.")
		case s.Weight < minWeight || s.Weight > maxWeight:
			return nil, Invalidf("Weight factor should be between 0.0001 and 999.9999.")
		case seen[s.Identifier]:
			return nil, Invalidf("Cannot have two or more identical shareIdentifiers.")
		}
		seen[s.Identifier] = true
		out = append(out, s)
	}
	for _, a := range out {
		for _, b := range out {
			if a.Identifier != b.Identifier && coveredBy(a.Identifier, b.Identifier) {
				return nil, Invalidf("Share identifier %s matches another share identifier %s.", a.Identifier, b.Identifier)
			}
		}
	}
	return out, nil
}

// coveredBy says whether an entry ending in '*' is meant for the identifier, itself perhaps one that ends in '*'.
func coveredBy(identifier, entry string) bool {
	prefix, wild := strings.CutSuffix(entry, "*")
	return wild && strings.HasPrefix(identifier, prefix)
}

// WeightFor is the weight factor of a share identifier as a job names it: a lower one gets more. sp may be nil.
//
// unverified: a "Name*" entry gives its weight to each identifier with the prefix; an older guide lets them divide it
// among them.
func (sp *SchedulingPolicy) WeightFor(identifier string) float64 {
	if sp == nil {
		return defaultWeight
	}
	for _, s := range sp.Shares {
		if s.Identifier == identifier || coveredBy(identifier, s.Identifier) {
			return s.Weight
		}
	}
	return defaultWeight
}
