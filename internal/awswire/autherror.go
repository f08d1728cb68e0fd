package awswire

// authFault is a way for a signature to be no good.
type authFault uint8

const (
	authMissing      authFault = iota // no signature
	authIncomplete                    // a signature that can't be read
	authUnknownKey                    // no such access key, or the session token is not its
	authExpiredToken                  // the session is over
	authMismatch                      // the signature is not of this request
	authExpired                       // the signature is too old, or from the future
)

// authCode is how a fault shows in one protocol.
type authCode struct {
	code   string
	status int
}

// authCodes holds, by fault, the codes of the common errors pages (Batch, CloudWatch Logs, IAM and EC2 API References) and
// the statuses that AWS's front ends send: 403 from restJson1 and Query, 400 from awsJson1.1; EC2 has AuthFailure for
// most. The statuses of Batch are a guess.
var authCodes = [...]struct{ rest, json, query, ec2 authCode }{
	authMissing: {
		rest: authCode{"MissingAuthenticationTokenException", 403}, json: authCode{"MissingAuthenticationTokenException", 400},
		query: authCode{"MissingAuthenticationToken", 403}, ec2: authCode{"MissingAuthenticationToken", 403},
	},
	authIncomplete: {
		rest: authCode{"IncompleteSignatureException", 403}, json: authCode{"IncompleteSignatureException", 400},
		query: authCode{"IncompleteSignature", 403}, ec2: authCode{"IncompleteSignature", 403},
	},
	authUnknownKey: {
		rest: authCode{"UnrecognizedClientException", 403}, json: authCode{"UnrecognizedClientException", 400},
		query: authCode{"InvalidClientTokenId", 403}, ec2: authCode{"AuthFailure", 401},
	},
	authExpiredToken: {
		rest: authCode{"ExpiredTokenException", 403}, json: authCode{"ExpiredTokenException", 400},
		query: authCode{"ExpiredToken", 403}, ec2: authCode{"RequestExpired", 400},
	},
	authMismatch: {
		rest: authCode{"InvalidSignatureException", 403}, json: authCode{"InvalidSignatureException", 400},
		query: authCode{"SignatureDoesNotMatch", 403}, ec2: authCode{"AuthFailure", 401},
	},
	authExpired: {
		rest: authCode{"InvalidSignatureException", 403}, json: authCode{"InvalidSignatureException", 400},
		query: authCode{"SignatureDoesNotMatch", 403}, ec2: authCode{"RequestExpired", 400},
	},
}

// authError is the answer to a signature that is no good.
func (s *service) authError(fault authFault, text string) *Error {
	c := authCodes[fault]
	code := c.rest
	switch s.Protocol {
	case AWSJSON11:
		code = c.json
	case Query, restXML: // S3's codes are the older ones, as those of Query
		code = c.query
	case EC2Query:
		code = c.ec2
	}
	return &Error{Code: code.code, Status: code.status, Message: text}
}
