package supervisor

import (
	"bufio"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"io"
	"time"

	"github.com/batchbox/batchbox/internal/runtime"
)

// The protocol: each side sends frames, a length (four bytes, big endian) and that many bytes of JSON. The first frame of
// each side holds its Hello alone. Members that a side does not know are ignored, so a change that can be ignored needs no
// new version.
const (
	protocolVersion = 1
	// protocolOldest is the oldest version this program can talk to.
	protocolOldest = 1
	// maxFrame bounds what a side accepts. The client keeps far below it (maxFrameTasks).
	maxFrame = 256 << 20
)

// hello is how the sides introduce themselves.
type hello struct {
	Version int `json:"version"`
	Oldest  int `json:"oldest"`
	// The supervisor's only. Instance is different each time a supervisor starts. Intact says that a task it does not list
	// has never been started: its predecessors' journal reaches to it without a gap, or all that was from before has been
	// settled.
	Instance string `json:"instance,omitempty"`
	PID      int    `json:"pid,omitempty"`
	Intact   bool   `json:"intact,omitempty"`
}

// check says whether the two sides have a version in common.
func (h hello) check() error {
	if h.Version < protocolOldest || h.Oldest > protocolVersion {
		return fmt.Errorf("the other side speaks versions %d to %d of the supervisor's protocol, this one %d to %d",
			h.Oldest, h.Version, protocolOldest, protocolVersion)
	}
	return nil
}

// request is a frame to the supervisor. Its parts are done in the order of the members.
type request struct {
	Hello *hello `json:"hello,omitempty"`
	// Seq numbers the requests of a client from 1.
	Seq   uint64         `json:"seq,omitempty"`
	Start []runtime.Task `json:"start,omitempty"`
	Stop  []StopRequest  `json:"stop,omitempty"`
	Ack   []string       `json:"ack,omitempty"`
	// Settled says that every task from before this supervisor has been dealt with, so that it can call itself Intact.
	Settled  bool      `json:"settled,omitempty"`
	Stats    bool      `json:"stats,omitempty"`
	Inspect  []inspect `json:"inspect,omitempty"`
	Shutdown *shutdown `json:"shutdown,omitempty"`
}

// inspect asks how the containers of a task are. The answer bears its ID.
type inspect struct {
	ID    uint64 `json:"id"`
	Key   string `json:"key"`
	Usage bool   `json:"usage,omitempty"`
}

// inspected answers inspect; Containers is empty for a task that is not known or has ended.
type inspected struct {
	ID         uint64                   `json:"id"`
	Containers []runtime.ContainerState `json:"containers,omitempty"`
}

// shutdown stops every task and ends the supervisor.
type shutdown struct {
	Grace *time.Duration `json:"grace,omitempty"` // replaces each container's own
}

// answer is a frame from the supervisor.
type answer struct {
	Hello *hello `json:"hello,omitempty"`
	// Listed follows on Hello: Tasks is all the supervisor has.
	Listed bool        `json:"listed,omitempty"`
	Tasks  []TaskState `json:"tasks,omitempty"`
	// Done is the Seq of the last request that has been dealt with.
	Done      uint64           `json:"done,omitempty"`
	Reports   []runtime.Report `json:"reports,omitempty"`
	Stats     *Stats           `json:"stats,omitempty"`
	Inspected []inspected      `json:"inspected,omitempty"`
}

// writeFrame sends v.
func writeFrame(w io.Writer, v any) error {
	body, err := json.Marshal(v)
	if err != nil {
		return fmt.Errorf("encode frame: %w", err)
	}
	if len(body) > maxFrame {
		return fmt.Errorf("frame of %d bytes: at most %d are accepted", len(body), maxFrame)
	}
	b := make([]byte, 4, 4+len(body))
	binary.BigEndian.PutUint32(b, uint32(len(body)))
	_, err = w.Write(append(b, body...))
	return err
}

// frameReader reads frames into a buffer that it keeps.
type frameReader struct {
	r   *bufio.Reader
	buf []byte
}

const keptFrameBytes = 256 << 10

func newFrameReader(r io.Reader) *frameReader { return &frameReader{r: bufio.NewReaderSize(r, 64<<10)} }

// read decodes the next frame into v. io.EOF says that the other side has left between two frames.
func (f *frameReader) read(v any) error {
	var head [4]byte
	if _, err := io.ReadFull(f.r, head[:]); err != nil {
		return err
	}
	n := int(binary.BigEndian.Uint32(head[:]))
	if n > maxFrame {
		return fmt.Errorf("frame of %d bytes: at most %d are accepted", n, maxFrame)
	}
	if cap(f.buf) < n {
		f.buf = make([]byte, n)
	}
	b := f.buf[:n]
	if cap(f.buf) > keptFrameBytes {
		f.buf = nil
	}
	if _, err := io.ReadFull(f.r, b); err != nil {
		return fmt.Errorf("frame of %d bytes is cut short: %w", n, err)
	}
	if err := json.Unmarshal(b, v); err != nil {
		return fmt.Errorf("decode frame: %w", err)
	}
	return nil
}
