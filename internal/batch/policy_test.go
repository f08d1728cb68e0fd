package batch

import (
	"fmt"
	"reflect"
	"strings"
	"testing"
)

const plainPolicy = `{"name":"p","fairsharePolicy":{"shareDecaySeconds":3600,"computeReservation":10,"shareDistribution":[
	{"shareIdentifier":"a","weightFactor":0.5},{"shareIdentifier":"UserA*","weightFactor":2.50},{"shareIdentifier":"b"}]}}`

// TestSchedulingPolicyTexts produces every refusal of the reference, section 2.4.
func TestSchedulingPolicyTexts(t *testing.T) {
	t.Parallel()
	const fair = "fairsharePolicy."
	many := make([]string, 501)
	for i := range many {
		many[i] = fmt.Sprintf(`{"shareIdentifier":"s%03d"}`, i)
	}
	pattern := "ShareIdentifier name should match a valid pattern."
	for _, c := range []struct{ change, text string }{
		{`tags={"aws:a":""}`, "aws: prefixed tag key names are not allowed for external use."},
		{`name="a b"`, "Scheduling policy name should match a valid pattern."},
		{`quotaSharePolicy={"idleResourceAssignmentStrategy":"FIFO"}`, "A scheduling policy can have either fairsharePolicy or quotaSharePolicy"},
		{fair + `shareDecaySeconds=-1`, "Share decay seconds should be between 0 and 604800."},
		{fair + `shareDecaySeconds=604801`, "Share decay seconds should be between 0 and 604800."},
		{fair + `computeReservation=100`, "Compute reservation should be between 0 and 99."},
		{fair + `computeReservation=-1`, "Compute reservation should be between 0 and 99."},
		{fair + `shareDistribution=[` + strings.Join(many, ",") + `]`, "ShareDistribution size cannot be greater than 500."},
		{fair + `shareDistribution.0.shareIdentifier=""`, pattern},
		{fair + `shareDistribution.0.shareIdentifier="*"`, pattern},
		{fair + `shareDistribution.0.shareIdentifier="a*b"`, pattern},
		{fair + `shareDistribution.0.shareIdentifier="a b"`, pattern},
		{fair + `shareDistribution.0.shareIdentifier="` + strings.Repeat("x", 256) + `"`, pattern},
		{fair + `shareDistribution.0.weightFactor=0`, "Weight factor should be between 0.0001 and 999.9999."},
		{fair + `shareDistribution.0.weightFactor=0.00009`, "Weight factor should be between 0.0001 and 999.9999."},
		{fair + `shareDistribution.0.weightFactor=1000`, "Weight factor should be between 0.0001 and 999.9999."},
		{fair + `shareDistribution.0.shareIdentifier="b"`, "Cannot have two or more identical shareIdentifiers."},
		{fair + `shareDistribution.0.shareIdentifier="UserA1"`, "Share identifier UserA1 matches another share identifier UserA*."},
		{fair + `shareDistribution.0.shareIdentifier="User*"`, "Share identifier UserA* matches another share identifier User*."},
	} {
		t.Run(c.text+" "+c.change[:min(len(c.change), 60)], func(t *testing.T) {
			t.Parallel()
			_, err := NewSchedulingPolicy(edit(plainPolicy, c.change))
			wantRefusal(t, err, Invalid, c.text)
		})
	}
	_, err := NewSchedulingPolicy([]byte(`{"name":"p","quotaSharePolicy":{"idleResourceAssignmentStrategy":"LIFO"}}`))
	wantRefusal(t, err, Invalid, "Idle resource assignment strategy must be one of [FIFO].")
}

func TestSchedulingPolicy(t *testing.T) {
	t.Parallel()
	sp, err := NewSchedulingPolicy(edit(plainPolicy, `tags={"k":"v"}`))
	if err != nil {
		t.Fatal(err)
	}
	sameJSON(t, sp.FairShare, member([]byte(plainPolicy), "fairsharePolicy"))
	if sp.ShareDecaySeconds != 3600 || sp.ComputeReservation != 10 || !reflect.DeepEqual(sp.Shares, []ShareWeight{{"a", 0.5}, {"UserA*", 2.5}, {"b", 1}}) {
		t.Errorf("%+v", sp)
	}
	for id, want := range map[string]float64{"a": 0.5, "b": 1, "c": 1, "UserA": 2.5, "UserA1": 2.5, "UserB": 1, "aa": 1, "": 1} {
		if got := sp.WeightFor(id); got != want {
			t.Errorf("%q weighs %v, want %v", id, got, want)
		}
	}
	if got := (*SchedulingPolicy)(nil).WeightFor("a"); got != 1 {
		t.Errorf("without a policy: %v", got)
	}

	shares := make([]string, 500)
	for i := range shares {
		shares[i] = fmt.Sprintf(`{"shareIdentifier":"s%03d","weightFactor":%s}`, i, []string{"0.0001", "999.9999"}[i%2])
	}
	full, err := NewSchedulingPolicy(edit(plainPolicy, `fairsharePolicy={"shareDecaySeconds":604800,"computeReservation":99,"shareDistribution":[`+strings.Join(shares, ",")+`]}`))
	if err != nil || len(full.Shares) != 500 {
		t.Errorf("%d shares, %v", len(full.Shares), err)
	}

	_, err = UpdateSchedulingPolicy(sp, []byte(`{"fairsharePolicy":{"computeReservation":100}}`))
	wantRefusal(t, err, Invalid, "Compute reservation should be between 0 and 99.")
	next, err := UpdateSchedulingPolicy(sp, []byte(`{"arn":"x","fairsharePolicy":{"shareDecaySeconds":0}}`))
	if err != nil || next.ShareDecaySeconds != 0 || next.ComputeReservation != 0 || next.Shares != nil || next.Tags["k"] != "v" {
		t.Errorf("%+v %v", next, err)
	}
	if next, err = UpdateSchedulingPolicy(sp, []byte(`{"arn":"x"}`)); err != nil || !reflect.DeepEqual(next, sp) {
		t.Errorf("%+v %v", next, err)
	}

	const either = "A scheduling policy can have either fairsharePolicy or quotaSharePolicy"
	_, err = UpdateSchedulingPolicy(sp, []byte(`{"quotaSharePolicy":{"idleResourceAssignmentStrategy":"FIFO"}}`))
	wantRefusal(t, err, Invalid, either)
	quota, err := NewSchedulingPolicy([]byte(`{"name":"p","quotaSharePolicy":{"idleResourceAssignmentStrategy":"FIFO"}}`))
	if err != nil || quota.FairShare != nil {
		t.Fatalf("%+v %v", quota, err)
	}
	_, err = UpdateSchedulingPolicy(quota, []byte(`{"fairsharePolicy":{}}`))
	wantRefusal(t, err, Invalid, either)
}
