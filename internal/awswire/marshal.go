package awswire

import (
	"fmt"
	"reflect"
)

// Encoder writes values of one Go type as an operation's output has them, outside of any request: for documents that are
// the same as an operation's, such as the detail of an event. It is safe for concurrent use.
type Encoder[T any] struct{ plan *plan }

// NewEncoder makes an Encoder. T is a struct; members are named by c (see MemberCase; ProtocolCase is LowerCamel).
func NewEncoder[T any](c MemberCase) (*Encoder[T], error) {
	p, err := newPlanner(&Service{Protocol: RestJSON1, MemberCase: c}).compile(reflect.TypeFor[T]())
	if err != nil {
		return nil, err
	}
	if p.kind != kindStruct || p.ptr {
		return nil, fmt.Errorf("%s is no struct", reflect.TypeFor[T]())
	}
	return &Encoder[T]{p}, nil
}

// Append appends the JSON of v to b.
func (e *Encoder[T]) Append(b []byte, v *T) []byte {
	return appendJSON(b, e.plan, reflect.ValueOf(v).Elem())
}
