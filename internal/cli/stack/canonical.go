package stack

import (
	"bytes"
	"encoding/json"
	"reflect"
	"slices"
)

// sets are the lists whose order has no meaning, by the names of their fields in the SDK. AWS Batch gives some of them
// back in another order than it got them in.
var sets = []string{
	"Environment", "Secrets", "SecretOptions", "ResourceRequirements", "Ulimits", "Subnets", "SecurityGroupIds", "InstanceTypes",
	"ConsumableResourceList", "ShareDistribution", "JobStateTimeLimitActions",
}

// defaults are members as DescribeJobDefinitions shows them when they were not given.
var defaults = map[string]any{
	"FargatePlatformConfiguration": map[string]any{"PlatformVersion": "LATEST"},
	"PlatformVersion":              "LATEST",
}

// canonical is the one form that equal values of the SDK's types share.
func canonical(v any) any {
	raw, err := json.Marshal(v)
	if err != nil {
		return err // types of the SDK can be marshalled; an error equals nothing
	}
	d := json.NewDecoder(bytes.NewReader(raw))
	d.UseNumber()
	var tree any
	if err := d.Decode(&tree); err != nil {
		return err
	}
	return prune(tree, "")
}

// prune removes what is empty or a default and sorts sets; it returns nil for nothing.
func prune(v any, name string) any {
	switch v := v.(type) {
	case map[string]any:
		kept := make(map[string]any)
		for n, member := range v {
			if n == "ResultMetadata" {
				continue
			}
			def, hasDefault := defaults[n]
			if p := prune(member, n); p != nil && !(hasDefault && reflect.DeepEqual(member, def)) {
				kept[n] = p
			}
		}
		if len(kept) > 0 {
			return kept
		}
	case []any:
		var kept []any
		for _, e := range v {
			p := prune(e, "")
			if name == "Environment" { // a variable without a value is dropped by AWS Batch
				if o, ok := p.(map[string]any); ok && o["Value"] == nil {
					continue
				}
			}
			kept = append(kept, p)
		}
		if slices.Contains(sets, name) {
			slices.SortFunc(kept, func(a, b any) int { return bytes.Compare(text(a), text(b)) })
		}
		if len(kept) > 0 {
			return kept
		}
	case string:
		if v != "" {
			return v
		}
	case json.Number:
		if v != "0" {
			return v
		}
	case bool:
		if v {
			return v
		}
	}
	return nil
}

func text(v any) []byte {
	raw, err := json.Marshal(v)
	if err != nil {
		return nil // it came from JSON
	}
	return raw
}
