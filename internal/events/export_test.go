package events

import "time"

// QuickRetriesForTest shortens the pauses between attempts.
func (w *Webhook) QuickRetriesForTest() {
	w.follower.FirstPause, w.follower.LongestPause = time.Millisecond, 5*time.Millisecond
}
