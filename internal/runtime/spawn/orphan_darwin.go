package spawn

// KillOrphans finds nothing: this system gives orphans to launchd.
func KillOrphans(func(environ []byte) bool) int { return 0 }

// KillMarked finds nothing: this system shows the environment of other processes to nobody.
func KillMarked(func(environ []byte) bool) int { return 0 }
