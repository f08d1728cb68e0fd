package events

import "time"

// QuickRetriesForTest shortens the pauses between attempts.
func (w *Webhook) QuickRetriesForTest() {
	w.follower.FirstPause, w.follower.LongestPause = time.Millisecond, 5*time.Millisecond
}

// KindPositionForTest is the kind of the documents that positions are kept in.
const KindPositionForTest = kindPosition
