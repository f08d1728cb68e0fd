package batchboxtest

import (
	"time"

	"github.com/batchbox/batchbox/internal/server"
)

// Option changes what Start starts.
type Option func(*settings)

type settings struct {
	config  server.Config
	program func(Container) Program // nil without Simulate
	begin   time.Time
}

// Simulate has no program started: each container does what the function says when it starts, in a time that passes only in
// Box.Wait, Box.WaitFor and Box.Advance. The function may be called from several goroutines at once.
//
// Images are not looked at: any name will do.
func Simulate(program func(Container) Program) Option {
	return func(s *settings) { s.program = program }
}

// At sets the time at which a simulation begins; it is the machine's, in whole seconds, without it.
func At(t time.Time) Option { return func(s *settings) { s.begin = t } }

// Account and Region are what jobs and resources belong to; 123456789012 and us-east-1 without them.
func Account(id string) Option { return func(s *settings) { s.config.Account = id } }

// Region is the region; see Account.
func Region(name string) Option { return func(s *settings) { s.config.Region = name } }

// StopGrace is how long a program may go on after the stop signal of a timeout or a termination before it is killed, in
// place of AWS's 30 seconds.
func StopGrace(d time.Duration) Option {
	return func(s *settings) { s.config.Limits.StopGrace = d }
}

// SpotWindow is how long a program may go on after the stop signal of a Spot interruption, in place of AWS's two minutes or
// less.
func SpotWindow(d time.Duration) Option {
	return func(s *settings) { s.config.Limits.SpotWindow = d }
}

// LeastTimeout lets job definitions have timeouts of so many seconds, in place of AWS's 60. AWS refuses such definitions.
func LeastTimeout(seconds int) Option {
	return func(s *settings) { s.config.Rules.LeastTimeout = seconds }
}

// SpotInterruptions has the capacity under attempts on FARGATE_SPOT and SPOT environments reclaimed at random, so many
// times in an hour of running. The same seed gives the same interruptions of jobs submitted in the same order.
func SpotInterruptions(perHour float64, seed uint64) Option {
	return func(s *settings) { s.config.Limits.SpotRate, s.config.Limits.SpotSeed = perHour, seed }
}

// MaxContainers bounds how many containers run at once, whatever the compute environments allow. Without it a number that
// fits the machine is the bound, and in a simulation there is none.
func MaxContainers(n int) Option { return func(s *settings) { s.config.Limits.MaxTasks = n } }

// Upstream hands the requests for services that batchbox has not, such as S3, to another emulator, whose URL it is.
func Upstream(url string) Option { return func(s *settings) { s.config.Upstream = url } }

// ContainerEnv adds a variable, NAME=VALUE, to the environment of all containers.
func ContainerEnv(variable string) Option {
	return func(s *settings) { s.config.ContainerEnv = append(s.config.ContainerEnv, variable) }
}
