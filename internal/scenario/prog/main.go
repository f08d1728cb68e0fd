// Prog is the program in the containers of scenarios that run over HTTP: it says that it runs, and does what it is told by
// the test, whose address is in SCENARIO. A stop signal it passes on and takes no notice of.
package main

import (
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"os/signal"
	"strconv"
	"strings"
	"syscall"
)

func main() {
	id := url.Values{"job": {job()}, "attempt": {os.Getenv("AWS_BATCH_JOB_ATTEMPT")}}.Encode()
	stop := make(chan os.Signal, 1)
	signal.Notify(stop, syscall.SIGTERM)
	go func() {
		for range stop {
			if _, err := ask("/stopped?" + id); err != nil {
				fmt.Fprintln(os.Stderr, err)
			}
		}
	}()
	answer, err := ask("/run?" + id) // answered when it is time to exit
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(101)
	}
	code, err := strconv.Atoi(strings.TrimSpace(answer))
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(102)
	}
	os.Exit(code)
}

// job is the id with the child's or node's suffix.
func job() string {
	id := os.Getenv("AWS_BATCH_JOB_ID")
	if node := os.Getenv("AWS_BATCH_JOB_NODE_INDEX"); node != "" && !strings.Contains(id, "#") {
		return id + "#" + node
	}
	return id
}

func ask(path string) (string, error) {
	res, err := http.Get(os.Getenv("SCENARIO") + path)
	if err != nil {
		return "", err
	}
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	if err == nil && res.StatusCode != http.StatusOK {
		err = fmt.Errorf("%s: %s", res.Status, body)
	}
	return string(body), err
}
