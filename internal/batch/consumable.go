package batch

import (
	"math"
	"strings"
	"unicode/utf8"
)

// The types of consumable resource: given back when a job ends, or used up.
const (
	Replenishable    = "REPLENISHABLE"
	NonReplenishable = "NON_REPLENISHABLE"
)

// maxConsumables is how many consumable resources a job may hold.
const maxConsumables = 5

// NewConsumableResource checks the body of a CreateConsumableResource request and makes the resource; CreatedAt is the
// caller's to set. The texts were recorded from the service by the cdk-preflight project, save those marked. Errors are *Error.
func NewConsumableResource(raw []byte) (ConsumableResource, error) {
	req, err := parseObject(raw)
	if err != nil {
		return ConsumableResource{}, err
	}
	cr := ConsumableResource{Name: req.str("consumableResourceName"), Type: req.str("resourceType"), Tags: req.stringMap("tags")}
	cr.Total, _ = req.integer("totalQuantity")
	if cr.Type == "" {
		cr.Type = Replenishable
	}
	switch {
	case !namePattern().MatchString(cr.Name):
		return ConsumableResource{}, Invalidf("ConsumableResource name should match a valid pattern.")
	case cr.Total < 0:
		return ConsumableResource{}, Invalidf("totalQuantity cannot be a negative number.")
	case !oneOf(cr.Type, Replenishable, NonReplenishable):
		// unverified: text.
		return ConsumableResource{}, Invalidf("resourceType %s is not valid. Valid values are: [REPLENISHABLE, NON_REPLENISHABLE]", cr.Type)
	}
	if err := checkTags(cr.Tags); err != nil {
		return ConsumableResource{}, err
	}
	return cr, nil
}

// UpdateToken is what makes an update of a consumable resource the same as another: its clientToken, "" if it has none, and
// the change it asks for (API UpdateConsumableResource).
type UpdateToken struct {
	Token     string `json:"clientToken"`
	Operation string `json:"operation"`
	Quantity  int64  `json:"quantity"`
}

// maxClientToken is the length of a clientToken in characters (API UpdateConsumableResource).
const maxClientToken = 64

// ParseUpdateToken reads the token of an UpdateConsumableResource request. Errors are *Error.
func ParseUpdateToken(raw []byte) (UpdateToken, error) {
	req, err := parseObject(raw)
	if err != nil {
		return UpdateToken{}, err
	}
	t := UpdateToken{Token: req.str("clientToken"), Operation: strings.ToUpper(req.str("operation"))}
	t.Quantity, _ = req.integer("quantity")
	if utf8.RuneCountInString(t.Token) > maxClientToken {
		return UpdateToken{}, Invalidf("clientToken must have between 1 and %d characters.", maxClientToken) // unverified: text
	}
	return t, nil
}

// UpdateConsumableResource checks the body of an UpdateConsumableResource request against cr and returns what the resource
// becomes; cr itself is unchanged. That an update counts once, however often it is sent, is for ParseUpdateToken's caller to
// see to. Errors are *Error.
//
// unverified: all texts, and that taking away more than there is, is refused; the rules are in the API reference.
func UpdateConsumableResource(cr ConsumableResource, raw []byte) (ConsumableResource, error) {
	req, err := parseObject(raw)
	if err != nil {
		return cr, err
	}
	quantity, given := req.integer("quantity")
	next, op := cr, strings.ToUpper(req.str("operation"))
	switch {
	case !given && op == "":
		return cr, nil
	case !given:
		return cr, Invalidf("quantity is required.")
	case quantity < 0:
		return cr, Invalidf("quantity cannot be a negative number.")
	}
	switch op {
	case "SET", "":
		next.Total = quantity
	case "ADD":
		if quantity > math.MaxInt64-cr.Total {
			return cr, Invalidf("totalQuantity cannot be greater than %d.", int64(math.MaxInt64))
		}
		next.Total += quantity
	case "REMOVE":
		if quantity > cr.Total {
			return cr, Invalidf("totalQuantity cannot be a negative number.")
		}
		next.Total -= quantity
	default:
		return cr, Invalidf("operation %s is not valid. Valid values are: [SET, ADD, REMOVE]", op)
	}
	return next, nil
}

// ConsumableNotFound refuses a name or ARN that is no consumable resource.
//
// unverified: text, by analogy with scheduling policies.
func ConsumableNotFound(nameOrARN string) error {
	return Refusedf("ConsumableResource %s not found.", nameOrARN)
}

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
