package ec2

import (
	"net/netip"
	"slices"
	"strconv"
	"strings"
)

// rulePrefix is that of the ids of security group rules.
const rulePrefix = "sgr-"

// rule lets something in or out: one protocol and range of ports, to or from one peer. Its JSON is how the store keeps it.
type rule struct {
	base
	Egress      bool   `json:"egress,omitempty"`
	Protocol    string `json:"protocol"` // "-1" for all, "tcp", "udp", "icmp", "icmpv6", or a number
	From        *int32 `json:"fromPort,omitempty"`
	To          *int32 `json:"toPort,omitempty"`
	IPv4        string `json:"cidrIpv4,omitempty"`
	IPv6        string `json:"cidrIpv6,omitempty"`
	PrefixList  string `json:"prefixListId,omitempty"`
	Group       string `json:"groupId,omitempty"`
	GroupOwner  string `json:"groupOwner,omitempty"`
	Description string `json:"description,omitempty"`
}

// same says whether two rules let the same thing pass; their descriptions do not count.
func (r *rule) same(o *rule) bool {
	return r.Egress == o.Egress && r.Protocol == o.Protocol && equalPort(r.From, o.From) && equalPort(r.To, o.To) &&
		r.IPv4 == o.IPv4 && r.IPv6 == o.IPv6 && r.PrefixList == o.PrefixList && r.Group == o.Group
}

func equalPort(a, b *int32) bool { return a == nil && b == nil || a != nil && b != nil && *a == *b }

// peer is who a rule is about.
func (r *rule) peer() string { return r.IPv4 + r.IPv6 + r.PrefixList + r.Group }

// String is the rule in AWS's words, as in the text of InvalidPermission.Duplicate.
func (r *rule) String() string {
	text := "peer: " + r.peer() + ", "
	if r.Protocol == "-1" {
		text += "ALL"
	} else {
		text += strings.ToUpper(r.Protocol)
		if r.From != nil && r.To != nil {
			text += ", from port: " + strconv.Itoa(int(*r.From)) + ", to port: " + strconv.Itoa(int(*r.To))
		}
	}
	return text + ", ALLOW"
}

// IPPermission is a set of rules that differ in their peers only.
type IPPermission struct {
	FromPort      *int32
	Groups        []GroupPair
	IpProtocol    *string
	IpRanges      []IPRange
	Ipv6Ranges    []IPv6Range
	PrefixListIds []PrefixList
	ToPort        *int32
}

// IPRange is an IPv4 peer.
type IPRange struct {
	CidrIp      *string
	Description *string
}

// IPv6Range is an IPv6 peer.
type IPv6Range struct {
	CidrIpv6    *string
	Description *string
}

// PrefixList is a peer by prefix list.
type PrefixList struct {
	Description  *string
	PrefixListId *string
}

// GroupPair is a peer by security group.
type GroupPair struct {
	Description *string
	GroupId     *string
	GroupName   *string
	UserId      *string
	VpcId       *string
}

// permissions shows rules of one direction, those of the same protocol and ports together.
func permissions(rules []rule, egress bool) []IPPermission {
	shown := []IPPermission{}
	for i := range rules {
		r := &rules[i]
		if r.Egress != egress {
			continue
		}
		at := slices.IndexFunc(shown, func(p IPPermission) bool {
			return *p.IpProtocol == r.Protocol && equalPort(p.FromPort, r.From) && equalPort(p.ToPort, r.To)
		})
		if at < 0 {
			at = len(shown)
			shown = append(shown, IPPermission{
				FromPort: r.From, ToPort: r.To, IpProtocol: ptr(r.Protocol), Groups: []GroupPair{}, IpRanges: []IPRange{}, Ipv6Ranges: []IPv6Range{}, PrefixListIds: []PrefixList{},
			})
		}
		p := &shown[at]
		switch description := optional(r.Description); {
		case r.IPv4 != "":
			p.IpRanges = append(p.IpRanges, IPRange{ptr(r.IPv4), description})
		case r.IPv6 != "":
			p.Ipv6Ranges = append(p.Ipv6Ranges, IPv6Range{ptr(r.IPv6), description})
		case r.PrefixList != "":
			p.PrefixListIds = append(p.PrefixListIds, PrefixList{description, ptr(r.PrefixList)})
		default:
			p.Groups = append(p.Groups, GroupPair{Description: description, GroupId: ptr(r.Group), UserId: ptr(r.GroupOwner)})
		}
	}
	return shown
}

// protocols are the names that EC2 takes for numbers; the others stay numbers.
var protocols = map[string]string{
	"-1": "-1", "all": "-1", "tcp": "tcp", "6": "tcp", "udp": "udp", "17": "udp", "icmp": "icmp", "1": "icmp", "icmpv6": "icmpv6", "58": "icmpv6",
}

// service reads protocol and ports of a permission, in the form they are kept.
func service(protocol *string, from, to *int32) (rule, error) {
	if protocol == nil {
		return rule{}, missing("ipProtocol")
	}
	name, ok := protocols[strings.ToLower(*protocol)]
	if !ok {
		n, err := strconv.Atoi(*protocol)
		if err != nil || n < 0 || n > 255 {
			return rule{}, invalid("Invalid value '%s' for IP protocol. Unknown protocol.", *protocol)
		}
		name = strconv.Itoa(n)
	}
	r := rule{Protocol: name}
	switch name {
	case "tcp", "udp":
		switch {
		case from == nil || to == nil:
			return r, invalid("Invalid value for portRange. Must specify both from and to ports with TCP/UDP.")
		case *from < 0 || *from > 65535:
			return r, invalid("Invalid value '%d' for portRange. Must be between 0 and 65535.", *from) // unverified text
		case *to < *from || *to > 65535:
			return r, invalid("Invalid %s port range '%d - %d'.", strings.ToUpper(name), *from, *to) // unverified text
		}
		r.From, r.To = ptr(*from), ptr(*to)
	case "icmp", "icmpv6": // type and code, -1 for all
		r.From, r.To = ptr(int32(-1)), ptr(int32(-1))
		if from != nil {
			r.From = ptr(*from)
		}
		if to != nil {
			r.To = ptr(*to)
		}
	}
	return r, nil
}

func ruleBlock(s string, v6 bool) (string, error) {
	p, err := netip.ParsePrefix(s)
	if err != nil || p.Addr().Is4() == v6 {
		return "", invalid("CIDR block %s is malformed", s)
	}
	return p.Masked().String(), nil
}

func ruleDescription(s *string) (string, error) {
	if s != nil && !groupTextRE().MatchString(*s) {
		return "", invalid("Invalid rule description. Valid descriptions are " + groupTextSet)
	}
	return str(s), nil
}

// rules takes permissions apart into rules of a group, one for each peer.
func (t *tx) rules(g *group, permissions []IPPermission, egress bool) ([]rule, error) {
	var list []rule
	for _, p := range permissions {
		proto, err := service(p.IpProtocol, p.FromPort, p.ToPort)
		if err != nil {
			return nil, err
		}
		proto.Egress = egress
		before := len(list)
		add := func(description *string, peer func(r *rule) error) {
			if err != nil {
				return
			}
			r := proto
			if r.Description, err = ruleDescription(description); err != nil {
				return
			}
			if err = peer(&r); err == nil {
				list = append(list, r)
			}
		}
		for _, one := range p.IpRanges {
			add(one.Description, func(r *rule) (err error) { r.IPv4, err = ruleBlock(str(one.CidrIp), false); return err })
		}
		for _, one := range p.Ipv6Ranges {
			add(one.Description, func(r *rule) (err error) { r.IPv6, err = ruleBlock(str(one.CidrIpv6), true); return err })
		}
		for _, one := range p.PrefixListIds {
			add(one.Description, func(r *rule) error {
				r.PrefixList = str(one.PrefixListId)
				if !strings.HasPrefix(r.PrefixList, "pl-") {
					return refuse("InvalidPrefixListId.Malformed", `Invalid id: "%s" (expecting "pl-...")`, r.PrefixList)
				}
				return nil
			})
		}
		for _, one := range p.Groups {
			add(one.Description, func(r *rule) error { return t.peerGroup(g, r, &one) })
		}
		if err != nil {
			return nil, err
		}
		if len(list) == before {
			return nil, missing("ipPermissions")
		}
	}
	if len(list) == 0 {
		return nil, missing("ipPermissions")
	}
	for i := range list {
		if slices.ContainsFunc(list[:i], func(o rule) bool { return o.same(&list[i]) }) {
			return nil, invalid("The same permission must not appear multiple times")
		}
	}
	return list, nil
}

// peerGroup finds the security group that a rule is about. One of another account can't be looked at, and is taken.
func (t *tx) peerGroup(g *group, r *rule, pair *GroupPair) error {
	r.GroupOwner = t.Account
	if pair.UserId != nil && *pair.UserId != t.Account && pair.GroupId != nil {
		r.Group, r.GroupOwner = *pair.GroupId, *pair.UserId
		return nil
	}
	peer, err := t.group(pair.GroupId, pair.GroupName)
	if err != nil {
		return err
	}
	if peer.VPC != g.VPC {
		return refuse("InvalidGroup.NotFound", "You have specified two resources that belong to different networks.")
	}
	r.Group = peer.ID
	return nil
}
