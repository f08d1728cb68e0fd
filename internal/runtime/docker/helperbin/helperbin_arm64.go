package helperbin

import "embed"

//go:embed all:arm64
var files embed.FS

const name = "arm64/batchbox-helper"
