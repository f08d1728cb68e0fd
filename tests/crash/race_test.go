//go:build race

package crash

// raced: the engine under test is this binary, and takes several times the memory.
const raced = true
