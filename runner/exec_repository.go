package runner

import (
	"errors"
	"fmt"
	"net/url"
	"os"
	"os/user"
	"path/filepath"
	"strings"

	"github.com/go-git/go-git/v5"
	"github.com/go-git/go-git/v5/plumbing"
	"github.com/go-git/go-git/v5/plumbing/object"
)

// repository is what Exec knows of the repository that a folder belongs to.
type repository struct {
	root   string // the folder that holds all of its files
	name   string // owner/name
	server string // URL, without a slash at its end
	sha    string
	ref    string
	actor  string

	defaultBranch string
	parent        string         // the commit before sha; zeros where there is none
	commit        *object.Commit // sha; nil where there is none

	odd string // what has to be said of it, or ""

	git      *git.Repository // nil where there is none
	worktree string          // its folder; root is in it
}

// noCommit stands for a commit where there is none.
var noCommit = strings.Repeat("0", 40)

// openRepository reads the git repository that dir is in. A folder that is in
// none gives made-up values, as does one of the kind that cannot be read, of which
// odd tells: only a repository that is broken is an error.
// With exact the root is dir itself, also where the repository's is above it.
func openRepository(dir string, exact bool) (*repository, error) {
	dir, err := filepath.Abs(dir)
	if err != nil {
		return nil, fmt.Errorf("find the repository: %w", err)
	}
	r := &repository{
		root: dir, name: "local/" + filepath.Base(dir), server: "https://localhost",
		sha: noCommit, parent: noCommit, ref: "refs/heads/main", defaultBranch: "main", actor: actor(),
	}
	repo, err := git.PlainOpenWithOptions(dir, &git.PlainOpenOptions{DetectDotGit: true, EnableDotGitCommonDir: true})
	if errors.Is(err, git.ErrRepositoryNotExists) {
		return r, nil
	}
	if err != nil && strings.Contains(err.Error(), "objectformat") {
		r.odd = "the git repository of " + dir + " names its objects by SHA-256, which this runner cannot read: jobs see made-up values for the commit and its branch, and .gitignore is not heeded"
		return r, nil
	}
	if err != nil {
		return nil, fmt.Errorf("read the git repository of %s: %w", dir, err)
	}
	if tree, err := repo.Worktree(); err == nil {
		r.git, r.worktree = repo, tree.Filesystem.Root()
		r.name = "local/" + filepath.Base(r.worktree)
		if !exact {
			r.root = r.worktree
		}
	}
	r.head(repo)
	r.remote(repo)
	return r, nil
}

// head takes commit and branch from HEAD; a repository without a commit keeps the
// made-up ones.
func (r *repository) head(repo *git.Repository) {
	head, err := repo.Head()
	if err != nil {
		return
	}
	r.sha = head.Hash().String()
	if head.Name() != plumbing.HEAD {
		r.ref = head.Name().String()
	}
	if r.commit, err = repo.CommitObject(head.Hash()); err == nil && len(r.commit.ParentHashes) > 0 {
		r.parent = r.commit.ParentHashes[0].String()
	}
	r.defaultBranch = defaultBranch(repo, r.refName())
}

// defaultBranch is what origin says, else main or master, else the branch at hand.
func defaultBranch(repo *git.Repository, here string) string {
	if ref, err := repo.Reference(plumbing.NewRemoteHEADReferenceName("origin"), false); err == nil && ref.Type() == plumbing.SymbolicReference {
		return strings.TrimPrefix(ref.Target().String(), "refs/remotes/origin/")
	}
	for _, name := range []string{"main", "master"} {
		if _, err := repo.Reference(plumbing.NewBranchReferenceName(name), false); err == nil {
			return name
		}
	}
	return here
}

// subject is the first line of the commit's message.
func (r *repository) subject() string {
	if r.commit == nil {
		return ""
	}
	line, _, _ := strings.Cut(r.commit.Message, "\n")
	return line
}

// url is where the repository's page would be.
func (r *repository) url() string { return strings.TrimSuffix(r.server+"/"+r.name, "/") }

// remote takes server and name from the remote origin.
func (r *repository) remote(repo *git.Repository) {
	remote, err := repo.Remote("origin")
	if err != nil || len(remote.Config().URLs) == 0 {
		return
	}
	if server, name, ok := splitRemote(remote.Config().URLs[0]); ok {
		r.server, r.name = server, name
	}
}

// splitRemote gives the web address of the server and owner/name for the address
// of a remote: a URL, or host:path as ssh takes it. Users and passwords are left
// out.
func splitRemote(address string) (server, name string, ok bool) {
	host, path := "", ""
	scheme := "https"
	if u, err := url.Parse(address); err == nil && u.Host != "" {
		host, path = u.Host, u.Path
		switch u.Scheme {
		case "http":
			scheme = "http"
		case "ssh", "git":
			host = u.Hostname()
		}
	} else if before, after, found := strings.Cut(address, ":"); found && !strings.Contains(before, "/") {
		host, path = before[strings.LastIndexByte(before, '@')+1:], after
	}
	parts := strings.Split(strings.Trim(strings.TrimSuffix(path, ".git"), "/"), "/")
	if host == "" || len(parts) < 2 {
		return "", "", false
	}
	server = scheme + "://" + host
	if n := len(parts) - 2; n > 0 { // the server lives below a path
		server += "/" + strings.Join(parts[:n], "/")
	}
	return server, strings.Join(parts[len(parts)-2:], "/"), true
}

func (r *repository) refName() string {
	return strings.TrimPrefix(strings.TrimPrefix(r.ref, "refs/heads/"), "refs/tags/")
}

func (r *repository) refType() string {
	if strings.HasPrefix(r.ref, "refs/tags/") {
		return "tag"
	}
	return "branch"
}

// actor is the user's name.
func actor() string {
	if u, err := user.Current(); err == nil && u.Username != "" {
		return u.Username
	}
	if name := os.Getenv("USER"); name != "" {
		return name
	}
	return "local"
}
