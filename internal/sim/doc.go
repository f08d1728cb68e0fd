// Package sim runs the engine in virtual time, under a random load and random faults, all drawn from one seed, and has a
// model of its own judge what it does. The scheduler, the rules and the group commits are the engine's own code
// (engine.Stepped); the store, the launcher and the clock are the simulation's, and fail on purpose: commits that fail before
// or after they took effect, loads that fail, crashes at any point with a restart from what is on disk, reports that come
// late, twice or only when asked for again, hosts that are lost with all they run.
//
// One seed is one run, to the byte: nothing here reads a clock, starts a goroutine or ranges over a map where the order could
// show. The model (model.go) shares no code with the rules it checks.
package sim
