package logstore

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"
)

// ErrNotSegment is wrapped by OpenSegment's error for a file whose header is missing or damaged. A segment just being
// created looks so for a moment.
var ErrNotSegment = errors.New("not a log segment")

// Segment is a segment file open for reading. It is safe for concurrent use.
type Segment struct {
	Name SegmentName
	// ID was drawn at random when the file was made, so that a file of the same name in a new directory is not taken for
	// this one.
	ID        uint64
	CreatedMS int64

	f *os.File
}

// OpenSegment opens a segment of dir.
func OpenSegment(dir string, name SegmentName) (*Segment, error) {
	f, err := os.Open(filepath.Join(dir, name.String()))
	if err != nil {
		return nil, fmt.Errorf("opening log segment: %w", err)
	}
	var h [headerLen]byte
	if _, err = f.ReadAt(h[:], 0); err != nil && err != io.EOF {
		f.Close()
		return nil, fmt.Errorf("reading the header of log segment %s: %w", name, err)
	}
	id, created, ok := parseHeader(h[:])
	if !ok {
		f.Close()
		return nil, fmt.Errorf("%s: %w", name, ErrNotSegment)
	}
	return &Segment{Name: name, ID: id, CreatedMS: created, f: f}, nil
}

// Close closes the file.
func (s *Segment) Close() error { return s.f.Close() }

// FirstRecord is the offset of a segment's first record.
const FirstRecord = int64(headerLen)

// Size is the file's size at the moment.
func (s *Segment) Size() (int64, error) {
	fi, err := s.f.Stat()
	if err != nil {
		return 0, fmt.Errorf("log segment %s: %w", s.Name, err)
	}
	return fi.Size(), nil
}

// Record is one record of a segment: exactly one of Definition and Events is set. It is valid only during the call that
// hands it out.
type Record struct {
	Offset, End int64
	Definition  *Definition
	Events      *Events
}

// ErrDamaged is wrapped by Scan's error when what stands at the offset it returns is no whole record. At the end of a
// segment that is still written to it may become one.
var ErrDamaged = errors.New("damaged or unfinished record")

// Scan calls fn for each record from offset from, a record's own offset, up to offset to (the file's size at the moment,
// if to is negative) and returns the offset behind the last one handed out. It stops early when fn returns an error,
// which it returns, and at what is not a whole record, with an error that wraps ErrDamaged.
func (s *Segment) Scan(from, to int64, buf *ScanBuffer, fn func(*Record) error) (int64, error) {
	if to < 0 {
		size, err := s.Size()
		if err != nil {
			return from, err
		}
		to = size
	}
	buf.of = nil // what was read before may have been overwritten since
	off := from
	for off < to {
		b, err := buf.window(s.f, off, to, recordHeaderLen)
		if err != nil {
			return off, fmt.Errorf("reading log segment %s: %w", s.Name, err)
		}
		if len(b) < recordHeaderLen {
			return off, fmt.Errorf("log segment %s, offset %d: %w", s.Name, off, ErrDamaged)
		}
		size := int64(binary.LittleEndian.Uint32(b))
		if size == 0 || size > maxPayload || off+recordHeaderLen+size > to {
			return off, fmt.Errorf("log segment %s, offset %d: %w", s.Name, off, ErrDamaged)
		}
		end := off + recordHeaderLen + size
		if b, err = buf.window(s.f, off, to, int(end-off)); err != nil {
			return off, fmt.Errorf("reading log segment %s: %w", s.Name, err)
		}
		if int64(len(b)) < end-off {
			return off, fmt.Errorf("log segment %s, offset %d: %w", s.Name, off, ErrDamaged)
		}
		rec := Record{Offset: off, End: end}
		if !parseRecord(&rec, b[:end-off], buf) {
			return off, fmt.Errorf("log segment %s, offset %d: %w", s.Name, off, ErrDamaged)
		}
		if err := fn(&rec); err != nil {
			return off, err
		}
		off = end
	}
	return off, nil
}

// SkipDamaged finds where reading can go on behind a damaged record at off in a segment nobody writes to any more: the
// offset its length field points to, if a whole record or the end of the segment is there. Nothing else is searched for:
// log messages are chosen by the programs that write them, and must not be read as records.
func (s *Segment) SkipDamaged(off int64, buf *ScanBuffer) (next int64, ok bool) {
	end, err := s.Size()
	if err != nil {
		return 0, false
	}
	b, err := buf.window(s.f, off, end, recordHeaderLen)
	if err != nil || len(b) < recordHeaderLen {
		return 0, false
	}
	size := int64(binary.LittleEndian.Uint32(b))
	next = off + recordHeaderLen + size
	if size == 0 || size > maxPayload || next > end {
		return 0, false
	}
	if next == end {
		return next, true
	}
	found := errors.New("found")
	_, err = s.Scan(next, end, buf, func(*Record) error { return found })
	return next, err == found
}

// DefinitionAt reads the definition record at an offset.
func (s *Segment) DefinitionAt(off int64, buf *ScanBuffer) (Definition, error) {
	size, err := s.Size()
	if err != nil {
		return Definition{}, err
	}
	var d *Definition
	found := errors.New("found")
	_, err = s.Scan(off, min(size, off+maxDefinitionBytes), buf, func(r *Record) error {
		d = r.Definition
		return found
	})
	if err != found || d == nil {
		return Definition{}, fmt.Errorf("log segment %s: no definition at offset %d: %w", s.Name, off, ErrDamaged)
	}
	return *d, nil
}

func parseRecord(rec *Record, b []byte, buf *ScanBuffer) bool {
	payload := b[recordHeaderLen:]
	if crc32.Checksum(payload, castagnoli) != binary.LittleEndian.Uint32(b[4:]) {
		return false
	}
	var ok bool
	switch payload[0] {
	case kindDefinition:
		buf.def, ok = parseDefinition(payload)
		rec.Definition = &buf.def
	case kindEvents:
		buf.events, ok = parseEvents(payload)
		rec.Events = &buf.events
	}
	return ok
}

// ScanBuffer is memory that scans use again and again. The zero value is ready; it serves one scan at a time.
type ScanBuffer struct {
	data  []byte
	off   int64 // file offset of data[0]
	of    *os.File
	limit int64

	def    Definition
	events Events
}

// scanWindow is how much is read from a segment at a time.
const scanWindow = 256 << 10

// window returns the bytes of f from off: at least want of them if there are that many before limit, and possibly more.
func (b *ScanBuffer) window(f *os.File, off, limit int64, want int) ([]byte, error) {
	if f == b.of && limit == b.limit && off >= b.off && off+int64(want) <= b.off+int64(len(b.data)) {
		return b.data[off-b.off:], nil
	}
	n := int(min(max(int64(want), scanWindow), limit-off))
	if cap(b.data) < n {
		b.data = make([]byte, n)
	}
	b.data = b.data[:n]
	got, err := f.ReadAt(b.data, off)
	if err != nil && err != io.EOF {
		b.data, b.of = b.data[:0], nil
		return nil, err
	}
	b.data, b.off, b.of, b.limit = b.data[:got], off, f, limit
	return b.data, nil
}

// InUse says whether some process still has the segment open to write to it. It may have to be asked again: a Writer
// lets go of a segment it has finished with its next Sync.
func InUse(dir string, name SegmentName) (bool, error) {
	f, err := os.Open(filepath.Join(dir, name.String()))
	if err != nil {
		return false, fmt.Errorf("log segment: %w", err)
	}
	defer f.Close()
	err = unix.Flock(int(f.Fd()), unix.LOCK_SH|unix.LOCK_NB)
	if errors.Is(err, unix.EWOULDBLOCK) {
		return true, nil
	}
	if err != nil {
		return false, fmt.Errorf("log segment %s: %w", name, err)
	}
	return false, nil
}
