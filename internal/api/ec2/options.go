package ec2

import "slices"

// dhcpOptions are DHCP options.
type dhcpOptions struct {
	base
	Options []dhcpOption `json:"options"`
}

type dhcpOption struct {
	Key    string   `json:"key"`
	Values []string `json:"values"`
}

// DHCPOptions are DHCP options as they are shown.
type DHCPOptions struct {
	DhcpConfigurations []DHCPConfiguration `awswire:"dhcpConfigurationSet"`
	DhcpOptionsId      *string
	OwnerId            *string
	Tags               []Tag `awswire:"tagSet"`
}

// DHCPConfiguration is one of them.
type DHCPConfiguration struct {
	Key    *string
	Values []DHCPValue `awswire:"valueSet"`
}

// DHCPValue is a value of one.
type DHCPValue struct {
	Value *string
}

func (o *dhcpOptions) show(t *tx) DHCPOptions {
	out := DHCPOptions{DhcpOptionsId: ptr(o.ID), OwnerId: ptr(t.Account), Tags: o.Tags, DhcpConfigurations: []DHCPConfiguration{}}
	for _, one := range o.Options {
		c := DHCPConfiguration{Key: ptr(one.Key)}
		for _, v := range one.Values {
			c.Values = append(c.Values, DHCPValue{ptr(v)})
		}
		out.DhcpConfigurations = append(out.DhcpConfigurations, c)
	}
	return out
}

var dhcpLook = look[DHCPOptions]{
	filters: map[string]func(*DHCPOptions) []string{
		"dhcp-options-id": func(o *DHCPOptions) []string { return one(o.DhcpOptionsId) },
		"owner-id":        func(o *DHCPOptions) []string { return one(o.OwnerId) },
		"key": func(o *DHCPOptions) []string {
			return each(o.DhcpConfigurations, func(c *DHCPConfiguration) *string { return c.Key })
		},
		"value": func(o *DHCPOptions) (values []string) {
			for _, c := range o.DhcpConfigurations {
				values = append(values, each(c.Values, func(v *DHCPValue) *string { return v.Value })...)
			}
			return values
		},
	},
	tags: func(o *DHCPOptions) []Tag { return o.Tags },
	key:  func(o *DHCPOptions) string { return *o.DhcpOptionsId },
}

type describeDHCPInput struct {
	DhcpOptionsIds []string `ec2:"DhcpOptionsId"`
	DryRun         *bool
	Filters        []Filter `ec2:"Filter"`
	MaxResults     *int32
	NextToken      *string
}

type describeDHCPOutput struct {
	DhcpOptions []DHCPOptions `awswire:"dhcpOptionsSet"`
	NextToken   *string
}

func describeDHCP(t *tx, in *describeDHCPInput) (*describeDHCPOutput, error) {
	options, err := all[dhcpOptions](t, &kindDHCP)
	if err != nil {
		return nil, err
	}
	var list []DHCPOptions
	for _, o := range options {
		list = append(list, o.show(t))
	}
	if list, err = pick(list, in.DhcpOptionsIds, &kindDHCP, dhcpLook.key); err != nil {
		return nil, err
	}
	list, next, err := dhcpLook.choose(list, query{in.Filters, in.MaxResults, in.NextToken})
	return &describeDHCPOutput{DhcpOptions: list, NextToken: next}, err
}

type createDHCPInput struct {
	DhcpConfigurations []NewDHCPConfiguration `ec2:"DhcpConfiguration"`
	DryRun             *bool
	TagSpecifications  []TagSpecification `ec2:"TagSpecification"`
}

// NewDHCPConfiguration is an option to be made.
type NewDHCPConfiguration struct {
	Key    *string
	Values []string `ec2:"Value"`
}

type createDHCPOutput struct {
	DhcpOptions *DHCPOptions
}

// dhcpKeys are the options there are (https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_CreateDhcpOptions.html).
var dhcpKeys = []string{"domain-name-servers", "domain-name", "ntp-servers", "netbios-name-servers", "netbios-node-type", "ipv6-address-preferred-lease-time"}

func createDHCP(t *tx, in *createDHCPInput) (*createDHCPOutput, error) {
	if len(in.DhcpConfigurations) == 0 {
		return nil, missing("dhcpConfiguration")
	}
	tags, err := specified(in.TagSpecifications, kindDHCP.typ)
	if err != nil {
		return nil, err
	}
	id, err := t.newID(kindDHCP.prefix)
	if err != nil {
		return nil, err
	}
	o := &dhcpOptions{base: base{id, tags}}
	for _, c := range in.DhcpConfigurations {
		if !slices.Contains(dhcpKeys, str(c.Key)) {
			return nil, invalid("Value (%s) for parameter key is invalid. Unknown DHCP option", str(c.Key)) // unverified text
		}
		o.Options = append(o.Options, dhcpOption{*c.Key, c.Values})
	}
	return &createDHCPOutput{DhcpOptions: ptr(o.show(t))}, t.put(&kindDHCP, o)
}

type associateDHCPInput struct {
	DhcpOptionsId *string
	DryRun        *bool
	VpcId         *string
}

func associateDHCP(t *tx, in *associateDHCPInput) (*done, error) {
	v, err := find[vpc](t, &kindVPC, in.VpcId, "VpcId")
	if err != nil {
		return nil, err
	}
	if str(in.DhcpOptionsId) == "default" { // no options at all
		v.DHCP = "default"
		return succeed(), t.put(&kindVPC, v)
	}
	o, err := find[dhcpOptions](t, &kindDHCP, in.DhcpOptionsId, "DhcpOptionsId")
	if err != nil {
		return nil, err
	}
	v.DHCP = o.ID
	return succeed(), t.put(&kindVPC, v)
}

type dhcpInput struct {
	DhcpOptionsId *string
	DryRun        *bool
}

func deleteDHCP(t *tx, in *dhcpInput) (*done, error) {
	o, err := find[dhcpOptions](t, &kindDHCP, in.DhcpOptionsId, "DhcpOptionsId")
	if err != nil {
		return nil, err
	}
	vpcs, err := all[vpc](t, &kindVPC)
	if err != nil {
		return nil, err
	}
	for _, v := range vpcs {
		if v.DHCP == o.ID {
			return nil, refuse("DependencyViolation", "The dhcpOptions '%s' has dependencies and cannot be deleted.", o.ID)
		}
	}
	return succeed(), t.delete(&kindDHCP, o)
}
