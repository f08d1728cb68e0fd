package identity

import (
	"errors"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestParsePolicy(t *testing.T) {
	t.Parallel()
	const (
		identityStatement = `{"Effect":"Allow","Action":"s3:GetObject","Resource":"*"}`
		trustStatement    = `{"Effect":"Allow","Action":"sts:AssumeRole","Principal":{"Service":"ecs-tasks.amazonaws.com"}}`
	)
	document := func(statement string) string { return `{"Version":"2012-10-17","Statement":[` + statement + `]}` }
	statement := func(old, new string) string { return document(strings.Replace(identityStatement, old, new, 1)) }
	trust := func(old, new string) string { return document(strings.Replace(trustStatement, old, new, 1)) }
	const syntax = "Syntax errors in policy."
	for _, tc := range []struct {
		name     string
		kind     PolicyKind
		document string
		want     string // "" for a good one
	}{
		{"managed", ManagedPolicy, document(identityStatement), ""},
		{"inline", InlinePolicy, document(identityStatement), ""},
		{"session", SessionPolicy, document(identityStatement), ""},
		{"trust", TrustPolicy, document(trustStatement), ""},
		{"one statement, not a list", InlinePolicy, `{"Statement":` + identityStatement + `,"Id":"x"}`, ""},
		{"lists", InlinePolicy, document(`{"Sid":"A1","Effect":"Deny","NotAction":["s3:*","*"],"NotResource":["arn:aws:s3:::b/*","*"],"Condition":{"ForAnyValue:StringLikeIfExists":{"aws:x":["a",true,3]},"Bool":{"aws:SecureTransport":false}}}`), ""},
		{"empty unknown operator", InlinePolicy, statement(`"Resource"`, `"Condition":{"Nonsense":{}},"Resource"`), ""},
		{"several ARNs", InlinePolicy, statement(`"*"`, `["arn:aws-cn:s3:::x","arn:aws:logs:*:*:log-group:/aws/batch/job*:log-stream:*","*","arn:*:s3:::x","arn:aws:iam::aws:policy/x"]`), ""},

		{"empty", InlinePolicy, "", syntax},
		{"no JSON", InlinePolicy, "{", syntax},
		{"no JSON, trust", TrustPolicy, "{", "This policy contains invalid Json"},
		{"leading space", InlinePolicy, " " + document(identityStatement), "JSON strings must not have leading spaces"},
		{"a list", InlinePolicy, "[]", syntax},
		{"null", InlinePolicy, "null", syntax},
		{"unknown element", InlinePolicy, `{"Statement":[` + identityStatement + `],"Statements":[]}`, syntax},
		{"no statement", InlinePolicy, `{"Version":"2012-10-17"}`, syntax},
		{"no statements", InlinePolicy, document(""), syntax},
		{"statement that is text", InlinePolicy, document(`"x"`), syntax},
		{"version", InlinePolicy, strings.Replace(document(identityStatement), "2012", "2011", 1), "The policy must contain a valid version string"},
		{"old version, managed", ManagedPolicy, strings.Replace(document(identityStatement), "2012", "2008", 1), "Policy document must be version 2012-10-17 or greater."},
		{"no version, managed", ManagedPolicy, `{"Statement":` + identityStatement + `}`, "Policy document must be version 2012-10-17 or greater."},
		{"old version, inline", InlinePolicy, strings.Replace(document(identityStatement), "2012", "2008", 1), ""},
		{"no effect", InlinePolicy, statement(`"Effect":"Allow",`, ""), syntax},
		{"effect in small letters", InlinePolicy, statement(`Allow`, "allow"), syntax},
		{"action and not action", InlinePolicy, statement(`"Action"`, `"NotAction":"x:y","Action"`), syntax},
		{"action that is a number", InlinePolicy, statement(`"s3:GetObject"`, `1`), syntax},
		{"action list with null", InlinePolicy, statement(`"s3:GetObject"`, `["s3:GetObject",null]`), syntax},
		{"no action", InlinePolicy, statement(`"Action":"s3:GetObject",`, ""), "Policy statement must contain actions."},
		{"no actions", InlinePolicy, statement(`"s3:GetObject"`, "[]"), "Policy statement must contain actions."},
		{"action without vendor", InlinePolicy, statement(`s3:GetObject`, "GetObject"), "Actions/Conditions must be prefaced by a vendor, e.g., iam, sdb, ec2, etc."},
		{"action with two colons", InlinePolicy, statement(`s3:GetObject`, "s3:Get:Object"), "Actions/Condition can contain only one colon."},
		{"action of a strange vendor", InlinePolicy, statement(`s3:GetObject`, "s 3:GetObject"), "Vendor s 3 is not valid"},
		{"no resource", InlinePolicy, statement(`,"Resource":"*"`, ""), "Policy statement must contain resources."},
		{"no resources", InlinePolicy, statement(`"*"`, "[]"), "Policy statement must contain resources."},
		{"resource that is no ARN", InlinePolicy, statement(`"*"`, `"bucket"`), `Resource bucket must be in ARN format or "*".`},
		{"resource of another partition", InlinePolicy, statement(`"*"`, `"arn:aw:s3:::b"`), `Partition "aw" is not valid for resource "arn:aw:s3:::b".`},
		{"resource of a short ARN", InlinePolicy, statement(`"*"`, `"arn:aws:s3:b"`), "The policy failed legacy parsing"},
		{"resource without a service", InlinePolicy, statement(`"*"`, `"arn:aws"`), "Resource vendor must be fully qualified and cannot contain regexes."},
		{"IAM resource with a region", InlinePolicy, statement(`"*"`, `"arn:aws:iam:eu-west-1:1:role/x"`), "IAM resource arn:aws:iam:eu-west-1:1:role/x cannot contain region information."},
		{"principal", InlinePolicy, statement(`"Resource"`, `"Principal":"*","Resource"`), "Policy document should not specify a principal."},
		{"two of a Sid", InlinePolicy, document(strings.Repeat(`{"Sid":"a","Effect":"Allow","Action":"*","Resource":"*"},`, 2) + identityStatement), "Statement IDs (SID) in a single policy must be unique."},
		{"strange Sid", InlinePolicy, statement(`"Effect"`, `"Sid":"a b","Effect"`), "Statement IDs (SID) must be alpha-numeric. Check that your input satisfies the regular expression [0-9A-Za-z]*"},
		{"unknown operator", InlinePolicy, statement(`"Resource"`, `"Condition":{"StringIs":{"a":"b"}},"Resource"`), syntax},
		{"condition of an object", InlinePolicy, statement(`"Resource"`, `"Condition":{"StringEquals":{"a":{}}},"Resource"`), syntax},

		{"trust with a resource", TrustPolicy, trust(`"Action"`, `"Resource":"*","Action"`), "Has prohibited field Resource"},
		{"trust without a principal", TrustPolicy, trust(`,"Principal":{"Service":"ecs-tasks.amazonaws.com"}`, ""), "Missing required field Principal"},
		{"trust with an empty principal", TrustPolicy, trust(`{"Service":"ecs-tasks.amazonaws.com"}`, "{}"), "Invalid principal in policy: com.amazon.balsa.error.InvalidPolicyException: The passed in policy has a statement with no principals!"},
		{"trust of another action", TrustPolicy, trust("sts:AssumeRole", "s3:GetObject"), "AssumeRole policy may only specify STS AssumeRole actions."},
		{"trust of sessions tagged", TrustPolicy, trust(`"sts:AssumeRole"`, `["sts:assumerole","sts:TagSession"]`), ""},
		{"trust of no service", TrustPolicy, trust("ecs-tasks.amazonaws.com", "ecs-tasks"), `Invalid principal in policy: "SERVICE":"ecs-tasks"`},
		{"trust of a service in a region", TrustPolicy, trust("ecs-tasks.amazonaws.com", "states.eu-west-1.amazonaws.com"), ""},
		{"trust of everybody", TrustPolicy, trust(`{"Service":"ecs-tasks.amazonaws.com"}`, `"*"`), ""},
		{"trust of some text", TrustPolicy, trust(`{"Service":"ecs-tasks.amazonaws.com"}`, `"me"`), syntax},
		{"trust of accounts", TrustPolicy, trust(`"Service":"ecs-tasks.amazonaws.com"`, `"AWS":["111122223333","arn:aws:iam::111122223333:root","*","AROAXXXXXXXXXXXXXXXXX","arn:aws:sts::111122223333:assumed-role/a/b"]`), ""},
		{"trust of a bad ARN", TrustPolicy, trust(`"Service":"ecs-tasks.amazonaws.com"`, `"AWS":"arn:aws:iam::1:root"`), `Invalid principal in policy: "AWS":"arn:aws:iam::1:root"`},
		{"trust of a provider", TrustPolicy, trust(`"Service":"ecs-tasks.amazonaws.com"`, `"Federated":"arn:aws:iam::111122223333:oidc-provider/token.example.com"`), ""},
		{"trust of a bad provider", TrustPolicy, trust(`"Service":"ecs-tasks.amazonaws.com"`, `"Federated":"token.example.com"`), `Invalid principal in policy: "FEDERATED":"token.example.com"`},
		{"trust of a strange kind", TrustPolicy, trust(`"Service"`, `"Services"`), syntax},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			p, err := ParsePolicy(tc.kind, tc.document)
			if tc.want == "" {
				if err != nil || len(p.Statements) == 0 {
					t.Errorf("%s\nrefused: %v", tc.document, err)
				}
				return
			}
			var pe *PolicyError
			if !errors.As(err, &pe) || pe.Text != tc.want {
				t.Errorf("%s\n got %v\nwant %s", tc.document, err, tc.want)
			}
		})
	}
}

func TestParsedPolicy(t *testing.T) {
	t.Parallel()
	got, err := ParsePolicy(TrustPolicy, `{"Version":"2012-10-17","Id":"i","Statement":{"Sid":"s","Effect":"Deny","Action":["sts:AssumeRole"],
		"NotPrincipal":{"AWS":"111122223333","Service":["batch.amazonaws.com"]},"Condition":{"Bool":{"aws:x":true},"NumericEquals":{"aws:y":[1,"2"]}}}}`)
	if err != nil {
		t.Fatal(err)
	}
	want := &Policy{Version: "2012-10-17", ID: "i", Statements: []Statement{{
		Sid: "s", Effect: "Deny", Action: []string{"sts:AssumeRole"},
		NotPrincipal: &Principals{AWS: []string{"111122223333"}, Service: []string{"batch.amazonaws.com"}},
		Conditions:   map[string]map[string][]string{"Bool": {"aws:x": {"true"}}, "NumericEquals": {"aws:y": {"1", "2"}}},
	}}}
	if d := cmp.Diff(want, got); d != "" {
		t.Errorf("(-want +got):\n%s", d)
	}
}

func FuzzParsePolicy(f *testing.F) {
	for _, seed := range []string{
		``, `{`, `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"*","Resource":"*"}]}`,
		`{"Statement":{"Effect":"Allow","Principal":{"AWS":["*"]},"Action":["sts:AssumeRole"],"Condition":{"StringLike":{"sts:ExternalId":"a*"}}}}`,
		`{"Statement":[{"Effect":"Deny","NotPrincipal":"*","NotAction":[],"Condition":{"":{"":[null]}}}]}`,
	} {
		f.Add(seed)
	}
	caller := Caller{Account: "111122223333", ARN: "arn:aws:iam::111122223333:root", Keys: map[string][]string{"sts:externalid": {"abc"}}}
	f.Fuzz(func(t *testing.T, document string) {
		for kind := ManagedPolicy; kind <= SessionPolicy; kind++ {
			p, err := ParsePolicy(kind, document)
			if (p == nil) == (err == nil) {
				t.Errorf("%d: %v, %v", kind, p, err)
			}
			if err == nil {
				if len(p.Statements) == 0 {
					t.Errorf("%d: no statements", kind)
				}
				if kind == TrustPolicy {
					p.Trusts(&caller, AssumeRole)
					p.RolePrincipals("111122223333")
				}
			}
		}
	})
}
