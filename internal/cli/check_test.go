package cli

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
)

// TestCheckSaysWhatToChange has a service answer as AWS does to what is wrong with a caller or a network.
func TestCheckSaysWhatToChange(t *testing.T) {
	t.Setenv("AWS_ACCESS_KEY_ID", "AKIAX")
	t.Setenv("AWS_SECRET_ACCESS_KEY", "secret")
	t.Setenv("AWS_REGION", "eu-west-1")
	const who = "<GetCallerIdentityResponse><GetCallerIdentityResult><Account>111122223333</Account><Arn>arn:aws:iam::111122223333:user/u</Arn></GetCallerIdentityResult></GetCallerIdentityResponse>"
	fault := func(code, text string) string {
		return fmt.Sprintf("<ErrorResponse><Error><Code>%s</Code><Message>%s</Message></Error></ErrorResponse>", code, text)
	}
	const vpcs, none = "<R><vpcSet><item><vpcId>vpc-1</vpcId></item></vpcSet></R>", "<R><vpcSet/></R>"
	const subnets = "<R><subnetSet><item><subnetId>subnet-1</subnetId></item></subnetSet></R>"
	for _, tc := range []struct {
		name               string
		sts, vpcs, subnets string // an answer that is a fault has the status 403
		args               []string
		code               int
		want               string
	}{
		{"Good", who, vpcs, subnets, []string{"--account", "111122223333", "--vpc", "vpc-1"}, 0, "account 111122223333, region eu-west-1, VPC vpc-1 with 1 subnet(s), as arn:aws:iam::111122223333:user/u\n"},
		{"Expired", fault("ExpiredToken", "The security token included in the request is expired"), "", "", nil, 1, "the AWS credentials have expired: get new ones"},
		{"UnknownKey", fault("InvalidClientTokenId", "no"), "", "", nil, 1, "AWS does not take the credentials: see to AWS_PROFILE or AWS_ACCESS_KEY_ID and its secret; or the account has not enabled the region eu-west-1 (GetCallerIdentity: InvalidClientTokenId: no)"},
		{"WrongSecret", fault("SignatureDoesNotMatch", "no"), "", "", nil, 1, "see to AWS_PROFILE or AWS_ACCESS_KEY_ID"},
		{"OtherAccount", who, "", "", []string{"--account", "222233334444"}, 1, "the credentials belong to account 111122223333 (arn:aws:iam::111122223333:user/u), and AWS_ACCOUNT_ID is 222233334444: change"},
		{"NoSuchVPC", who, none, "", []string{"--vpc", "vpc-9"}, 1, "TF_VPC_ID is vpc-9, and account 111122223333 has no such VPC in eu-west-1: change TF_VPC_ID or AWS_REGION"},
		{"NoDefaultVPC", who, none, "", nil, 1, "account 111122223333 has no default VPC in eu-west-1: set TF_VPC_ID"},
		{"NoSubnets", who, vpcs, none, nil, 1, "the VPC vpc-1 has no subnets, and jobs need one: change TF_VPC_ID"},
		{"MayNotLook", who, "<Response><Errors><Error><Code>UnauthorizedOperation</Code><Message>no</Message></Error></Errors></Response>", "", nil, 1, "the credentials may not do this: they need its permission (ec2 DescribeVpcs: UnauthorizedOperation: no)"},
	} {
		srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			answer := map[string]string{"GetCallerIdentity": tc.sts, "DescribeVpcs": tc.vpcs, "DescribeSubnets": tc.subnets}[r.FormValue("Action")]
			if strings.Contains(answer, "<Error>") {
				w.WriteHeader(http.StatusForbidden)
			}
			fmt.Fprint(w, answer)
		}))
		stdout, stderr, code := call(t, "", append([]string{"check", "--endpoint-url", srv.URL}, tc.args...)...)
		srv.Close()
		if code != tc.code || !strings.Contains(stdout+stderr, tc.want) {
			t.Errorf("%s: exit code %d, stdout %q, stderr %q; want %d, %q", tc.name, code, stdout, stderr, tc.code, tc.want)
		}
	}
}

func TestCheckWithoutCredentials(t *testing.T) {
	for _, v := range []string{"AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_PROFILE", "AWS_ENDPOINT_URL", "AWS_CONTAINER_CREDENTIALS_FULL_URI", "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI"} {
		t.Setenv(v, "")
	}
	t.Setenv("AWS_CONFIG_FILE", "/nonexistent")
	t.Setenv("AWS_SHARED_CREDENTIALS_FILE", "/nonexistent")
	t.Setenv("AWS_EC2_METADATA_DISABLED", "true")
	if _, stderr, code := call(t, "", "check", "--aws", "--region", "eu-west-1"); code != ExitFailed || !strings.Contains(stderr, "no AWS credentials: set AWS_PROFILE, or AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY") {
		t.Errorf("exit code %d, stderr %q", code, stderr)
	}
}
