// Package escapetest runs hostile programs in containers of a runtime and checks that they stay there: one table for every
// runtime that claims isolation, so that what holds under runc, which many eyes have seen, is what has to hold under native.
//
// A test that expects failure is worth little if the attack could not have worked. So attacks that do no harm are also made
// from outside of any container, where they have to succeed.
package escapetest
