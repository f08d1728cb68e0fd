package cli

import (
	"context"
	"errors"
	"fmt"
	"net"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/sts"
	"github.com/aws/smithy-go"
	"github.com/spf13/cobra"

	"github.com/batchbox/batchbox/internal/cli/awsclient"
	"github.com/batchbox/batchbox/internal/cli/stack"
)

type checkOptions struct {
	streams      *Streams
	aws          awsFlags
	account, vpc string
}

func newCheck(s *Streams, runF func(context.Context, *checkOptions) error) *cobra.Command {
	o := &checkOptions{streams: s}
	if runF == nil {
		runF = check
	}
	cmd := &cobra.Command{
		Use:   "check",
		Short: "Check credentials, account, region and VPC before anything is created",
		Long: `Check that the credentials are good, belong to the account that is meant, and that the VPC is in the region and has
subnets. Nothing is created or changed. What is wrong is said with the variable to change; the exit code is then 1.`,
		Example: `  batchbox check --aws --account 111122223333 --vpc vpc-0123456789abcdef0 --region eu-west-1
  batchbox check`,
		Args: args(cobra.NoArgs),
		RunE: func(cmd *cobra.Command, _ []string) error { return runF(cmd.Context(), o) },
	}
	cmd.Flags().StringVar(&o.account, "account", "", "`account` that the credentials must belong to; any without it")
	cmd.Flags().StringVar(&o.vpc, "vpc", "", "`id` of the VPC that must be there; the default VPC without it")
	addAWSFlags(cmd, &o.aws)
	return cmd
}

func check(ctx context.Context, o *checkOptions) error {
	cfg, err := o.aws.load(ctx)
	if err != nil {
		return err
	}
	if _, err := cfg.Credentials.Retrieve(ctx); err != nil {
		if ctx.Err() != nil {
			return err
		}
		return fmt.Errorf("no AWS credentials: set AWS_PROFILE, or AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or log in by aws sso login (%w)", err)
	}
	who, err := sts.NewFromConfig(cfg).GetCallerIdentity(ctx, new(sts.GetCallerIdentityInput))
	if err != nil {
		return o.diagnose(cfg, err)
	}
	account := aws.ToString(who.Account)
	if o.account != "" && o.account != account {
		return fmt.Errorf("the credentials belong to account %s (%s), and AWS_ACCOUNT_ID is %s: change AWS_ACCOUNT_ID or the credentials", account, aws.ToString(who.Arn), o.account)
	}
	vpc, subnets, err := stack.EC2{Config: cfg}.Subnets(ctx, o.vpc)
	switch {
	case err != nil:
		return o.diagnose(cfg, err)
	case vpc == "" && o.vpc == "":
		return fmt.Errorf("account %s has no default VPC in %s: set TF_VPC_ID", account, cfg.Region)
	case vpc == "":
		return fmt.Errorf("TF_VPC_ID is %s, and account %s has no such VPC in %s: change TF_VPC_ID or AWS_REGION", o.vpc, account, cfg.Region)
	case len(subnets) == 0:
		return fmt.Errorf("the VPC %s has no subnets, and jobs need one: change TF_VPC_ID, or add a subnet", vpc)
	}
	_, err = fmt.Fprintf(o.streams.Out, "account %s, region %s, VPC %s with %d subnet(s), as %s\n", account, cfg.Region, vpc, len(subnets), aws.ToString(who.Arn))
	return err
}

// diagnose puts what to change before an error of AWS.
func (o *checkOptions) diagnose(cfg aws.Config, err error) error {
	var dns *net.DNSError
	if errors.As(err, &dns) && dns.IsNotFound && cfg.BaseEndpoint == nil {
		return fmt.Errorf("AWS_REGION is %s, and no such region answers: change it, or see to the network (%w)", cfg.Region, err)
	}
	var api smithy.APIError
	if !errors.As(err, &api) {
		return err
	}
	var what string
	switch api.ErrorCode() {
	case "ExpiredToken", "ExpiredTokenException", "RequestExpired":
		what = "the AWS credentials have expired: get new ones, such as by aws sso login, and run this again"
	case "InvalidClientTokenId", "UnrecognizedClientException", "SignatureDoesNotMatch", "InvalidSignatureException", "AuthFailure", "IncompleteSignature":
		what = "AWS does not take the credentials: see to AWS_PROFILE or AWS_ACCESS_KEY_ID and its secret; or the account has not enabled the region " + cfg.Region
	case "AccessDenied", "AccessDeniedException", "UnauthorizedOperation":
		what = "the credentials may not do this: they need its permission"
	default:
		return err
	}
	return fmt.Errorf("%s (%s)", what, awsclient.Explain(err))
}
