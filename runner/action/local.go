package action

import (
	"errors"
	"fmt"
	"io/fs"
	"path"
)

// metadataFiles are tried in this order, as GitHub does; a folder that has only
// a Dockerfile is a docker action.
const (
	metadataYML  = "action.yml"
	metadataYAML = "action.yaml"
	dockerfile   = "Dockerfile"
)

// ReadLocal reads the metadata of an action whose files lie in the sandbox. dir
// is its folder, relative to the workspace (Reference.Path). read gives a file
// by its path relative to the workspace, with forward slashes, or an error for
// which errors.Is(err, fs.ErrNotExist).
func ReadLocal(read func(path string) ([]byte, error), dir string) (*Metadata, error) {
	m, err := readMetadata(read, dir, "")
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("no action.yml, action.yaml or Dockerfile in ./%s of the workspace; "+
			"a local action must be there when its step starts: is the repository checked out before it, and the path right?", dir)
	}
	return m, err
}

// readMetadata tries the files that make a folder an action. prefix is put
// before file names in messages.
func readMetadata(read func(path string) ([]byte, error), dir, prefix string) (*Metadata, error) {
	for _, name := range []string{metadataYML, metadataYAML} {
		file := path.Join(dir, name)
		data, err := read(file)
		switch {
		case err == nil:
			return ParseMetadata(prefix+file, dir, data)
		case !errors.Is(err, fs.ErrNotExist):
			return nil, fmt.Errorf("read %s%s: %w", prefix, file, err)
		}
	}
	file := path.Join(dir, dockerfile)
	if _, err := read(file); err != nil {
		if !errors.Is(err, fs.ErrNotExist) {
			err = fmt.Errorf("read %s%s: %w", prefix, file, err)
		}
		return nil, err
	}
	return dockerfileMetadata(prefix + file), nil
}
