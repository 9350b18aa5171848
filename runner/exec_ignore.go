package runner

import (
	"bufio"
	"bytes"
	"os"
	"path/filepath"
	"strings"

	"github.com/go-git/go-billy/v5/osfs"
	"github.com/go-git/go-git/v5/plumbing/format/gitignore"
)

// ignore says what of a repository's folder git ignores. Files that git tracks
// are not ignored, whatever the patterns say.
type ignore struct {
	root   string   // of what is asked about
	prefix []string // of it within the worktree
	base   []gitignore.Pattern

	tracked map[string]bool // paths with slashes in the worktree, and the folders that they are in
}

// rules are the patterns for the entries of a folder.
type rules struct {
	patterns []gitignore.Pattern
	matcher  gitignore.Matcher
	ignored  bool // the folder is: only tracked files count
}

// newIgnore reads the patterns that are for the whole repository, and the index.
// What cannot be read is as if it were not there: a file too many does no harm.
func newIgnore(r *repository) *ignore {
	ig := &ignore{root: r.root, tracked: map[string]bool{}}
	if rel, err := filepath.Rel(r.worktree, r.root); err == nil && rel != "." {
		ig.prefix = strings.Split(filepath.ToSlash(rel), "/")
	}
	if global, err := gitignore.LoadGlobalPatterns(osfs.New("/")); err == nil {
		ig.base = append(ig.base, global...)
	}
	if _, common, err := gitDirs(r.worktree); err == nil {
		ig.base = append(ig.base, readPatterns(filepath.Join(common, "info", "exclude"), nil)...)
	}
	for i := range ig.prefix { // of the folders above
		dir := filepath.Join(append([]string{r.worktree}, ig.prefix[:i]...)...)
		ig.base = append(ig.base, readPatterns(filepath.Join(dir, ".gitignore"), ig.prefix[:i])...)
	}
	index, err := r.git.Storer.Index()
	if err != nil {
		return ig
	}
	for _, e := range index.Entries {
		for name := e.Name; name != "" && !ig.tracked[name]; {
			ig.tracked[name] = true
			name = name[:max(0, strings.LastIndexByte(name, '/'))]
		}
	}
	return ig
}

func readPatterns(file string, domain []string) (list []gitignore.Pattern) {
	data, err := os.ReadFile(file)
	if err != nil {
		return nil
	}
	for lines := bufio.NewScanner(bytes.NewReader(data)); lines.Scan(); {
		if line := lines.Text(); strings.TrimSpace(line) != "" && !strings.HasPrefix(line, "#") {
			list = append(list, gitignore.ParsePattern(line, domain))
		}
	}
	return list
}

// enter gives the rules within a folder, for the rules of the folder that it is
// in.
func (ig *ignore) enter(dir string, above rules) rules {
	domain := ig.parts(dir)
	here := rules{patterns: above.patterns, matcher: above.matcher}
	if dir == "" {
		here.patterns = ig.base
	} else {
		here.ignored = above.ignored || above.matcher.Match(domain, true)
	}
	own := readPatterns(filepath.Join(ig.root, dir, ".gitignore"), domain)
	if len(own) > 0 || here.matcher == nil {
		here.patterns = append(here.patterns[:len(here.patterns):len(here.patterns)], own...)
		here.matcher = gitignore.NewMatcher(here.patterns)
	}
	return here
}

// skips reports whether an entry is ignored.
func (ig *ignore) skips(path string, dir bool, here rules) bool {
	parts := ig.parts(path)
	if !here.ignored && !here.matcher.Match(parts, dir) {
		return false
	}
	return !ig.tracked[strings.Join(parts, "/")]
}

func (ig *ignore) parts(path string) []string {
	if path == "" {
		return ig.prefix
	}
	return append(ig.prefix[:len(ig.prefix):len(ig.prefix)], strings.Split(filepath.ToSlash(path), "/")...)
}
