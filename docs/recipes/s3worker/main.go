// S3worker reads an object of S3 for each item, counts its lines, and writes the number beside it. There is nothing of
// batchbox's in how it talks to S3: on AWS it is the same program.
package main

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/config"
	"github.com/aws/aws-sdk-go-v2/service/s3"

	"github.com/batchbox/batchbox/worker"
)

type result struct {
	Key   string `json:"key"`
	Lines int    `json:"lines"`
}

func main() {
	worker.Main(func(ctx context.Context, job worker.Job[string]) (result, error) {
		cfg, err := config.LoadDefaultConfig(ctx)
		if err != nil {
			return result{}, err
		}
		client := s3.NewFromConfig(cfg)
		bucket := aws.String(os.Getenv("BUCKET"))
		key := job.Item()
		object, err := client.GetObject(ctx, &s3.GetObjectInput{Bucket: bucket, Key: &key})
		if err != nil {
			return result{}, err
		}
		defer object.Body.Close()
		var text bytes.Buffer
		if _, err := text.ReadFrom(object.Body); err != nil {
			return result{}, err
		}
		r := result{key, bytes.Count(text.Bytes(), []byte("\n"))}
		_, err = client.PutObject(ctx, &s3.PutObjectInput{
			Bucket: bucket, Key: aws.String(strings.TrimSuffix(key, ".txt") + ".count"), Body: strings.NewReader(fmt.Sprintln(r.Lines)),
		})
		return r, err
	})
}
