package image

import (
	"fmt"
	"strings"

	v1 "github.com/google/go-containerregistry/pkg/v1"
)

// ParsePlatform understands "os/architecture" and "os/architecture/variant" in Go's names ("linux/arm64", "linux/arm/v7").
func ParsePlatform(s string) (v1.Platform, error) {
	parts := strings.Split(s, "/")
	if len(parts) < 2 || len(parts) > 3 {
		return v1.Platform{}, fmt.Errorf("platform %q is not of the form os/architecture or os/architecture/variant", s)
	}
	for _, p := range parts {
		if p == "" || strings.ToLower(p) != p {
			return v1.Platform{}, fmt.Errorf("platform %q is not of the form os/architecture or os/architecture/variant, in lower case", s)
		}
	}
	p := v1.Platform{OS: parts[0], Architecture: parts[1]}
	if len(parts) == 3 {
		p.Variant = parts[2]
	}
	return p, nil
}

// fit says how well an image for have runs on want: 0 is not at all, more is better. A variant that is not named is the
// usual one (v8 of arm64, v7 of arm, v1 of amd64); a machine runs its own variant and lower ones.
func fit(want, have v1.Platform) int {
	if want.OS != have.OS || want.Architecture != have.Architecture {
		return 0
	}
	w, h := variant(want), variant(have)
	switch {
	case w == h:
		return 100
	case h < w:
		return 1 + int(h)
	default:
		return 0
	}
}

// variant is a variant's number.
func variant(p v1.Platform) byte {
	if n := len(p.Variant); n > 1 && p.Variant[0] == 'v' {
		return p.Variant[1] - '0'
	}
	switch p.Architecture {
	case "arm64":
		return 8
	case "arm":
		return 7
	default:
		return 1
	}
}
