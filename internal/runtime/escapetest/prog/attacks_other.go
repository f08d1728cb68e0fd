//go:build !linux

package main

var attacks = map[string]attack{}
