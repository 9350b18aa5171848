package wire

import (
	"bytes"
	"errors"
	"io"
	"io/fs"
	"strconv"
	"strings"
	"time"

	"otelrunner/sandbox"
)

// Method begins the first data of a stream and says what is called.
type Method byte

// The methods. What follows the method in the stream, and what comes back, is
// said with each. Every answer begins with a status: see AppendStatus.
const (
	// MethodSetup: a Setup; a Session.
	MethodSetup Method = 1 + iota
	// MethodRun: a Command, then standard input as it comes; Records.
	MethodRun
	// MethodLookPath: name, path; the program's path.
	MethodLookPath
	// MethodReadFile: path, limit; the content.
	MethodReadFile
	// MethodWriteFiles: files; nothing.
	MethodWriteFiles
	// MethodStage: name, then entries, each after a true; the path.
	MethodStage
	// MethodHashFiles: dir, patterns, follow; the sum.
	MethodHashFiles
	// MethodImport: folder, then entries as for MethodStage; nothing.
	MethodImport
	// MethodListen: nothing; the address of a TCP port on the loopback of the
	// place. It is called MaxPorts times at most, each time for a port of its own,
	// which is there until the job ends.
	MethodListen
	// MethodAccept: such an address; waits for a connection to that port. What comes
	// after the status, and after the method, are the connection's bytes.
	MethodAccept
)

// Limits of what a message may hold.
const (
	MaxText    = 4 << 10  // an error's text
	MaxPath    = 64 << 10 // paths and names
	MaxArg     = 8 << 20  // an argument or variable: above what Linux takes
	MaxCount   = 1 << 20  // lists
	MaxFile    = 1 << 30  // one file's content
	MaxAddress = 64       // of a port
	MaxPorts   = 4        // of one job that lead to the runner
	maxHelloed = 16 << 10
)

// Hello is what the helper says of the place where it runs, before any job. A
// hostile container can say anything.
type Hello struct {
	// Build is the helper's version, for logs.
	Build string
	// OS and Arch are Go's names.
	OS, Arch string
	// PID is 1 where the helper is the container's first process.
	PID int
	// UID and GID are what the helper runs as.
	UID, GID int
	// Path and Home are the variables of its environment; Home may be "".
	Path, Home string
	Hostname   string
}

// Frame makes the hello's frame.
func (h Hello) Frame() []byte {
	e := Encoder{Bytes: []byte(Magic + strconv.Itoa(Version) + "\n")}
	for _, s := range []string{h.Build, h.OS, h.Arch, h.Path, h.Home, h.Hostname} {
		e.String(s[:min(len(s), maxHelloed/2)])
	}
	e.Int(int64(h.PID))
	e.Int(int64(h.UID))
	e.Int(int64(h.GID))
	return AppendFrame(nil, Frame{Kind: KindHello, Payload: e.Bytes})
}

// ReadHello reads the hello from the start of a stream. What is no hello is
// quoted in the error: it often is the reason why there is none.
func ReadHello(r io.Reader) (Hello, error) {
	first := make([]byte, headerSize+len(Magic))
	n, err := io.ReadFull(r, first)
	if err != nil || !bytes.Equal(first[headerSize:], []byte(Magic)) || first[4] != byte(KindHello) {
		return Hello{}, noHello(first[:n], err)
	}
	frames := NewFrameReader(io.MultiReader(bytes.NewReader(first), r))
	f, err := frames.Read()
	if err != nil {
		return Hello{}, err
	}
	version, rest, _ := bytes.Cut(f.Payload[len(Magic):], []byte("\n"))
	if string(version) != strconv.Itoa(Version) {
		return Hello{}, violation("it speaks version %.20q of the protocol, this runner version %d: it was made by another runner", version, Version)
	}
	d := NewDecoder(bytes.NewReader(rest))
	h := Hello{Build: d.String(maxHelloed), OS: d.String(maxHelloed), Arch: d.String(maxHelloed),
		Path: d.String(maxHelloed), Home: d.String(maxHelloed), Hostname: d.String(maxHelloed)}
	h.PID, h.UID, h.GID = int(d.Int()), int(d.Int()), int(d.Int())
	return h, d.Err()
}

// noHello quotes what came instead of a hello.
func noHello(first []byte, err error) error {
	if len(first) == 0 {
		if err == nil || errors.Is(err, io.EOF) {
			return errors.New("it ended without a word")
		}
		return err
	}
	return violation("it said %q instead of hello", first)
}

// Setup gives the place to a job.
type Setup struct {
	// Workspace and Temp are absolute paths, made where they are not there.
	Workspace, Temp string

	// Folders are made as well: absolute paths.
	Folders []string

	// User is whom commands run as and files belong to, in the form of
	// `docker run --user` (name, uid, name:group, uid:gid), looked up in the
	// place's own /etc/passwd and /etc/group. It needs a helper that runs as
	// root. "" is the helper's own user. The folders above are given to the
	// user, without what is in them.
	User string

	// Home is HOME of commands. Default: HOME in Env or in the container's
	// environment where the user is the helper's own, else the user's home
	// folder, else "/".
	Home string

	// Env is set over the environment of the container.
	Env map[string]string
}

// Append encodes.
func (s Setup) Append(e *Encoder) {
	e.String(s.Workspace)
	e.String(s.Temp)
	e.Strings(s.Folders)
	e.String(s.User)
	e.String(s.Home)
	e.Map(s.Env)
}

// DecodeSetup decodes.
func DecodeSetup(d *Decoder) Setup {
	return Setup{Workspace: d.String(MaxPath), Temp: d.String(MaxPath), Folders: d.Strings(MaxCount, MaxPath),
		User: d.String(MaxPath), Home: d.String(MaxPath), Env: d.Map(MaxCount, MaxArg)}
}

// Session is what became of a Setup.
type Session struct {
	// Workspace and Temp are the folders without symbolic links, as `pwd -P`
	// shows them.
	Workspace, Temp string
	// UID and GID are whom commands run as, Home their HOME.
	UID, GID int
	Home     string
}

// Append encodes.
func (s Session) Append(e *Encoder) {
	e.String(s.Workspace)
	e.String(s.Temp)
	e.Int(int64(s.UID))
	e.Int(int64(s.GID))
	e.String(s.Home)
}

// DecodeSession decodes.
func DecodeSession(d *Decoder) Session {
	return Session{Workspace: d.String(MaxPath), Temp: d.String(MaxPath), UID: int(d.Int()), GID: int(d.Int()), Home: d.String(MaxPath)}
}

// Command is a sandbox.Command on its way: its Readers and Writers are flags.
type Command struct {
	sandbox.Command
	// HasStdin, HasStdout and HasStderr say which streams are connected; Same
	// that both outputs share one pipe.
	HasStdin, HasStdout, HasStderr, Same bool
}

// Append encodes.
func (c Command) Append(e *Encoder) {
	e.Strings(c.Args)
	e.Map(c.Env)
	e.Strings(c.Path)
	e.String(c.Dir)
	e.Strings(c.Collect)
	e.Uint(uint64(min(max(0, c.CollectLimit), MaxFile)))
	e.Strings(c.Remove)
	e.Uint(uint64(min(max(0, c.Grace), maxGrace)))
	e.Bool(c.HasStdin)
	e.Bool(c.HasStdout)
	e.Bool(c.HasStderr)
	e.Bool(c.Same)
	AppendFiles(e, c.Files)
}

// DecodeCommand decodes.
func DecodeCommand(d *Decoder) Command {
	c := Command{Command: sandbox.Command{
		Args:         d.Strings(MaxCount, MaxArg),
		Env:          d.Map(MaxCount, MaxArg),
		Path:         d.Strings(MaxCount, MaxPath),
		Dir:          d.String(MaxPath),
		Collect:      d.Strings(MaxCount, MaxPath),
		CollectLimit: int64(d.Uint(MaxFile)),
		Remove:       d.Strings(MaxCount, MaxPath),
		Grace:        time.Duration(d.Uint(uint64(maxGrace))),
	}}
	c.HasStdin, c.HasStdout, c.HasStderr, c.Same = d.Bool(), d.Bool(), d.Bool(), d.Bool()
	c.Files = DecodeFiles(d)
	return c
}

// maxGrace is the longest grace period.
const maxGrace = 24 * time.Hour

// AppendFiles encodes files.
func AppendFiles(e *Encoder, files []sandbox.File) {
	e.Uint(uint64(len(files)))
	for _, f := range files {
		e.String(f.Path)
		e.Uint(uint64(f.Mode.Perm()))
		e.Data(f.Data)
	}
}

// DecodeFiles decodes files.
func DecodeFiles(d *Decoder) []sandbox.File {
	n := int(d.Uint(MaxCount))
	var files []sandbox.File
	for i := 0; i < n && d.Err() == nil; i++ {
		files = append(files, sandbox.File{Path: d.String(MaxPath), Mode: fs.FileMode(d.Uint(0o777)), Data: d.Data(MaxFile)})
	}
	return files
}

// Entry is one entry of a staged tree; a regular file's content, Size bytes,
// follows it.
type Entry struct {
	// Path is as package io/fs has it; Target what a symbolic link holds.
	Path, Target string
	// Mode has the type (a regular file, a folder, a symbolic link) and the
	// permissions.
	Mode fs.FileMode
	Size int64
}

// The types of entries.
const (
	entryFile = iota
	entryFolder
	entryLink
	entryTypes
)

// Append encodes.
func (n Entry) Append(e *Encoder) {
	kind := entryFile
	switch {
	case n.Mode.IsDir():
		kind = entryFolder
	case n.Mode&fs.ModeSymlink != 0:
		kind = entryLink
	}
	e.Byte(byte(kind))
	e.String(n.Path)
	e.Uint(uint64(n.Mode.Perm()))
	switch kind {
	case entryLink:
		e.String(n.Target)
	case entryFile:
		e.Uint(uint64(n.Size))
	}
}

// DecodeEntry decodes.
func DecodeEntry(d *Decoder) Entry {
	kind := d.Byte()
	n := Entry{Path: d.String(MaxPath), Mode: fs.FileMode(d.Uint(0o777))}
	switch kind {
	case entryLink:
		n.Mode |= fs.ModeSymlink
		n.Target = d.String(MaxPath)
	case entryFolder:
		n.Mode |= fs.ModeDir
	case entryFile:
		n.Size = int64(d.Uint(1 << 50))
	default:
		d.Violation("an entry of a tree has type %d, there are %d", kind, entryTypes)
	}
	return n
}

// Record is the tag of a part of a Run's answer, which is any number of outputs
// and collected files, then one result.
type Record byte

// The records.
const (
	// RecordStdout and RecordStderr: nanoseconds since the record before (the
	// first: since the command's start), a piece of output.
	RecordStdout Record = 1 + iota
	RecordStderr
	// RecordCollected: the index in Command.Collect, the content.
	RecordCollected
	// RecordResult: exit code, CPU time in nanoseconds, peak memory in bytes,
	// a status.
	RecordResult
)

// MaxOutput is how long a piece of output may be.
const MaxOutput = 32 << 10

type errorKind byte

const (
	errorNone errorKind = iota
	errorOther
	errorNotFound
	errorDir
	errorLimit
	errorNotExist
	errorCancelled
	errorUnsupported
	errorKinds
)

// ErrCancelled is the status of a command that was ended by a cancel.
var ErrCancelled = errors.New("cancelled")

// RemoteError is an error that the helper had. It unwraps to fs.ErrNotExist or
// sandbox.ErrUnsupported where it was one.
type RemoteError struct {
	Text string
	is   error
}

func (e *RemoteError) Error() string { return e.Text }

func (e *RemoteError) Unwrap() error { return e.is }

// AppendStatus encodes an error, or nil.
func AppendStatus(e *Encoder, err error) {
	kind, text, more := errorOther, "", ""
	if err != nil {
		text = err.Error()
	}
	var (
		notFound *sandbox.NotFoundError
		dir      *sandbox.DirError
		limit    *sandbox.LimitError
	)
	switch {
	case err == nil:
		kind = errorNone
	case errors.As(err, &notFound):
		kind, text, more = errorNotFound, notFound.Name, notFound.Hint
	case errors.As(err, &dir):
		kind, text = errorDir, dir.Dir
	case errors.As(err, &limit):
		kind, text, more = errorLimit, limit.Text, limit.Limit
	case errors.Is(err, fs.ErrNotExist):
		kind = errorNotExist
	case errors.Is(err, ErrCancelled):
		kind = errorCancelled
	case errors.Is(err, sandbox.ErrUnsupported):
		kind = errorUnsupported
	}
	e.Byte(byte(kind))
	e.String(text[:min(len(text), MaxText)])
	e.String(more[:min(len(more), MaxText)])
}

// DecodeStatus decodes an error; the second is the decoder's own.
func DecodeStatus(d *Decoder) (status, err error) {
	kind := errorKind(d.Byte())
	text, more := clean(d.String(MaxText)), clean(d.String(MaxText))
	if kind >= errorKinds {
		d.Violation("an answer has status %d", kind)
	}
	if d.Err() != nil {
		return nil, d.Err()
	}
	switch kind {
	case errorNone:
		return nil, nil
	case errorNotFound:
		return &sandbox.NotFoundError{Name: text, Hint: more}, nil
	case errorDir:
		return &sandbox.DirError{Dir: text}, nil
	case errorLimit:
		if !limitNames[more] {
			more = "other"
		}
		return &sandbox.LimitError{Limit: more, Text: text}, nil
	case errorNotExist:
		return &RemoteError{Text: text, is: fs.ErrNotExist}, nil
	case errorCancelled:
		return ErrCancelled, nil
	case errorUnsupported:
		return &RemoteError{Text: text, is: sandbox.ErrUnsupported}, nil
	}
	return &RemoteError{Text: text}, nil
}

// limitNames are those that a helper may name: they become labels of metrics.
var limitNames = map[string]bool{"memory": true, "cpu": true, "output": true, "files": true, "disk": true} //nolint:gochecknoglobals // a table

// clean keeps a text of the helper to one line.
func clean(text string) string {
	return strings.Map(func(r rune) rune {
		if r < ' ' || r == 0x7f {
			return ' '
		}
		return r
	}, strings.ToValidUTF8(text, "\uFFFD"))
}
