package registry

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/batchbox/batchbox/internal/batch"
)

const someDigest = "sha256:0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"

func TestParseRef(t *testing.T) {
	t.Parallel()
	def := batch.Partition{Account: "111122223333", Region: "eu-central-1"}
	other := batch.Partition{Account: "444455556666", Region: "us-gov-west-1"}
	e := Endpoint{Host: "127.0.0.1:4566", Aliases: []string{"engine.internal:4566", "10.1.2.3:4566"}}

	for _, tc := range []struct {
		ref  string
		want Ref
	}{
		// The name ECR's answers have, with every way to say which image.
		{"127.0.0.1:4566/444455556666/us-gov-west-1/app", Ref{Local: true, Partition: other, Repository: "app", Tag: "latest"}},
		{"127.0.0.1:4566/444455556666/us-gov-west-1/team/app:v1", Ref{Local: true, Partition: other, Repository: "team/app", Tag: "v1"}},
		{"127.0.0.1:4566/444455556666/us-gov-west-1/app@" + someDigest, Ref{Local: true, Partition: other, Repository: "app", Digest: someDigest}},
		{"127.0.0.1:4566/444455556666/us-gov-west-1/app:v1@" + someDigest, Ref{Local: true, Partition: other, Repository: "app", Tag: "v1", Digest: someDigest}},
		// Other names of this engine.
		{"localhost:4566/444455556666/us-gov-west-1/app", Ref{Local: true, Partition: other, Repository: "app", Tag: "latest"}},
		{"[::1]:4566/app:v1", Ref{Local: true, Partition: def, Repository: "app", Tag: "v1"}},
		{"localhost:4566/team/app", Ref{Local: true, Partition: def, Repository: "team/app", Tag: "latest"}},
		{"engine.internal:4566/app", Ref{Local: true, Partition: def, Repository: "app", Tag: "latest"}},
		{"10.1.2.3:4566/444455556666/us-gov-west-1/app", Ref{Local: true, Partition: other, Repository: "app", Tag: "latest"}},
		// A repository whose name looks like account and region: only the first pair is taken off.
		{"127.0.0.1:4566/444455556666/us-gov-west-1/000000000000/us-east-1/app", Ref{Local: true, Partition: other, Repository: "000000000000/us-east-1/app", Tag: "latest"}},
		{"127.0.0.1:4566/444455556666/app", Ref{Local: true, Partition: def, Repository: "444455556666/app", Tag: "latest"}},
		// AWS's hosts.
		{"444455556666.dkr.ecr.us-gov-west-1.amazonaws.com/team/app:v1", Ref{Local: true, AWSForm: true, Partition: other, Repository: "team/app", Tag: "v1", External: "444455556666.dkr.ecr.us-gov-west-1.amazonaws.com/team/app:v1"}},
		{"444455556666.dkr.ecr-fips.us-gov-west-1.amazonaws.com/app", Ref{Local: true, AWSForm: true, Partition: other, Repository: "app", Tag: "latest", External: "444455556666.dkr.ecr-fips.us-gov-west-1.amazonaws.com/app:latest"}},
		{"444455556666.dkr-ecr.us-gov-west-1.on.aws/app", Ref{Local: true, AWSForm: true, Partition: other, Repository: "app", Tag: "latest", External: "444455556666.dkr-ecr.us-gov-west-1.on.aws/app:latest"}},
		{"444455556666.dkr.ecr.cn-north-1.amazonaws.com.cn/app", Ref{Local: true, AWSForm: true, Partition: batch.Partition{Account: "444455556666", Region: "cn-north-1"}, Repository: "app", Tag: "latest", External: "444455556666.dkr.ecr.cn-north-1.amazonaws.com.cn/app:latest"}},
		// As other emulators have it, with this engine's port and with another.
		{"444455556666.dkr.ecr.us-gov-west-1.localhost:4566/app", Ref{Local: true, Partition: other, Repository: "app", Tag: "latest"}},
		{"444455556666.dkr.ecr.us-gov-west-1.localhost.localstack.cloud:4566/app", Ref{Local: true, Partition: other, Repository: "app", Tag: "latest"}},
		{"444455556666.dkr.ecr.us-gov-west-1.localhost:4510/app", Ref{Tag: "latest", External: "444455556666.dkr.ecr.us-gov-west-1.localhost:4510/app:latest"}},
		// No host.
		{"app", Ref{Local: true, Short: true, Partition: def, Repository: "app", Tag: "latest", External: "index.docker.io/library/app:latest"}},
		{"team/app:v1", Ref{Local: true, Short: true, Partition: def, Repository: "team/app", Tag: "v1", External: "index.docker.io/team/app:v1"}},
		{"app@" + someDigest, Ref{Local: true, Short: true, Partition: def, Repository: "app", Digest: someDigest, External: "index.docker.io/library/app@" + someDigest}},
		// Elsewhere.
		{"docker.io/library/busybox", Ref{Tag: "latest", External: "index.docker.io/library/busybox:latest"}},
		{"public.ecr.aws/docker/library/busybox:1.36", Ref{Tag: "1.36", External: "public.ecr.aws/docker/library/busybox:1.36"}},
		{"localhost:5000/app:v1", Ref{Tag: "v1", External: "localhost:5000/app:v1"}},
		{"ghcr.io/a/b@" + someDigest, Ref{Digest: someDigest, External: "ghcr.io/a/b@" + someDigest}},
		// An engine on this machine, with the port it had then or that of another one.
		{"127.0.0.1:40123/444455556666/us-gov-west-1/app", Ref{Local: true, Partition: other, Repository: "app", Tag: "latest", External: "127.0.0.1:40123/444455556666/us-gov-west-1/app:latest"}},
		{"192.0.2.1:4566/444455556666/us-gov-west-1/app", Ref{Tag: "latest", External: "192.0.2.1:4566/444455556666/us-gov-west-1/app:latest"}},
	} {
		t.Run(tc.ref, func(t *testing.T) {
			t.Parallel()
			got, err := ParseRef(tc.ref, e, def)
			if err != nil {
				t.Fatal(err)
			}
			if d := cmp.Diff(tc.want, got); d != "" {
				t.Error(d)
			}
		})
	}

	for ref, want := range map[string]string{
		"":                                     "no repository name",
		"127.0.0.1:4566/":                      "no repository name",
		"app:":                                 `"" is not a valid tag`,
		"app:a b":                              `"a b" is not a valid tag`,
		"app:" + strings.Repeat("x", 129):      "not a valid tag",
		"App":                                  `"App" is not a valid repository name`,
		"a":                                    "2 to 256 characters",
		strings.Repeat("a", 257):               "2 to 256 characters",
		"127.0.0.1:4566/-app":                  "not a valid repository name",
		"127.0.0.1:4566/../etc":                "not a valid repository name",
		"app@sha256:abc":                       "not a valid digest",
		"app@" + strings.ToUpper(someDigest):   "not a valid digest",
		"ghcr.io/UPPER/x":                      "can only contain the characters",
		"app@" + someDigest + "@" + someDigest: "not a valid digest",
	} {
		if got, err := ParseRef(ref, e, def); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("ParseRef(%q) = %+v, %v; want an error with %q", ref, got, err, want)
		}
	}
}

// A name in ECR's answers must lead back to its repository, and must be one that Docker takes for a registry's.
func TestRepositoryURIRoundTrip(t *testing.T) {
	t.Parallel()
	p := batch.Partition{Account: "000000000000", Region: "us-east-1"}
	for _, e := range []Endpoint{{Host: "127.0.0.1:4566"}, {Host: "localhost:4566"}, {Host: "box.example.com:443", TLS: true}} {
		uri := e.RepositoryURI(p, "team/app")
		got, err := ParseRef(uri+":v1", e, batch.Partition{Account: "999999999999", Region: "eu-west-1"})
		want := Ref{Local: true, Partition: p, Repository: "team/app", Tag: "v1"}
		if err != nil || got != want {
			t.Errorf("%s: got %+v, %v", uri, got, err)
		}
	}
}

func TestWildcard(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		pattern, s string
		want       bool
	}{
		{"latest", "latest", true}, {"latest", "latest2", false},
		{"dev-*", "dev-", true}, {"dev-*", "dev-1", true}, {"dev-*", "xdev-1", false},
		{"*-rc*", "v1-rc2", true}, {"*-rc*", "v1", false},
		{"*", "", true}, {"a*a", "a", false}, {"a*a", "aa", true}, {"ab*ba", "aba", false},
		{"a*b*c", "axxbyyc", true}, {"a*b*c", "acb", false},
	} {
		if got := wildcard(tc.pattern, tc.s); got != tc.want {
			t.Errorf("wildcard(%q, %q) = %v", tc.pattern, tc.s, got)
		}
	}
}

func FuzzParseRef(f *testing.F) {
	for _, s := range []string{
		"app", "a/b:c", "127.0.0.1:4566/000000000000/us-east-1/x@" + someDigest, "[::1]:4566/x", "localhost/x",
		"000000000000.dkr.ecr.us-east-1.amazonaws.com/x:y", "x@", ":", "/", "a:b:c", "..", "a//b", "localhost:4566//x",
	} {
		f.Add(s)
	}
	e := Endpoint{Host: "127.0.0.1:4566"}
	def := batch.Partition{Account: "111122223333", Region: "eu-central-1"}
	f.Fuzz(func(t *testing.T, s string) {
		r, err := ParseRef(s, e, def)
		if err != nil {
			return
		}
		if r.Identifier() == "" {
			t.Fatalf("%q: neither tag nor digest", s)
		}
		if r.Tag != "" && !ValidTag(r.Tag) || r.Digest != "" && !ValidDigest(r.Digest) {
			t.Fatalf("%q: invalid identifier in %+v", s, r)
		}
		if r.Local && (!ValidName(r.Repository) || !ValidAccount(r.Partition.Account) || !ValidRegion(r.Partition.Region)) {
			t.Fatalf("%q: invalid repository in %+v", s, r)
		}
		if !r.Local && r.External == "" {
			t.Fatalf("%q: nowhere", s)
		}
		if r.Local {
			// The canonical name of what was understood means the same.
			back, err := ParseRef(e.RepositoryURI(r.Partition, r.Repository)+":"+"t", e, def)
			if err != nil || back.Partition != r.Partition || back.Repository != r.Repository {
				t.Fatalf("%q: canonical form gives %+v, %v", s, back, err)
			}
		}
	})
}
