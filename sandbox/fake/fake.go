// Package fake is a sandbox in memory, for tests of what calls one. It runs no
// programs: a function of the test plays them. It keeps the contract of package
// sandbox otherwise: it writes a command's files before, collects and removes
// after, and complains when the order of calls is broken.
package fake

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"path"
	"slices"
	"strings"
	"sync"

	"otelrunner/sandbox"
	"otelrunner/sandbox/hashfiles"
	"otelrunner/sandbox/staging"
)

// A Program plays a command. It writes to c.Stdout and c.Stderr if they are not
// nil, changes files through s, returns ctx's cause when ctx ends, and must not
// call s.Run. Its result's Collected is filled in for it.
type Program func(ctx context.Context, s *Sandbox, c *sandbox.Command) (sandbox.Result, error)

// Provider opens fake sandboxes. Its fields are set before its first use.
type Provider struct {
	// Program plays every command; nil ends each with 0.
	Program Program
	// Info is what sandboxes say of themselves; empty fields get defaults:
	// /work, /temp, /tools and /home on linux/amd64.
	Info sandbox.Info
	// Programs are the names that LookPath and Run find; nil is every name.
	Programs []string
	// OpenError and CloseError are returned by Open and Close.
	OpenError, CloseError error

	mu     sync.Mutex
	opened []*Sandbox
}

// Opened returns the sandboxes opened so far, in order.
func (p *Provider) Opened() []*Sandbox {
	p.mu.Lock()
	defer p.mu.Unlock()
	return slices.Clone(p.opened)
}

// Open opens a sandbox.
func (p *Provider) Open(ctx context.Context, spec sandbox.Spec) (sandbox.Sandbox, error) {
	if ctx.Err() != nil {
		return nil, context.Cause(ctx)
	}
	if p.OpenError != nil {
		return nil, p.OpenError
	}
	info := p.Info
	for _, field := range []struct {
		value    *string
		fallback string
	}{
		{(*string)(&info.Kind), string(sandbox.Host)}, {&info.OS, "linux"}, {&info.Arch, "amd64"},
		{&info.Workspace, "/work"}, {&info.Temp, "/temp"}, {&info.ToolCache, "/tools"}, {&info.Home, "/home"}, {&info.Name, "fake"},
	} {
		if *field.value == "" {
			*field.value = field.fallback
		}
	}
	s := &Sandbox{Spec: spec, provider: p, info: info, files: map[string]file{}, folders: map[string]bool{info.Workspace: true, info.Temp: true}}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.opened = append(p.opened, s)
	return s, nil
}

// file is a file in memory.
type file struct {
	data []byte
	mode fs.FileMode
}

// Sandbox is a fake sandbox. Its methods are safe for concurrent use.
type Sandbox struct {
	// Spec is what it was opened with.
	Spec sandbox.Spec

	provider *Provider
	info     sandbox.Info

	mu       sync.Mutex
	files    map[string]file // by absolute path
	folders  map[string]bool
	commands []*sandbox.Command
	running  bool
	closed   bool
}

var _ sandbox.Sandbox = (*Sandbox)(nil)

var (
	errClosed  = errors.New("fake sandbox: called after Close")
	errRunning = errors.New("fake sandbox: Run called while another command runs")
)

// Info describes the sandbox.
func (s *Sandbox) Info() sandbox.Info { return s.info }

// Commands returns the commands that were run, in order.
func (s *Sandbox) Commands() []*sandbox.Command {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.commands)
}

// Closed reports whether Close was called.
func (s *Sandbox) Closed() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.closed
}

// Files returns all files by their absolute paths.
func (s *Sandbox) Files() map[string]string {
	s.mu.Lock()
	defer s.mu.Unlock()
	all := make(map[string]string, len(s.files))
	for name, f := range s.files {
		all[name] = string(f.data)
	}
	return all
}

func (s *Sandbox) path(name string) string {
	if path.IsAbs(name) {
		return path.Clean(name)
	}
	return path.Join(s.info.Workspace, name)
}

// Run lets the Program play the command.
func (s *Sandbox) Run(ctx context.Context, c *sandbox.Command) (sandbox.Result, error) {
	res := sandbox.Result{ExitCode: -1}
	if err := s.begin(c); err != nil {
		return res, err
	}
	err := context.Cause(ctx)
	if err == nil {
		err = s.WriteFiles(ctx, c.Files)
	}
	if err == nil {
		err = s.check(c)
	}
	if err == nil {
		res.ExitCode = 0
		if s.provider.Program != nil {
			res, err = s.provider.Program(ctx, s, c)
		}
	}
	collected, cerr := s.collect(c)
	res.Collected = collected
	if err == nil {
		err = cerr
	}
	s.end(c)
	return res, err
}

func (s *Sandbox) begin(c *sandbox.Command) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return errClosed
	}
	if s.running {
		return errRunning
	}
	s.running = true
	s.commands = append(s.commands, c)
	return nil
}

// check finds the program and the folder as a real sandbox would.
func (s *Sandbox) check(c *sandbox.Command) error {
	if len(c.Args) == 0 {
		return errors.New("fake sandbox: a command without a program")
	}
	if c.Dir != "" && !s.isFolder(s.path(c.Dir)) {
		return &sandbox.DirError{Dir: s.path(c.Dir)}
	}
	_, err := s.LookPath(context.Background(), c.Args[0], c.Path)
	return err
}

func (s *Sandbox) isFolder(name string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.folders[name] {
		return true
	}
	for f := range s.files {
		if strings.HasPrefix(f, name+"/") {
			return true
		}
	}
	return false
}

func (s *Sandbox) collect(c *sandbox.Command) (map[string][]byte, error) {
	if len(c.Collect) == 0 {
		return nil, nil
	}
	limit := c.CollectLimit
	if limit == 0 {
		limit = 16 << 20
	}
	var first error
	collected := map[string][]byte{}
	for _, name := range c.Collect {
		data, err := s.read(name, limit)
		switch {
		case err == nil:
			collected[name] = data
		case !errors.Is(err, fs.ErrNotExist) && first == nil:
			first = err
		}
	}
	return collected, first
}

func (s *Sandbox) end(c *sandbox.Command) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, name := range c.Remove {
		name = s.path(name)
		maps.DeleteFunc(s.files, func(f string, _ file) bool { return f == name || strings.HasPrefix(f, name+"/") })
	}
	s.running = false
}

// LookPath finds every name in /bin, or only the Provider's Programs.
func (s *Sandbox) LookPath(_ context.Context, name string, _ []string) (string, error) {
	known := s.provider.Programs
	_, isFile := s.Files()[s.path(name)]
	switch {
	case strings.Contains(name, "/") && isFile:
		return s.path(name), nil
	case known != nil && !slices.Contains(known, name), name == "":
		return "", &sandbox.NotFoundError{Name: name}
	case strings.Contains(name, "/"):
		return s.path(name), nil
	}
	return "/bin/" + name, nil
}

// ReadFile reads a file.
func (s *Sandbox) ReadFile(ctx context.Context, name string, limit int64) ([]byte, error) {
	if ctx.Err() != nil {
		return nil, context.Cause(ctx)
	}
	return s.read(name, limit)
}

func (s *Sandbox) read(name string, limit int64) ([]byte, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return nil, errClosed
	}
	f, ok := s.files[s.path(name)]
	if !ok {
		return nil, fmt.Errorf("read %s: %w", name, fs.ErrNotExist)
	}
	if int64(len(f.data)) > limit {
		return nil, &sandbox.LimitError{Limit: "files", Text: fmt.Sprintf("%s is larger than the limit of %d bytes", name, limit)}
	}
	return slices.Clone(f.data), nil
}

// WriteFiles writes files.
func (s *Sandbox) WriteFiles(ctx context.Context, files []sandbox.File) error {
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return errClosed
	}
	for _, f := range files {
		mode := f.Mode
		if mode == 0 {
			mode = 0o644
		}
		s.files[s.path(f.Path)] = file{slices.Clone(f.Data), mode}
	}
	return nil
}

// Stage copies a tree's files.
func (s *Sandbox) Stage(ctx context.Context, name string, tree fs.FS) (string, error) {
	if !fs.ValidPath(name) || name == "." {
		return "", fmt.Errorf("stage %q: not a relative path with forward slashes", name)
	}
	to := path.Join(s.info.Temp, name)
	if s.isFolder(to) {
		return to, nil
	}
	entries, err := staging.Walk(ctx, tree)
	if err != nil {
		return "", fmt.Errorf("stage %s: %w", name, err)
	}
	for _, entry := range entries {
		if entry.Mode.IsDir() {
			continue
		}
		data := []byte(entry.Target)
		if entry.Mode.IsRegular() {
			if data, err = fs.ReadFile(tree, entry.Path); err != nil {
				return "", fmt.Errorf("stage %s: %w", name, err)
			}
		}
		if err := s.WriteFiles(ctx, []sandbox.File{{Path: path.Join(to, entry.Path), Data: data, Mode: entry.Mode}}); err != nil {
			return "", err
		}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.folders[to] = true
	return to, nil
}

// HashFiles is GitHub's hashFiles over the files in memory.
func (s *Sandbox) HashFiles(ctx context.Context, dir string, patterns []string, followSymlinks bool) (string, error) {
	dir = s.path(dir)
	return hashfiles.Hash(ctx, s.view(dir), hashfiles.Options{Dir: dir, Home: s.info.Home, FollowSymlinks: followSymlinks}, patterns)
}

// Close ends the sandbox; a second call is an error.
func (s *Sandbox) Close(context.Context) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return errClosed
	}
	s.closed = true
	if s.running {
		return errors.New("fake sandbox: Close called while a command runs")
	}
	return s.provider.CloseError
}
