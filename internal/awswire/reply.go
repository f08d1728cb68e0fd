package awswire

import (
	"net/http"
	"reflect"
	"strconv"
	"sync"
)

// replies are the buffers answers are built in, so that header and body leave together with a Content-Length.
var replies = sync.Pool{New: func() any { b := make([]byte, 0, 4<<10); return &b }}

// maxPooledReply keeps the buffer of one huge answer from staying for ever.
const maxPooledReply = 1 << 20

// succeed writes the operation's output.
func (x *exchange) succeed(out reflect.Value) {
	x.reply(http.StatusOK, nil, func(b []byte) []byte {
		switch x.svc.Protocol {
		case Query, EC2Query:
			return appendXMLOutput(b, x.svc, x.op, x.call.RequestID, out)
		default:
			return appendJSONOutput(b, x.op.out, out)
		}
	})
}

// fail writes an error.
func (x *exchange) fail(e *Error) {
	x.reply(e.status(), e, func(b []byte) []byte {
		switch x.svc.Protocol {
		case RestJSON1:
			x.w.Header().Set("X-Amzn-Errortype", e.Code)
			return appendJSONError(b, e, "")
		case AWSJSON11:
			return appendJSONError(b, e, "__type")
		default:
			return appendXMLError(b, x.svc, x.call.RequestID, e)
		}
	})
}

func (x *exchange) reply(status int, e *Error, body func([]byte) []byte) {
	buf := replies.Get().(*[]byte)
	*buf = body((*buf)[:0])
	h := x.w.Header()
	switch x.svc.Protocol {
	case RestJSON1:
		h.Set("Content-Type", "application/json")
	case AWSJSON11:
		h.Set("Content-Type", "application/x-amz-json-1.1")
	default:
		h.Set("Content-Type", "text/xml;charset=UTF-8")
		h.Set("X-Amz-Request-Id", x.call.RequestID)
	}
	h.Set("X-Amzn-Requestid", x.call.RequestID)
	h.Set("Content-Length", strconv.Itoa(len(*buf)))
	x.w.WriteHeader(status)
	// A client that has gone away is its own affair.
	_, _ = x.w.Write(*buf)
	if cap(*buf) <= maxPooledReply {
		replies.Put(buf)
	}
	x.report(status, e)
}
