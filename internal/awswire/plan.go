package awswire

import (
	"encoding/json"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"time"
)

// kind is what a value is on the wire, whatever its Go type.
type kind uint8

const (
	kindString kind = iota + 1
	kindBool
	kindInt
	kindFloat
	kindTime
	kindBlob
	kindRaw // json.RawMessage
	kindStruct
	kindList
	kindMap
	kindUnion
)

// quick marks the concrete Go types most members have, which decode without reflect.Value.Set.
type quick uint8

const (
	quickNone quick = iota
	quickStringPtr
	quickInt32Ptr
	quickInt64Ptr
	quickBoolPtr
	quickStrings   // []string
	quickStringMap // map[string]string
)

// plan is how values of one Go type are read and written. Plans are compiled once, when the Mux is made, and never change.
type plan struct {
	kind kind
	typ  reflect.Type // without the pointer
	ptr  bool         // the Go type is *typ
	// enum marks a named string type: empty means absent.
	enum  bool
	quick quick
	bits  int   // of kindInt and kindFloat
	elem  *plan // of kindList and kindMap
	// fields are the members of a structure or a union.
	fields []field
	// required are the fields that must be there.
	required bits
	members  []reflect.Type // of kindUnion
}

// field is a member of a structure.
type field struct {
	index int // in the Go struct; -1 for a required member the struct does not declare
	// in and out are the member's name in requests and in replies; they differ in EC2 Query only.
	in, out string
	item    string // the element of a list's entries in XML, where it is not the protocol's
	plan    *plan
}

// at is the member's name as error texts have it, with a small first letter.
func (f *field) at() string { return lowerFirst(f.in) }

// index finds a member by its name in requests. There are a dozen, so that a map would find it no sooner, and those of all
// structures would be a quarter of a megabyte.
func (p *plan) index(name []byte) (i int, ok bool) {
	for i := range p.fields {
		if p.fields[i].in == string(name) {
			return i, true
		}
	}
	return 0, false
}

// bits is a set of field positions.
type bits [2]uint64

const maxFields = 128

func (b *bits) set(i int)          { b[i>>6] |= 1 << (i & 63) }
func (b *bits) has(i int) bool     { return b[i>>6]&(1<<(i&63)) != 0 }
func (b *bits) covers(o bits) bool { return o[0]&^b[0] == 0 && o[1]&^b[1] == 0 }

// Union lists the Go types that satisfy a union's interface. Make it with UnionOf.
type Union struct {
	iface   reflect.Type
	members []reflect.Type // struct types with the one field Value
}

// UnionOf describes the union I, a generated interface of aws-sdk-go-v2, by one value of each of its member types:
// UnionOf[types.PolicyIdentifier](&types.PolicyIdentifierMemberPolicyArn{}, ...). Go can't list them itself.
func UnionOf[I any](members ...I) Union {
	u := Union{iface: reflect.TypeFor[I]()}
	for _, m := range members {
		u.members = append(u.members, reflect.TypeOf(m).Elem())
	}
	return u
}

// unionMemberName is the wire name of a union's member type: PolicyIdentifierMemberPolicyArn is PolicyArn.
func unionMemberName(t reflect.Type) string {
	_, name, _ := strings.Cut(t.Name(), "Member")
	return name
}

var (
	typeTime = reflect.TypeFor[time.Time]()
	typeRaw  = reflect.TypeFor[json.RawMessage]()
)

// planner compiles the plans of one service.
type planner struct {
	protocol Protocol
	lower    bool
	unions   []Union
	required map[string][]string
	odd      map[string]string // "Type.Field" -> wire name
	done     map[reflect.Type]*plan
}

func newPlanner(s *Service) *planner {
	lower := s.Protocol == RestJSON1 || s.Protocol == AWSJSON11
	switch s.MemberCase {
	case LowerCamel:
		lower = true
	case UpperCamel:
		lower = false
	}
	return &planner{protocol: s.Protocol, lower: lower, unions: s.Unions, required: s.Required, odd: s.model.Names, done: map[reflect.Type]*plan{}}
}

// operation compiles the plan of an operation's input, whose required members are the operation's.
func (pl *planner) operation(t reflect.Type, required []string) (*plan, error) {
	if t.Kind() != reflect.Struct {
		return nil, fmt.Errorf("input %s is no struct", t)
	}
	p := &plan{kind: kindStruct, typ: t}
	if err := pl.fill(p, required); err != nil {
		return nil, err
	}
	return p, nil
}

// compile makes the plan of a type, or finds it.
func (pl *planner) compile(t reflect.Type) (*plan, error) {
	if p, ok := pl.done[t]; ok {
		return p, nil
	}
	p := &plan{typ: t}
	pl.done[t] = p // before its members: a type may hold itself
	if t.Kind() == reflect.Pointer {
		p.ptr, p.typ = true, t.Elem()
	}
	if err := pl.classify(p); err != nil {
		return nil, err
	}
	switch t {
	case reflect.TypeFor[*string]():
		p.quick = quickStringPtr
	case reflect.TypeFor[*int32]():
		p.quick = quickInt32Ptr
	case reflect.TypeFor[*int64]():
		p.quick = quickInt64Ptr
	case reflect.TypeFor[*bool]():
		p.quick = quickBoolPtr
	case reflect.TypeFor[[]string]():
		p.quick = quickStrings
	case reflect.TypeFor[map[string]string]():
		p.quick = quickStringMap
	}
	return p, nil
}

func (pl *planner) classify(p *plan) (err error) {
	t := p.typ
	switch {
	case t == typeTime:
		p.kind = kindTime
		return nil
	case t == typeRaw:
		p.kind = kindRaw
		if pl.protocol == Query || pl.protocol == EC2Query {
			return fmt.Errorf("%s in a Query protocol", t)
		}
		return nil
	}
	switch t.Kind() {
	case reflect.String:
		p.kind, p.enum = kindString, t.PkgPath() != ""
	case reflect.Bool:
		p.kind = kindBool
	case reflect.Int32, reflect.Int64:
		p.kind, p.bits = kindInt, t.Bits()
	case reflect.Float32, reflect.Float64:
		p.kind, p.bits = kindFloat, t.Bits()
	case reflect.Struct:
		p.kind = kindStruct
		return pl.fill(p, pl.required[t.Name()])
	case reflect.Slice:
		if t.Elem().Kind() == reflect.Uint8 {
			p.kind = kindBlob
			return nil
		}
		p.kind = kindList
		p.elem, err = pl.compile(t.Elem())
		return err
	case reflect.Map:
		if t.Key().Kind() != reflect.String {
			return fmt.Errorf("%s: a map's key must be a string", t)
		}
		p.kind = kindMap
		p.elem, err = pl.compile(t.Elem())
		return err
	case reflect.Interface:
		p.kind = kindUnion
		return pl.fillUnion(p)
	default:
		return fmt.Errorf("%s has no form on the wire", t)
	}
	return nil
}

// fill finds the members of a structure.
func (pl *planner) fill(p *plan, required []string) error {
	p.fields = make([]field, 0, p.typ.NumField()) // none has much room that it does not need: there are thousands in all
	for i := range p.typ.NumField() {
		sf := p.typ.Field(i)
		if !sf.IsExported() || sf.Name == "ResultMetadata" {
			continue
		}
		fp, err := pl.compile(sf.Type)
		if err != nil {
			return fmt.Errorf("%s.%s: %w", p.typ, sf.Name, err)
		}
		in, out, item := pl.names(p.typ, sf)
		if item != "" && fp.kind != kindList {
			return fmt.Errorf("%s.%s names the element %q of a list and is none", p.typ, sf.Name, item)
		}
		if err := p.add(field{index: i, in: in, out: out, item: item, plan: fp}); err != nil {
			return err
		}
	}
	for _, name := range required {
		i, ok := p.index([]byte(name))
		if !ok {
			i = len(p.fields)
			if err := p.add(field{index: -1, in: name, out: name}); err != nil {
				return err
			}
		}
		p.required.set(i)
	}
	return nil
}

func (p *plan) add(f field) error {
	if _, dup := p.index([]byte(f.in)); dup {
		return fmt.Errorf("%s has two members %q", p.typ, f.in)
	}
	if len(p.fields) == maxFields {
		return fmt.Errorf("%s has over %d members", p.typ, maxFields)
	}
	p.fields = append(p.fields, f)
	return nil
}

// names gives a field's name in requests and in replies. EC2 Query follows the Smithy traits: `ec2` is ec2QueryName,
// `awswire` is xmlName, whose capitalised form is the parameter's name where there is no `ec2`
// (https://smithy.io/2.0/aws/protocols/aws-ec2-query-protocol.html). After a comma `awswire` may name the element of a
// list's entries in XML replies, the xmlName of the list's member.
func (pl *planner) names(t reflect.Type, sf reflect.StructField) (in, out, item string) {
	tag, item, _ := strings.Cut(sf.Tag.Get("awswire"), ",")
	if pl.protocol == EC2Query {
		out = lowerFirst(sf.Name)
		if tag != "" {
			out = tag
		}
		if in = sf.Tag.Get("ec2"); in == "" {
			in = upperFirst(out)
		}
		return in, out, item
	}
	if tag == "" {
		tag = pl.odd[t.Name()+"."+sf.Name]
	}
	switch {
	case tag != "":
		return tag, tag, item
	case pl.lower:
		name := lowerFirst(sf.Name)
		return name, name, item
	}
	return sf.Name, sf.Name, item
}

// fillUnion compiles the members of a union: fields[i] is that of members[i].
func (pl *planner) fillUnion(p *plan) error {
	i := slices.IndexFunc(pl.unions, func(u Union) bool { return u.iface == p.typ })
	if i < 0 {
		return fmt.Errorf("%s is an interface that Service.Unions does not describe", p.typ)
	}
	p.members = pl.unions[i].members
	for _, t := range p.members {
		sf, ok := t.FieldByName("Value")
		if !ok {
			return fmt.Errorf("union member %s has no field Value", t)
		}
		mp, err := pl.compile(sf.Type)
		if err != nil {
			return fmt.Errorf("%s: %w", t, err)
		}
		name := unionMemberName(t)
		if pl.lower {
			name = lowerFirst(name)
		}
		if err := p.add(field{index: sf.Index[0], in: name, out: name, plan: mp}); err != nil {
			return err
		}
	}
	return nil
}

func lowerFirst(s string) string {
	if s == "" || s[0] < 'A' || s[0] > 'Z' {
		return s
	}
	return string(s[0]+'a'-'A') + s[1:]
}

func upperFirst(s string) string {
	if s == "" || s[0] < 'a' || s[0] > 'z' {
		return s
	}
	return string(s[0]-'a'+'A') + s[1:]
}
