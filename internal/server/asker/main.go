// Command asker is a job's program that asks about itself, with the AWS SDK as anybody would use it: no options, all from the
// environment. It writes what it has learned as one line of JSON. The tests of internal/server run it in containers.
package main

import (
	"context"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/config"
	"github.com/aws/aws-sdk-go-v2/service/batch"
	batchtypes "github.com/aws/aws-sdk-go-v2/service/batch/types"
	"github.com/aws/aws-sdk-go-v2/service/cloudwatchlogs"
	"github.com/aws/aws-sdk-go-v2/service/cloudwatchlogs/types"
	"github.com/aws/aws-sdk-go-v2/service/sts"
)

func main() {
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Minute)
	defer cancel()
	do := ask
	if len(os.Args) > 1 {
		do = map[string]func(context.Context) error{"outlive": outlive, "get": get, "node": node, "expect": expect}[os.Args[1]]
	}
	if err := do(ctx); err != nil {
		fmt.Println("error:", err)
		os.Exit(1)
	}
}

// ask calls AWS in three ways and reads the metadata.
func ask(ctx context.Context) error {
	cfg, err := config.LoadDefaultConfig(ctx)
	if err != nil {
		return err
	}
	found := map[string]any{"env": os.Environ()}
	who, err := sts.NewFromConfig(cfg).GetCallerIdentity(ctx, nil)
	if err != nil {
		return err
	}
	found["arn"], found["account"] = who.Arn, who.Account
	job, err := running(ctx, batch.NewFromConfig(cfg))
	if err != nil {
		return err
	}
	found["status"], found["taskArn"] = job.Status, job.Container.TaskArn
	logs := cloudwatchlogs.NewFromConfig(cfg)
	group, stream := aws.String("asked"), aws.String(os.Getenv("AWS_BATCH_JOB_ID"))
	if _, err := logs.CreateLogGroup(ctx, &cloudwatchlogs.CreateLogGroupInput{LogGroupName: group}); err != nil {
		return err
	}
	if _, err := logs.CreateLogStream(ctx, &cloudwatchlogs.CreateLogStreamInput{LogGroupName: group, LogStreamName: stream}); err != nil {
		return err
	}
	if _, err := logs.PutLogEvents(ctx, &cloudwatchlogs.PutLogEventsInput{
		LogGroupName: group, LogStreamName: stream,
		LogEvents: []types.InputLogEvent{{Message: aws.String("from inside"), Timestamp: aws.Int64(time.Now().UnixMilli())}},
	}); err != nil {
		return err
	}
	for _, name := range []string{"ECS_CONTAINER_METADATA_URI", "ECS_CONTAINER_METADATA_URI_V4"} {
		for _, path := range []string{"", "/task", "/taskWithTags", "/stats", "/task/stats"} {
			body, err := fetch(ctx, os.Getenv(name)+path)
			if err != nil {
				return err
			}
			found[name+path] = json.RawMessage(body)
		}
	}
	line, err := json.Marshal(found)
	if err != nil {
		return err
	}
	_, err = fmt.Println(string(line))
	return err
}

// running describes the program's own job once it is RUNNING. That the program runs is known a little later than it is so,
// here as at AWS: until then the job is STARTING.
func running(ctx context.Context, client *batch.Client) (job batchtypes.JobDetail, err error) {
	for {
		out, err := client.DescribeJobs(ctx, &batch.DescribeJobsInput{Jobs: []string{os.Getenv("AWS_BATCH_JOB_ID")}})
		if err != nil {
			return job, err
		}
		if len(out.Jobs) != 1 {
			return job, fmt.Errorf("%d jobs are described", len(out.Jobs))
		}
		if job = out.Jobs[0]; job.Status != batchtypes.JobStatusStarting {
			return job, nil
		}
		select {
		case <-ctx.Done():
			return job, fmt.Errorf("the job is still %s: %w", job.Status, ctx.Err())
		case <-time.After(10 * time.Millisecond): // a poll
		}
	}
}

// outlive waits until nobody answers any more, and then until somebody does again: the same calls, by the same clients.
func outlive(ctx context.Context) error {
	cfg, err := config.LoadDefaultConfig(ctx, config.WithRetryMaxAttempts(1))
	if err != nil {
		return err
	}
	client := sts.NewFromConfig(cfg)
	call := func() error {
		if _, err := client.GetCallerIdentity(ctx, nil); err != nil {
			return err
		}
		// The credentials' cache is passed by: they are asked for anew.
		again, err := config.LoadDefaultConfig(ctx)
		if err != nil {
			return err
		}
		if _, err := again.Credentials.Retrieve(ctx); err != nil {
			return err
		}
		_, err = fetch(ctx, os.Getenv("ECS_CONTAINER_METADATA_URI_V4")+"/task")
		return err
	}
	if err := call(); err != nil {
		return err
	}
	fmt.Println("answered")
	for _, want := range []bool{false, true} {
		for (call() == nil) != want {
			select {
			case <-ctx.Done():
				return ctx.Err()
			case <-time.After(20 * time.Millisecond): // a poll
			}
		}
		fmt.Println("answers:", want)
	}
	return nil
}

// get fetches the paths that it is given below the endpoint, each with its status.
func get(ctx context.Context) error {
	for _, path := range os.Args[2:] {
		r, err := http.NewRequestWithContext(ctx, http.MethodGet, os.Getenv("AWS_ENDPOINT_URL")+path, nil)
		if err != nil {
			return err
		}
		resp, err := http.DefaultClient.Do(r)
		if err != nil {
			return err
		}
		_ = resp.Body.Close()
		fmt.Println(resp.StatusCode, path)
	}
	return nil
}

// expect checks that variables have values of the SHA-256 given, so that nobody sees the values.
func expect(context.Context) error {
	for _, want := range os.Args[2:] {
		name, digest, _ := strings.Cut(want, "=")
		if got := fmt.Sprintf("%x", sha256.Sum256([]byte(os.Getenv(name)))); got != digest {
			return fmt.Errorf("%s is not what it should be", name)
		}
	}
	return nil
}

// node is a node of a multi-node job: the main one listens on its own address, which the metadata tells, until every other
// has connected to it, and all listen on the same port.
func node(ctx context.Context) error {
	body, err := fetch(ctx, os.Getenv("ECS_CONTAINER_METADATA_URI_V4"))
	if err != nil {
		return err
	}
	var self struct {
		Networks []struct{ IPv4Addresses []string }
	}
	if err := json.Unmarshal(body, &self); err != nil {
		return err
	}
	address := self.Networks[0].IPv4Addresses[0]
	l, err := net.Listen("tcp", net.JoinHostPort(address, "7531"))
	if err != nil {
		return err
	}
	defer l.Close()
	defer context.AfterFunc(ctx, func() { _ = l.Close() })()
	if main := os.Getenv("AWS_BATCH_JOB_MAIN_NODE_PRIVATE_IPV4_ADDRESS"); main != "" {
		// It runs, but may not listen yet.
		c, err := net.Dial("tcp", net.JoinHostPort(main, "7531"))
		for ; err != nil; c, err = net.Dial("tcp", net.JoinHostPort(main, "7531")) {
			select {
			case <-ctx.Done():
				return err
			case <-time.After(10 * time.Millisecond): // a poll
			}
		}
		defer c.Close()
		fmt.Println("connected from", address, "to", main)
		_, err = fmt.Fprintln(c, address)
		return err
	}
	for range 2 {
		c, err := l.Accept()
		if err != nil {
			return err
		}
		from, err := io.ReadAll(c)
		if err != nil {
			return err
		}
		_ = c.Close()
		fmt.Println("heard of", strings.TrimSpace(string(from)), "at", address)
	}
	return nil
}

func fetch(ctx context.Context, url string) ([]byte, error) {
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return nil, err
	}
	resp, err := http.DefaultClient.Do(r)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err == nil && resp.StatusCode != http.StatusOK {
		err = fmt.Errorf("%s: %s: %s", url, resp.Status, strings.TrimSpace(string(body)))
	}
	return body, err
}
