package cli

import (
	"context"
	"errors"

	"github.com/aws/aws-sdk-go-v2/aws"

	"github.com/batchbox/batchbox/internal/cli/awsclient"
)

// load makes the configuration the flags ask for.
func (f *awsFlags) load(ctx context.Context) (aws.Config, error) {
	o := awsclient.Options{Endpoint: f.endpoint, Region: f.region, Profile: f.profile, Fallback: defaultEndpoint}
	if f.aws {
		if f.endpoint != "" {
			return aws.Config{}, usagef("--aws and --endpoint-url exclude each other")
		}
		o.Fallback = ""
	}
	cfg, err := awsclient.Load(ctx, o)
	if errors.Is(err, awsclient.ErrNoRegion) {
		return cfg, &usageError{err}
	}
	if err == nil && f.aws && cfg.BaseEndpoint != nil {
		return cfg, usagef("--aws, but the environment or the profile names the endpoint %s: unset it, or leave --aws out", *cfg.BaseEndpoint)
	}
	return cfg, err
}
