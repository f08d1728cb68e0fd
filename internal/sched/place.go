package sched

// Env is a compute environment as placement sees it.
type Env struct {
	// Unfit: it never runs work of this kind, whatever its size and state.
	Unfit bool
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
	// NoRoom: a usable environment is large enough, but busy.
	NoRoom
	// NoneUsable: no environment that is large enough is usable at the moment.
	NoneUsable
	// TooLarge: no environment of its kind could ever hold it.
	TooLarge
	// NoneFit: the queue has no environment for this kind of work.
	NoneFit
)

// Place picks the first environment, in the queue's order, with room for demand milli-vCPU (of all nodes together: a
// multi-node job is placed whole or not at all). Environments that are unfit, unusable, full or too small are passed over
// (User Guide, "Job queue parameters", compute environment order). The index is -1 unless the verdict is Fits.
func Place(envs []Env, demand int64) (index int, v Verdict) {
	v = NoneFit
	for i, e := range envs {
		switch {
		case e.Unfit:
		case demand > e.Max:
			v = min(v, TooLarge)
		case !e.Usable:
			v = min(v, NoneUsable)
		case e.Used+demand <= min(e.Max, e.Limit):
			return i, Fits
		default:
			v = NoRoom
		}
	}
	return -1, v
}
