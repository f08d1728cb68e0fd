package batch

// maxConsumables is how many consumable resources a job may hold.
const maxConsumables = 5

// consumable is one entry of a consumableResourceList as sent: the resource by name or ARN.
type consumable struct {
	resource string
	quantity int64
}

// checkConsumables reads the consumableResourceProperties of o, or the member that overrides them. The text on duplicates
// was recorded from the service by the cdk-preflight project.
func checkConsumables(o object, member string) ([]consumable, error) {
	props, _ := o.object(member)
	list := props.objects("consumableResourceList")
	if len(list) > maxConsumables {
		return nil, Invalidf("Each ConsumableResourceProperty can have at most %d consumableResources", maxConsumables)
	}
	seen := map[string]bool{}
	var out []consumable
	for _, e := range list {
		c := consumable{resource: e.str("consumableResource")}
		c.quantity, _ = e.integer("quantity")
		switch {
		case c.resource == "":
			return nil, Invalidf("consumableResource is required.") // unverified: text
		case c.quantity < 0:
			return nil, Invalidf("quantity cannot be a negative number.") // unverified: text, by analogy with totalQuantity
		case seen[c.resource]:
			return nil, Invalidf("Cannot have duplicate consumableResource in consumableResourceProperties")
		}
		seen[c.resource] = true
		out = append(out, c)
	}
	return out, nil
}

// ConsumableNotFound refuses a name or ARN that is no consumable resource.
//
// unverified: text, by analogy with scheduling policies.
func ConsumableNotFound(nameOrARN string) error {
	return Invalidf("ConsumableResource %s not found.", nameOrARN)
}
