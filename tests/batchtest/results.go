package main

import (
	"encoding/json"
	"strings"
)

// lastLines is how many of a child's log lines a report shows; maxResult bounds the text of one result.
const (
	lastLines = 6
	maxResult = 1 << 20
)

// scanner finds the results in one child's log, line by line, and keeps the last lines.
type scanner struct {
	results []output
	last    []string
	lines   int
	open    strings.Builder // an object whose end has not come
}

// add takes the next line. A result is a JSON object with a "jobId", on one line or indented from a line "{" to a line
// "}"; whatever else stands in the log is left alone.
func (s *scanner) add(line string) {
	s.lines++
	s.last = append(s.last, line)
	if len(s.last) > lastLines {
		s.last = append(s.last[:0], s.last[len(s.last)-lastLines:]...)
	}
	line = strings.TrimRight(line, "\r\n")
	if strings.HasPrefix(line, "{") {
		s.open.Reset() // what was open before is no object: one has no line that starts with "{"
	} else if s.open.Len() == 0 {
		return
	}
	s.open.WriteString(line)
	s.open.WriteByte('\n')
	if strings.HasPrefix(line, "}") || strings.HasPrefix(line, "{") && strings.HasSuffix(line, "}") {
		s.close()
	} else if s.open.Len() > maxResult {
		s.open.Reset()
	}
}

func (s *scanner) close() {
	var out output
	if err := json.Unmarshal([]byte(s.open.String()), &out); err == nil && out.JobID != "" {
		s.results = append(s.results, out)
	}
	s.open.Reset()
}
