package checkout

import (
	"encoding/base64"
	"fmt"
	"io"
	"io/fs"
	"net/url"
	"os"
	"path"
	"slices"
	"strings"

	"github.com/go-git/go-git/v5/plumbing/format/index"

	"otelrunner/runner/action"
)

// Credentials is the value of the header that .git/config has for a token, as
// actions/checkout writes it. It is as secret as the token.
func Credentials(token string) string {
	return base64.StdEncoding.EncodeToString([]byte("x-access-token:" + token))
}

// gitFolder writes .git: the objects as they were fetched, and what a program of git
// needs to know beside them. No hook and nothing else of the server is in it.
func (c *checkout) gitFolder(t *tree, o action.CloneOptions, dir string) error {
	entries := slices.SortedFunc(slices.Values(t.files), func(a, b *index.Entry) int { return strings.Compare(a.Name, b.Name) })
	if err := t.clone.Storage.SetIndex(&index.Index{Version: 2, Entries: entries}); err != nil {
		return err
	}
	to := path.Join(dir, ".git")
	if err := c.Files.RemoveAll(to); err != nil {
		return err
	}
	if err := c.Files.Mkdir(to); err != nil {
		return err
	}
	for name, text := range map[string]string{
		"HEAD": headOf(t.clone), "packed-refs": refsOf(t.clone), "config": c.config(t.clone, o),
	} {
		if err := c.Files.Create(path.Join(to, name), 0o644, strings.NewReader(text)); err != nil {
			return err
		}
	}
	if err := c.Files.Mkdir(path.Join(to, "refs")); err != nil {
		return err
	}
	return c.copyObjects(os.DirFS(objects(t.clone)), to)
}

// copyObjects copies what the fetch has put into its folder: objects, shallow and
// the index.
func (c *checkout) copyObjects(from fs.FS, to string) error {
	return fs.WalkDir(from, ".", func(name string, d fs.DirEntry, err error) error {
		if err != nil || name == "." {
			return err
		}
		if top, _, _ := strings.Cut(name, "/"); top != "objects" && top != "shallow" && top != "index" {
			if d.IsDir() {
				return fs.SkipDir
			}
			return nil
		}
		if d.IsDir() {
			return c.Files.Mkdir(path.Join(to, name))
		}
		f, err := from.Open(name)
		if err != nil {
			return err
		}
		defer func() { _ = f.Close() }()
		return c.Files.Create(path.Join(to, name), 0o644, io.Reader(f))
	})
}

const (
	branches = "refs/heads/"
	tags     = "refs/tags/"
	origin   = "refs/remotes/origin/"
)

// headOf is the file HEAD: the branch, or else the commit.
func headOf(c *action.Clone) string {
	if strings.HasPrefix(c.Ref, branches) {
		return "ref: " + c.Ref + "\n"
	}
	return c.Commit.Hash.String() + "\n"
}

// refsOf is the file packed-refs: the branches as those of origin, the tags, and
// what is checked out.
func refsOf(c *action.Clone) string {
	refs := map[string]string{}
	for name, hash := range c.Refs {
		if short, ok := strings.CutPrefix(name, branches); ok {
			name = origin + short
		}
		refs[name] = hash.String()
	}
	if short, ok := strings.CutPrefix(c.Ref, branches); ok {
		refs[c.Ref] = c.Commit.Hash.String()
		refs[origin+short] = c.Commit.Hash.String()
	} else if rest, ok := strings.CutPrefix(c.Ref, "refs/"); ok && !strings.HasPrefix(c.Ref, tags) {
		refs["refs/remotes/"+rest] = c.Commit.Hash.String()
	}
	names := make([]string, 0, len(refs))
	for name := range refs {
		names = append(names, name)
	}
	slices.Sort(names)
	var b strings.Builder
	for _, name := range names {
		fmt.Fprintf(&b, "%s %s\n", refs[name], name)
	}
	return b.String()
}

// config is the file config.
func (c *checkout) config(clone *action.Clone, o action.CloneOptions) string {
	var b strings.Builder
	b.WriteString("[core]\n\trepositoryformatversion = 0\n\tfilemode = true\n\tbare = false\n\tlogallrefupdates = true\n")
	fmt.Fprintf(&b, "[remote \"origin\"]\n\turl = %s\n\tfetch = +refs/heads/*:%s*\n", quoted(o.URL), origin)
	if short, ok := strings.CutPrefix(clone.Ref, branches); ok {
		fmt.Fprintf(&b, "[branch %s]\n\tremote = origin\n\tmerge = %s\n", quoted(short), quoted(clone.Ref))
	}
	if server := serverOf(o); c.Persist && o.Token != "" && server != "" {
		fmt.Fprintf(&b, "[http %s]\n\textraheader = AUTHORIZATION: basic %s\n", quoted(server), Credentials(o.Token))
	}
	return b.String()
}

// serverOf is what the token is for: the instance, where the repository is below it.
func serverOf(o action.CloneOptions) string {
	base := strings.TrimRight(o.Instance, "/") + "/"
	u, err := url.Parse(base)
	if err != nil || u.Host == "" || !strings.HasPrefix(o.URL, base) {
		return ""
	}
	return base
}

// quoted is a value of git's configuration.
func quoted(text string) string {
	return `"` + strings.NewReplacer(`\`, `\\`, `"`, `\"`, "\n", `\n`, "\t", `\t`).Replace(text) + `"`
}
