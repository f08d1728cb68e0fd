package awswire

import (
	"encoding/base64"
	"reflect"
	"slices"
	"strconv"
	"time"
	"unicode/utf8"
)

// xmlWriter writes replies of the Query protocols.
type xmlWriter struct {
	b []byte
	// item is the element of a list's entries: member, or item in EC2.
	item string
}

// appendXMLOutput writes an operation's reply. In Query the members stand in an OpResult element, which an operation
// without output members does not have; in EC2 Query they stand beside the request id.
func appendXMLOutput(b []byte, s *service, op *operation, requestID string, out reflect.Value) []byte {
	w := &xmlWriter{b: b, item: "member"}
	response := op.Name + "Response"
	w.openRoot(response, s.Namespace)
	if s.Protocol == EC2Query {
		w.item = "item"
		w.text("requestId", requestID)
		if !out.IsNil() {
			w.members(op.out, out.Elem())
		}
	} else {
		if len(op.out.fields) > 0 || op.emptyResult {
			w.open(op.Name + "Result")
			if !out.IsNil() {
				w.members(op.out, out.Elem())
			}
			w.close(op.Name + "Result")
		}
		w.open("ResponseMetadata")
		w.text("RequestId", requestID)
		w.close("ResponseMetadata")
	}
	w.close(response)
	return w.b
}

// appendXMLError writes an error's envelope:
// https://smithy.io/2.0/aws/protocols/aws-query-protocol.html#operation-error-serialization, and for EC2
// https://smithy.io/2.0/aws/protocols/aws-ec2-query-protocol.html#operation-error-serialization.
func appendXMLError(b []byte, s *service, requestID string, e *Error) []byte {
	w := &xmlWriter{b: b}
	if s.Protocol == EC2Query {
		w.b = append(w.b, `<?xml version="1.0" encoding="UTF-8"?>`+"\n"...)
		w.open("Response")
		w.open("Errors")
		w.open("Error")
		w.text("Code", e.Code)
		w.text("Message", e.Message)
		w.close("Error")
		w.close("Errors")
		w.text("RequestID", requestID)
		w.close("Response")
		return w.b
	}
	if s.Protocol == restXML {
		w.open("Error")
		w.text("Code", e.Code)
		w.text("Message", e.Message)
		w.text("RequestId", requestID)
		w.close("Error")
		return w.b
	}
	fault := "Sender"
	if e.Server || e.status() >= 500 {
		fault = "Receiver"
	}
	w.openRoot("ErrorResponse", s.Namespace)
	w.open("Error")
	w.text("Type", fault)
	w.text("Code", e.Code)
	w.text("Message", e.Message)
	w.close("Error")
	w.text("RequestId", requestID)
	w.close("ErrorResponse")
	return w.b
}

func (w *xmlWriter) openRoot(name, namespace string) {
	w.b = append(w.b, '<')
	w.b = append(w.b, name...)
	if namespace != "" {
		w.b = append(w.b, ` xmlns="`...)
		w.b = appendXMLText(w.b, namespace)
		w.b = append(w.b, '"')
	}
	w.b = append(w.b, '>')
}

func (w *xmlWriter) open(name string) {
	w.b = append(w.b, '<')
	w.b = append(w.b, name...)
	w.b = append(w.b, '>')
}

func (w *xmlWriter) close(name string) {
	w.b = append(w.b, '<', '/')
	w.b = append(w.b, name...)
	w.b = append(w.b, '>')
}

func (w *xmlWriter) text(name, value string) {
	w.open(name)
	w.b = appendXMLText(w.b, value)
	w.close(name)
}

func (w *xmlWriter) members(p *plan, v reflect.Value) {
	for i := range p.fields {
		f := &p.fields[i]
		if f.index < 0 {
			continue
		}
		fv := v.Field(f.index)
		if absent(f.plan, fv) {
			continue
		}
		w.open(f.out)
		if f.item != "" {
			w.list(f.plan, fv, f.item)
		} else {
			w.value(f.plan, fv)
		}
		w.close(f.out)
	}
}

func (w *xmlWriter) list(p *plan, v reflect.Value, item string) {
	for i := range v.Len() {
		w.open(item)
		w.value(p.elem, v.Index(i))
		w.close(item)
	}
}

func (w *xmlWriter) value(p *plan, v reflect.Value) {
	if p.ptr {
		if v.IsNil() { // in a list or a map
			return
		}
		v = v.Elem()
	}
	switch p.kind {
	case kindString:
		w.b = appendXMLText(w.b, v.String())
	case kindBool:
		w.b = strconv.AppendBool(w.b, v.Bool())
	case kindInt:
		w.b = strconv.AppendInt(w.b, v.Int(), 10)
	case kindFloat:
		w.b = strconv.AppendFloat(w.b, v.Float(), 'g', -1, p.bits)
	case kindTime:
		w.b = appendISOTime(w.b, timeOf(v))
	case kindBlob:
		w.b = base64.StdEncoding.AppendEncode(w.b, v.Bytes())
	case kindStruct:
		w.members(p, v)
	case kindList:
		w.list(p, v, w.item)
	case kindMap:
		for _, k := range sortedKeys(v) {
			w.open("entry")
			w.text("key", k.String())
			w.open("value")
			w.value(p.elem, v.MapIndex(k))
			w.close("value")
			w.close("entry")
		}
	case kindUnion:
		m := v.Elem().Elem()
		f := &p.fields[slices.Index(p.members, m.Type())]
		w.open(f.out)
		w.value(f.plan, m.Field(f.index))
		w.close(f.out)
	}
}

// appendISOTime writes a time as Query has it: UTC, with milliseconds only if there are any.
func appendISOTime(b []byte, t time.Time) []byte {
	if t.UnixMilli()%1000 == 0 {
		return t.UTC().AppendFormat(b, "2006-01-02T15:04:05Z")
	}
	return t.UTC().AppendFormat(b, "2006-01-02T15:04:05.000Z")
}

// appendXMLText escapes text. What XML 1.0 can't say at all becomes U+FFFD.
func appendXMLText(b []byte, s string) []byte {
	start := 0
	for i := 0; i < len(s); {
		r, size := rune(s[i]), 1
		if r >= utf8.RuneSelf {
			r, size = utf8.DecodeRuneInString(s[i:])
		}
		var esc string
		switch {
		case r == '&':
			esc = "&amp;"
		case r == '<':
			esc = "&lt;"
		case r == '>':
			esc = "&gt;"
		case r == '"':
			esc = "&quot;"
		case r == '\r':
			esc = "&#xD;"
		case r < ' ' && r != '\t' && r != '\n', r == 0xFFFE, r == 0xFFFF, r == utf8.RuneError && size == 1:
			esc = "\uFFFD"
		}
		if esc != "" {
			b = append(b, s[start:i]...)
			b = append(b, esc...)
			start = i + size
		}
		i += size
	}
	return append(b, s[start:]...)
}
