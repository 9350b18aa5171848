package wasmmodule

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"

	"io/fs"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
	"oras.land/oras-go/v2/content"
	"oras.land/oras-go/v2/errdef"
	"oras.land/oras-go/v2/registry/remote"
	"oras.land/oras-go/v2/registry/remote/auth"
	"oras.land/oras-go/v2/registry/remote/errcode"
	"oras.land/oras-go/v2/registry/remote/retry"
)

// Options are the settings of a Fetcher.
type Options struct {
	// Dir is the cache's folder; it is made when it is not there. Several
	// processes may share it. Required.
	Dir string
	// MaxBytes bounds what the cache keeps (0: 1 GiB), MaxModule one module
	// (0: 64 MiB).
	MaxBytes, MaxModule int64
	// Timeout bounds one fetch (0: 10 min).
	Timeout time.Duration
	// Transport carries the requests; nil is http.DefaultTransport.
	Transport http.RoundTripper
	// Credentials are those of a registry's host; nil is none for all.
	Credentials func(ctx context.Context, host string) (user, password string, err error)
	// Log is for the operator; nil is silence.
	Log *slog.Logger
}

// Fetcher fetches modules. It is safe for concurrent use.
type Fetcher struct {
	options Options
	store   *store
	client  *http.Client
}

// New makes a Fetcher. Its error says that the folder cannot be used.
func New(o Options) (*Fetcher, error) {
	if o.MaxBytes == 0 {
		o.MaxBytes = 1 << 30
	}
	if o.MaxModule == 0 {
		o.MaxModule = 64 << 20
	}
	if o.Timeout == 0 {
		o.Timeout = 10 * time.Minute
	}
	if o.Transport == nil {
		o.Transport = http.DefaultTransport
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	dir, err := filepath.Abs(o.Dir)
	if err == nil {
		dir = filepath.Join(dir, "sha256")
		err = os.MkdirAll(dir, 0o700)
	}
	if err != nil {
		return nil, fmt.Errorf("module cache: %w; give the runner a folder that it can write to", err)
	}
	return &Fetcher{
		options: o, store: &store{dir: dir, maxBytes: o.MaxBytes},
		client: &http.Client{Transport: retry.NewTransport(o.Transport)},
	}, nil
}

// Module is a module whose bytes are in the cache.
type Module struct {
	// Reference is what was asked for.
	Reference Reference
	// Digest is the SHA-256 of the module, as sha256:HEX; Manifest is that of
	// the artifact's manifest, "" of a file.
	Digest, Manifest string
	// Size is the module's, in bytes.
	Size int64
	// Cached says that nothing had to be downloaded.
	Cached bool

	took    time.Duration
	fetcher *Fetcher
}

// Hex is the module's SHA-256 in hexadecimal digits.
func (m *Module) Hex() string { return strings.TrimPrefix(m.Digest, "sha256:") }

// Read returns the bytes, checked against the digest once more.
func (m *Module) Read() ([]byte, error) {
	data, err := m.fetcher.store.read(m.Hex(), m.fetcher.options.MaxModule)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("the module's file in the cache is gone or was changed; run the job again: %w", err)
	}
	return data, err
}

// String is a line for a job's log.
func (m *Module) String() string {
	how := "cached"
	if !m.Cached {
		how = fmt.Sprintf("fetched in %d ms", m.took.Milliseconds())
	}
	pin := ""
	if m.Manifest != "" && m.Reference.Digest == "" {
		pin = "; to pin it: @" + m.Manifest
	}
	return fmt.Sprintf("%s → module %s (%s, %.1f KiB)%s", m.Reference, m.Digest, how, float64(m.Size)/1024, pin)
}

// Fetch brings a module into the cache. A reference with a digest that is there
// asks no server; a tag always does, and an old answer is never taken for it.
// Errors are sentences for the job's log.
func (f *Fetcher) Fetch(ctx context.Context, ref Reference) (*Module, error) {
	began := time.Now()
	outer := ctx
	ctx, cancel := context.WithTimeout(ctx, f.options.Timeout)
	defer cancel()
	m := &Module{Reference: ref, fetcher: f}
	var err error
	switch {
	case ref.URL != "":
		err = f.file(ctx, m)
	case ref.Path != "":
		err = errors.New("it is a file of the workspace, which is not fetched")
	default:
		err = f.artifact(ctx, m)
	}
	if err != nil {
		if outer.Err() != nil {
			return nil, context.Cause(outer)
		}
		if ctx.Err() != nil {
			err = fmt.Errorf("the server did not send it within %v", f.options.Timeout)
		}
		return nil, fmt.Errorf("%s: %w", ref, err)
	}
	m.took = time.Since(began)
	if !m.Cached {
		if err := f.store.collect(); err != nil {
			f.options.Log.Warn("module cache: cannot remove old entries", "error", err)
		}
	}
	return m, nil
}

// file fetches a file of a web server.
func (f *Fetcher) file(ctx context.Context, m *Module) error {
	m.Digest = m.Reference.Digest
	if f.known(m) {
		return nil
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, m.Reference.URL, nil)
	if err != nil {
		return fmt.Errorf("fetch it: %w", err)
	}
	client := *f.client
	client.CheckRedirect = func(req *http.Request, via []*http.Request) error {
		if req.URL.Scheme != "https" {
			return fmt.Errorf("the server redirects to %s, which is not encrypted", req.URL.Redacted())
		}
		if len(via) >= 10 {
			return errors.New("the server redirects more than 10 times")
		}
		return nil
	}
	resp, err := client.Do(req)
	if err != nil {
		return fmt.Errorf("fetch it: %w", err)
	}
	defer func() { _ = resp.Body.Close() }()
	if resp.StatusCode != http.StatusOK {
		return fmt.Errorf("the server answers %s; check the address", resp.Status)
	}
	m.Size, err = f.store.put(ctx, m.Hex(), f.options.MaxModule, resp.Body)
	return err
}

// known looks for the module in the cache.
func (f *Fetcher) known(m *Module) bool {
	data, err := f.store.read(m.Hex(), f.options.MaxModule)
	if err != nil {
		if !isNotThere(err) {
			f.options.Log.Warn("module cache: an entry cannot be used and is fetched again", "error", err)
		}
		return false
	}
	m.Size, m.Cached = int64(len(data)), true
	return true
}

// isNotThere tells a file that is missing from one that is damaged.
func isNotThere(err error) bool {
	var p *fs.PathError
	return errors.As(err, &p)
}

// maxManifest bounds a manifest in bytes, as registries do.
const maxManifest = 4 << 20

// artifact fetches an OCI artifact: its manifest, then the one layer that is a
// module. The manifest is kept too, so that a pinned one needs no server.
func (f *Fetcher) artifact(ctx context.Context, m *Module) error {
	repo, err := f.repository(m.Reference)
	if err != nil {
		return err
	}
	manifest, err := f.manifest(ctx, repo, m)
	if err != nil {
		return explain(err, m.Reference)
	}
	layer, err := moduleLayer(manifest)
	if err != nil {
		return err
	}
	m.Digest = layer.Digest.String()
	if !hexDigest.MatchString(m.Hex()) {
		return fmt.Errorf("its module has the digest %q, and only SHA-256 is supported", m.Digest)
	}
	if f.known(m) {
		return nil
	}
	m.Cached = false
	if layer.Size > f.options.MaxModule {
		return &sizeError{f.options.MaxModule}
	}
	body, err := repo.Blobs().Fetch(ctx, layer)
	if err != nil {
		return explain(err, m.Reference)
	}
	defer func() { _ = body.Close() }()
	m.Size, err = f.store.put(ctx, m.Hex(), f.options.MaxModule, body)
	return err
}

func (f *Fetcher) repository(ref Reference) (*remote.Repository, error) {
	repo, err := remote.NewRepository(ref.OCI.Registry + "/" + ref.OCI.Repository)
	if err != nil {
		return nil, fmt.Errorf("read the reference: %w", err)
	}
	client := &auth.Client{Client: f.client, Cache: auth.NewCache()}
	client.SetUserAgent("otelrunner")
	if f.options.Credentials != nil {
		client.Credential = func(ctx context.Context, host string) (auth.Credential, error) {
			user, password, err := f.options.Credentials(ctx, host)
			return auth.Credential{Username: user, Password: password}, err
		}
	}
	repo.Client = client
	// As container engines do: a registry on this machine has no certificate.
	repo.PlainHTTP = loopback(ref.OCI.Registry)
	return repo, nil
}

func loopback(host string) bool {
	if h, _, err := net.SplitHostPort(host); err == nil {
		host = h
	}
	ip := net.ParseIP(strings.Trim(host, "[]"))
	return host == "localhost" || ip != nil && ip.IsLoopback()
}

// manifest gives the bytes of the manifest that the reference names.
func (f *Fetcher) manifest(ctx context.Context, repo *remote.Repository, m *Module) ([]byte, error) {
	what := m.Reference.Tag
	if m.Reference.Digest != "" {
		what, m.Manifest = m.Reference.Digest, m.Reference.Digest
		if data, err := f.store.read(strings.TrimPrefix(what, "sha256:"), maxManifest); err == nil {
			return data, nil
		}
	}
	desc, err := repo.Resolve(ctx, what)
	if err != nil {
		return nil, err //nolint:wrapcheck // explain makes a sentence of it
	}
	m.Manifest = desc.Digest.String()
	sum := strings.TrimPrefix(m.Manifest, "sha256:")
	if !hexDigest.MatchString(sum) {
		return nil, fmt.Errorf("the registry gives the digest %q, and only SHA-256 is supported", m.Manifest)
	}
	if data, err := f.store.read(sum, maxManifest); err == nil {
		return data, nil
	}
	if desc.Size > maxManifest {
		return nil, fmt.Errorf("its manifest has %d bytes, more than the %d that one may have", desc.Size, maxManifest)
	}
	data, err := content.FetchAll(ctx, repo.Manifests(), desc) // checks size and digest
	if err != nil {
		return nil, err //nolint:wrapcheck // as above
	}
	_, err = f.store.put(ctx, sum, maxManifest, bytes.NewReader(data))
	return data, err
}

// moduleLayer finds the module among an artifact's layers.
func moduleLayer(data []byte) (ocispec.Descriptor, error) {
	var m ocispec.Manifest
	if err := json.Unmarshal(data, &m); err != nil {
		return ocispec.Descriptor{}, fmt.Errorf("its manifest is not JSON: %w", err)
	}
	if m.MediaType == ocispec.MediaTypeImageIndex || m.Config.MediaType == "" && len(m.Layers) == 0 {
		return ocispec.Descriptor{}, errors.New("it is a list of artifacts for several platforms: name the one that is a WebAssembly module by its digest")
	}
	isModule := func(d ocispec.Descriptor) bool {
		return d.MediaType == "application/wasm" || strings.HasSuffix(d.MediaType, "+wasm")
	}
	n := slices.IndexFunc(m.Layers, isModule)
	switch {
	case n < 0:
		return ocispec.Descriptor{}, fmt.Errorf("it holds no WebAssembly module: expected one layer of the type application/wasm, found %s; an image of containers is used as docker://", mediaTypes(m.Layers))
	case slices.ContainsFunc(m.Layers[n+1:], isModule):
		return ocispec.Descriptor{}, errors.New("it holds more than one WebAssembly module: expected one layer of the type application/wasm")
	}
	return m.Layers[n], nil
}

func mediaTypes(layers []ocispec.Descriptor) string {
	if len(layers) == 0 {
		return "none"
	}
	var types []string
	for _, l := range layers[:min(len(layers), 5)] {
		types = append(types, fmt.Sprintf("%q", l.MediaType))
	}
	return strings.Join(types, ", ")
}

// explain makes a sentence of what a registry did.
func explain(err error, ref Reference) error {
	var answer *errcode.ErrorResponse
	switch {
	case errors.Is(err, errdef.ErrNotFound):
		return fmt.Errorf("the registry %s has no such artifact; check name, tag and digest: %w", ref.OCI.Registry, err)
	case errors.Is(err, auth.ErrBasicCredentialNotFound),
		errors.As(err, &answer) && (answer.StatusCode == http.StatusUnauthorized || answer.StatusCode == http.StatusForbidden):
		return fmt.Errorf("the registry %s does not let the runner read it; make it public, or have the operator give credentials (container.docker_config): %w", ref.OCI.Registry, err)
	case errors.As(err, &answer):
		return fmt.Errorf("the registry %s answers %d: %w", ref.OCI.Registry, answer.StatusCode, err)
	}
	return fmt.Errorf("fetch it from the registry %s: %w", ref.OCI.Registry, err)
}
