package sched

// Env is a compute environment as placement sees it.
type Env struct {
	// Usable: ENABLED and VALID.
	Usable bool
	// Max and Used are in milli-vCPU. Limit is what the job's share may use of Max (Max itself without a reservation).
	Max, Used, Limit int64
}

// Verdict is why work was, or was not, placed.
type Verdict uint8

// The verdicts.
const (
	// Fits: there is room on the environment named with it.
	Fits Verdict = iota + 1
	// NoRoom: an environment is large enough, but busy, or none is usable at the moment.
	NoRoom
	// TooLarge: no environment of the queue could ever hold it.
	TooLarge
)

// Place picks the first environment, in the queue's order, with room for demand milli-vCPU (of all nodes together: a
// multi-node job is placed whole or not at all). Environments that are unusable, full or too small are passed over (User
// Guide, "Job queue parameters", compute environment order).
func Place(envs []Env, demand int64) (index int, v Verdict) {
	v = TooLarge
	for i, e := range envs {
		if demand > e.Max {
			continue
		}
		v = NoRoom
		if e.Usable && e.Used+demand <= min(e.Max, e.Limit) {
			return i, Fits
		}
	}
	return -1, v
}
