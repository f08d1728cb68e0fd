package cli

import (
	"context"
	"fmt"
	"runtime"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/ecr"
	"github.com/spf13/cobra"

	"github.com/batchbox/batchbox/internal/image"
)

type imageBuildOptions struct {
	streams   *Streams
	aws       awsFlags
	build     image.BuildOptions
	ref       string
	platforms []string
}

func newImage(s *Streams) *cobra.Command {
	cmd := &cobra.Command{
		Use:     "image",
		Short:   "Build and push images without Docker",
		GroupID: groupClient,
		Args:    args(cobra.NoArgs),
		RunE:    func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	for _, sub := range []*cobra.Command{newImageBuild(s, nil), newImageLoad(s, nil)} {
		cmd.AddCommand(sub)
		sub.GroupID = ""
	}
	return cmd
}

func newImageBuild(s *Streams, runF func(context.Context, *imageBuildOptions) error) *cobra.Command {
	o := &imageBuildOptions{streams: s}
	if runF == nil {
		runF = imageBuild
	}
	cmd := &cobra.Command{
		Use:   "build PACKAGE -t NAME[:TAG]",
		Short: "Build an image of a Go program, and push it",
		Long: `Compile a Go program, make an image of it, and push that to a registry, with nothing but the go command. The same
source gives the same image, to the digest. The reference that was pushed is printed on stdout.

A name such as batchworker:latest is a repository of the account and region worked in, on the engine or in ECR; it
is created if it is not there. A name in AWS's form, ACCOUNT.dkr.ecr.REGION.amazonaws.com/NAME:TAG, is that
repository, and any other name goes to its own registry, with Docker's credentials.`,
		Example: `  batchbox image build ./apps/batchworker -t batchworker:latest
  batchbox image build . -t 111122223333.dkr.ecr.eu-west-1.amazonaws.com/scan:v2 --platform linux/arm64 --aws`,
		Args: args(cobra.ExactArgs(1)),
		RunE: func(cmd *cobra.Command, args []string) error {
			o.build.Package = args[0]
			if o.ref == "" {
				return usagef("-t is missing: what is the image called?")
			}
			for _, p := range o.platforms {
				if p == "host" {
					p = runtime.GOOS + "/" + runtime.GOARCH
				}
				if _, err := image.ParsePlatform(p); err != nil {
					return &usageError{err}
				}
				o.build.Platforms = append(o.build.Platforms, p)
			}
			return runF(cmd.Context(), o)
		},
	}
	f := cmd.Flags()
	f.StringVarP(&o.ref, "tag", "t", "", "`reference` to push to")
	f.StringSliceVar(&o.platforms, "platform", nil, "`platforms` to build for, or host for this machine's; "+strings.Join(image.DefaultPlatforms(), ",")+" without it")
	f.StringVar(&o.build.Ldflags, "ldflags", "", "`flags` for the linker, as of go build")
	f.StringSliceVar(&o.build.Tags, "tags", nil, "build `tags`, as of go build")
	f.StringArrayVarP(&o.build.Env, "env", "e", nil, "`NAME=VALUE` for the image's environment (repeatable)")
	f.StringVar(&o.build.User, "user", "", "`user` the program runs as; "+image.DefaultUser+" without it")
	f.StringVar(&o.build.CACerts, "ca-certs", "", "PEM `file` of certificate authorities to put into the image")
	addAWSFlags(cmd, &o.aws)
	return cmd
}

func imageBuild(ctx context.Context, o *imageBuildOptions) error {
	cfg, err := o.aws.load(ctx)
	if err != nil {
		return err
	}
	start := time.Now()
	built, err := image.Build(ctx, o.build)
	if err != nil {
		return err
	}
	fmt.Fprintf(o.streams.Err, "built %s for %s, %.1f MiB (%s)\n", built.Name, strings.Join(built.Platforms, ", "), float64(built.Size)/(1<<20), seconds(time.Since(start)))

	start = time.Now()
	client := ecr.NewFromConfig(cfg)
	target, err := image.Target(ctx, client, o.ref)
	if err != nil {
		return err
	}
	pushed, err := image.Push(ctx, target, built.Content, image.PushOptions{ECR: client})
	if err != nil {
		return err
	}
	fmt.Fprintf(o.streams.Err, "pushed %s (%s)\n", pushed.Digest, seconds(time.Since(start)))
	_, err = fmt.Fprintln(o.streams.Out, pushed.Ref)
	return err
}
