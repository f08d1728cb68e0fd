package docker

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
)

// The streams of an attach request without a terminal: a header of 8 bytes with the stream in the first and the length of
// what follows in the last four (https://docs.docker.com/reference/api/engine/version/v1.41/#tag/Container/operation/ContainerAttach).
const (
	streamStdout = 1
	streamStderr = 2
	streamDaemon = 3 // an error of the daemon's
	frameHeader  = 8
	maxFrame     = 16 << 20
)

// maxHeldOutput is as much as CloudWatch takes for one event.
const maxHeldOutput = 256 << 10

// merger writes two streams to one writer so that a line of one is not torn by the other. The beginning of a line is held back
// until its end comes. A line that is longer than maxHeldOutput is passed on as it comes, and the other stream is held back
// meanwhile, as long as it can be.
type merger struct {
	to   io.Writer
	held [2]bytes.Buffer
	// open is the stream whose line has been passed on without its end, plus 1; 0 if there is none.
	open int
	// err is the first of to; what comes after it is discarded.
	err error
}

// write takes what a stream, 0 or 1, has said.
func (m *merger) write(stream int, p []byte) {
	held := &m.held[stream]
	if m.open == stream+1 {
		end := bytes.IndexByte(p, '\n') + 1
		if end == 0 {
			m.put(p)
			return
		}
		m.put(p[:end])
		p, m.open = p[end:], 0
		m.lines(1 - stream)
	}
	held.Write(p)
	if m.open == 0 {
		m.lines(stream)
	}
	if held.Len() > maxHeldOutput {
		m.open = stream + 1
		if b := held.Bytes(); b[len(b)-1] == '\n' {
			m.open = 0
		}
		m.flush(stream)
	}
}

// lines writes the whole lines among what is held of a stream.
func (m *merger) lines(stream int) {
	held := &m.held[stream]
	if end := bytes.LastIndexByte(held.Bytes(), '\n') + 1; end > 0 {
		m.put(held.Next(end))
	}
}

// flush writes what is held of a stream.
func (m *merger) flush(stream int) {
	m.put(m.held[stream].Bytes())
	m.held[stream].Reset()
}

func (m *merger) put(p []byte) {
	if m.err != nil || len(p) == 0 {
		return
	}
	_, m.err = m.to.Write(p)
}

// end writes all that is held.
func (m *merger) end() {
	m.flush(0)
	m.flush(1)
}

// copyOutput reads an attach connection to its end. before is called before each read. An error of the reader or the daemon
// is returned, one of the writer is not: who does not want the output any more does not hold the program up.
func copyOutput(to io.Writer, from *bufio.Reader, before func()) error {
	m := merger{to: to}
	defer m.end()
	buf := make([]byte, 32<<10)
	for {
		before()
		stream, left, err := readFrame(from)
		if err != nil {
			if errors.Is(err, io.EOF) {
				return nil
			}
			return err
		}
		for left > 0 {
			before()
			n, err := from.Read(buf[:min(int64(len(buf)), left)])
			left -= int64(n)
			switch stream {
			case streamDaemon:
				return fmt.Errorf("the daemon: %.500s", buf[:n])
			case streamStderr:
				m.write(1, buf[:n])
			default:
				m.write(0, buf[:n])
			}
			if err != nil {
				if errors.Is(err, io.EOF) {
					err = io.ErrUnexpectedEOF
				}
				return err
			}
		}
	}
}

// readFrame reads the header of a frame: which stream it is of, and how many bytes follow. It is io.EOF that there is none.
func readFrame(from io.Reader) (stream byte, size int64, err error) {
	var header [frameHeader]byte
	if _, err := io.ReadFull(from, header[:]); err != nil {
		return 0, 0, err
	}
	stream, size = header[0], int64(binary.BigEndian.Uint32(header[4:]))
	if size > maxFrame || stream > streamDaemon {
		return 0, 0, fmt.Errorf("a frame of %d bytes for stream %d: this is no output of a container", size, stream)
	}
	return stream, size, nil
}
