package action

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"
)

// JobOptions say for whom actions are fetched.
type JobOptions struct {
	// Bases resolve references. The instance in it is the only place that
	// Token is ever sent to: the same scheme, host and port, under its path.
	Bases Bases
	// Token is the job's own; "" is none.
	Token string
	// Scope keeps what was fetched with a token apart: the job's repository
	// (owner/name). Jobs of another scope do not see it in the cache.
	Scope string
	// Log takes lines for the job's log, one a call; it may be called from
	// several goroutines. nil is silence.
	Log func(line string)
	// Skip says which actions Prepare leaves alone; nil is none.
	Skip func(Reference) bool
}

// Job holds the actions of one job: what a reference means is asked once and
// stays the same for the job's whole life. It is safe for concurrent use.
type Job struct {
	fetcher *Fetcher
	options JobOptions

	mu      sync.Mutex
	trees   map[treeKey]*treeCall
	actions map[string]*Action
}

// Action is a fetched action, ready to be staged and run. It is read-only and
// valid until its Job is closed.
type Action struct {
	Reference Reference
	// SHA is the commit, in lower case.
	SHA string
	// Tree is the whole repository at that commit, read-only; the action's
	// folder in it is Reference.Path. It implements fs.ReadLinkFS; no
	// symbolic link in it leaves it.
	Tree fs.FS
	// Key names the tree: equal keys have equal trees. It is a single path
	// element of [a-z0-9-], fit for Stage.
	Key string
	// Metadata is what its action.yml says.
	Metadata *Metadata
	// Cached says that nothing had to be downloaded for it.
	Cached bool
	// Size is what its tree takes, in bytes.
	Size int64
	// Notes are what is missing in the tree, in sentences: submodules, files
	// of Git LFS, links that lead out.
	Notes []string
}

// Job starts the actions of a job; Close ends them.
func (f *Fetcher) Job(o JobOptions) *Job {
	return &Job{fetcher: f, options: o, trees: map[treeKey]*treeCall{}, actions: map[string]*Action{}}
}

// Parse reads a `uses:` value with the job's bases.
func (j *Job) Parse(uses string) (Reference, error) { return Parse(uses, j.options.Bases) }

// Close lets go of the trees: the cache may then remove them. No Action of the
// job may be used afterwards.
func (j *Job) Close() error {
	j.mu.Lock()
	calls := slices.Collect(maps.Values(j.trees))
	clear(j.trees)
	clear(j.actions)
	j.mu.Unlock()
	var errs []error
	for _, c := range calls {
		<-c.done
		if c.tree != nil {
			errs = append(errs, c.tree.entry.Close())
		}
	}
	return errors.Join(errs...)
}

// maxDepth is how deep composite actions may nest, as on GitHub.
const maxDepth = 10

// Prepare fetches what the steps of a job use, in parallel, and what the
// composite actions among them use, and writes one line for each action. Values
// that are no Remote are skipped, but must parse.
//
// Its error joins one error for each action that failed, in the order of uses.
func (j *Job) Prepare(ctx context.Context, uses []string) error {
	refs, errs := j.parseAll(uses)
	for depth := 1; len(refs) > 0; depth++ {
		if depth > maxDepth {
			return fmt.Errorf("%s: composite actions nest deeper than %d levels here; do they use each other in a circle?", refs[0], maxDepth)
		}
		actions, failed := j.fetchAll(ctx, refs)
		errs = append(errs, failed...)
		var nested []string
		for _, a := range actions {
			nested = append(nested, a.nested()...)
		}
		var bad []error
		refs, bad = j.parseAll(nested)
		errs = append(errs, bad...)
		if ctx.Err() != nil {
			break
		}
	}
	return errors.Join(errs...)
}

func (j *Job) parseAll(uses []string) (refs []Reference, errs []error) {
	seen := map[string]bool{}
	for _, u := range uses {
		ref, err := j.Parse(u)
		if err != nil {
			errs = append(errs, err)
			continue
		}
		if ref.Kind == Remote && !seen[ref.identity()] && (j.options.Skip == nil || !j.options.Skip(ref)) {
			seen[ref.identity()] = true
			refs = append(refs, ref)
		}
	}
	return refs, errs
}

// fetchAll fetches at once, and gives what it got in the order of refs.
func (j *Job) fetchAll(ctx context.Context, refs []Reference) (actions []*Action, errs []error) {
	type result struct {
		action *Action
		err    error
	}
	results := make([]chan result, len(refs))
	for i, ref := range refs {
		results[i] = make(chan result, 1)
		go func() {
			a, err := j.Action(ctx, ref)
			results[i] <- result{a, err}
		}()
	}
	for _, c := range results {
		r := <-c
		if r.err != nil {
			errs = append(errs, r.err)
			continue
		}
		actions = append(actions, r.action)
	}
	return actions, errs
}

// nested is what a composite action uses. Values with expressions are known
// only when the step runs.
func (a *Action) nested() []string {
	if a.Metadata.Runs.Using != Composite {
		return nil
	}
	var uses []string
	for _, s := range a.Metadata.Runs.Steps {
		if s.Uses != "" && !strings.Contains(s.Uses, "${{") {
			uses = append(uses, s.Uses)
		}
	}
	return uses
}

// Action gives the action that a Remote names, fetched if need be. Asking again
// for the same costs nothing. Errors are sentences for the job's log.
func (j *Job) Action(ctx context.Context, ref Reference) (*Action, error) {
	if ref.Kind != Remote {
		return nil, fmt.Errorf("%s: is no action of a repository", ref)
	}
	start := time.Now()
	tree, err := j.tree(ctx, ref)
	if err != nil {
		return nil, err
	}
	j.mu.Lock()
	known, ok := j.actions[ref.identity()]
	j.mu.Unlock()
	if ok {
		return known, nil
	}
	a := &Action{
		Reference: ref,
		SHA:       tree.sha,
		Tree:      tree.entry.Tree,
		Key:       tree.key,
		Cached:    tree.cached,
		Size:      tree.entry.manifest.Size,
		Notes:     slices.Clone(tree.entry.manifest.Notes),
	}
	a.Metadata, err = a.readMetadata()
	if err != nil {
		return nil, err
	}
	return j.remember(a, time.Since(start)), nil
}

func (a *Action) readMetadata() (*Metadata, error) {
	prefix := fmt.Sprintf("%s: ", a.Reference)
	if p := a.Reference.Path; p != "" {
		if info, err := fs.Stat(a.Tree, p); err != nil || !info.IsDir() {
			return nil, fmt.Errorf("%sthere is no folder %s in %s at %s; check the path between the repository and the '@'",
				prefix, p, a.Reference.URL, a.SHA)
		}
	}
	read := func(name string) ([]byte, error) { return readFile(a.Tree, name, maxMetadata+1) }
	m, err := readMetadata(read, a.Reference.Path, prefix)
	if errors.Is(err, fs.ErrNotExist) {
		where := "at the top of"
		if a.Reference.Path != "" {
			where = "in " + a.Reference.Path + " of"
		}
		return nil, fmt.Errorf("%sno action.yml, action.yaml or Dockerfile %s %s at %s; is it an action, and the path right?",
			prefix, where, a.Reference.URL, a.SHA)
	}
	return m, err
}

// remember keeps the action, and logs it the first time.
func (j *Job) remember(a *Action, took time.Duration) *Action {
	id := a.Reference.identity()
	j.mu.Lock()
	if known, ok := j.actions[id]; ok {
		j.mu.Unlock()
		return known
	}
	j.actions[id] = a
	j.mu.Unlock()
	if j.options.Log != nil {
		j.options.Log(a.logLine(took))
	}
	return a
}

func (a *Action) logLine(took time.Duration) string {
	how := "cached"
	if !a.Cached {
		how = fmt.Sprintf("fetched in %d ms", took.Milliseconds())
	}
	line := fmt.Sprintf("%s → %s (%s, %s)", a.Reference, a.SHA, how, byteCount(a.Size))
	for _, n := range a.Notes {
		line += "; " + n
	}
	return line
}

func byteCount(n int64) string {
	switch {
	case n < 1<<10:
		return fmt.Sprintf("%d B", n)
	case n < 1<<20:
		return fmt.Sprintf("%.1f KiB", float64(n)/(1<<10))
	}
	return fmt.Sprintf("%.1f MiB", float64(n)/(1<<20))
}

// identity is equal for references that mean the same action.
func (r Reference) identity() string {
	return strings.Join([]string{r.URL, r.Path, r.Ref, r.credentials()}, "\x00")
}
