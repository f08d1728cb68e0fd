package cli

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/ecr"
	"github.com/google/go-containerregistry/pkg/name"
	"github.com/spf13/cobra"

	"github.com/batchbox/batchbox/internal/image"
)

type imageLoadOptions struct {
	streams *Streams
	aws     awsFlags
	file    string
	ref     string
}

func newImageLoad(s *Streams, runF func(context.Context, *imageLoadOptions) error) *cobra.Command {
	o := &imageLoadOptions{streams: s}
	if runF == nil {
		runF = imageLoad
	}
	cmd := &cobra.Command{
		Use:   "load FILE [-t NAME[:TAG]]",
		Short: "Push the images of a tar",
		Long: `Push the images of a file: what "docker save" or "podman save" has written, or an OCI image layout as a tar or a directory;
a tar may be gzipped. Each goes to the repository of its name, without its registry, of the account and region worked in,
which is created if it is not there. -t gives the only image of a file another name. The references that were pushed are
printed on stdout.`,
		Example: `  docker save app:v1 | gzip >app.tar.gz && batchbox image load app.tar.gz
  batchbox image load ./layout -t app:v1`,
		Args: args(cobra.ExactArgs(1)),
		RunE: func(cmd *cobra.Command, args []string) error {
			o.file = args[0]
			return runF(cmd.Context(), o)
		},
	}
	cmd.Flags().StringVarP(&o.ref, "tag", "t", "", "`reference` to push to")
	addAWSFlags(cmd, &o.aws)
	return cmd
}

func imageLoad(ctx context.Context, o *imageLoadOptions) (err error) {
	cfg, err := o.aws.load(ctx)
	if err != nil {
		return err
	}
	archive, err := image.OpenArchive(ctx, o.file)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, archive.Close()) }()
	if o.ref != "" && len(archive.Images) > 1 {
		return usagef("-t %s: there are %d images in %s", o.ref, len(archive.Images), o.file)
	}
	client := ecr.NewFromConfig(cfg)
	for _, it := range archive.Images {
		ref := o.ref
		if ref == "" {
			if ref, err = repositoryOf(it.Ref); err != nil {
				return usagef("%s: %v: name it with -t", o.file, err)
			}
		}
		start := time.Now()
		target, err := image.Target(ctx, client, ref)
		if err != nil {
			return err
		}
		pushed, err := image.Push(ctx, target, it.Content, image.PushOptions{ECR: client})
		if err != nil {
			return err
		}
		fmt.Fprintf(o.streams.Err, "pushed %s (%s)\n", pushed.Digest, seconds(time.Since(start)))
		if _, err := fmt.Fprintln(o.streams.Out, pushed.Ref); err != nil {
			return err
		}
	}
	return nil
}

// repositoryOf is the name of an image without its registry: "app:v1" of "docker.io/library/app:v1".
func repositoryOf(ref string) (string, error) {
	if !strings.ContainsAny(ref, ":/") {
		// Layouts often have only a tag.
		return "", fmt.Errorf("an image is called %q, which is no name with a tag", ref)
	}
	tag, err := name.NewTag(ref)
	if err != nil {
		return "", err
	}
	return strings.TrimPrefix(tag.RepositoryStr(), "library/") + ":" + tag.TagStr(), nil
}
