package batch

import (
	"reflect"
	"testing"
)

func TestConsumableResource(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ req, text string }{
		{`{"consumableResourceName":"a b"}`, "ConsumableResource name should match a valid pattern."},
		{`{"consumableResourceName":"a","totalQuantity":-1}`, "totalQuantity cannot be a negative number."},
		{`{"consumableResourceName":"a","resourceType":"ONCE"}`, "resourceType ONCE is not valid. Valid values are: [REPLENISHABLE, NON_REPLENISHABLE]"},
		{`{"consumableResourceName":"a","tags":{"":"x"}}`, "1 validation error detected: Value at 'tags' failed to satisfy constraint: Map keys must have length between 1 and 128"},
	} {
		_, err := NewConsumableResource([]byte(c.req))
		wantRefusal(t, err, Invalid, c.text)
	}
	cr, err := NewConsumableResource([]byte(`{"consumableResourceName":"a","totalQuantity":5,"tags":{"k":"v"}}`))
	want := ConsumableResource{Name: "a", Type: Replenishable, Total: 5, Tags: map[string]string{"k": "v"}}
	if err != nil || !reflect.DeepEqual(cr, want) {
		t.Fatalf("%+v %v", cr, err)
	}
	for _, c := range []struct {
		req  string
		want int64
	}{
		{`{"operation":"SET","quantity":0}`, 0}, {`{"operation":"ADD","quantity":3}`, 8}, {`{"operation":"REMOVE","quantity":5}`, 0},
		{`{"quantity":9}`, 9}, {`{}`, 5},
	} {
		if next, err := UpdateConsumableResource(cr, []byte(c.req)); err != nil || next.Total != c.want || cr.Total != 5 {
			t.Errorf("%s: %+v %v", c.req, next, err)
		}
	}
	for _, c := range []struct{ req, text string }{
		{`{"operation":"REMOVE","quantity":6}`, "totalQuantity cannot be a negative number."},
		{`{"operation":"ADD","quantity":9223372036854775807}`, "totalQuantity cannot be greater than 9223372036854775807."},
		{`{"operation":"SET","quantity":-1}`, "quantity cannot be a negative number."},
		{`{"operation":"SET"}`, "quantity is required."},
		{`{"operation":"HALVE","quantity":1}`, "operation HALVE is not valid. Valid values are: [SET, ADD, REMOVE]"},
	} {
		next, err := UpdateConsumableResource(cr, []byte(c.req))
		wantRefusal(t, err, Invalid, c.text)
		if !reflect.DeepEqual(next, cr) {
			t.Errorf("%s: a refused update changed the resource: %+v", c.req, next)
		}
	}
}
