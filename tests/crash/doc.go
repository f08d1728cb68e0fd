// Package crash has tests only: engines and supervisors that are killed at random, disks that fill up, jobs that do harm.
// They run batchbox as processes, and talk to it as any client does.
//
// The seeds of the random tests are printed. BATCHBOX_CRASH_KILLS and BATCHBOX_CRASH_CHILDREN make them longer (`make crash`),
// BATCHBOX_CRASH_SEED repeats a seed's decisions, though not the machine's timing, BATCHBOX_CRASH_PROGRAM names a
// batchbox to test instead of this package's own build, and BATCHBOX_CRASH_FLAGS are more flags of its serve.
package crash
