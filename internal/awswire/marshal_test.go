package awswire

import (
	"encoding/json"
	"testing"
	"time"
)

func TestEncoder(t *testing.T) {
	t.Parallel()
	type inner struct{ MaxvCpus *int32 }
	type doc struct {
		JobName *string
		Empty   *string
		Items   []inner
		Raw     json.RawMessage
		At      *time.Time
	}
	n, at := int32(2), time.UnixMilli(1500)
	v := &doc{JobName: new(string), Items: []inner{{&n}, {}}, Raw: json.RawMessage(`{"Kept":1}`), At: &at}
	*v.JobName = "a\"b"
	for _, tc := range []struct {
		c    MemberCase
		want string
	}{
		{ProtocolCase, `{"jobName":"a\"b","items":[{"maxvCpus":2},{}],"raw":{"Kept":1},"at":1.5}`},
		{UpperCamel, `{"JobName":"a\"b","Items":[{"MaxvCpus":2},{}],"Raw":{"Kept":1},"At":1.5}`},
	} {
		e, err := NewEncoder[doc](tc.c)
		if err != nil {
			t.Fatal(err)
		}
		if got := string(e.Append([]byte("x"), v)); got != "x"+tc.want {
			t.Errorf("%s, want x%s", got, tc.want)
		}
	}
	if _, err := NewEncoder[*doc](LowerCamel); err == nil {
		t.Error("a pointer was taken for a struct")
	}
	if _, err := NewEncoder[struct{ C chan int }](LowerCamel); err == nil {
		t.Error("a channel was taken for a member")
	}
}
