// Ring is the program of the multi-node example: the main node listens, hands each of the others a range of numbers, and
// adds up what they find. It needs nothing but the variables that AWS Batch gives the nodes of a job.
package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"os"
	"strconv"
	"time"
)

// port is where the main node listens: any that the job's network leaves free.
const port = "48620"

// patience is how long a node waits for another.
const patience = 2 * time.Minute

func main() {
	if err := run(); err != nil {
		fmt.Fprintln(os.Stderr, "error:", err)
		os.Exit(1)
	}
}

func run() error {
	index, err := number("AWS_BATCH_JOB_NODE_INDEX")
	if err != nil {
		return err
	}
	mainIndex, err := number("AWS_BATCH_JOB_MAIN_NODE_INDEX")
	if err != nil {
		return err
	}
	nodes, err := number("AWS_BATCH_JOB_NUM_NODES")
	if err != nil {
		return err
	}
	if index == mainIndex {
		return lead(index, nodes)
	}
	return follow(index, os.Getenv("AWS_BATCH_JOB_MAIN_NODE_PRIVATE_IPV4_ADDRESS"))
}

func number(variable string) (int, error) {
	n, err := strconv.Atoi(os.Getenv(variable))
	if err != nil {
		return 0, fmt.Errorf("%s: %w: is this a node of a multi-node parallel job?", variable, err)
	}
	return n, nil
}

// hello is what a node says first, task what it is given, and result what it answers: a line of JSON each.
type (
	hello  struct{ Node int }
	task   struct{ From, To int }
	result struct{ Sum int }
)

// lead gives each other node a hundred numbers to add up.
func lead(index, nodes int) error {
	listener, err := net.Listen("tcp4", ":"+port)
	if err != nil {
		return err
	}
	defer listener.Close()
	fmt.Printf("node %d: I am the main node, and wait for %d others\n", index, nodes-1)
	_ = listener.(*net.TCPListener).SetDeadline(time.Now().Add(patience))
	total := 0
	for i := range nodes - 1 {
		conn, err := listener.Accept()
		if err != nil {
			return fmt.Errorf("waiting for the other nodes: %w", err)
		}
		sum, err := assign(conn, task{From: 100*i + 1, To: 100 * (i + 1)})
		if err != nil {
			return err
		}
		total += sum
	}
	fmt.Printf("node %d: the numbers from 1 to %d add up to %d\n", index, 100*(nodes-1), total)
	return nil
}

func assign(conn net.Conn, t task) (sum int, err error) {
	defer func() { err = errors.Join(err, conn.Close()) }()
	_ = conn.SetDeadline(time.Now().Add(patience))
	from, to := json.NewDecoder(conn), json.NewEncoder(conn)
	var h hello
	var r result
	for _, step := range []func() error{
		func() error { return from.Decode(&h) },
		func() error { return to.Encode(t) },
		func() error { return from.Decode(&r) },
	} {
		if err := step(); err != nil {
			return 0, fmt.Errorf("node %d at %s: %w", h.Node, conn.RemoteAddr(), err)
		}
	}
	return r.Sum, nil
}

// follow does what the main node asks for.
func follow(index int, address string) error {
	conn, err := dial(net.JoinHostPort(address, port))
	if err != nil {
		return err
	}
	defer conn.Close()
	_ = conn.SetDeadline(time.Now().Add(patience))
	from, to := json.NewDecoder(conn), json.NewEncoder(conn)
	if err := to.Encode(hello{index}); err != nil {
		return err
	}
	var t task
	if err := from.Decode(&t); err != nil {
		return err
	}
	var r result
	for n := t.From; n <= t.To; n++ {
		r.Sum += n
	}
	fmt.Printf("node %d: I am connected to the main node, and have added up a hundred numbers\n", index)
	return to.Encode(r)
}

// dial tries until the main node listens: the others are started when its program runs, which may not listen yet.
func dial(address string) (net.Conn, error) {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	for {
		conn, err := new(net.Dialer).DialContext(ctx, "tcp4", address)
		if err == nil {
			return conn, nil
		}
		select {
		case <-time.After(50 * time.Millisecond):
		case <-ctx.Done():
			return nil, fmt.Errorf("the main node at %s: %w", address, err)
		}
	}
}
