package registry

import (
	"net"
	"regexp"
	"strings"
	"sync"

	"github.com/batchbox/batchbox/internal/batch"
)

// RepositoryNamePattern is what a repository name must match, as ECR's own refusal quotes it; a name has 2 to 256
// characters.
const RepositoryNamePattern = `[a-z0-9]+((\.|_|__|-+)[a-z0-9]+)*(/[a-z0-9]+((\.|_|__|-+)[a-z0-9]+)*)*`

var (
	nameRE   = regexp.MustCompile(`^` + RepositoryNamePattern + `$`)
	tagRE    = sync.OnceValue(func() *regexp.Regexp { return regexp.MustCompile(`^[a-zA-Z0-9_][a-zA-Z0-9._-]{0,127}$`) })
	digestRE = regexp.MustCompile(`^sha256:[a-f0-9]{64}$`)
	regionRE = regexp.MustCompile(`^[a-z]{2,4}(-[a-z]+){1,3}-[0-9]{1,2}$`)
	// awsHostRE takes apart the host of a private ECR registry: the plain, FIPS and dual-stack names of AWS, and the same
	// form under another domain, as emulators give it.
	awsHostRE = regexp.MustCompile(`^([0-9]{12})\.dkr[.-]ecr(?:-fips)?\.([a-z0-9-]+)\.([a-z0-9.-]+)$`)
)

// ValidName says whether name can be a repository's.
func ValidName(name string) bool {
	return len(name) >= 2 && len(name) <= 256 && nameRE.MatchString(name)
}

// ValidTag says whether tag can be an image's tag.
func ValidTag(tag string) bool { return tagRE().MatchString(tag) }

// ValidDigest says whether d is a digest this registry stores things under: sha256, in lower case.
func ValidDigest(d string) bool { return digestRE.MatchString(d) }

// ValidAccount says whether s is an account id: twelve digits.
func ValidAccount(s string) bool {
	if len(s) != 12 {
		return false
	}
	for i := range len(s) {
		if s[i] < '0' || s[i] > '9' {
			return false
		}
	}
	return true
}

// ValidRegion says whether s has the form of a region's name.
func ValidRegion(s string) bool { return regionRE.MatchString(s) }

// Endpoint is how this engine's registry is addressed from outside.
type Endpoint struct {
	// Host is host:port as it stands in a repositoryUri, "127.0.0.1:4566".
	Host string
	// TLS says that the listener speaks https.
	TLS bool
	// Aliases are further host:port names that lead here. The loopback names with Host's port need not be listed.
	Aliases []string
}

// RepositoryURI is the name of a repository as Docker and ECR's answers have it, without tag or digest.
func (e Endpoint) RepositoryURI(p batch.Partition, name string) string {
	return e.Host + "/" + p.Account + "/" + p.Region + "/" + name
}

// URL is the endpoint as a URL: what `docker login` is given.
func (e Endpoint) URL() string {
	if e.TLS {
		return "https://" + e.Host
	}
	return "http://" + e.Host
}

// owns says whether host (with or without a port) is one of this engine's names.
func (e Endpoint) owns(host string) bool {
	if e.Host == "" {
		return false
	}
	if host == e.Host {
		return true
	}
	for _, a := range e.Aliases {
		if host == a {
			return true
		}
	}
	name, port := splitPort(host)
	_, own := splitPort(e.Host)
	return port == own && loopbackName(name)
}

// loopbackName says whether name means the machine it is used on: localhost and its subdomains, the loopback
// addresses, and the public names that Docker and other emulators let lead there.
func loopbackName(name string) bool {
	switch name {
	case "localhost", "localhost.localstack.cloud", "host.docker.internal":
		return true
	}
	if strings.HasSuffix(name, ".localhost") || strings.HasSuffix(name, ".localhost.localstack.cloud") {
		return true
	}
	ip := net.ParseIP(name)
	return ip != nil && ip.IsLoopback()
}

// splitPort cuts host:port, also [v6]:port; port is "" if there is none.
func splitPort(hostport string) (host, port string) {
	if h, p, err := net.SplitHostPort(hostport); err == nil {
		return h, p
	}
	return strings.Trim(hostport, "[]"), ""
}

func hostOnly(hostport string) string {
	h, _ := splitPort(hostport)
	return h
}

// hostPartition takes account and region from a host name in ECR's form, with or without a port: AWS's own names
// whatever the port, and names under this engine's loopback names with its port.
func (e Endpoint) hostPartition(host string) (p batch.Partition, aws, ok bool) {
	name, port := splitPort(host)
	m := awsHostRE.FindStringSubmatch(name)
	if m == nil || !ValidRegion(m[2]) {
		return batch.Partition{}, false, false
	}
	p = batch.Partition{Account: m[1], Region: m[2]}
	switch m[3] {
	case "amazonaws.com", "amazonaws.com.cn", "on.aws", "on.amazonwebservices.com.cn":
		return p, true, true
	}
	rest := m[3]
	if port != "" {
		rest = net.JoinHostPort(m[3], port)
	}
	return p, false, e.owns(rest)
}
