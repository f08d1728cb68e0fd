package awswire

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"reflect"
	"slices"
	"strings"
	"time"

	"github.com/google/uuid"
)

// defaultMaxBody bounds a request's body where neither the operation nor the service does.
const defaultMaxBody = 1 << 20

// Options make a Mux.
type Options struct {
	Services []*Service
	// DefaultAccount (twelve digits) is whose an unsigned request is, and one whose access key id is neither an account id nor
	// known to Sessions. DefaultRegion is where an unsigned request works.
	DefaultAccount, DefaultRegion string
	// Logger gets a debug record for each request and a warning with the cause for each answer of 500 and above. Nil is
	// slog.Default().
	Logger *slog.Logger
	// Verifier checks signatures; nil lets every request through as what it claims to be.
	Verifier *Verifier
	// Sessions knows the temporary credentials that were issued here: where signatures are not verified, it says whose a
	// request is. A key it does not know is the default account's. Nil knows none.
	Sessions Credentials
	// Fallback gets the requests that are not AWS's. They are not verified. Nil answers them with an error.
	Fallback http.Handler
	// Others gets the requests for AWS services that are not among Services, with their bodies unread. With a Verifier,
	// their signatures are checked before (see verifyOther). Nil answers them with an error that names the service.
	Others http.Handler
	// NewRequestID makes request ids; random UUIDs if nil.
	NewRequestID func() string
	// OnRequest, if set, is told of every request answered, after the answer is written. It must be quick and safe for
	// concurrent use.
	OnRequest func(ctx context.Context, r Record)
	// Now is the clock of durations; time.Now if nil.
	Now func() time.Time
}

// Record is one answered request, for logs and counters. Operation is the name the request gives, which need not be one that
// exists: a counter by operation needs a bound.
type Record struct {
	Service, Operation, RequestID, Account, Region string
	Status                                         int
	// Code is the error's code, "" for a success.
	Code     string
	Duration time.Duration
}

// Mux answers the requests of several AWS services on one address. It is an http.Handler, safe for concurrent use.
type Mux struct {
	opts     Options
	services []*service
	bySigner map[string]*service // signing name
	byTarget map[string]*service // X-Amz-Target prefix
	rest     []*service          // RestJSON1
	query    []*service          // both Query protocols
}

// service is a Service ready to be served.
type service struct {
	Service
	ops    map[string]*operation
	routes router
	// refusedPaths are the refused operations of RestJSON1 whose route is not known, by their name in lower case.
	refusedPaths map[string]string
	maxBody      int64 // the largest bound of any operation
}

// operation is an Operation ready to be served.
type operation struct {
	Operation
	in, out *plan
	refused bool // in the router only, to be told from a path that does not exist
	// query are the indexes in in.fields of the members bound to query parameters.
	query []int
}

// NewMux checks the description of the services and compiles it. The services must not be changed afterwards.
func NewMux(opts Options) (*Mux, error) {
	if !IsAccount(opts.DefaultAccount) {
		return nil, fmt.Errorf("default account %q is not twelve digits", opts.DefaultAccount)
	}
	if !IsRegion(opts.DefaultRegion) {
		return nil, fmt.Errorf("default region %q is no region's name", opts.DefaultRegion)
	}
	if opts.Verifier != nil && opts.Verifier.Credentials == nil {
		return nil, errors.New("a verifier without credentials")
	}
	if opts.Logger == nil {
		opts.Logger = slog.Default()
	}
	if opts.NewRequestID == nil {
		opts.NewRequestID = uuid.NewString
	}
	if opts.Now == nil {
		opts.Now = time.Now
	}
	m := &Mux{opts: opts, bySigner: map[string]*service{}, byTarget: map[string]*service{}}
	for _, s := range opts.Services {
		if err := m.add(s); err != nil {
			return nil, fmt.Errorf("service %s: %w", s.Name, err)
		}
	}
	return m, nil
}

// Verified is a Mux with the same services that verifies signatures by v, and answers what is not AWS's with an error. It
// costs nothing: what has been compiled is shared.
func (m *Mux) Verified(v *Verifier) *Mux {
	c := *m
	c.opts.Verifier, c.opts.Fallback = v, nil
	return &c
}

func (m *Mux) add(def *Service) error {
	s := &service{Service: *def, ops: map[string]*operation{}}
	signers := s.SigningNames
	if len(signers) == 0 {
		signers = []string{s.Name}
	}
	for _, n := range signers {
		if m.bySigner[n] != nil {
			return fmt.Errorf("signing name %q is also that of %s", n, m.bySigner[n].Name)
		}
		m.bySigner[n] = s
	}
	switch s.Protocol {
	case RestJSON1:
		m.rest = append(m.rest, s)
	case AWSJSON11:
		if s.TargetPrefix == "" || m.byTarget[s.TargetPrefix] != nil {
			return fmt.Errorf("target prefix %q is empty or taken", s.TargetPrefix)
		}
		m.byTarget[s.TargetPrefix] = s
	case Query, EC2Query:
		if s.Version == "" {
			return errors.New("no API version")
		}
		m.query = append(m.query, s)
	default:
		return fmt.Errorf("no protocol %d", s.Protocol)
	}
	s.maxBody = s.MaxBody
	if s.maxBody == 0 {
		s.maxBody = defaultMaxBody
	}
	pl := newPlanner(&s.Service)
	for _, op := range s.Operations {
		if err := s.add(pl, op); err != nil {
			return fmt.Errorf("operation %s: %w", op.Name, err)
		}
	}
	for name := range s.Refused {
		if s.ops[name] != nil {
			return fmt.Errorf("operation %s is both provided and refused", name)
		}
		if err := s.routeRefused(name); err != nil {
			return fmt.Errorf("refused operation %s: %w", name, err)
		}
	}
	m.services = append(m.services, s)
	return nil
}

func (s *service) add(pl *planner, def Operation) (err error) {
	if s.ops[def.Name] != nil {
		return errors.New("given twice")
	}
	op := &operation{Operation: def}
	if op.in, err = pl.operation(def.input, def.Required); err != nil {
		return err
	}
	if op.out, err = pl.compile(def.output); err != nil {
		return err
	}
	if op.out.ptr || op.out.kind != kindStruct && op.out.kind != kindRaw {
		return fmt.Errorf("output %s is neither a struct nor json.RawMessage", def.output)
	}
	if op.MaxBody == 0 {
		if op.MaxBody = s.MaxBody; op.MaxBody == 0 {
			op.MaxBody = defaultMaxBody
		}
	}
	s.maxBody = max(s.maxBody, op.MaxBody)
	if s.Protocol == RestJSON1 {
		for _, name := range def.Query {
			i, ok := op.in.index([]byte(name))
			if !ok || !textual(op.in.fields[i]) {
				return fmt.Errorf("query member %q is no member that text can fill", name)
			}
			op.query = append(op.query, i)
		}
		if err := s.routes.add(op); err != nil {
			return err
		}
	}
	s.ops[def.Name] = op
	return nil
}

func (s *service) routeRefused(name string) error {
	if s.Protocol != RestJSON1 {
		return nil
	}
	if mo, ok := s.model.operation(name); ok {
		return s.routes.add(&operation{Operation: Operation{Name: name, Method: mo.Method, Path: mo.Path}, refused: true})
	}
	if s.refusedPaths == nil {
		s.refusedPaths = map[string]string{}
	}
	s.refusedPaths[strings.ToLower(name)] = name
	return nil
}

// textual says whether a member can come from a path or query parameter.
func textual(f field) bool {
	return f.index >= 0 && (f.plan.quick == quickStringPtr || f.plan.quick == quickStrings)
}

// OperationInfo is a line of the table of what is provided.
type OperationInfo struct {
	Service, Operation string
	// Refused is the sentence that says why the operation is not provided, "" if it is.
	Refused string
}

// Operations lists every operation the Mux knows of, provided or refused: services in the order given, each one's
// operations by name.
func (m *Mux) Operations() []OperationInfo {
	var list []OperationInfo
	for _, s := range m.services {
		start := len(list)
		for name := range s.ops {
			list = append(list, OperationInfo{Service: s.Name, Operation: name})
		}
		for name, why := range s.Refused {
			list = append(list, OperationInfo{Service: s.Name, Operation: name, Refused: why})
		}
		slices.SortFunc(list[start:], func(a, b OperationInfo) int { return strings.Compare(a.Operation, b.Operation) })
	}
	return list
}

// invokeSafely calls the handler and turns a panic into an error.
func (op *operation) invokeSafely(ctx context.Context, c *Call, in any) (out reflect.Value, err error) {
	defer func() {
		if r := recover(); r != nil {
			if r == http.ErrAbortHandler {
				panic(r)
			}
			err = newPanicError(r)
		}
	}()
	v, err := op.invoke(ctx, c, in)
	return reflect.ValueOf(v), err
}
