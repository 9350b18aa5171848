package checkout

import (
	"fmt"
	"io"
	"net/url"
	"path"
	"strings"

	"github.com/go-git/go-git/v5/config"
	"github.com/go-git/go-git/v5/plumbing/filemode"

	"otelrunner/runner/action"
)

// submodules checks out what a tree names of other repositories.
func (c *checkout) submodules(t *tree, o action.CloneOptions, dir string, depth int) error {
	if len(t.mods) == 0 {
		return nil
	}
	if c.Submodules == NoSubmodules || c.Submodules == DirectSubmodules && depth > 0 {
		if depth == 0 {
			c.Log(fmt.Sprintf("%d submodules are left empty; `submodules: true` checks them out", len(t.mods)))
		}
		return nil
	}
	urls, err := t.gitmodules()
	if err != nil {
		return err
	}
	for _, m := range t.mods {
		address, ok := urls[m.path]
		if !ok {
			return fmt.Errorf("the submodule %s has no entry in .gitmodules that says where it lies", m.path)
		}
		at, err := submoduleURL(o.URL, address)
		if err != nil {
			return fmt.Errorf("the submodule %s: %w", m.path, err)
		}
		sub := action.CloneOptions{URL: at, Token: o.Token, Instance: o.Instance, Ref: m.commit, Depth: o.Depth}
		if _, err := c.repository(sub, path.Join(dir, m.path), depth+1); err != nil {
			return fmt.Errorf("the submodule %s: %w", m.path, err)
		}
	}
	return nil
}

// maxModules bounds .gitmodules in bytes.
const maxModules = 1 << 20

// gitmodules gives the addresses of submodules by their paths.
func (t *tree) gitmodules() (map[string]string, error) {
	const name = ".gitmodules"
	root, err := t.clone.Commit.Tree()
	if err != nil {
		return nil, fmt.Errorf("read %s: %w", name, err)
	}
	entry, err := root.FindEntry(name)
	if err != nil || entry.Mode != filemode.Regular {
		return nil, fmt.Errorf("the repository has submodules and no file %s that says where they lie", name)
	}
	_, r, err := t.blob(entry.Hash, name)
	if err != nil {
		return nil, err
	}
	defer func() { _ = r.Close() }()
	data, err := io.ReadAll(io.LimitReader(r, maxModules))
	if err != nil {
		return nil, fmt.Errorf("read %s: %w", name, err)
	}
	modules := config.NewModules()
	if err := modules.Unmarshal(data); err != nil {
		return nil, fmt.Errorf("read %s: %w", name, err)
	}
	urls := map[string]string{}
	for _, m := range modules.Submodules {
		urls[path.Clean(m.Path)] = m.URL
	}
	return urls, nil
}

// submoduleURL resolves an address of .gitmodules: one of http or https, or one
// relative to the repository's own (gitmodules(5)).
func submoduleURL(parent, address string) (string, error) {
	base, err := url.Parse(strings.TrimRight(parent, "/") + "/")
	if err != nil {
		return "", fmt.Errorf("its repository's address cannot be read: %w", err)
	}
	if strings.HasPrefix(address, "./") || strings.HasPrefix(address, "../") {
		return base.ResolveReference(&url.URL{Path: address}).String(), nil
	}
	u, err := url.Parse(address)
	if err != nil || u.Scheme != "https" && u.Scheme != "http" || u.Host == "" {
		return "", fmt.Errorf("it lies at %q, and only http, https and relative addresses can be fetched here: change .gitmodules, or run the job on a label of the kind name:host", address)
	}
	u.User = nil
	return u.String(), nil
}
