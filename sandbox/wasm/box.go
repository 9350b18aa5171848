package wasm

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"os"
	"path"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"otelrunner/sandbox"
	"otelrunner/sandbox/wasm/rootfs"
)

// box is the sandbox of one job.
type box struct {
	provider *Provider
	slot     *slot
	info     sandbox.Info
	env      map[string]string
	log      func(string)

	root, tools, actions *os.Root

	files       *rootfs.FS // the guests' /, for the runner
	quota       *rootfs.Quota
	toolFiles   *rootfs.FS
	actionFiles *rootfs.FS // writable for the runner alone
	mounts      []mounted  // the innermost first

	timer *time.Timer // of next
	next  func()      // starts the next spare

	mu      sync.Mutex
	staged  map[string]*stagedTree
	modules []string // that have run, by their SHA-256
}

var _ sandbox.Retirer = (*box)(nil)

func newBox(p *Provider, s *slot, spec sandbox.Spec) (*box, error) {
	workspace := path.Join(workFolder, workspaceName(spec.Repository))
	b := &box{
		provider: p, slot: s, log: orDiscard(spec.Log), quota: rootfs.NewQuota(p.options.Limits.disk()), staged: map[string]*stagedTree{},
		info: sandbox.Info{
			ID: spec.ID, Kind: sandbox.WASM, OS: "wasip1", Arch: "wasm",
			Workspace: workspace, Temp: tempFolder, ToolCache: toolFolder, Home: homeFolder, Name: "wasm",
			Details: p.details(s.worker, s.mounts),
		},
	}
	b.env = map[string]string{
		"HOME": homeFolder, "TMPDIR": tmpFolder, "PATH": "/usr/local/bin:/usr/bin:/bin",
		"USER": "runner", "LOGNAME": "runner", "HOSTNAME": "wasm",
	}
	maps.Copy(b.env, spec.Env)
	if err := b.openFolders(); err != nil {
		return nil, errors.Join(err, b.closeFolders())
	}
	return b, nil
}

// openFolders opens the runner's view of the guests' folders.
func (b *box) openFolders() (err error) {
	for _, f := range []struct {
		root *(*os.Root)
		name string
	}{{&b.root, b.slot.folder}, {&b.actions, b.slot.actions}, {&b.tools, b.provider.options.ToolCache}} {
		if *f.root, err = os.OpenRoot(f.name); err != nil {
			return fmt.Errorf("open a folder of the WASM sandbox: %w", err)
		}
	}
	b.files, b.actionFiles = rootfs.New(b.root, b.quota, false), rootfs.New(b.actions, b.quota, false)
	b.toolFiles = rootfs.New(b.tools, rootfs.NewQuota(rootfs.Limits{}), true)
	holds, err := b.count(context.Background()) // a few folders
	if err != nil {
		return fmt.Errorf("open the folder of a WASM job: %w", err)
	}
	b.quota.SetHolds(holds)
	if errno := b.files.Mkdir(b.info.Workspace, 0o755); errno != 0 {
		return fmt.Errorf("make the workspace: %w", errno)
	}
	return b.openMounts(b.slot.mounts)
}

// count counts what the job's folders hold. No guest may be running.
func (b *box) count(ctx context.Context) (all rootfs.Holding, err error) {
	for _, root := range []*os.Root{b.root, b.actions} {
		holds, err := rootfs.Counted(ctx, root, b.provider.options.Limits.disk())
		if err != nil {
			return all, err
		}
		all.Bytes, all.Files = all.Bytes+holds.Bytes, all.Files+holds.Files
	}
	return all, nil
}

// closeFolders undoes openFolders, as far as it came.
func (b *box) closeFolders() error {
	errs := []error{b.closeMounts()}
	for _, root := range []*os.Root{b.root, b.actions, b.tools} {
		if root != nil {
			errs = append(errs, root.Close())
		}
	}
	return errors.Join(errs...)
}

// details say what holds a guest, for the job's log.
func (p *Provider) details(w *process, mounts []Mount) []string {
	l := p.options.Limits
	jail, missing := w.held()
	fuel := ""
	if l.Fuel > 0 {
		fuel = fmt.Sprintf(", %d instructions of each program", l.Fuel)
	}
	lines := []string{
		"Steps run as WebAssembly modules in a process of their own.",
		"Jail: " + orNone(jail),
		fmt.Sprintf("Limits of a step: %s, %s of CPU time, %s of memory, %s of output, %d open files, %d programs at a time", spell(l.Wall), spell(l.CPU), rootfs.Size(l.Memory), rootfs.Size(l.Output), l.OpenFiles, l.Children) + fuel,
		fmt.Sprintf("Limits of the job: %s in %d files, %s a file", rootfs.Size(l.Disk), l.Files, rootfs.Size(l.FileSize)),
		fmt.Sprintf("Limits of a module: %s, %d table elements", rootfs.Size(l.ModuleSize), l.TableElements),
		"Mounts: / (writable), " + toolFolder + " (read-only), " + actionFolder + " (read-only)" + tellMounts(mounts),
		"Network: " + p.network(),
	}
	if len(missing) > 0 {
		lines = append(lines, "Missing: "+strings.Join(missing, ", "))
	}
	lines = append(lines, "Worker: program sha256:"+p.program)
	if p.shell.there() {
		lines = append(lines, "Shell: module sha256:"+p.shell.sum())
	}
	return lines
}

// asker is the job as the one for whom modules are compiled.
func (b *box) asker() asker {
	return asker{job: cmp.Or(b.info.ID, filepath.Base(b.slot.folder)), log: b.log}
}

// Info describes the sandbox.
func (b *box) Info() sandbox.Info { return b.info }

// Retire kills the worker, which may take long to die: its memory is given back. No
// instruction of a guest is run after it.
func (b *box) Retire(context.Context) error {
	b.slot.worker.kill()
	return nil
}

// Close ends the worker and removes the job's folder; what is left when ctx ends is
// removed with the provider.
func (b *box) Close(ctx context.Context) error {
	if b.timer != nil {
		defer b.next()
		b.timer.Stop()
	}
	return errors.Join(b.slot.remove(ctx), b.closeFolders())
}

// abs makes a path of the interface absolute.
func (b *box) abs(name string) string {
	if strings.HasPrefix(name, "/") {
		return path.Clean(name)
	}
	return path.Join(b.info.Workspace, name)
}

// at is the file system and the path in it for an absolute path.
func (b *box) at(name string) (*rootfs.FS, string) {
	if m, rest := b.mountOf(name); m != nil {
		return m.files, rest
	}
	if inside, ok := below(name, toolFolder); ok {
		return b.toolFiles, inside
	}
	if inside, ok := below(name, actionFolder); ok {
		return b.actionFiles, inside
	}
	return b.files, name
}
