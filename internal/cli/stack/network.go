package stack

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	v4 "github.com/aws/aws-sdk-go-v2/aws/signer/v4"
	"github.com/aws/smithy-go"
)

// EC2 asks EC2 for VPCs and what is in them. It speaks the three calls it needs by itself: the SDK's EC2 client would be half
// of the program.
type EC2 struct{ Config aws.Config }

// Default answers the default VPC's subnets, one in each availability zone, and its default security group.
func (e EC2) Default(ctx context.Context) (subnets, securityGroups []string, err error) {
	vpcs, err := e.ids(ctx, "DescribeVpcs", "vpcId", "is-default", "true")
	if err != nil {
		return nil, nil, err
	}
	if len(vpcs) == 0 {
		return nil, nil, errors.New("there is no default VPC: name subnets and security groups in the file")
	}
	subnets, err = e.ids(ctx, "DescribeSubnets", "subnetId", "vpc-id", vpcs[0], "default-for-az", "true")
	if err != nil {
		return nil, nil, err
	}
	securityGroups, err = e.ids(ctx, "DescribeSecurityGroups", "groupId", "vpc-id", vpcs[0], "group-name", "default")
	if err != nil {
		return nil, nil, err
	}
	if len(subnets) == 0 || len(securityGroups) == 0 {
		return nil, nil, fmt.Errorf("%s has %d default subnets and %d default security groups: name them in the file", vpcs[0], len(subnets), len(securityGroups))
	}
	const most = 16 // Fargate compute environments take no more
	return subnets[:min(len(subnets), most)], securityGroups, nil
}

// Subnets answers the VPC that is meant, which is the default one if id is empty, and its subnets. vpc is "" if there is no
// such VPC.
func (e EC2) Subnets(ctx context.Context, id string) (vpc string, subnets []string, err error) {
	filter := []string{"is-default", "true"}
	if id != "" {
		filter = []string{"vpc-id", id} // a filter that fits none is no error, so codes need no telling apart
	}
	vpcs, err := e.ids(ctx, "DescribeVpcs", "vpcId", filter...)
	if err != nil || len(vpcs) == 0 {
		return "", nil, err
	}
	subnets, err = e.ids(ctx, "DescribeSubnets", "subnetId", "vpc-id", vpcs[0])
	return vpcs[0], subnets, err
}

// ids calls a Describe operation with filters (names and values in turn) and answers the ids it lists, sorted.
func (e EC2) ids(ctx context.Context, action, member string, filters ...string) ([]string, error) {
	form := url.Values{"Action": {action}, "Version": {"2016-11-15"}}
	for i := 0; i < len(filters); i += 2 {
		form.Set(fmt.Sprintf("Filter.%d.Name", i/2+1), filters[i])
		form.Set(fmt.Sprintf("Filter.%d.Value.1", i/2+1), filters[i+1])
	}
	body, err := e.call(ctx, []byte(form.Encode()))
	if err != nil {
		return nil, fmt.Errorf("ec2 %s: %w", action, err)
	}
	ids, err := itemIDs(body, member)
	if err != nil {
		return nil, fmt.Errorf("ec2 %s: %w", action, err)
	}
	slices.Sort(ids)
	return ids, nil
}

func (e EC2) call(ctx context.Context, form []byte) ([]byte, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, e.endpoint(), bytes.NewReader(form))
	if err != nil {
		return nil, err
	}
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded; charset=utf-8")
	creds, err := e.Config.Credentials.Retrieve(ctx)
	if err != nil {
		return nil, err
	}
	sum := sha256.Sum256(form)
	if err := v4.NewSigner().SignHTTP(ctx, creds, req, hex.EncodeToString(sum[:]), "ec2", e.Config.Region, time.Now()); err != nil {
		return nil, err
	}
	client := e.Config.HTTPClient
	if client == nil {
		client = http.DefaultClient
	}
	res, err := client.Do(req)
	if err != nil {
		return nil, err
	}
	defer res.Body.Close()
	body, err := io.ReadAll(io.LimitReader(res.Body, 8<<20))
	if err != nil {
		return nil, err
	}
	if res.StatusCode != http.StatusOK {
		var fault struct {
			Code    string `xml:"Errors>Error>Code"`
			Message string `xml:"Errors>Error>Message"`
		}
		if xml.Unmarshal(body, &fault) == nil && fault.Code != "" {
			return nil, apiError{&smithy.GenericAPIError{Code: fault.Code, Message: fault.Message}}
		}
		return nil, fmt.Errorf("HTTP %s", res.Status)
	}
	return body, nil
}

// apiError is an error of EC2's, worded as the command line words those of other services.
type apiError struct{ *smithy.GenericAPIError }

func (e apiError) Error() string { return e.Code + ": " + e.Message }

func (e EC2) endpoint() string {
	if e.Config.BaseEndpoint != nil {
		return strings.TrimSuffix(*e.Config.BaseEndpoint, "/") + "/"
	}
	suffix := "amazonaws.com"
	if strings.HasPrefix(e.Config.Region, "cn-") {
		suffix = "amazonaws.com.cn"
	}
	return fmt.Sprintf("https://ec2.%s.%s/", e.Config.Region, suffix)
}

// itemIDs collects the text of the elements called member that stand directly in an <item> of the answer's list: a
// security group has other groups' ids further down.
func itemIDs(body []byte, member string) ([]string, error) {
	var ids []string
	var path []string
	d := xml.NewDecoder(bytes.NewReader(body))
	for {
		token, err := d.Token()
		if errors.Is(err, io.EOF) {
			return ids, nil
		}
		if err != nil {
			return nil, err
		}
		switch t := token.(type) {
		case xml.StartElement:
			path = append(path, t.Name.Local)
		case xml.EndElement:
			path = path[:len(path)-1]
		case xml.CharData:
			if len(path) == 4 && path[2] == "item" && path[3] == member { // answer, list, item, member
				ids = append(ids, string(t))
			}
		}
	}
}
