package awswire

import (
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"
)

const (
	sigAlgorithm = "AWS4-HMAC-SHA256"
	sigTerminal  = "aws4_request"
	// amzDateFormat is the form of X-Amz-Date.
	amzDateFormat = "20060102T150405Z"
)

// Signature is what a request claims about who signed it, from its Authorization header or its presigned query
// (https://docs.aws.amazon.com/IAM/latest/UserGuide/create-signed-request.html). Parsing it proves nothing; a Verifier does.
type Signature struct {
	AccessKeyID string
	// Day, Region and Service are the credential scope; Day is YYYYMMDD.
	Day, Region, Service string
	// SignedHeaders are in lower case, in the order given.
	SignedHeaders []string
	// MAC is the signature in hexadecimal.
	MAC          string
	SessionToken string
	// Time is X-Amz-Date (or Date, in the header form), zero if absent or malformed.
	Time time.Time
	// Presigned says that the signature stands in the query. Expires is then how long it is said to hold.
	Presigned bool
	Expires   time.Duration
}

// ParseSignature reads a request's signature: nil and no error if it has none. With an error it still returns what could be
// read if that includes the credential scope, so that a listener which verifies nothing can go by it.
func ParseSignature(r *http.Request) (*Signature, error) {
	if h := r.Header.Get("Authorization"); strings.HasPrefix(h, sigAlgorithm) {
		s, err := parseAuthorization(h)
		if s == nil {
			return nil, err
		}
		s.SessionToken = r.Header.Get("X-Amz-Security-Token")
		date := r.Header.Get("X-Amz-Date")
		switch {
		case date != "":
			t, terr := time.Parse(amzDateFormat, date)
			if terr != nil {
				err = errors.Join(err, unreadable("X-Amz-Date %q is not of the form YYYYMMDD'T'HHMMSS'Z'", date))
			}
			s.Time = t
		case r.Header.Get("Date") != "":
			t, terr := http.ParseTime(r.Header.Get("Date"))
			if terr != nil {
				err = errors.Join(err, unreadable("the Date header %q is no HTTP date", r.Header.Get("Date")))
			}
			s.Time = t
		default:
			err = errors.Join(err, unreadable("Authorization header requires existence of either a 'X-Amz-Date' or a 'Date' header"))
		}
		return s, err
	}
	if strings.Contains(r.URL.RawQuery, "X-Amz-Algorithm=") {
		return parsePresigned(r.URL.Query())
	}
	return nil, nil
}

// parseAuthorization reads "AWS4-HMAC-SHA256 Credential=AKID/20261123/us-east-1/batch/aws4_request,
// SignedHeaders=host;x-amz-date, Signature=...".
func parseAuthorization(h string) (*Signature, error) {
	rest, ok := strings.CutPrefix(h, sigAlgorithm+" ")
	if !ok {
		return nil, unreadable("the Authorization header does not begin with %q and a space", sigAlgorithm)
	}
	s := &Signature{}
	var errs []error
	for part := range strings.SplitSeq(rest, ",") {
		name, value, ok := strings.Cut(strings.TrimSpace(part), "=")
		if !ok {
			errs = append(errs, unreadable("'%s' not a valid key=value pair (missing equal-sign) in Authorization header", name))
			continue
		}
		switch name {
		case "Credential":
			if err := s.scope(value); err != nil {
				return nil, err
			}
		case "SignedHeaders":
			s.SignedHeaders = strings.Split(value, ";")
		case "Signature":
			s.MAC = value
		}
	}
	if s.AccessKeyID == "" {
		return nil, errors.Join(append(errs, missingAuthPart("Credential"))...)
	}
	if s.MAC == "" {
		errs = append(errs, missingAuthPart("Signature"))
	}
	if s.SignedHeaders == nil {
		errs = append(errs, missingAuthPart("SignedHeaders"))
	}
	return s, errors.Join(errs...)
}

func missingAuthPart(name string) error {
	return unreadable("Authorization header requires '%s' parameter", name)
}

// parsePresigned reads the query form. Signature and header names are as in the header form.
func parsePresigned(q url.Values) (*Signature, error) {
	if a := q.Get("X-Amz-Algorithm"); a != sigAlgorithm {
		return nil, unreadable("X-Amz-Algorithm %q is not %s", a, sigAlgorithm)
	}
	s := &Signature{Presigned: true, MAC: q.Get("X-Amz-Signature"), SessionToken: q.Get("X-Amz-Security-Token")}
	if err := s.scope(q.Get("X-Amz-Credential")); err != nil {
		return nil, err
	}
	var errs []error
	if h := q.Get("X-Amz-SignedHeaders"); h != "" {
		s.SignedHeaders = strings.Split(h, ";")
	} else {
		errs = append(errs, unreadable("the query has no X-Amz-SignedHeaders"))
	}
	if s.MAC == "" {
		errs = append(errs, unreadable("the query has no X-Amz-Signature"))
	}
	t, err := time.Parse(amzDateFormat, q.Get("X-Amz-Date"))
	if err != nil {
		errs = append(errs, unreadable("X-Amz-Date %q is not of the form YYYYMMDD'T'HHMMSS'Z'", q.Get("X-Amz-Date")))
	}
	s.Time = t
	if e := q.Get("X-Amz-Expires"); e != "" {
		n, err := strconv.Atoi(e)
		if err != nil || n < 1 || n > 7*24*3600 {
			errs = append(errs, unreadable("X-Amz-Expires %q is not a number of seconds from 1 to 604800", e))
			n = 0
		}
		s.Expires = time.Duration(n) * time.Second
	}
	return s, errors.Join(errs...)
}

// scope reads a credential: key id, day, region, service, "aws4_request". A key id may hold slashes; the rest may not.
func (s *Signature) scope(credential string) error {
	parts := strings.Split(credential, "/")
	n := len(parts)
	if n < 5 || parts[n-1] != sigTerminal {
		return unreadable("Credential must have at least 5 slash-delimited elements, the last of them %q: %q", sigTerminal, credential)
	}
	s.AccessKeyID = strings.Join(parts[:n-4], "/")
	s.Day, s.Region, s.Service = parts[n-4], parts[n-3], parts[n-2]
	if s.AccessKeyID == "" || s.Region == "" || s.Service == "" {
		return unreadable("Credential has an empty element: %q", credential)
	}
	return nil
}

// unreadableError says, in AWS's words where they are known, why a signature can't be read.
type unreadableError string

func (e unreadableError) Error() string { return string(e) }

func unreadable(format string, args ...any) error {
	return unreadableError(fmt.Sprintf(format, args...))
}

// IsAccount says whether s has the form of an AWS account id: twelve digits.
func IsAccount(s string) bool {
	if len(s) != 12 {
		return false
	}
	for i := range len(s) {
		if s[i] < '0' || s[i] > '9' {
			return false
		}
	}
	return true
}

// IsRegion says whether s has the form of a region's name: letters, digits and single hyphens between them, 32 at most.
// That is wider than AWS's own regions, so that "local" passes, and narrow enough for file names and keys.
func IsRegion(s string) bool {
	if s == "" || len(s) > 32 || s[0] == '-' || s[len(s)-1] == '-' || strings.Contains(s, "--") {
		return false
	}
	for i := range len(s) {
		if c := s[i]; (c < 'a' || c > 'z') && (c < '0' || c > '9') && c != '-' {
			return false
		}
	}
	return true
}
