package batch

import "fmt"

// Code is the closed set of ways the domain refuses. The Batch API has two modelled exceptions only (ClientException,
// ServerException); the finer codes here decide the text's wrapper and the HTTP status in one place, api/batch.
type Code uint8

// The codes. Invalid requests carry AWS's "Error executing request, Exception : ..., RequestId: ..." wrapper on the wire;
// refusals for state or lookup are bare.
const (
	// Invalid: the request's own content breaks a rule. ClientException, wrapped.
	Invalid Code = iota + 1
	// Refused: the request is well-formed, but the state of things forbids it: not found, in use, wrong state. ClientException, bare.
	Refused
	// Unsupported: real AWS would accept it; batchbox does not do it and says so. ClientException, bare.
	Unsupported
	// Unavailable: batchbox can't at the moment (disk full, shutting down). ServerException.
	Unavailable
	// Internal: a fault of batchbox. ServerException.
	Internal
)

// Error is a refusal: its code, and the text a client sees (AWS's own where the reference has evidence of it).
type Error struct {
	Code    Code
	Message string
}

func (e *Error) Error() string { return e.Message }

// Invalidf makes an Invalid error.
func Invalidf(format string, args ...any) *Error {
	return &Error{Code: Invalid, Message: fmt.Sprintf(format, args...)}
}

// Refusedf makes a Refused error.
func Refusedf(format string, args ...any) *Error {
	return &Error{Code: Refused, Message: fmt.Sprintf(format, args...)}
}

// Unsupportedf makes an Unsupported error; the text names what is not supported.
func Unsupportedf(format string, args ...any) *Error {
	return &Error{Code: Unsupported, Message: fmt.Sprintf(format, args...)}
}
