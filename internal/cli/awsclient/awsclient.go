// Package awsclient finds out which AWS a client program talks to: AWS itself or an engine on this machine, with which
// credentials and in which region. It changes nothing about the AWS SDK's own rules but what a local engine makes
// necessary, so programs that use it work against both.
package awsclient

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"syscall"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/aws/ratelimit"
	"github.com/aws/aws-sdk-go-v2/aws/retry"
	awshttp "github.com/aws/aws-sdk-go-v2/aws/transport/http"
	"github.com/aws/aws-sdk-go-v2/config"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/feature/ec2/imds"

	"github.com/batchbox/batchbox/internal/awswire/sdkhttp"
)

// DefaultRegion is the region of a local engine when neither the flag, the environment nor the profile names one. AWS has
// no such default.
const DefaultRegion = "us-east-1"

// MadeUp is the access key id, and the secret, that a local endpoint is given where there are no credentials.
const MadeUp = "batchbox"

// Options are a program's flags. Each that is empty leaves the choice to the environment and the shared configuration
// files, as the AWS SDK reads them (AWS_ENDPOINT_URL, AWS_REGION, AWS_PROFILE and so on).
type Options struct {
	Endpoint, Region, Profile string
	// Fallback is the endpoint to use when none is configured anywhere; empty means AWS itself.
	Fallback string
	// MaxAttempts bounds the tries of a call that is throttled or can not connect; zero is the SDK's default, 3.
	MaxAttempts int
}

// ErrNoRegion is returned by Load when the endpoint is AWS's own and nothing names a region.
var ErrNoRegion = errors.New("no region: give --region, or set AWS_REGION")

// Load makes the configuration for the SDK's clients.
//
// If the endpoint is on this machine's loopback interface, two things that AWS demands may be missing: the region is
// DefaultRegion, and where the SDK finds no credentials, made-up ones are used, so that no secret of the user's need
// exist. The made-up access key (MadeUp) is no twelve-digit number, so an engine takes it for its default account. They
// never leave the machine: for any other endpoint the SDK's own answer stands.
func Load(ctx context.Context, o Options) (aws.Config, error) {
	load := []func(*config.LoadOptions) error{}
	if o.Endpoint != "" {
		if err := checkURL(o.Endpoint); err != nil {
			return aws.Config{}, err
		}
		load = append(load, config.WithBaseEndpoint(o.Endpoint)) // this way it also wins over AWS_ENDPOINT_URL_BATCH
	}
	if o.Region != "" {
		load = append(load, config.WithRegion(o.Region))
	}
	if o.Profile != "" {
		load = append(load, config.WithSharedConfigProfile(o.Profile))
	}
	cfg, err := config.LoadDefaultConfig(ctx, load...)
	if err != nil {
		return aws.Config{}, fmt.Errorf("AWS configuration: %w", err)
	}
	switch {
	case o.Endpoint != "":
		cfg.BaseEndpoint = aws.String(o.Endpoint) // whatever AWS_IGNORE_CONFIGURED_ENDPOINT_URLS says
	case cfg.BaseEndpoint == nil && o.Fallback != "":
		cfg.BaseEndpoint = aws.String(o.Fallback)
	}
	setRetries(&cfg, o.MaxAttempts)

	if !Local(cfg) {
		if cfg.Region == "" {
			return aws.Config{}, ErrNoRegion
		}
		return cfg, nil
	}
	if cfg.Region == "" {
		cfg.Region = DefaultRegion
	}
	cfg.HTTPClient = localHTTP(cfg.HTTPClient)
	// The instance metadata service is the last link of the SDK's chain of credentials, and on a machine without one it is
	// missed only after a second and more.
	without, err := config.LoadDefaultConfig(ctx, append(load, config.WithEC2IMDSClientEnableState(imds.ClientDisabled))...)
	if err != nil {
		return aws.Config{}, fmt.Errorf("AWS configuration: %w", err)
	}
	cfg.Credentials = without.Credentials
	if _, err := cfg.Credentials.Retrieve(ctx); err != nil {
		if ctx.Err() != nil {
			return aws.Config{}, fmt.Errorf("AWS credentials: %w", err)
		}
		cfg.Credentials = credentials.NewStaticCredentialsProvider(MadeUp, MadeUp, "")
	}
	return cfg, nil
}

// For makes the configuration for the SDK's clients of the engine at a URL. It reads neither the environment nor any file:
// it is for tests. The account is a number of twelve digits.
func For(url, account, region string) aws.Config {
	cfg := aws.Config{
		Region: region, BaseEndpoint: &url, HTTPClient: localHTTP(nil),
		Credentials: credentials.NewStaticCredentialsProvider(account, MadeUp, ""),
	}
	setRetries(&cfg, 0)
	return cfg
}

// localHTTP is the client for an engine nearby. from is the SDK's, which may know an authority of the user's (AWS_CA_BUNDLE).
func localHTTP(from aws.HTTPClient) *http.Client {
	base, ok := from.(*awshttp.BuildableClient)
	if !ok {
		base = awshttp.NewBuildableClient()
	}
	transport := base.GetTransport()
	transport.MaxIdleConnsPerHost = 64 // clients that work side by side keep their connections
	return &http.Client{Transport: sdkhttp.Transport(transport)}
}

// Local says whether the configuration's endpoint is on this machine's loopback interface.
func Local(cfg aws.Config) bool {
	if cfg.BaseEndpoint == nil {
		return false
	}
	u, err := url.Parse(*cfg.BaseEndpoint)
	if err != nil {
		return false
	}
	if u.Hostname() == "localhost" {
		return true
	}
	ip := net.ParseIP(u.Hostname())
	return ip != nil && ip.IsLoopback()
}

// Where names the endpoint for messages: its URL, or "AWS in REGION".
func Where(cfg aws.Config) string {
	if cfg.BaseEndpoint != nil {
		return *cfg.BaseEndpoint
	}
	return "AWS in " + cfg.Region
}

func checkURL(endpoint string) error {
	u, err := url.Parse(endpoint)
	if err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https" {
		return fmt.Errorf("endpoint %q is no URL such as http://127.0.0.1:4566", endpoint)
	}
	return nil
}

// setRetries has calls retried by the standard strategy without its client-side quota, which a long wait under
// throttling uses up, and has a local endpoint that refuses connections fail at once: nothing will come up behind it.
func setRetries(cfg *aws.Config, attempts int) {
	if attempts == 0 {
		attempts = cfg.RetryMaxAttempts // AWS_MAX_ATTEMPTS
	}
	local := Local(*cfg)
	cfg.Retryer = func() aws.Retryer {
		return retry.NewStandard(func(so *retry.StandardOptions) {
			if attempts > 0 {
				so.MaxAttempts = attempts
			}
			so.RateLimiter = ratelimit.None
			refused := retry.IsErrorRetryableFunc(func(err error) aws.Ternary {
				if local && errors.Is(err, syscall.ECONNREFUSED) {
					return aws.FalseTernary
				}
				return aws.UnknownTernary
			})
			so.Retryables = append([]retry.IsErrorRetryable{refused}, so.Retryables...)
		})
	}
}
