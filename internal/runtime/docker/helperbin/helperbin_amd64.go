package helperbin

import "embed"

//go:embed all:amd64
var files embed.FS

const name = "amd64/batchbox-helper"
