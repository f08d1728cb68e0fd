package worker_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"slices"
	"strings"
	"testing"

	"github.com/batchbox/batchbox/worker"
)

// env answers as os.LookupEnv does for a job with these variables.
func env(vars ...string) func(string) (string, bool) {
	return func(name string) (string, bool) {
		for _, v := range vars {
			if value, ok := strings.CutPrefix(v, name+"="); ok {
				return value, true
			}
		}
		return "", false
	}
}

func child(index, size int, input string) func(string) (string, bool) {
	return env(fmt.Sprint("AWS_BATCH_JOB_ARRAY_INDEX=", index), fmt.Sprint("AWS_BATCH_JOB_ARRAY_SIZE=", size),
		fmt.Sprint("AWS_BATCH_JOB_ID=4c7599ae-0a82-49aa-ba5a-4727fcce14a8:", index), "AWS_BATCH_JOB_ATTEMPT=2", "JOB_INPUT="+input)
}

func TestReadTellsTheJob(t *testing.T) {
	t.Parallel()
	input := `{"message": "Hello!", "items": ["a", "b", "c"], "level": 9}`
	job, err := worker.Read[string](child(1, 3, input))
	if err != nil {
		t.Fatal(err)
	}
	if job.ID != "4c7599ae-0a82-49aa-ba5a-4727fcce14a8:1" || job.Attempt != 2 || !job.Array || job.Index != 1 || job.Size != 3 ||
		job.Message != "Hello!" || job.Item() != "b" || job.Offset != 1 || job.Total != 3 {
		t.Errorf("got %+v", job)
	}
	var own struct{ Level int }
	if err := job.Decode(&own); err != nil || own.Level != 9 {
		t.Errorf("Decode: level %d, error %v; want 9", own.Level, err)
	}
	var wrong struct{ Level []string }
	var bad *worker.InputError
	if err := job.Decode(&wrong); !errors.As(err, &bad) {
		t.Errorf("Decode into a wrong type: error %v, want an *InputError", err)
	}
}

func TestReadWithoutAWSBatch(t *testing.T) {
	t.Parallel()
	job, err := worker.Read[int](env(`JOB_INPUT={"items": [4, 5]}`))
	if err != nil {
		t.Fatal(err)
	}
	if job.ID != "" || job.Attempt != 1 || job.Array || !slices.Equal(job.Items, []int{4, 5}) {
		t.Errorf("got %+v", job)
	}
}

func TestReadSharesItems(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		name  string
		env   func(string) (string, bool)
		items string // as JSON
	}{
		{"OneEach", child(2, 3, `{"items": ["a", "b", "c"]}`), `["c"]`},
		{"SlicesDifferByOneAtMost/First", child(0, 3, `{"items": [0, 1, 2, 3, 4, 5, 6]}`), `[0,1,2]`},
		{"SlicesDifferByOneAtMost/Middle", child(1, 3, `{"items": [0, 1, 2, 3, 4, 5, 6]}`), `[3,4]`},
		{"SlicesDifferByOneAtMost/Last", child(2, 3, `{"items": [0, 1, 2, 3, 4, 5, 6]}`), `[5,6]`},
		{"SingleJobTakesAll", env(`JOB_INPUT={"items": [{"id": 1}, null]}`), `[{"id":1},null]`},
		{"Range", child(9999, 10000, `{"range": {"from": 0, "to": 9999}}`), `[9999]`},
		{"RangeIncludesItsEnds", env(`JOB_INPUT={"range": {"from": -1, "to": 1}}`), `[-1,0,1]`},
		{"RangeInSlices", child(1, 2, `{"range": {"from": 10, "to": 14}}`), `[13,14]`},
		{"RangeOfOne", env(`JOB_INPUT={"range": {"from": 7, "to": 7}}`), `[7]`},
		{"HugeRangeInSmallShares", child(1, 9000, fmt.Sprintf(`{"range": {"from": 1, "to": %d}}`, 9001)), `[3]`},
		{"IndexWithoutSizeTakesOneItem", env("AWS_BATCH_JOB_ARRAY_INDEX=1", `JOB_INPUT={"items": ["a", "b", "c"]}`), `["b"]`},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			job, err := worker.Read[json.RawMessage](tc.env)
			if err != nil {
				t.Fatal(err)
			}
			got, err := json.Marshal(job.Items)
			if err != nil {
				t.Fatal(err)
			}
			if string(got) != tc.items {
				t.Errorf("items %s, want %s", got, tc.items)
			}
		})
	}
}

// Every item goes to exactly one child, in order, whatever the numbers.
func TestSharesCoverTheItems(t *testing.T) {
	t.Parallel()
	for total := 2; total <= 40; total++ {
		for size := 2; size <= total; size++ {
			next := 1
			for index := range size {
				job, err := worker.Read[int](child(index, size, fmt.Sprintf(`{"range": {"from": 1, "to": %d}}`, total)))
				if err != nil {
					t.Fatal(err)
				}
				if n := len(job.Items); n != total/size && n != total/size+1 {
					t.Fatalf("%d items on %d children: child %d takes %d", total, size, index, n)
				}
				for _, item := range job.Items {
					if item != next {
						t.Fatalf("%d items on %d children: child %d takes %v, want %d next", total, size, index, job.Items, next)
					}
					next++
				}
			}
			if next != total+1 {
				t.Fatalf("%d items on %d children: %d handled", total, size, next-1)
			}
		}
	}
}

func TestReadRefuses(t *testing.T) {
	t.Parallel()
	const good = `JOB_INPUT={"items": [1, 2]}`
	for _, tc := range []struct {
		name string
		env  func(string) (string, bool)
		want string
	}{
		{"NoInput", env(), "JOB_INPUT is not set"},
		{"EmptyInput", env("JOB_INPUT="), "JOB_INPUT is not set"},
		{"NoJSON", env("JOB_INPUT={items}"), "not JSON: invalid character 'i'"},
		{"CutOff", env(`JOB_INPUT={"items": [1, 2`), "at byte 15 of 15"},
		{"TrailingData", env(good + "]"), "not JSON"},
		{"NoObject", env("JOB_INPUT=[1, 2]"), "not a JSON object"},
		{"Null", env("JOB_INPUT=null"), "not a JSON object"},
		{"NoItems", env(`JOB_INPUT={"message": "Hello!"}`), "no items"},
		{"EmptyItems", env(`JOB_INPUT={"items": []}`), "no items"},
		{"ItemsNoList", env(`JOB_INPUT={"items": "a"}`), `"items" is a JSON string`},
		{"MessageNoString", env(`JOB_INPUT={"message": 1, "items": [1]}`), `"message" is a JSON number`},
		{"WrongItem", child(1, 2, `{"items": [1, "b"]}`), "items[1]: "},
		{"BothItemsAndRange", env(`JOB_INPUT={"items": [1], "range": {"from": 0, "to": 1}}`), "exclude each other"},
		{"RangeWithoutEnd", env(`JOB_INPUT={"range": {"from": 0}}`), `needs "from" and "to"`},
		{"RangeBackwards", env(`JOB_INPUT={"range": {"from": 2, "to": 1}}`), "no items"},
		{"RangeOfFractions", env(`JOB_INPUT={"range": {"from": 0.5, "to": 1}}`), `"range.from" is a JSON number 0.5`},
		{"RangeBeyondCounting", env(fmt.Sprintf(`JOB_INPUT={"range": {"from": %d, "to": %d}}`, math.MinInt64, math.MaxInt64)), "more items than"},
		{"ShareBeyondMemory", env(`JOB_INPUT={"range": {"from": 1, "to": 10000001}}`), "over the limit of 10000000"},
		{"MoreChildrenThanItems", child(0, 3, `{"items": [1, 2]}`), "more children than items: 3 for 2"},
		{"IndexBeyondItems", env("AWS_BATCH_JOB_ARRAY_INDEX=2", good), "more children than items: 3 for 2"},
		{"IndexNoNumber", env("AWS_BATCH_JOB_ARRAY_INDEX=one", good), `AWS_BATCH_JOB_ARRAY_INDEX is "one", which is no number`},
		{"IndexEmpty", env("AWS_BATCH_JOB_ARRAY_INDEX=", good), `AWS_BATCH_JOB_ARRAY_INDEX is "", which is no number`},
		{"IndexNegative", env("AWS_BATCH_JOB_ARRAY_INDEX=-1", good), "AWS_BATCH_JOB_ARRAY_INDEX is -1"},
		{"IndexBeyondSize", child(2, 2, `{"items": [1, 2]}`), "indexes run from 0 to 1"},
		{"SizeNoNumber", env("AWS_BATCH_JOB_ARRAY_INDEX=0", "AWS_BATCH_JOB_ARRAY_SIZE=2.0", good), `AWS_BATCH_JOB_ARRAY_SIZE is "2.0"`},
		{"SizeZero", env("AWS_BATCH_JOB_ARRAY_INDEX=0", "AWS_BATCH_JOB_ARRAY_SIZE=0", good), "AWS_BATCH_JOB_ARRAY_SIZE is 0"},
		{"AttemptNoNumber", env("AWS_BATCH_JOB_ATTEMPT=x", good), `AWS_BATCH_JOB_ATTEMPT is "x"`},
		{"AttemptZero", env("AWS_BATCH_JOB_ATTEMPT=0", good), "AWS_BATCH_JOB_ATTEMPT is 0"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			job, err := worker.Read[int](tc.env)
			var bad *worker.InputError
			if !errors.As(err, &bad) {
				t.Fatalf("job %+v, error %v; want an *InputError", job, err)
			}
			if !strings.Contains(err.Error(), tc.want) {
				t.Errorf("error %q, want %q in it", err, tc.want)
			}
		})
	}
}

func TestReadRefusesARangeOfOtherThanNumbers(t *testing.T) {
	t.Parallel()
	_, err := worker.Read[string](env(`JOB_INPUT={"range": {"from": 3, "to": 4}}`))
	if err == nil || !strings.Contains(err.Error(), "item 3 is a number, but the program takes string") {
		t.Errorf("error %v", err)
	}
}

func FuzzRead(f *testing.F) {
	f.Add("1", "3", `{"message": "Hello!", "items": ["a", "b", "c"]}`)
	f.Add("0", "2", `{"range": {"from": 0, "to": 9999}}`)
	f.Add("-1", "", `[]`)
	f.Fuzz(func(t *testing.T, index, size, input string) {
		job, err := worker.Read[json.RawMessage](env("AWS_BATCH_JOB_ARRAY_INDEX="+index, "AWS_BATCH_JOB_ARRAY_SIZE="+size, "JOB_INPUT="+input))
		var bad *worker.InputError
		switch {
		case err != nil && !errors.As(err, &bad):
			t.Fatalf("error %T %v is no *InputError", err, err)
		case err == nil && (len(job.Items) == 0 || job.Offset < 0 || job.Offset+len(job.Items) > job.Total):
			t.Fatalf("share [%d, %d) of %d items", job.Offset, job.Offset+len(job.Items), job.Total)
		}
	})
}
