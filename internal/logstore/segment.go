package logstore

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"os"
	"slices"
	"strconv"
	"strings"
)

// The format. All fixed integers are little-endian; varints are those of encoding/binary.
//
//	segment = header record*
//	header  = magic[8] id[8] created-ms[8] crc32c-of-the-24-bytes-before[4] zero[4]
//	record  = payload-length[4] crc32c-of-payload[4] payload
//	payload = 'D' flags created-ms(varint) 4 x ( length(uvarint) bytes )          account, region, group, stream
//	        | 'E' definition-offset(uvarint) ingested-ms(varint) count[4]
//	              count x ( timestamp-delta(varint) length(uvarint) bytes )       first delta is to ingested-ms
const (
	segmentMagic    = "BBLOGv1\n"
	headerLen       = 32
	recordHeaderLen = 8
	// maxPayload bounds what a reader believes of a length field. The writer stays far below it (maxRecordBytes, or one
	// message of MaxMessageBytes).
	maxPayload = 4 << 20
	// maxDefinitionBytes bounds a definition record; checkKey keeps names far shorter.
	maxDefinitionBytes = 16 << 10

	kindDefinition = 'D'
	kindEvents     = 'E'

	flagOpened = 1
	flagKept   = 2
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// SegmentName is who wrote a segment and which of theirs it is, counted from 1.
type SegmentName struct {
	Owner string
	N     uint32
}

// String is the segment's file name.
func (s SegmentName) String() string { return fmt.Sprintf("%s-%08d.seg", s.Owner, s.N) }

// ParseSegmentName reads a file name; ok is false if it is not one of a segment.
func ParseSegmentName(file string) (name SegmentName, ok bool) {
	stem, ok := strings.CutSuffix(file, ".seg")
	if !ok {
		return SegmentName{}, false
	}
	i := strings.LastIndexByte(stem, '-')
	if i <= 0 || len(stem)-i-1 < 8 {
		return SegmentName{}, false
	}
	n, err := strconv.ParseUint(stem[i+1:], 10, 32)
	if err != nil || n == 0 {
		return SegmentName{}, false
	}
	name = SegmentName{Owner: stem[:i], N: uint32(n)}
	return name, name.String() == file
}

// ListSegments names the segments in dir, ascending by owner and number. A directory that does not exist has none.
func ListSegments(dir string) ([]SegmentName, error) {
	entries, err := os.ReadDir(dir)
	if errors.Is(err, os.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("listing log segments: %w", err)
	}
	var names []SegmentName
	for _, e := range entries {
		if n, ok := ParseSegmentName(e.Name()); ok {
			names = append(names, n)
		}
	}
	slices.SortFunc(names, func(a, b SegmentName) int {
		if c := strings.Compare(a.Owner, b.Owner); c != 0 {
			return c
		}
		return int(int64(a.N) - int64(b.N))
	})
	return names, nil
}

func appendHeader(b []byte, id uint64, createdMS int64) []byte {
	b = append(b, segmentMagic...)
	b = binary.LittleEndian.AppendUint64(b, id)
	b = binary.LittleEndian.AppendUint64(b, uint64(createdMS))
	b = binary.LittleEndian.AppendUint32(b, crc32.Checksum(b[len(b)-24:], castagnoli))
	return append(b, 0, 0, 0, 0)
}

func parseHeader(b []byte) (id uint64, createdMS int64, ok bool) {
	if len(b) < headerLen || string(b[:8]) != segmentMagic ||
		binary.LittleEndian.Uint32(b[24:]) != crc32.Checksum(b[:24], castagnoli) {
		return 0, 0, false
	}
	return binary.LittleEndian.Uint64(b[8:]), int64(binary.LittleEndian.Uint64(b[16:])), true
}

// beginRecord reserves a record's header at the end of b; endRecord fills it in once the payload stands behind it.
func beginRecord(b []byte) []byte { return append(b, 0, 0, 0, 0, 0, 0, 0, 0) }

func endRecord(b []byte, start int) {
	payload := b[start+recordHeaderLen:]
	binary.LittleEndian.PutUint32(b[start:], uint32(len(payload)))
	binary.LittleEndian.PutUint32(b[start+4:], crc32.Checksum(payload, castagnoli))
}

func appendDefinition(b []byte, d Definition) []byte {
	start := len(b)
	b = beginRecord(b)
	var flags byte
	if d.Opened {
		flags |= flagOpened
	}
	if d.Kept {
		flags |= flagKept
	}
	b = append(b, kindDefinition, flags)
	b = binary.AppendVarint(b, d.CreatedMS)
	for _, s := range [...]string{d.Key.Account, d.Key.Region, d.Key.Group, d.Key.Stream} {
		b = binary.AppendUvarint(b, uint64(len(s)))
		b = append(b, s...)
	}
	endRecord(b, start)
	return b
}

// appendEventsHead appends the head of an events payload; the caller fills in the four bytes of its count, the last ones.
func appendEventsHead(b []byte, definition, ingestedMS int64) []byte {
	b = append(b, kindEvents)
	b = binary.AppendUvarint(b, uint64(definition))
	b = binary.AppendVarint(b, ingestedMS)
	return append(b, 0, 0, 0, 0)
}

func appendEvent[M string | []byte](b []byte, delta int64, message M) []byte {
	b = binary.AppendVarint(b, delta)
	b = binary.AppendUvarint(b, uint64(len(message)))
	return append(b, message...)
}

// Definition is a stream's definition record.
type Definition struct {
	Key StreamKey
	// CreatedMS is when the stream was opened, or, if Opened is not set, when this record was written.
	CreatedMS int64
	// Opened says that the stream exists from here on, with or without events; else the record only gives a name to the
	// events that refer to it.
	Opened bool
	// Kept says that the stream is to outlive its events: it was made for itself, not for a container's output.
	Kept bool
}

func parseDefinition(payload []byte) (Definition, bool) {
	if len(payload) < 2 || payload[0] != kindDefinition {
		return Definition{}, false
	}
	d := Definition{Opened: payload[1]&flagOpened != 0, Kept: payload[1]&flagKept != 0}
	p := payload[2:]
	created, n := binary.Varint(p)
	if n <= 0 {
		return Definition{}, false
	}
	d.CreatedMS, p = created, p[n:]
	for _, field := range [...]*string{&d.Key.Account, &d.Key.Region, &d.Key.Group, &d.Key.Stream} {
		size, n := binary.Uvarint(p)
		if n <= 0 || size > uint64(len(p)-n) {
			return Definition{}, false
		}
		*field, p = string(p[n:n+int(size)]), p[n+int(size):]
	}
	return d, len(p) == 0
}

// Events is an events record: Count events of the stream defined at Definition in the same segment.
type Events struct {
	Definition int64
	IngestedMS int64
	Count      int

	body []byte
}

func parseEvents(payload []byte) (Events, bool) {
	if len(payload) == 0 || payload[0] != kindEvents {
		return Events{}, false
	}
	p := payload[1:]
	def, n := binary.Uvarint(p)
	if n <= 0 || def > 1<<40 {
		return Events{}, false
	}
	p = p[n:]
	ingested, n := binary.Varint(p)
	if n <= 0 {
		return Events{}, false
	}
	p = p[n:]
	if len(p) < 4 {
		return Events{}, false
	}
	count, p := int64(binary.LittleEndian.Uint32(p)), p[4:]
	if count > int64(len(p))/2 { // an event takes two bytes at least
		return Events{}, false
	}
	return Events{Definition: int64(def), IngestedMS: ingested, Count: int(count), body: p}, true
}

// All yields the events in order, each by its place in the record, its timestamp and its message, which is valid only as
// long as the buffer the record was read from.
func (e *Events) All(yield func(i int, timestamp int64, message []byte) bool) {
	ts, p := e.IngestedMS, e.body
	for i := range e.Count {
		delta, n := binary.Varint(p)
		if n <= 0 {
			return
		}
		p = p[n:]
		size, n := binary.Uvarint(p)
		if n <= 0 || size > uint64(len(p)-n) {
			return
		}
		ts += delta
		if !yield(i, ts, p[n:n+int(size)]) {
			return
		}
		p = p[n+int(size):]
	}
}
