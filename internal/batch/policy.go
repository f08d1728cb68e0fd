package batch

import "regexp"

// sharePattern is the form of a share identifier, with an optional '*' at the end.
var sharePattern = regexp.MustCompile(`^[0-9A-Za-z_-]{1,255}\*?$`)
