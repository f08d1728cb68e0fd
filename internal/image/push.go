package image

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"sync"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ecr"
	"github.com/aws/aws-sdk-go-v2/service/ecr/types"
	"github.com/google/go-containerregistry/pkg/authn"
	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/remote"

	"github.com/batchbox/batchbox/internal/batch"
	"github.com/batchbox/batchbox/internal/registry"
)

// ECR is the part of the SDK's client that pushing needs; *ecr.Client is one, for AWS and for the engine alike.
type ECR interface {
	DescribeRepositories(context.Context, *ecr.DescribeRepositoriesInput, ...func(*ecr.Options)) (*ecr.DescribeRepositoriesOutput, error)
	CreateRepository(context.Context, *ecr.CreateRepositoryInput, ...func(*ecr.Options)) (*ecr.CreateRepositoryOutput, error)
	GetAuthorizationToken(context.Context, *ecr.GetAuthorizationTokenInput, ...func(*ecr.Options)) (*ecr.GetAuthorizationTokenOutput, error)
	Options() ecr.Options
}

// Target turns what a user calls an image into a reference that can be pushed to. A name without a registry
// ("batchworker:latest") means the repository of the account and region that client works in, and is created if it does
// not exist; a name in AWS's form means that repository, whatever address it has behind client. Any other reference is
// returned as it is.
func Target(ctx context.Context, client ECR, ref string) (string, error) {
	r, err := registry.ParseRef(ref, registry.Endpoint{}, batch.Partition{Account: "000000000000", Region: "us-east-1"})
	if err != nil {
		return "", err
	}
	if !r.Short && !r.AWSForm {
		return ref, nil
	}
	if r.Digest != "" {
		return "", fmt.Errorf("image %q: a digest can't be pushed to; give a tag", ref)
	}
	in := &ecr.DescribeRepositoriesInput{RepositoryNames: []string{r.Repository}}
	if r.AWSForm {
		if region := client.Options().Region; region != r.Partition.Region {
			return "", fmt.Errorf("image %q is in %s, but requests go to %s: set the region (AWS_REGION, --region) to %s", ref, r.Partition.Region, region, r.Partition.Region)
		}
		in.RegistryId = &r.Partition.Account
	}
	var repo *types.Repository
	var missing *types.RepositoryNotFoundException
	out, err := client.DescribeRepositories(ctx, in)
	switch {
	case err == nil && len(out.Repositories) == 1:
		repo = &out.Repositories[0]
	case err == nil:
		return "", fmt.Errorf("looking for repository %s: the answer has %d repositories", r.Repository, len(out.Repositories))
	case r.Short && errors.As(err, &missing):
		made, err := client.CreateRepository(ctx, &ecr.CreateRepositoryInput{RepositoryName: &r.Repository})
		if err != nil {
			return "", fmt.Errorf("creating repository %s: %w", r.Repository, err)
		}
		repo = made.Repository
	default:
		return "", fmt.Errorf("looking for repository %s: %w", r.Repository, err)
	}
	return aws.ToString(repo.RepositoryUri) + ":" + r.Tag, nil
}

// PushOptions say how to push. The zero value pushes with the user's Docker credentials.
type PushOptions struct {
	// ECR gives out credentials for its own registry (ecr:GetAuthorizationToken); nil asks it for none.
	ECR ECR
	// Keychain has the credentials for registries that are not ECR's (Docker's configuration and helpers).
	Keychain authn.Keychain
	// Insecure speaks plain http also to a registry that is not on a loopback address.
	Insecure bool
	// Transport is what requests go through (go-containerregistry's default).
	Transport http.RoundTripper
	// Progress is told how many bytes of how many are there; it is called from one goroutine.
	Progress func(done, total int64)
}

// Pushed is what was pushed.
type Pushed struct {
	// Ref is the reference pushed to, Digest that of the image or index. ByDigest names exactly this image.
	Ref, Digest, ByDigest string
}

// Push pushes an image or index to any registry: the engine's own, ECR, or another. Blobs that are there already are not
// sent again.
func Push(ctx context.Context, ref string, img remote.Taggable, o PushOptions) (Pushed, error) {
	var nameOpts []name.Option
	if o.Insecure {
		nameOpts = append(nameOpts, name.Insecure)
	}
	r, err := name.NewTag(ref, nameOpts...)
	if err != nil {
		return Pushed{}, fmt.Errorf("pushing: %w", err)
	}
	if o.Keychain == nil {
		o.Keychain = authn.DefaultKeychain
	}
	opts := []remote.Option{remote.WithContext(ctx), remote.WithUserAgent("batchbox"), remote.WithAuthFromKeychain(&pushKeychain{ctx: ctx, o: o})}
	if o.Transport != nil {
		opts = append(opts, remote.WithTransport(o.Transport))
	}
	if o.Progress != nil {
		updates := make(chan v1.Update, 16)
		opts = append(opts, remote.WithProgress(updates))
		defer follow(updates, o.Progress)()
	}
	switch c := img.(type) {
	case v1.ImageIndex:
		err = remote.WriteIndex(r, c, opts...)
	case v1.Image:
		err = remote.Write(r, c, opts...)
	default:
		return Pushed{}, fmt.Errorf("pushing %s: %T is neither an image nor an index", ref, img)
	}
	if err != nil {
		return Pushed{}, fmt.Errorf("pushing %s: %w", ref, err)
	}
	digest, err := img.(interface{ Digest() (v1.Hash, error) }).Digest()
	if err != nil {
		return Pushed{}, fmt.Errorf("pushing %s: %w", ref, err)
	}
	return Pushed{Ref: r.Name(), Digest: digest.String(), ByDigest: r.Context().Digest(digest.String()).Name()}, nil
}

// follow passes updates on until the function it returns is called, all that came by then included.
func follow(updates <-chan v1.Update, progress func(done, total int64)) (stop func()) {
	quit := make(chan struct{})
	pass := func(u v1.Update, ok bool) bool {
		if ok && u.Error == nil {
			progress(u.Complete, u.Total)
		}
		return ok // the library closes the channel, unless it failed early
	}
	var wg sync.WaitGroup
	wg.Go(func() {
		for {
			select {
			case u, ok := <-updates:
				if !pass(u, ok) {
					return
				}
				continue
			default:
			}
			select {
			case u, ok := <-updates:
				if !pass(u, ok) {
					return
				}
			case <-quit:
				return
			}
		}
	})
	return func() {
		close(quit)
		wg.Wait()
	}
}

// pushKeychain finds credentials: those of ECR for the registry ECR says they are for, else Docker's.
type pushKeychain struct {
	ctx context.Context
	o   PushOptions
}

func (k *pushKeychain) Resolve(target authn.Resource) (authn.Authenticator, error) {
	if k.o.ECR != nil {
		auth, err := k.ecr(target.RegistryStr())
		if auth != nil || err != nil {
			return auth, err
		}
	}
	return k.o.Keychain.Resolve(target)
}

// ecr asks ECR for credentials, if the registry is AWS's or the engine's that the client talks to; nil if not.
func (k *pushKeychain) ecr(host string) (authn.Authenticator, error) {
	var engine registry.Endpoint
	if base := k.o.ECR.Options().BaseEndpoint; base != nil {
		if u, err := url.Parse(*base); err == nil {
			engine.Host = u.Host
		}
	}
	r, err := registry.ParseRef(host+"/any", engine, batch.Partition{Account: "000000000000", Region: "us-east-1"})
	if err != nil || !r.Local {
		return nil, err
	}
	if r.AWSForm && r.Partition.Region != k.o.ECR.Options().Region {
		return nil, nil // a token is good for every registry of its region, and no other
	}
	out, err := k.o.ECR.GetAuthorizationToken(k.ctx, &ecr.GetAuthorizationTokenInput{})
	if err != nil {
		return nil, fmt.Errorf("asking ECR for credentials: %w", err)
	}
	if len(out.AuthorizationData) == 0 {
		return nil, errors.New("asking ECR for credentials: the answer has none")
	}
	raw, err := base64.StdEncoding.DecodeString(aws.ToString(out.AuthorizationData[0].AuthorizationToken))
	if err != nil {
		return nil, fmt.Errorf("ECR's credentials are damaged: %w", err)
	}
	user, password, _ := strings.Cut(string(raw), ":")
	return &authn.Basic{Username: user, Password: password}, nil
}
