package wasm

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"

	"otelrunner/sandbox"
	"otelrunner/sandbox/wasm/rootfs"
	"otelrunner/sandbox/wasm/wire"
)

// Mount is a folder of this machine that guests see beside their own.
type Mount = sandbox.Mount

// ParseMount reads HOST:GUEST, HOST:GUEST:ro or HOST:GUEST:rw as `runner wasm run
// --dir` takes it; HOST alone is seen at the same path. A relative HOST starts at
// the current folder.
func ParseMount(text string) (Mount, error) {
	var m Mount
	rest, option, ok := cutLast(text)
	switch {
	case ok && option == "ro":
		m.ReadOnly = true
	case ok && option == "rw":
	default:
		rest = text
	}
	m.Host, m.Guest, ok = cutLast(rest)
	if !ok || !strings.HasPrefix(m.Guest, "/") {
		m.Host, m.Guest = rest, ""
	}
	if m.Host == "" {
		return m, fmt.Errorf("%q names no folder: expected HOST:GUEST or HOST:GUEST:ro, like .:/src:ro", text)
	}
	abs, err := filepath.Abs(m.Host)
	if err != nil {
		return m, fmt.Errorf("find the folder %s: %w", m.Host, err)
	}
	m.Host = abs
	if m.Guest == "" {
		m.Guest = filepath.ToSlash(abs)
	}
	return m, checkMount(m)
}

// cutLast cuts at the last colon that is not that of a Windows drive.
func cutLast(text string) (before, after string, found bool) {
	at := strings.LastIndexByte(text, ':')
	if at <= 1 && filepath.VolumeName(text) != "" || at < 0 {
		return text, "", false
	}
	return text[:at], text[at+1:], true
}

// checkMount says what is wrong with a mount.
func checkMount(m Mount) error {
	switch info, err := os.Stat(m.Host); {
	case err != nil:
		return fmt.Errorf("mount a folder into the WASM sandbox: %w", err)
	case !info.IsDir():
		return fmt.Errorf("mount a folder into the WASM sandbox: %s is no folder; mount the one that it lies in", m.Host)
	case !path.IsAbs(m.Guest) || strings.ContainsAny(m.Guest, "\x00:"):
		return fmt.Errorf("mount %s into the WASM sandbox: %q is no absolute path there: expected one like /src", m.Host, m.Guest)
	}
	switch clean := path.Clean(m.Guest); clean {
	case "/", workFolder, tempFolder, tmpFolder, homeFolder, toolFolder, actionFolder:
		return fmt.Errorf("mount %s into the WASM sandbox: %s is a folder of the sandbox itself: choose another one, like /src", m.Host, clean)
	}
	return nil
}

// mounted is a mount as a box uses it: the runner's own view of the folder.
type mounted struct {
	Mount
	root  *os.Root
	files *rootfs.FS
}

// OpenMounts opens a sandbox that sees further folders of this machine. What lies
// in them is not counted against the limits of the disk; what guests add is. A
// folder in a mount may be one of another mount. It starts a worker: the spare one
// does not see the folders.
func (p *Provider) OpenMounts(ctx context.Context, spec sandbox.Spec, mounts []Mount) (sandbox.Sandbox, error) {
	if err := p.refuse(spec); err != nil {
		return nil, err
	}
	if ctx.Err() != nil {
		return nil, context.Cause(ctx)
	}
	if err := checkMounts(mounts); err != nil {
		return nil, err
	}
	s, err := p.newSlot(ctx, mounts, orDiscard(spec.Log))
	if err != nil {
		return nil, err
	}
	b, err := newBox(p, s, spec)
	if err != nil {
		return nil, errors.Join(err, s.remove(context.WithoutCancel(ctx)))
	}
	return b, nil
}

func checkMounts(mounts []Mount) error {
	seen := map[string]string{}
	for i := range mounts {
		m := &mounts[i]
		m.Guest = path.Clean(m.Guest)
		if err := checkMount(*m); err != nil {
			return err
		}
		if other, ok := seen[m.Guest]; ok {
			return fmt.Errorf("mount folders into the WASM sandbox: %s and %s cannot both be %s", other, m.Host, m.Guest)
		}
		seen[m.Guest] = m.Host
	}
	return nil
}

// wireMounts are mounts as a worker gets them.
func wireMounts(mounts []Mount) []wire.Mount {
	list := make([]wire.Mount, len(mounts))
	for i, m := range mounts {
		list[i] = wire.Mount{Host: m.Host, Guest: m.Guest, ReadOnly: m.ReadOnly}
	}
	return list
}

// openMounts opens the runner's view of the mounts; closeMounts closes what it has
// opened, also where it fails.
func (b *box) openMounts(mounts []Mount) error {
	for _, m := range mounts {
		root, err := os.OpenRoot(m.Host)
		if err != nil {
			return fmt.Errorf("mount a folder into the WASM sandbox: %w", err)
		}
		free := rootfs.NewQuota(rootfs.Limits{})
		b.mounts = append(b.mounts, mounted{Mount: m, root: root, files: rootfs.New(root, free, m.ReadOnly)})
	}
	// The first that fits is the innermost one.
	slices.SortStableFunc(b.mounts, func(x, y mounted) int { return len(y.Guest) - len(x.Guest) })
	return nil
}

func (b *box) closeMounts() error {
	var errs []error
	for _, m := range b.mounts {
		errs = append(errs, m.root.Close())
	}
	return errors.Join(errs...)
}

// mountOf finds the mount that an absolute path lies in, and the path in it.
func (b *box) mountOf(name string) (*mounted, string) {
	for i := range b.mounts {
		m := &b.mounts[i]
		if rest, ok := below(name, m.Guest); ok {
			return m, rest
		}
	}
	return nil, ""
}

// makeMountPoints makes a folder where each mount is, so that listings show it.
func (s *slot) makeMountPoints() error {
	if len(s.mounts) == 0 {
		return nil
	}
	root, err := os.OpenRoot(s.folder)
	if err != nil {
		return fmt.Errorf("open the folder of a WASM job: %w", err)
	}
	defer func() { _ = root.Close() }()
	for _, m := range s.mounts {
		if err := root.MkdirAll(strings.TrimPrefix(m.Guest, "/"), 0o700); err != nil {
			return fmt.Errorf("make the folder of a mount of a WASM job: %w", err)
		}
	}
	return nil
}

// below reports whether an absolute path is that of a folder or lies in it, and where.
func below(name, folder string) (inside string, ok bool) {
	inside, ok = strings.CutPrefix(name, folder)
	return inside, ok && (inside == "" || inside[0] == '/')
}

// tellMounts continues a list of mounts.
func tellMounts(mounts []Mount) string {
	text := ""
	for _, m := range mounts {
		how := "writable"
		if m.ReadOnly {
			how = "read-only"
		}
		text += fmt.Sprintf(", %s (%s)", m.Guest, how)
	}
	return text
}

// rootAt finds the folder of this machine that an absolute path lies in, and the
// path in it.
func (b *box) rootAt(name string) (*os.Root, string) {
	root, rest := b.root, name
	if m, inside := b.mountOf(name); m != nil {
		root, rest = m.root, inside
	} else if inside, ok := below(name, toolFolder); ok {
		root, rest = b.tools, inside
	} else if inside, ok := below(name, actionFolder); ok {
		root, rest = b.actions, inside
	}
	if rest = strings.TrimPrefix(path.Clean("/"+rest), "/"); rest == "" {
		rest = "."
	}
	return root, rest
}
