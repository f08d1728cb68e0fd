package index

import (
	"encoding/base64"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/batchbox/batchbox/internal/logstore"
)

// storedSegments are segments as each version has written them, by the version's mark, in base64. They stay as they are.
var storedSegments = map[string]string{
	"BBLOGv1\n": `QkJMT0d2MQo6KRb/uNpOhgBo5c+LAQAA7jT//wAAAAAlAAAA63SryEQAgKCr/vliDDExMTEyMjIyMzMzMwlldS13ZXN0LTEBZwNvbmUgAAAA/3aFWEUggKCr
/vliAgAAAAAFZmlyc3QAC3NlY29uZApsaW5lKAAAAFDzYnZEAYCgq/75YgwxMTExMjIyMjMzMzMJZXUtd2VzdC0xAWcGc2lsZW50JgAAACoVi/lEA4Cgq/75
YgwxMTExMjIyMjMzMzMJZXUtd2VzdC0xAWcEa2VwdCUAAABmxSN9RADQr6v++WIMMTExMTIyMjIzMzMzCWV1LXdlc3QtMQFnA3R3bxcAAADksrerRdMB0K+r
/vliAQAAAAAIZ3LDtsOfZXIOAAAArel6X0Ug0K+r/vliAQAAAAAA`,
}

// fillSegment writes what storedSegments hold.
func fillSegment(x *world) {
	x.append("g", "one", "first", "second\nline")
	x.check(x.w.OpenStream(key("g", "silent")))
	x.check(x.w.KeepStream(key("g", "kept"), x.now.UnixMilli()))
	x.now = x.now.Add(time.Second)
	x.append("g", "two", "größer")
	x.append("g", "one", "")
}

// TestStoredSegments: what was written by every version can be read.
func TestStoredSegments(t *testing.T) {
	t.Parallel()
	for mark, stored := range storedSegments {
		t.Run(mark, func(t *testing.T) {
			t.Parallel()
			content, err := base64.StdEncoding.DecodeString(strings.ReplaceAll(stored, "\n", ""))
			if err != nil || !strings.HasPrefix(string(content), mark) {
				t.Fatalf("it begins with %q, %v", content[:min(8, len(content))], err)
			}
			x := newWorld(t, logstore.WriterOptions{})
			x.group("g")
			x.check(os.WriteFile(filepath.Join(x.dir, logstore.SegmentName{Owner: "supervisor", N: 1}.String()), content, 0o600))
			for stream, want := range map[string][]string{"one": {"first", "second\nline", ""}, "two": {"größer"}, "silent": nil, "kept": nil} {
				equal(t, stream, x.all("g", stream, 0), want)
			}
		})
	}
	// What is written now is of one of these versions: else it needs a stored one of its own.
	x := newWorld(t, logstore.WriterOptions{})
	x.group("g")
	fillSegment(x)
	content, err := os.ReadFile(filepath.Join(x.dir, logstore.SegmentName{Owner: "supervisor", N: 1}.String()))
	x.check(err)
	const mark, random = 8, 16 // where they end
	stored, err := base64.StdEncoding.DecodeString(strings.ReplaceAll(storedSegments[string(content[:mark])], "\n", ""))
	x.check(err)
	const rest = int(logstore.FirstRecord) // behind the header, which has a sum over what is random
	if len(stored) < rest || string(content[random:24]) != string(stored[random:24]) || string(content[rest:]) != string(stored[rest:]) {
		t.Errorf("the stored segment of this version is not what is written:\n%s", base64.StdEncoding.EncodeToString(content))
	}
}
