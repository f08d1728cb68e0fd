//go:build linux && !amd64

package main

func x32Call(string) (string, error) { return "", errorf("this is not x86") }

func ioPorts(string) (string, error) { return "", errorf("this is not x86") }
