package ec2

// Tag is a tag, in the order given. It is stored and shown as it is.
type Tag struct {
	Key   *string
	Value *string
}

// TagSpecification is the tags for what a request makes.
type TagSpecification struct {
	ResourceType *string
	Tags         []Tag `ec2:"Tag"`
}

// Filter narrows what a Describe operation shows: any of the values, each with the wildcards * and ?.
type Filter struct {
	Name   *string
	Values []string `ec2:"Value"`
}

// BooleanAttribute is a switch of a resource.
type BooleanAttribute struct {
	Value *bool
}

func (b *BooleanAttribute) on() bool { return b != nil && b.Value != nil && *b.Value }
