package worker

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
)

// The variables a job reads. AWS Batch sets all but JOB_INPUT, which SubmitJob gives in containerOverrides.environment
// (AWS Batch User Guide, "AWS Batch job environment variables"; AWS_BATCH_JOB_ARRAY_SIZE is set but not on that page).
const (
	envJobID      = "AWS_BATCH_JOB_ID"
	envAttempt    = "AWS_BATCH_JOB_ATTEMPT"
	envArrayIndex = "AWS_BATCH_JOB_ARRAY_INDEX"
	envArraySize  = "AWS_BATCH_JOB_ARRAY_SIZE"
	envInput      = "JOB_INPUT"
)

// MaxShare is the most items one job takes: a share is held in memory, and a range can name more than any memory holds.
const MaxShare = 10_000_000

// Job is one attempt of one AWS Batch job, or of one child of an array job, with its share of the items.
type Job[T any] struct {
	// ID is the job's id, with ":index" at its end for a child of an array. It is empty when the program runs outside
	// AWS Batch.
	ID string
	// Attempt counts from 1.
	Attempt int
	// Array says whether the job is a child of an array job. Index and Size mean something only then: Index counts from 0,
	// and Size is the number of children, or 0 if AWS Batch did not say.
	Array       bool
	Index, Size int
	// Message is the input's "message".
	Message string
	// Items are this job's share of the input's items, never empty. Offset is the place of the first of them among all
	// Total items.
	Items         []T
	Offset, Total int
	// Input is the whole JOB_INPUT, a JSON object, for members of a program's own: see Decode.
	Input json.RawMessage
}

// Item is the first item of the share, and the only one when an array has as many children as there are items.
func (j *Job[T]) Item() T { return j.Items[0] }

// Decode reads the input's members into v, a pointer to a struct, as json.Unmarshal does. Its error is an *InputError.
func (j *Job[T]) Decode(v any) error {
	if err := json.Unmarshal(j.Input, v); err != nil {
		return &InputError{Err: fmt.Errorf("%s: %w", envInput, err)}
	}
	return nil
}

// Read makes the job from its environment, which lookup answers as os.LookupEnv does. Its error is an *InputError.
//
// JOB_INPUT is a JSON object with "items", a list, or "range", {"from": a, "to": b} for the integers from a to b, both
// included. A single job takes all items. Child i of n children takes item i if there are n items, and the i-th of n
// even, consecutive slices if there are more. More children than items is an error, and so is an input without items.
func Read[T any](lookup func(string) (string, bool)) (Job[T], error) {
	job, err := read[T](lookup)
	if err != nil {
		return Job[T]{}, &InputError{Err: err}
	}
	return job, nil
}

func read[T any](lookup func(string) (string, bool)) (Job[T], error) {
	var job Job[T]
	var err error
	job.ID, _ = lookup(envJobID)
	if job.Attempt, _, err = number(lookup, envAttempt, 1); err != nil {
		return job, err
	}
	if job.Attempt == 0 {
		job.Attempt = 1
	}
	if job.Index, job.Array, err = number(lookup, envArrayIndex, 0); err != nil {
		return job, err
	}
	if job.Array {
		if job.Size, _, err = number(lookup, envArraySize, 1); err != nil {
			return job, err
		}
		if job.Size > 0 && job.Index >= job.Size {
			return job, fmt.Errorf("%s is %d, but %s is %d: indexes run from 0 to %d", envArrayIndex, job.Index, envArraySize, job.Size, job.Size-1)
		}
	}

	text, ok := lookup(envInput)
	if !ok || text == "" {
		return job, fmt.Errorf(`%s is not set: it holds the job's input, such as {"message": "Hello!", "items": ["a", "b"]}`, envInput)
	}
	job.Input = json.RawMessage(text)
	in, err := parse(job.Input)
	if err != nil {
		return job, fmt.Errorf("%s: %w", envInput, err)
	}
	job.Message = in.Message
	job.Total = in.total()
	lo, hi, err := share(job.Total, job.Array, job.Index, job.Size)
	if err != nil {
		return job, fmt.Errorf("%s: %w", envInput, err)
	}
	job.Offset = lo
	job.Items, err = decode[T](in, lo, hi)
	if err != nil {
		return job, fmt.Errorf("%s: %w", envInput, err)
	}
	return job, nil
}

// number reads a variable that is absent or an integer of at least least.
func number(lookup func(string) (string, bool), name string, least int) (n int, ok bool, err error) {
	text, ok := lookup(name)
	if !ok {
		return 0, false, nil
	}
	n, err = strconv.Atoi(text)
	if err != nil {
		return 0, false, fmt.Errorf("%s is %q, which is no number", name, text)
	}
	if n < least {
		return 0, false, fmt.Errorf("%s is %d, which is less than %d", name, n, least)
	}
	return n, true, nil
}

type input struct {
	Message string            `json:"message"`
	Items   []json.RawMessage `json:"items"`
	Range   *bounds           `json:"range"`
}

type bounds struct {
	From *int `json:"from"`
	To   *int `json:"to"`
}

func (in *input) total() int {
	if in.Range != nil {
		return *in.Range.To - *in.Range.From + 1
	}
	return len(in.Items)
}

func parse(raw []byte) (*input, error) {
	if t := bytes.TrimLeft(raw, " \t\r\n"); len(t) > 0 && t[0] != '{' && json.Valid(t) {
		return nil, errors.New("not a JSON object")
	}
	in := new(input)
	if err := json.Unmarshal(raw, in); err != nil {
		return nil, describe(raw, err)
	}
	switch r := in.Range; {
	case r == nil && len(in.Items) == 0:
		return nil, errors.New(`no items: give "items", a list, or "range", {"from": 0, "to": 9}`)
	case r == nil:
		return in, nil
	case in.Items != nil:
		return nil, errors.New(`"items" and "range" exclude each other`)
	case r.From == nil || r.To == nil:
		return nil, errors.New(`"range" needs "from" and "to"`)
	case *r.To < *r.From:
		return nil, fmt.Errorf(`no items: "range" goes from %d to %d`, *r.From, *r.To)
	case *r.To-*r.From+1 <= 0:
		return nil, fmt.Errorf(`"range" from %d to %d has more items than a number can count`, *r.From, *r.To)
	}
	return in, nil
}

// describe says where in raw an error of encoding/json is.
func describe(raw []byte, err error) error {
	var syntax *json.SyntaxError
	if errors.As(err, &syntax) {
		return fmt.Errorf("not JSON: %w, at byte %d of %d", err, syntax.Offset, len(raw))
	}
	var wrong *json.UnmarshalTypeError
	if errors.As(err, &wrong) {
		return fmt.Errorf("%q is a JSON %s, at byte %d", wrong.Field, wrong.Value, wrong.Offset)
	}
	return err
}

// share is the half-open interval of items that a job takes.
func share(total int, array bool, index, size int) (lo, hi int, err error) {
	switch {
	case !array:
		lo, hi = 0, total
	case size == 0: // one each is all that can be known
		lo, hi = index, index+1
	default:
		// Slices differ by one item at most: the first total%size children take one more.
		each, more := total/size, total%size
		lo = index*each + min(index, more)
		hi = lo + each
		if index < more {
			hi++
		}
	}
	if size > total || hi > total {
		return 0, 0, fmt.Errorf("more children than items: %d for %d", max(size, index+1), total)
	}
	if hi-lo > MaxShare {
		return 0, 0, fmt.Errorf("a share of %d items is over the limit of %d: use an array with more children", hi-lo, MaxShare)
	}
	return lo, hi, nil
}

func decode[T any](in *input, lo, hi int) ([]T, error) {
	items := make([]T, hi-lo)
	for i := range items {
		if in.Range != nil {
			n := *in.Range.From + lo + i
			if p, ok := any(&items[i]).(*int); ok {
				*p = n
			} else if err := json.Unmarshal(strconv.AppendInt(nil, int64(n), 10), &items[i]); err != nil {
				return nil, fmt.Errorf(`"range": item %d is a number, but the program takes %T`, n, items[i])
			}
			continue
		}
		if err := json.Unmarshal(in.Items[lo+i], &items[i]); err != nil {
			return nil, fmt.Errorf("items[%d]: %w", lo+i, err)
		}
	}
	return items, nil
}
