package container

import (
	"archive/tar"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"slices"
	"strings"
	"time"

	"github.com/tetratelabs/wazero/sys"
)

// mirror is a copy of a container's folder on this machine, and what it was like
// when it was made. All access goes through one os.Root: no link in it is ever
// followed out of it.
type mirror struct {
	root    *os.Root
	owner   owner // of the folder itself, and of what is new
	entries map[string]mirrored
}

type owner struct{ uid, gid int }

// mirrored is one entry of the copy as it was at the start.
type mirrored struct {
	owner
	mode  fs.FileMode // in the container
	print imprint
}

// imprint changes whenever a file, folder or link changes.
type imprint struct {
	ino          uint64
	mode         fs.FileMode
	size         int64
	mtime, ctime int64
	target       string // of a link
}

// newMirror unpacks an engine's archive of a folder, whose entries begin with the
// folder's name, to a new folder. Pipes, sockets and devices are left out. left is
// how much the files may hold; it is lowered.
func newMirror(host string, archive io.Reader, left *int64) (m *mirror, err error) {
	if err := os.Mkdir(host, 0o700); err != nil {
		return nil, err
	}
	root, err := os.OpenRoot(host)
	if err != nil {
		return nil, err
	}
	m = &mirror{root: root, entries: map[string]mirrored{}}
	defer func() {
		if err != nil {
			err = errors.Join(err, root.Close())
		}
	}()
	in := tar.NewReader(archive)
	for {
		h, err := in.Next()
		if err == io.EOF {
			break
		}
		if err != nil {
			return nil, err
		}
		if *left -= h.Size + 512; *left < 0 {
			return nil, fmt.Errorf("it holds more than %s, too much to be copied for a WebAssembly module: remove what is not needed, or run the job on a label of the kind name:wasm or name:host", size(maxContext))
		}
		if err := m.unpack(h, in); err != nil {
			return nil, fmt.Errorf("%q: %w", h.Name, err)
		}
	}
	for name, e := range m.entries {
		if e.print, err = m.look(name); err != nil {
			return nil, err
		}
		m.entries[name] = e
	}
	return m, nil
}

func (m *mirror) close() error { return m.root.Close() }

// inside is a name of the archive without the folder's.
func inside(name string) string {
	_, name, _ = strings.Cut(strings.TrimSuffix(path.Clean(name), "/"), "/")
	return name
}

func (m *mirror) unpack(h *tar.Header, data io.Reader) error {
	name, who := inside(h.Name), owner{h.Uid, h.Gid}
	if name == "" {
		m.owner = who
		return nil
	}
	if !fs.ValidPath(name) {
		return nil // not a name that a guest could open
	}
	perm := fs.FileMode(h.Mode).Perm() //nolint:gosec // 12 bits
	e := mirrored{owner: who, mode: perm}
	var err error
	switch h.Typeflag {
	case tar.TypeDir:
		e.mode |= fs.ModeDir
		if err = m.root.Mkdir(name, perm|0o700); errors.Is(err, fs.ErrExist) {
			err = nil
		}
	case tar.TypeSymlink:
		e.mode |= fs.ModeSymlink
		err = m.root.Symlink(h.Linkname, name)
	case tar.TypeLink:
		err = m.root.Link(inside(h.Linkname), name)
	case tar.TypeReg:
		err = m.unpackFile(name, perm, h.ModTime, data)
	default:
		return nil
	}
	if err == nil {
		m.entries[name] = e
	}
	return err
}

func (m *mirror) unpackFile(name string, perm fs.FileMode, at time.Time, data io.Reader) error {
	f, err := m.root.OpenFile(name, os.O_CREATE|os.O_EXCL|os.O_WRONLY, perm|0o600)
	if err != nil {
		return err
	}
	_, err = io.Copy(f, data)
	if err = errors.Join(err, f.Close()); err != nil {
		return err
	}
	// Build tools compare times.
	return m.root.Chtimes(name, at, at)
}

// look takes the imprint of an entry.
func (m *mirror) look(name string) (imprint, error) {
	info, err := m.root.Lstat(name)
	if err != nil {
		return imprint{}, err
	}
	return m.imprint(name, info), nil
}

func (m *mirror) imprint(name string, info fs.FileInfo) imprint {
	st := sys.NewStat_t(info)
	p := imprint{ino: st.Ino, mode: info.Mode()}
	switch {
	case info.Mode()&fs.ModeSymlink != 0:
		p.target, _ = m.root.Readlink(name)
	case info.Mode().IsRegular():
		p.size, p.mtime, p.ctime = st.Size, st.Mtim, st.Ctim
	}
	return p // a folder's times change with what is in it, which has its own
}

// maxName bounds the path of an entry that is copied into a container: PATH_MAX of
// Linux, which a module's moving of folders into one another can exceed.
const maxName = 4096

// changes lists what is new or other than at the start, parents first, and the
// topmost of what is gone.
func (m *mirror) changes() (changed, removed []string, err error) {
	seen := map[string]bool{}
	err = fs.WalkDir(m.root.FS(), ".", func(name string, d fs.DirEntry, err error) error {
		if err != nil || name == "." {
			return err
		}
		if len(name) > maxName {
			return fmt.Errorf("%q… lies in so many folders that no program of the container could reach it: remove it in the step that made it", name[:100])
		}
		info, err := d.Info()
		if err != nil {
			return err
		}
		if t := info.Mode().Type(); t != 0 && t != fs.ModeDir && t != fs.ModeSymlink {
			return nil
		}
		seen[name] = true
		if old, ok := m.entries[name]; !ok || old.print != m.imprint(name, info) {
			changed = append(changed, name)
		}
		return nil
	})
	for name := range m.entries {
		if parent := path.Dir(name); !seen[name] && (parent == "." || seen[parent]) {
			removed = append(removed, name)
		}
	}
	slices.Sort(removed)
	return changed, removed, err
}

// pack writes entries as an archive for the container, below the folder at.
func (m *mirror) pack(to io.Writer, names []string, at string) error {
	w := tar.NewWriter(to)
	for _, name := range names {
		if err := m.packOne(w, name, strings.TrimPrefix(at, "/")); err != nil {
			return fmt.Errorf("%q: %w", name, err)
		}
	}
	return w.Close()
}

func (m *mirror) packOne(w *tar.Writer, name, at string) error {
	info, err := m.root.Lstat(name)
	if err != nil {
		return err
	}
	old, known := m.entries[name]
	who, mode := m.owner, info.Mode()
	if known && old.mode.Type() == mode.Type() {
		who = old.owner
		if mode.Perm() == old.print.mode.Perm() {
			mode = old.mode // what was added for the copy is taken off
		}
	}
	h := &tar.Header{Name: path.Join(at, name), Uid: who.uid, Gid: who.gid, Mode: int64(mode.Perm()), ModTime: info.ModTime(), Format: tar.FormatPAX}
	switch mode.Type() {
	case fs.ModeDir:
		h.Typeflag, h.Name = tar.TypeDir, h.Name+"/"
		return w.WriteHeader(h)
	case fs.ModeSymlink:
		h.Typeflag = tar.TypeSymlink
		if h.Linkname, err = m.root.Readlink(name); err != nil {
			return err
		}
		return w.WriteHeader(h)
	}
	f, err := m.root.Open(name)
	if err != nil {
		return err
	}
	defer func() { _ = f.Close() }()
	h.Typeflag, h.Size = tar.TypeReg, info.Size()
	if err := w.WriteHeader(h); err != nil {
		return err
	}
	_, err = io.CopyN(w, f, h.Size)
	return err
}

func (o owner) String() string { return fmt.Sprintf("%d:%d", o.uid, o.gid) }
