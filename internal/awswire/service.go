// Package awswire speaks AWS's wire protocols (restJson1, awsJson1.1, Query, EC2 Query) for services described as tables
// of typed operations: it finds the service and operation of a request, decodes the input, calls the handler, and writes
// the output or the error in the protocol's own envelope. It knows no domain. Input and output types are those of
// aws-sdk-go-v2 or hand-declared structs of the same style (exported fields named as the members with an upper-case first
// letter, pointers for optional scalars, []types.T, map[string]string, string-kinded enums, time.Time pointers).
package awswire

import (
	"context"
	"net/http"
	"reflect"
)

// Protocol is one of AWS's wire protocols.
type Protocol uint8

// The protocols.
const (
	RestJSON1 Protocol = iota + 1 // Batch
	AWSJSON11                     // CloudWatch Logs, ECR, ECS, EventBridge
	Query                         // IAM, STS
	EC2Query                      // EC2

	// restXML is S3's protocol, known only so that a client of S3 can read that there is none.
	restXML
)

// MemberCase says how a Go field name becomes a member name on the wire. A field's `awswire:"name"` tag always wins.
type MemberCase uint8

// The member cases.
const (
	// ProtocolCase is what the protocol's services mostly do: LowerCamel for the JSON protocols, UpperCamel for Query. EC2
	// Query has both: parameters UpperCamel, reply elements LowerCamel.
	ProtocolCase MemberCase = iota
	// LowerCamel is the Go field name with its first letter in lower case: MaxvCpus is maxvCpus.
	LowerCamel
	// UpperCamel is the Go field name as it stands, as EventBridge has it.
	UpperCamel
)

// Service is one AWS service: how its requests are recognised and what answers them.
type Service struct {
	// Name is the service's id in messages and docs: "batch", "logs", "ecr", "iam", "sts", "ec2", "ecs", "events".
	Name string
	// SigningNames are the names in a signature's credential scope that mean this service; Name if empty.
	SigningNames []string
	Protocol     Protocol
	// Version is the API version of Query protocols ("2010-05-08").
	Version string
	// TargetPrefix is what stands before the dot in X-Amz-Target ("Logs_20140328"), for AWSJSON11.
	TargetPrefix string
	// Namespace is the xmlns of Query replies ("https://iam.amazonaws.com/doc/2010-05-08/").
	Namespace  string
	MemberCase MemberCase
	Operations []Operation
	// Unions lists the members of the union types (interfaces) that inputs hold; see UnionOf. Outputs need none.
	Unions []Union
	// Refused names operations of the real service that are not provided, by operation name, each with the sentence that says
	// so; they are answered with RefusedCode (HTTP 400) naming the operation. What is in neither table is an unknown operation.
	Refused     map[string]string
	RefusedCode string // "UnsupportedOperation" if empty
	// BadRequestCode is the code of a request that can't be read: broken JSON, a value of the wrong type, a body over the
	// bound or of the wrong content type. If empty: SerializationException (JSON), MalformedQueryString or ValidationError
	// (Query), MalformedQueryString or InvalidParameterValue (EC2 Query).
	BadRequestCode string
	// MissingCode is the code of a request that lacks a required member. If empty: BadRequestCode, else ValidationException
	// (JSON), ValidationError (Query), MissingParameter (EC2 Query).
	MissingCode string
	// BadRequestText, if set, makes the message of both from the plain text: Batch puts "Error executing request, ..." around.
	BadRequestText func(c *Call, text string) string
	// InternalCode is the code of an internal error; InternalFailure if empty.
	InternalCode string
	// Required are the required members of nested structures, by wire name, keyed by the Go type's name without package.
	// ApplyModel fills it.
	Required map[string][]string

	model Model
	// MapError puts a handler's error on the wire. It is called for every error that is not an *Error already; nil, or a nil
	// result, means an internal error: logged in full, shown as "internal error".
	MapError func(c *Call, err error) *Error
	// MaxBody bounds the request body in bytes; zero means 1 MiB. An Operation's own bound wins.
	MaxBody int64
}

// Operation is one API operation. Make it with Op.
type Operation struct {
	Name string
	// Method and Path are for RestJSON1: "POST", "/v1/submitjob"; a path may hold {member} segments, matched on the escaped
	// path so that an ARN is one segment.
	Method, Path string
	// Required lists the members a request must have, by wire name.
	Required []string
	// Query lists the members that RestJSON1 takes from query parameters of the same name, in place of the body. A list
	// member takes every occurrence of its parameter.
	Query   []string
	MaxBody int64
	// Unsigned lets requests without a signature through where signatures are verified, as sts:AssumeRoleWithWebIdentity
	// needs. A signature that is there is verified all the same.
	Unsigned bool

	input       reflect.Type
	output      reflect.Type
	emptyResult bool // of Query, see ModelOperation

	newInput func() any
	invoke   func(ctx context.Context, c *Call, in any) (any, error)
}

// Op makes an operation of a typed handler. In is decoded from the request. Out is encoded by its type: a pointer to a
// struct, or a type that is or contains json.RawMessage (JSON protocols), which is written as it stands. A nil *Out is an
// output without members.
func Op[In, Out any](name string, handler func(ctx context.Context, c *Call, in *In) (*Out, error)) Operation {
	return Operation{
		Name:     name,
		input:    reflect.TypeFor[In](),
		output:   reflect.TypeFor[Out](),
		newInput: func() any { return new(In) },
		invoke: func(ctx context.Context, c *Call, in any) (any, error) {
			out, err := handler(ctx, c, in.(*In))
			if err != nil {
				return nil, err
			}
			return out, nil
		},
	}
}

// Call is what a handler may know about its request beside the input.
type Call struct {
	Service, Operation string
	RequestID          string
	// Account and Region are the partition the caller works in: the account of the access key (twelve digits), of a session's
	// credentials, or the engine's default; the region of the signature's scope or the engine's default.
	Account, Region string
	// AccessKeyID is the key that signed, "" for an unsigned request. Verified says whether the signature was checked.
	AccessKeyID  string
	SessionToken string
	Verified     bool
	// Body is the request body as received (JSON protocols): for handlers that keep members newer than the model. It is
	// valid JSON, belongs to the handler and may be kept. It is nil for an empty body.
	Body []byte
	// Host is the request's Host header, for URLs that lead back here; Scheme is "http" or "https".
	Host, Scheme string
	Header       http.Header
}

// Error is an error as the protocol shows it.
type Error struct {
	Code    string // "ClientException"
	Message string
	Status  int  // HTTP status; 400 if zero
	Server  bool // a server fault: 500 if Status is zero, <Type>Receiver</Type> in Query
	// Members are further members of the error's shape, for protocols in JSON.
	Members map[string]any
	// Cause is logged, never shown.
	Cause error
}

func (e *Error) Error() string { return e.Code + ": " + e.Message }
func (e *Error) Unwrap() error { return e.Cause }
