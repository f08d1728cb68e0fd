// Command prog is the program that the conformance suite runs in containers. It is static and needs nothing from its root
// file system. Its first argument says what it does; without one it writes a line and ends.
package main

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"os/signal"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"time"
)

func main() {
	if len(os.Args) < 2 {
		_, _ = os.Stdout.WriteString("hello\n")
		return
	}
	args := os.Args[2:]
	switch os.Args[1] {
	case "exit": // CODE
		os.Exit(number(args[0]))
	case "signal": // NUMBER: ends itself by a signal
		_ = syscall.Kill(os.Getpid(), syscall.Signal(number(args[0])))
		forever()
	case "inspect": // writes what it sees of its surroundings as JSON
		inspect()
	case "sleep": // writes "ready" and waits to be ended
		fmt.Println("ready")
		forever()
	case "handle": // CODE: writes "ready", and on SIGTERM "terminated", then ends with CODE
		terminated := make(chan os.Signal, 1)
		signal.Notify(terminated, syscall.SIGTERM)
		fmt.Println("ready")
		<-terminated
		fmt.Println("terminated")
		os.Exit(number(args[0]))
	case "ignore": // writes "ready", ignores SIGTERM, and writes "ignored" each time
		terminated := make(chan os.Signal, 1)
		signal.Notify(terminated, syscall.SIGTERM)
		fmt.Println("ready")
		for range terminated {
			fmt.Println("ignored")
		}
	case "flood": // BYTES LINE: writes so many bytes in lines of LINE bytes; LINE 0 is one line without an end
		flood(number(args[0]), number(args[1]))
	case "brim": // FILE: writes to stdout until nothing has been taken for a second, and how much was taken to the file
		check(os.WriteFile(args[0], []byte(strconv.Itoa(brim())), 0o644))
	case "lines": // N: writes N numbered lines, to stdout and stderr in turn
		for i := range number(args[0]) {
			to := os.Stdout
			if i%2 == 1 {
				to = os.Stderr
			}
			_, _ = fmt.Fprintf(to, "line %d\n", i)
		}
	case "print": // TEXT: writes it as it is
		_, _ = os.Stdout.WriteString(args[0])
	case "size": // FILE: writes how large it is, or "absent"
		info, err := os.Stat(args[0])
		if err != nil {
			fmt.Println("absent")
			break
		}
		fmt.Println(info.Size())
	case "hog": // MIB: uses so much memory, writes "ready", and waits
		defer runtime.KeepAlive(hog(number(args[0])))
		fmt.Println("ready")
		forever()
	case "leave": // HOW: leaves a child behind that holds the output, in the process "group" or in a "session" of its own
		cmd := self("wait")
		cmd.Stdout, cmd.Stderr = os.Stdout, os.Stderr
		cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: args[0] == "session"}
		check(cmd.Start())
		fmt.Println("left")
	case "leave-quiet": // HOW: the same with a child that holds nothing; writes its pid
		cmd := self("wait")
		cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: args[0] == "session"}
		check(cmd.Start())
		fmt.Println(cmd.Process.Pid)
	case "with-child": // HOW: the same, but goes on itself
		cmd := self("wait")
		cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: args[0] == "session"}
		check(cmd.Start())
		fmt.Println("ready")
		forever()
	case "wait":
		forever()
	case "write": // FILE TEXT: writes the file and "written"
		check(os.WriteFile(args[0], []byte(args[1]), 0o644))
		fmt.Println("written")
	case "mark": // FILE TEXT MS: adds TEXT as a line to the file at once and waits so many milliseconds
		f, err := os.OpenFile(args[0], os.O_WRONLY|os.O_APPEND|os.O_CREATE, 0o644)
		check(err)
		_, err = f.WriteString(args[1] + "\n")
		check(err)
		time.Sleep(time.Duration(number(args[2])) * time.Millisecond)
	case "record": // FILE LINES MS: adds START to the file with the job's id and attempt, writes so many numbered lines, half of them after so many milliseconds, and adds END
		record(args[0], number(args[1]), time.Duration(number(args[2]))*time.Millisecond)
	case "await": // FILE: writes "ready", waits until the file is there, and writes "done"
		fmt.Println("ready")
		for {
			if _, err := os.Stat(args[0]); err == nil {
				break
			}
			time.Sleep(5 * time.Millisecond)
		}
		fmt.Println("done")
	case "fill": // FILE MIB: makes a file that takes so much room, and waits
		f, err := os.Create(args[0])
		check(err)
		for i := range int64(number(args[1])) {
			check(grow(f, i<<20, 1<<20))
		}
		forever()
	case "fork-bomb": // starts itself twice without end, and those start themselves twice
		for {
			for range 2 {
				_ = self("fork-bomb").Start() // past the limit it fails
			}
		}
	case "files": // DIR N: makes so many files
		for i := range number(args[1]) {
			check(os.WriteFile(fmt.Sprintf("%s/%06d", args[0], i), nil, 0o600))
		}
		fmt.Println("made")
	case "read": // FILE: copies it to stdout
		f, err := os.Open(args[0])
		check(err)
		_, err = io.Copy(os.Stdout, f)
		check(err)
	case "stdin": // writes what stdin holds
		b, err := io.ReadAll(bufio.NewReader(os.Stdin))
		check(err)
		fmt.Printf("%q\n", b)
	case "dial": // ADDRESS TEXT: says TEXT over TCP and writes the answer
		dial(args[0], args[1])
	case "resolve": // NAME: asks the name server that /etc/resolv.conf names for an address of NAME
		r := net.Resolver{PreferGo: true}
		found, err := r.LookupHost(context.Background(), args[0])
		check(err)
		fmt.Println(strings.Join(found, " "))
	case "datagram": // ADDRESS TEXT: says TEXT over UDP and writes the answer
		c, err := net.Dial("udp", args[0])
		check(err)
		check(c.SetDeadline(time.Now().Add(2 * time.Minute)))
		_, err = io.WriteString(c, args[1])
		check(err)
		b := make([]byte, 1000)
		n, err := c.Read(b)
		check(err)
		fmt.Printf("%s\n", b[:n])
	case "serve": // ADDRESS: writes "ready", and answers one TCP connection with what it hears after "heard "
		serve(args[0])
	case "addresses": // writes the IPv4 addresses that it has
		addresses, err := net.InterfaceAddrs()
		check(err)
		for _, a := range addresses {
			if ip, _, err := net.ParseCIDR(a.String()); err == nil && ip.To4() != nil {
				fmt.Println(ip)
			}
		}
	default:
		fmt.Fprintf(os.Stderr, "unknown: %q\n", os.Args[1:])
		os.Exit(64)
	}
}

// brim writes numbered lines to stdout for as long as they are taken, and counts their bytes.
func brim() (n int) {
	check(syscall.SetNonblock(1, true))
	var rest []byte
	for i, last := 0, time.Now(); time.Since(last) < time.Second; {
		if len(rest) == 0 {
			rest = fmt.Appendf(nil, "line %d\n", i)
			i++
		}
		m, err := syscall.Write(1, rest)
		if m > 0 {
			n, rest, last = n+m, rest[m:], time.Now()
			continue
		}
		if err != syscall.EAGAIN {
			check(err)
		}
		time.Sleep(10 * time.Millisecond)
	}
	return n
}

func write(f *os.File, bytes int64) error {
	_, err := f.Write(make([]byte, bytes))
	return err
}

func dial(address, text string) {
	c, err := net.DialTimeout("tcp", address, 2*time.Minute)
	check(err)
	_, err = io.WriteString(c, text)
	check(err)
	check(c.(*net.TCPConn).CloseWrite())
	b, err := io.ReadAll(c)
	check(err)
	fmt.Printf("%s\n", b)
}

func serve(address string) {
	l, err := net.Listen("tcp", address)
	check(err)
	fmt.Println("ready")
	c, err := l.Accept()
	check(err)
	b, err := io.ReadAll(c)
	check(err)
	_, err = fmt.Fprintf(c, "heard %s", b)
	check(err)
	check(c.Close())
}

func record(file string, lines int, pause time.Duration) {
	// One write of a line to a file opened for appending comes whole, whoever else writes.
	f, err := os.OpenFile(file, os.O_WRONLY|os.O_APPEND, 0)
	check(err)
	who := os.Getenv("AWS_BATCH_JOB_ID") + " " + os.Getenv("AWS_BATCH_JOB_ATTEMPT") + "\n"
	_, err = f.WriteString("START " + who)
	check(err)
	for i := range lines {
		if i == lines/2 {
			time.Sleep(pause)
		}
		fmt.Println("line", i)
	}
	_, err = f.WriteString("END " + who)
	check(err)
}

func forever() {
	for {
		time.Sleep(time.Hour)
	}
}

func number(s string) int {
	n, err := strconv.Atoi(s)
	check(err)
	return n
}

func check(err error) {
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(65)
	}
}

func self(args ...string) *exec.Cmd {
	path, err := os.Executable()
	check(err)
	return exec.Command(path, args...)
}

// surroundings is what inspect writes; the suite has its twin.
type surroundings struct {
	Args, Env []string
	Dir       string
	Hostname  string
	UID, GID  int
	StdinNull bool  // descriptor 0 is /dev/null
	FDs       []int // open descriptors, less those of the Go runtime
	Leader    bool  // of its process group
	Ignored   []int // signals
}

func inspect() {
	s := surroundings{Args: os.Args, Env: os.Environ(), UID: os.Getuid(), GID: os.Getgid()}
	s.Dir, _ = os.Getwd()
	s.Hostname, _ = os.Hostname()
	if pgid, err := syscall.Getpgid(0); err == nil {
		s.Leader = pgid == os.Getpid()
	}
	var null, in syscall.Stat_t
	if syscall.Fstat(0, &in) == nil && syscall.Stat("/dev/null", &null) == nil && in.Rdev == null.Rdev {
		s.StdinNull = true
	}
	for fd := range 64 {
		var st syscall.Stat_t
		if syscall.Fstat(fd, &st) == nil && !runtimeFD(fd) {
			s.FDs = append(s.FDs, fd)
		}
	}
	for n := 1; n < 32; n++ {
		if sig := syscall.Signal(n); sig != syscall.SIGKILL && sig != syscall.SIGSTOP && signal.Ignored(sig) {
			s.Ignored = append(s.Ignored, n)
		}
	}
	check(json.NewEncoder(os.Stdout).Encode(s))
}

// runtimeFD says whether a descriptor is the Go runtime's own: its poller's, or of the control group whose processors it
// counts.
func runtimeFD(fd int) bool {
	to, err := os.Readlink("/proc/self/fd/" + strconv.Itoa(fd))
	return err == nil && (strings.HasPrefix(to, "anon_inode:") || strings.HasPrefix(to, "/sys/fs/cgroup/"))
}

// hog takes memory and writes to all of it.
func hog(mib int) [][]byte {
	held := make([][]byte, 0, mib)
	for range mib {
		b := make([]byte, 1<<20)
		for i := range b {
			b[i] = byte(i)
		}
		held = append(held, b)
	}
	return held
}

func flood(total, line int) {
	w := bufio.NewWriterSize(os.Stdout, 64<<10)
	unit := []byte(strings.Repeat("x", 64<<10))
	if line > 0 {
		unit = append([]byte(strings.Repeat("x", line-1)), '\n')
	}
	for total > 0 {
		n := min(total, len(unit))
		if _, err := w.Write(unit[:n]); err != nil {
			os.Exit(66)
		}
		total -= n
	}
	if w.Flush() != nil {
		os.Exit(66)
	}
}
