package image

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/google/go-containerregistry/pkg/v1/remote/transport"

	"github.com/batchbox/batchbox/internal/registry"
)

// found is what a reference named when it was resolved.
type found struct {
	digest string // of an image's manifest or an index
	// repository is its name without tag and digest, as a client of the registry has it.
	repository string
	// local is set if it is in the engine's registry.
	local *registry.Image
	// daemon: it is an image of the daemon's, and digest its id.
	daemon bool
}

// pullError is why an image can't be had, in the words ECS has for it, with the cause behind them.
type pullError struct {
	text  string
	cause error
}

func (e *pullError) Error() string { return e.text }
func (e *pullError) Unwrap() error { return e.cause }

// The texts of Fargate, platform version 1.4.0, as stopped tasks have shown them in public:
//
//	CannotPullContainerError: pull image manifest has been retried 1 time(s): failed to resolve ref <ref>: not found
//	CannotPullContainerError: pull image manifest has been retried 5 time(s): failed to resolve ref docker.io/library/x:latest: failed to do request: Head "https://...": dial tcp ...: i/o timeout
//	CannotPullContainerError: pull image manifest has been retried 7 time(s): image Manifest does not contain descriptor matching platform 'linux/amd64'
//	CannotPullContainerError: ref pull has been retried 1 time(s): failed to copy: ...
//
// Fargate says "not found" for a missing repository of ECR and for a missing tag alike; what follows in parentheses here
// tells them apart.
const (
	manifestRetried = "pull image manifest has been retried 1 time(s): "
	pullRetried     = "ref pull has been retried 1 time(s): "
)

func cannotResolve(ref string, cause error, format string, args ...any) error {
	return &pullError{manifestRetried + "failed to resolve ref " + ref + ": " + fmt.Sprintf(format, args...), cause}
}

// resolve finds what a reference names now.
func (c *Cache) resolve(ctx context.Context, req Request) (*found, error) {
	ref, err := registry.ParseRef(req.Ref, c.opts.Endpoint, req.Partition)
	if err != nil {
		return nil, &pullError{manifestRetried + "failed to parse image reference: " + err.Error(), err}
	}
	if !ref.Local || c.opts.Local == nil {
		return c.resolveRemote(ctx, ref)
	}
	img, err := c.opts.Local.Resolve(ref.Partition, ref.Repository, ref.Tag, ref.Digest)
	if ref.Digest != "" && isRefusal(err, registry.ImageNotFound) {
		// With a digest, the tag is for the reader; another image may have it by now.
		img, err = c.opts.Local.Resolve(ref.Partition, ref.Repository, "", ref.Digest)
	}
	if err == nil {
		return &found{digest: img.Digest, repository: c.opts.Endpoint.RepositoryURI(ref.Partition, ref.Repository), local: &img}, nil
	}
	if !isRefusal(err, registry.RepositoryNotFound) && !isRefusal(err, registry.ImageNotFound) {
		return nil, cannotResolve(req.Ref, err, "%v", err)
	}
	switch {
	case ref.AWSForm && c.opts.PullAWS:
		return c.resolveRemote(ctx, ref)
	case ref.AWSForm:
	case ref.External != "" && isRefusal(err, registry.RepositoryNotFound):
		f, rerr := c.resolveRemote(ctx, ref)
		if rerr != nil && ref.Short {
			return nil, &pullError{fmt.Sprintf("%v (and the registry of account %s in %s has no repository '%s')", rerr, ref.Partition.Account, ref.Partition.Region, ref.Repository), rerr}
		}
		return f, rerr
	}
	shown := req.Ref
	if ref.Digest == "" && !strings.HasSuffix(shown, ":"+ref.Tag) {
		shown += ":" + ref.Tag
	}
	return nil, cannotResolve(shown, err, "not found (%v)", err)
}

func isRefusal(err error, code registry.Code) bool {
	var e *registry.Error
	return errors.As(err, &e) && e.Code == code
}

// knownTag is what a tag of another registry named when it was asked for.
type knownTag struct {
	Ref    string    `json:"ref"`
	Digest string    `json:"digest"`
	At     time.Time `json:"at"`
	// daemon: no registry knew it, and it is an image of the daemon's. That is not remembered on disk.
	daemon bool
}

// askTimeout bounds the question what a tag names.
const askTimeout = time.Minute

func (c *Cache) tagFile(ref string) string {
	sum := sha256.Sum256([]byte(ref))
	return filepath.Join(c.opts.Dir, "tags", hex.EncodeToString(sum[:])+".json")
}

// resolveRemote asks another registry what a reference names; a digest names itself. A registry that can't be reached
// does not keep an image that was pulled under this name before from being used, as with the ECS agent's default pull
// behaviour.
func (c *Cache) resolveRemote(ctx context.Context, ref registry.Ref) (*found, error) {
	r, err := name.ParseReference(ref.External)
	if err != nil {
		return nil, &pullError{manifestRetried + "failed to parse image reference: " + err.Error(), err}
	}
	f := &found{digest: ref.Digest, repository: r.Context().Name()}
	if ref.Digest != "" {
		return f, nil
	}
	c.mu.Lock()
	known, ok := c.tags[ref.External]
	c.mu.Unlock()
	if ok && c.opts.Now().Sub(known.At) < c.opts.TagTTL {
		f.digest, f.daemon = known.Digest, known.daemon
		return f, nil
	}
	v, err := c.flights.do(ctx, "tag "+ref.External, func(ctx context.Context) (any, error) {
		ctx, cancel := context.WithTimeout(ctx, askTimeout)
		defer cancel()
		known, err := c.askTag(ctx, r, ref.External)
		if err != nil && errors.Is(ctx.Err(), context.DeadlineExceeded) {
			err = cannotResolve(shown(r), err, "the registry did not answer within %v", askTimeout)
		}
		return known, err
	})
	if err != nil && ctx.Err() == nil && !ref.AWSForm {
		if known := c.askDaemon(ctx, ref.External, err); known != nil {
			c.mu.Lock()
			c.tags[ref.External] = *known
			c.mu.Unlock()
			v, err = *known, nil
		}
	}
	if err != nil {
		return nil, err
	}
	known = v.(knownTag)
	f.digest, f.daemon = known.Digest, known.daemon
	return f, nil
}

func (c *Cache) askTag(ctx context.Context, r name.Reference, ref string) (knownTag, error) {
	puller, err := c.puller()
	if err != nil {
		return knownTag{}, err
	}
	desc, err := puller.Head(ctx, r)
	if err != nil {
		desc, err = headByGet(ctx, puller, r, err)
	}
	if err != nil {
		digest, err := c.offline(r, ref, err)
		return knownTag{Digest: digest}, err
	}
	if !registry.ValidDigest(desc.Digest.String()) {
		return knownTag{}, cannotResolve(shown(r), nil, "the registry named it by %q, which is no sha256 digest", desc.Digest)
	}
	known := knownTag{Ref: ref, Digest: desc.Digest.String(), At: c.opts.Now()}
	c.mu.Lock()
	c.tags[ref] = known
	c.mu.Unlock()
	b, err := json.Marshal(known)
	if err == nil {
		err = writeFile(c.opts.Files, filepath.Join(c.opts.Dir, "tmp"), c.tagFile(ref), b)
	}
	if err != nil {
		return knownTag{}, fmt.Errorf("remembering what %s names: %w", ref, err)
	}
	return known, nil
}

// headByGet asks with GET where HEAD was refused: some registries answer HEAD without the digest or not at all.
func headByGet(ctx context.Context, puller *remote.Puller, r name.Reference, err error) (*v1.Descriptor, error) {
	var te *transport.Error
	if errors.As(err, &te) && (te.StatusCode >= 500 || te.StatusCode == http.StatusTooManyRequests) {
		return nil, err
	}
	// GET's answer has a body with the reason, too, which HEAD's has not.
	d, gerr := puller.Get(ctx, r)
	if gerr != nil {
		return nil, gerr
	}
	return &d.Descriptor, nil
}

// offline is what to do when a registry did not say what a tag names.
func (c *Cache) offline(r name.Reference, ref string, err error) (string, error) {
	var te *transport.Error
	if !errors.As(err, &te) || te.StatusCode >= 500 || te.StatusCode == http.StatusTooManyRequests {
		var known knownTag
		b, rerr := os.ReadFile(c.tagFile(ref))
		if rerr == nil {
			rerr = json.Unmarshal(b, &known)
		}
		if rerr == nil && known.Ref == ref && registry.ValidDigest(known.Digest) {
			c.opts.Log.Warn("registry not reached; using the image the tag named last", "image", ref, "digest", known.Digest, "asked", known.At, "error", err)
			return known.Digest, nil
		}
		if rerr != nil && !errors.Is(rerr, fs.ErrNotExist) {
			return "", errors.Join(err, rerr)
		}
	}
	return "", remoteRefusal(r, err)
}

// shown is a reference as containerd, and so Fargate, writes it.
func shown(r name.Reference) string {
	s := r.Name()
	if rest, ok := strings.CutPrefix(s, "index.docker.io/"); ok {
		return "docker.io/" + rest
	}
	return s
}

// remoteRefusal puts another registry's refusal in the words of Fargate.
func remoteRefusal(r name.Reference, err error) error {
	var te *transport.Error
	if !errors.As(err, &te) {
		return cannotResolve(shown(r), err, "failed to do request: %v", err)
	}
	switch te.StatusCode {
	case http.StatusNotFound:
		return cannotResolve(shown(r), err, "not found")
	case http.StatusUnauthorized:
		return cannotResolve(shown(r), err, "pull access denied, repository does not exist or may require authorization: server message: insufficient_scope: authorization failed")
	case http.StatusForbidden:
		return cannotResolve(shown(r), err, "unexpected status from HEAD request to %s: 403 Forbidden", manifestURL(r))
	case http.StatusTooManyRequests:
		return cannotResolve(shown(r), err, "unexpected status code %s: 429 Too Many Requests - Server message: toomanyrequests: %v", manifestURL(r), err)
	default:
		return cannotResolve(shown(r), err, "unexpected status code %s: %d %s", manifestURL(r), te.StatusCode, http.StatusText(te.StatusCode))
	}
}

func manifestURL(r name.Reference) string {
	repo := r.Context()
	return repo.Scheme() + "://" + repo.RegistryStr() + "/v2/" + repo.RepositoryStr() + "/manifests/" + r.Identifier()
}

// puller talks to other registries. Each pull has its own, so that credentials are the ones of now.
func (c *Cache) puller() (*remote.Puller, error) {
	opts := []remote.Option{
		remote.WithAuthFromKeychain(c.opts.Keychain), remote.WithUserAgent("batchbox"),
		remote.WithRetryBackoff(remote.Backoff{Duration: c.opts.RetryWait, Factor: 3, Jitter: 0.1, Steps: 3}),
	}
	if c.opts.Transport != nil {
		opts = append(opts, remote.WithTransport(c.opts.Transport))
	}
	return remote.NewPuller(opts...)
}
