//go:build !amd64 && !arm64

package helperbin

import "embed"

var files embed.FS

const name = ""
