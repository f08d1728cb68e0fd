package identity

import (
	"slices"
	"testing"
)

func TestTrusts(t *testing.T) {
	t.Parallel()
	const account = "111122223333"
	root := Caller{Account: account, ARN: "arn:aws:iam::111122223333:root"}
	session := Caller{Account: account, ARN: "arn:aws:sts::111122223333:assumed-role/ci/s", RoleARN: "arn:aws:iam::111122223333:role/ci"}
	foreign := Caller{Account: "999988887777", ARN: "arn:aws:iam::999988887777:root"}
	tasks := Caller{Service: "ecs-tasks.amazonaws.com"}
	web := Caller{Provider: "arn:aws:iam::111122223333:oidc-provider/t.example.com", Keys: map[string][]string{
		"t.example.com:aud": {"client"}, "t.example.com:sub": {"repo:me/it:ref:main"},
	}}
	with := func(c Caller, key string, values ...string) Caller {
		c.Keys = map[string][]string{key: values}
		return c
	}
	allow := func(principal, more string) string {
		return `{"Effect":"Allow","Action":"sts:AssumeRole*","Principal":` + principal + more + `}`
	}
	for _, tc := range []struct {
		name      string
		statement string
		caller    Caller
		want      bool
	}{
		{"everybody", allow(`"*"`, ""), foreign, true},
		{"everybody's account", allow(`{"AWS":"*"}`, ""), foreign, true},
		{"the account", allow(`{"AWS":"111122223333"}`, ""), root, true},
		{"the account's root", allow(`{"AWS":"arn:aws:iam::111122223333:root"}`, ""), root, true},
		{"a session of the account", allow(`{"AWS":"arn:aws:iam::111122223333:root"}`, ""), session, true},
		{"another account", allow(`{"AWS":"111122223333"}`, ""), foreign, false},
		{"root for a user", allow(`{"AWS":"arn:aws:iam::111122223333:user/ci"}`, ""), root, true},
		{"another's root for a user", allow(`{"AWS":"arn:aws:iam::111122223333:user/ci"}`, ""), foreign, false},
		{"the role itself", allow(`{"AWS":"arn:aws:iam::111122223333:role/ci"}`, ""), session, true},
		{"the very session", allow(`{"AWS":"arn:aws:sts::111122223333:assumed-role/ci/s"}`, ""), session, true},
		{"another role", allow(`{"AWS":"arn:aws:iam::111122223333:role/other"}`, ""), session, false},
		{"a service", allow(`{"Service":["batch.amazonaws.com","ecs-tasks.amazonaws.com"]}`, ""), tasks, true},
		{"another service", allow(`{"Service":"ec2.amazonaws.com"}`, ""), tasks, false},
		{"a person where a service is meant", allow(`{"Service":"ecs-tasks.amazonaws.com"}`, ""), root, false},
		{"a service where a person is meant", allow(`{"AWS":"111122223333"}`, ""), tasks, false},
		{"everybody but", `{"Effect":"Allow","Action":"sts:AssumeRole","NotPrincipal":{"AWS":"111122223333"}}`, root, false},
		{"everybody but another", `{"Effect":"Allow","Action":"sts:AssumeRole","NotPrincipal":{"AWS":"111122223333"}}`, foreign, true},
		{"a denial", allow(`"*"`, "") + `,{"Effect":"Deny","Action":"sts:AssumeRole","Principal":{"AWS":"111122223333"}}`, root, false},
		{"a denial of others", allow(`"*"`, "") + `,{"Effect":"Deny","Action":"sts:AssumeRole","Principal":{"AWS":"999988887777"}}`, root, true},
		{"another action", `{"Effect":"Allow","Action":"sts:TagSession","Principal":"*"}`, root, false},
		{"all but another action", `{"Effect":"Allow","NotAction":"sts:TagSession","Principal":"*"}`, root, true},

		{"the external id", allow(`"*"`, `,"Condition":{"StringEquals":{"sts:ExternalId":["a","b"]}}`), with(root, "sts:externalid", "b"), true},
		{"a wrong external id", allow(`"*"`, `,"Condition":{"StringEquals":{"sts:ExternalId":"a"}}`), with(root, "sts:externalid", "A"), false},
		{"no external id", allow(`"*"`, `,"Condition":{"StringEquals":{"sts:ExternalId":"a"}}`), with(root, "sts:externalid"), false},
		{"no external id, if exists", allow(`"*"`, `,"Condition":{"StringEqualsIfExists":{"sts:ExternalId":"a"}}`), with(root, "sts:externalid"), true},
		{"ignoring case", allow(`"*"`, `,"Condition":{"StringEqualsIgnoreCase":{"sts:ExternalId":"a"}}`), with(root, "sts:externalid", "A"), true},
		{"anything but", allow(`"*"`, `,"Condition":{"StringNotEquals":{"sts:ExternalId":["a","b"]}}`), with(root, "sts:externalid", "b"), false},
		{"anything but, none", allow(`"*"`, `,"Condition":{"StringNotEquals":{"sts:ExternalId":"a"}}`), with(root, "sts:externalid"), true},
		{"null", allow(`"*"`, `,"Condition":{"Null":{"sts:ExternalId":"true"}}`), with(root, "sts:externalid"), true},
		{"not null", allow(`"*"`, `,"Condition":{"Null":{"sts:ExternalId":"true"}}`), with(root, "sts:externalid", "x"), false},
		{"a key nobody knows here", allow(`"*"`, `,"Condition":{"IpAddress":{"aws:SourceIp":"10.0.0.0/8"}}`), root, true},
		{"two conditions", allow(`"*"`, `,"Condition":{"StringLike":{"sts:ExternalId":"a*"},"StringNotLike":{"sts:ExternalId":"*z"}}`), with(root, "sts:externalid", "abz"), false},

		{"a token", allow(`{"Federated":"arn:aws:iam::111122223333:oidc-provider/t.example.com"}`, `,"Condition":{"StringEquals":{"t.example.com:aud":"client"},"StringLike":{"t.example.com:sub":"repo:me/*"}}`), web, true},
		{"another's token", allow(`{"Federated":"arn:aws:iam::111122223333:oidc-provider/t.example.com"}`, `,"Condition":{"StringLike":{"t.example.com:sub":"repo:you/*"}}`), web, false},
		{"a token of another provider", allow(`{"Federated":"arn:aws:iam::111122223333:oidc-provider/u.example.com"}`, ""), web, false},
		{"any of", allow(`"*"`, `,"Condition":{"ForAnyValue:StringLike":{"t.example.com:aud":["x","c*"]}}`), web, true},
		{"all of", allow(`"*"`, `,"Condition":{"ForAllValues:StringEquals":{"k":["a","b"]}}`), with(root, "k", "a", "c"), false},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			p, err := ParsePolicy(TrustPolicy, `{"Version":"2012-10-17","Statement":[`+tc.statement+`]}`)
			if err != nil {
				// A pattern of actions is no policy that IAM takes, but says more in one line.
				if p, err = parse(`{"Version":"2012-10-17","Statement":[` + tc.statement + `]}`); err != nil {
					t.Fatal(err)
				}
			}
			action := AssumeRole
			if tc.caller.Provider != "" {
				action = AssumeRoleWithWebIdentity
			}
			if got := p.Trusts(&tc.caller, action); got != tc.want {
				t.Errorf("Trusts = %t, want %t", got, tc.want)
			}
		})
	}
}

func TestRolePrincipals(t *testing.T) {
	t.Parallel()
	p, err := ParsePolicy(TrustPolicy, `{"Statement":[{"Effect":"Allow","Action":"sts:AssumeRole","Principal":{"AWS":["arn:aws:iam::111122223333:role/a/b","arn:aws:iam::111122223333:root","arn:aws:iam::999988887777:role/c"]}}]}`)
	if err != nil {
		t.Fatal(err)
	}
	if got := p.RolePrincipals("111122223333"); !slices.Equal(got, []string{"arn:aws:iam::111122223333:role/a/b"}) {
		t.Errorf("RolePrincipals = %v", got)
	}
}

func TestLike(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		pattern, s string
		want       bool
	}{
		{"", "", true}, {"", "a", false}, {"*", "", true}, {"*", "abc", true}, {"a*c", "abc", true}, {"a*c", "abcd", false}, {"a*b*c", "aXbYbZc", true},
		{"a?c", "abc", true}, {"a?c", "ac", false}, {"?*", "", false}, {"**", "x", true}, {"ab*", "ab", true}, {"*ab", "aab", true},
	} {
		if got := like(tc.pattern, tc.s); got != tc.want {
			t.Errorf("like(%q, %q) = %t", tc.pattern, tc.s, got)
		}
	}
}
