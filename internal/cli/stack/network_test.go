package stack

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
)

func TestDefaultNetwork(t *testing.T) {
	t.Parallel()
	answers := map[string]string{
		"DescribeVpcs/is-default=true": `<DescribeVpcsResponse><requestId>1</requestId><vpcSet><item><vpcId>vpc-1</vpcId><isDefault>true</isDefault></item></vpcSet></DescribeVpcsResponse>`,
		"DescribeSubnets/vpc-id=vpc-1/default-for-az=true": `<DescribeSubnetsResponse><subnetSet><item><subnetId>subnet-2</subnetId><vpcId>vpc-1</vpcId></item>
			<item><subnetId>subnet-1</subnetId></item></subnetSet></DescribeSubnetsResponse>`,
		"DescribeSecurityGroups/vpc-id=vpc-1/group-name=default": `<DescribeSecurityGroupsResponse><securityGroupInfo><item><groupId>sg-1</groupId><ipPermissions><item>
			<groups><item><groupId>sg-other</groupId></item></groups></item></ipPermissions></item></securityGroupInfo></DescribeSecurityGroupsResponse>`,
	}
	for _, tc := range []struct {
		name    string
		answers map[string]string
		err     string
	}{
		{"IsThere", answers, ""},
		{"NoVPC", map[string]string{"DescribeVpcs/is-default=true": `<DescribeVpcsResponse><vpcSet/></DescribeVpcsResponse>`}, "there is no default VPC"},
		{"NoSubnets", map[string]string{
			"DescribeVpcs/is-default=true":                           answers["DescribeVpcs/is-default=true"],
			"DescribeSubnets/vpc-id=vpc-1/default-for-az=true":       `<DescribeSubnetsResponse/>`,
			"DescribeSecurityGroups/vpc-id=vpc-1/group-name=default": answers["DescribeSecurityGroups/vpc-id=vpc-1/group-name=default"],
		}, "vpc-1 has 0 default subnets and 1 default security groups"},
		{"Refused", nil, "ec2 DescribeVpcs: UnauthorizedOperation: You are not authorized"},
		{"NoXML", map[string]string{"DescribeVpcs/is-default=true": "<vpcSet>"}, "unexpected EOF"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				if err := r.ParseForm(); err != nil {
					t.Error(err)
				}
				if auth := r.Header.Get("Authorization"); !strings.Contains(auth, "/eu-west-1/ec2/aws4_request") {
					t.Errorf("Authorization %q", auth)
				}
				call := r.Form.Get("Action")
				for i := 1; r.Form.Has(fmt.Sprintf("Filter.%d.Name", i)); i++ {
					call += fmt.Sprintf("/%s=%s", r.Form.Get(fmt.Sprintf("Filter.%d.Name", i)), r.Form.Get(fmt.Sprintf("Filter.%d.Value.1", i)))
				}
				answer, ok := tc.answers[call]
				if !ok {
					w.WriteHeader(http.StatusForbidden)
					answer = `<Response><Errors><Error><Code>UnauthorizedOperation</Code><Message>You are not authorized</Message></Error></Errors></Response>`
				}
				fmt.Fprint(w, answer)
			}))
			defer srv.Close()
			ec2 := EC2{aws.Config{BaseEndpoint: &srv.URL, Region: "eu-west-1", Credentials: credentials.NewStaticCredentialsProvider("k", "s", "")}}
			subnets, groups, err := ec2.Default(t.Context())
			if tc.err != "" {
				if err == nil || !strings.Contains(err.Error(), tc.err) {
					t.Errorf("error %v, want %q", err, tc.err)
				}
				return
			}
			if err != nil || !slices.Equal(subnets, []string{"subnet-1", "subnet-2"}) || !slices.Equal(groups, []string{"sg-1"}) {
				t.Errorf("subnets %v, groups %v, error %v", subnets, groups, err)
			}
		})
	}
}

func TestEC2Endpoint(t *testing.T) {
	t.Parallel()
	for region, want := range map[string]string{"us-east-1": "https://ec2.us-east-1.amazonaws.com/", "cn-north-1": "https://ec2.cn-north-1.amazonaws.com.cn/"} {
		if got := (EC2{aws.Config{Region: region}}).endpoint(); got != want {
			t.Errorf("%s: %s, want %s", region, got, want)
		}
	}
}
