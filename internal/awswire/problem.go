package awswire

import (
	"fmt"
	"net/http"
	"strconv"
	"strings"
)

// problem is why a request could not become an input. It is the caller's fault, always.
type problem struct {
	kind problemKind
	text string
}

type problemKind uint8

const (
	malformed problemKind = iota + 1 // the bytes break the format
	badValue                         // a member holds what its type does not
	missing                          // a required member is absent
	tooLarge
	wrongMedia
)

func (p *problem) Error() string { return p.text }

func malformedf(format string, args ...any) *problem {
	return &problem{kind: malformed, text: fmt.Sprintf(format, args...)}
}

// problemError puts a problem into the words and codes of the service.
func (s *service) problemError(c *Call, p *problem) *Error {
	e := &Error{Status: http.StatusBadRequest, Message: p.text}
	switch p.kind {
	case missing:
		e.Code = s.MissingCode
	case malformed, tooLarge, wrongMedia:
		e.Code = s.BadRequestCode
		if e.Code == "" {
			e.Code = byProtocol(s.Protocol, "SerializationException", "MalformedQueryString", "MalformedQueryString")
		}
	case badValue:
		e.Code = s.BadRequestCode
		if e.Code == "" {
			e.Code = byProtocol(s.Protocol, "SerializationException", "ValidationError", "InvalidParameterValue")
		}
	}
	if e.Code == "" {
		e.Code = s.BadRequestCode
	}
	if e.Code == "" {
		e.Code = byProtocol(s.Protocol, "ValidationException", "ValidationError", "MissingParameter")
	}
	switch p.kind {
	case tooLarge:
		e.Status = http.StatusRequestEntityTooLarge
	case wrongMedia:
		e.Status = http.StatusUnsupportedMediaType
	}
	if s.BadRequestText != nil {
		e.Message = s.BadRequestText(c, p.text)
	}
	return e
}

func byProtocol(p Protocol, json, query, ec2 string) string {
	switch p {
	case Query:
		return query
	case EC2Query:
		return ec2
	default:
		return json
	}
}

// path is where in the input a decoder stands.
type path []segment

// segment is a member or a map key, or the item of a list if index is not zero.
type segment struct {
	name  string
	index int // from 1
}

// String writes the path as AWS does in its validation texts: tags.1.member.value.
func (p path) String() string {
	var b strings.Builder
	for i, s := range p {
		if i > 0 {
			b.WriteByte('.')
		}
		if s.index > 0 {
			b.WriteString(strconv.Itoa(s.index))
			b.WriteString(".member")
			continue
		}
		b.WriteString(s.name)
	}
	return b.String()
}

// missingProblem reports required members that are absent, in the words of AWS's front ends (seen on IAM, CloudWatch Logs
// and others: "1 validation error detected: Value null at 'roleName' failed to satisfy constraint: Member must not be
// null"; EC2 has its own: "The request must contain the parameter GroupId"). It returns nil if nothing is missing.
func missingProblem(protocol Protocol, paths []string) *problem {
	if len(paths) == 0 {
		return nil
	}
	if protocol == EC2Query {
		return &problem{kind: missing, text: "The request must contain the parameter " + upperFirst(paths[0])}
	}
	var b strings.Builder
	plural := "s"
	if len(paths) == 1 {
		plural = ""
	}
	fmt.Fprintf(&b, "%d validation error%s detected: ", len(paths), plural)
	for i, p := range paths {
		if i > 0 {
			b.WriteString("; ")
		}
		fmt.Fprintf(&b, "Value null at '%s' failed to satisfy constraint: Member must not be null", p)
	}
	return &problem{kind: missing, text: b.String()}
}

// maxMissing bounds how many missing members one answer names.
const maxMissing = 50

// noteMissing adds the required members of p that seen lacks.
func noteMissing(list []string, at path, p *plan, seen bits) []string {
	for i := range p.fields {
		if p.required.has(i) && !seen.has(i) && len(list) < maxMissing {
			list = append(list, append(at[:len(at):len(at)], segment{name: p.fields[i].at()}).String())
		}
	}
	return list
}
