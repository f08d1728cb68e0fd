package awsclient

import (
	"errors"
	"fmt"
	"strings"

	"github.com/aws/smithy-go"
)

// Explain is err's text as a person wants it: of a failed call of AWS it keeps the operation, the error's code and its
// message, and leaves out the SDK's account of the HTTP exchange.
func Explain(err error) string {
	text := err.Error()
	var op *smithy.OperationError
	if !errors.As(err, &op) {
		return text
	}
	var api smithy.APIError
	brief := fmt.Sprintf("%s: %v", op.OperationName, innermost(op.Err))
	if errors.As(op.Err, &api) {
		brief = fmt.Sprintf("%s: %s: %s", op.OperationName, api.ErrorCode(), api.ErrorMessage())
	}
	return strings.Replace(text, op.Error(), brief, 1)
}

func innermost(err error) error {
	for {
		inner := errors.Unwrap(err)
		if inner == nil {
			return err
		}
		// Network errors say at each level what the one below does not: the address, the system call.
		if strings.HasPrefix(err.Error(), "dial ") || strings.HasPrefix(err.Error(), "read ") || strings.HasPrefix(err.Error(), "write ") {
			return err
		}
		err = inner
	}
}
