//go:build !(linux && (amd64 || arm64))

package initbin

import "embed"

var files embed.FS

const name = ""
