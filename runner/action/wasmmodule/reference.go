// Package wasmmodule fetches the WebAssembly modules that `uses:` names by
// themselves: OCI artifacts of a registry, and files of a web server. What it
// hands out has the digest that the reference or the registry's manifest gives,
// checked before anything else looks at the bytes. Each is kept once, by its
// digest.
package wasmmodule

import (
	"fmt"
	"net/url"
	"path"
	"regexp"
	"strings"

	"oras.land/oras-go/v2/registry"
)

// Reference is where a module lies.
type Reference struct {
	// Path is a file of the workspace, relative to it, with forward slashes;
	// the other fields are then empty.
	Path string

	// OCI is a registry's artifact. Tag may be "" where Digest is not.
	OCI registry.Reference
	Tag string
	// URL is the address of a file, without the hash.
	URL string

	// Digest is what is expected, as sha256:HEX: the artifact's manifest's, or
	// the file's; "" is whatever the tag names now.
	Digest string

	text string
}

// String returns the reference as it was written.
func (r Reference) String() string { return r.text }

const (
	ociScheme   = "wasm://"
	httpsScheme = "wasm+https://"
	forms       = "expected wasm://registry/name:tag, wasm://registry/name@sha256:…, wasm://./file.wasm or wasm+https://host/file.wasm#sha256=…"
)

var hexDigest = regexp.MustCompile(`^[0-9a-f]{64}$`)

// Parse reads a `uses:` value of one of the forms
//
//	wasm://REGISTRY/NAME:TAG[@sha256:HEX]
//	wasm://REGISTRY/NAME@sha256:HEX
//	wasm://./PATH.wasm
//	wasm+https://HOST/PATH#sha256=HEX
//
// Its errors are sentences for the workflow's author.
func Parse(uses string) (Reference, error) {
	text := strings.TrimSpace(uses)
	lower := strings.ToLower(text)
	switch {
	case strings.HasPrefix(lower, httpsScheme):
		return parseURL(text)
	case !strings.HasPrefix(lower, ociScheme):
		return Reference{}, wrong(text, "names no module; "+forms)
	}
	rest := text[len(ociScheme):]
	if strings.HasPrefix(rest, "./") || strings.HasPrefix(rest, "../") || strings.HasPrefix(rest, "/") || rest == "." {
		return parsePath(text, rest)
	}
	return parseOCI(text, rest)
}

func wrong(text, reason string) error { return fmt.Errorf("uses: %q %s", text, reason) }

func parsePath(text, rest string) (Reference, error) {
	clean := path.Clean(rest)
	if strings.HasPrefix(rest, "/") || clean == ".." || strings.HasPrefix(clean, "../") || strings.ContainsAny(clean, "\x00\\") {
		return Reference{}, wrong(text, "leaves the workspace; a module there is named like wasm://./tools/lint.wasm")
	}
	if clean == "." {
		return Reference{}, wrong(text, "names the workspace and no file in it; a module there is named like wasm://./tools/lint.wasm")
	}
	return Reference{Path: clean, text: text}, nil
}

func parseOCI(text, rest string) (Reference, error) {
	name, digest, pinned := strings.Cut(rest, "@")
	if pinned {
		hex, ok := strings.CutPrefix(digest, "sha256:")
		if !ok || !hexDigest.MatchString(hex) {
			return Reference{}, wrong(text, fmt.Sprintf("has %q after the '@', which is no digest: expected sha256: and 64 hexadecimal digits in lower case", digest))
		}
	}
	tag := ""
	if slash, colon := strings.LastIndexByte(name, '/'), strings.LastIndexByte(name, ':'); colon > slash {
		name, tag = name[:colon], name[colon+1:]
	}
	if tag == "" && !pinned {
		return Reference{}, wrong(text, "names no version: add a tag or digest, as in wasm://registry.example.com/tools/lint:1.2")
	}
	host, _, ok := strings.Cut(name, "/")
	if !ok || !strings.ContainsAny(host, ".:") && host != "localhost" {
		return Reference{}, wrong(text, "names no registry: its host comes first, as in wasm://registry.example.com/tools/lint:1.2; a file of the workspace is wasm://./file.wasm")
	}
	full := name
	if tag != "" {
		full += ":" + tag
	}
	if pinned {
		full = name + "@" + digest
	}
	ref, err := registry.ParseReference(full)
	if err == nil && tag != "" && pinned {
		_, err = registry.ParseReference(name + ":" + tag)
	}
	if err != nil {
		return Reference{}, wrong(text, "is no reference of a registry; "+forms)
	}
	return Reference{OCI: ref, Tag: tag, Digest: digest, text: text}, nil
}

func parseURL(text string) (Reference, error) {
	u, err := url.Parse("https://" + text[len(httpsScheme):])
	switch {
	case err != nil || u.Host == "":
		return Reference{}, wrong(text[:len(httpsScheme)]+"…", "is not an address with a host; "+forms)
	case u.User != nil:
		u.User = nil
		return Reference{}, wrong("wasm+"+u.String(), "has credentials, which would show in the log; such a module belongs into a registry or the repository")
	}
	hex, ok := strings.CutPrefix(u.Fragment, "sha256=")
	hex = strings.ToLower(hex)
	if !ok || !hexDigest.MatchString(hex) {
		return Reference{}, wrong(text, "has no hash: add #sha256= and the file's SHA-256 in hexadecimal digits, which `sha256sum FILE` prints; without it, whoever holds the server decides what runs")
	}
	u.Fragment = ""
	return Reference{URL: u.String(), Digest: "sha256:" + hex, text: text}, nil
}
