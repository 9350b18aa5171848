package action

import (
	"fmt"
	"path"
	"regexp"
	"strings"

	"go.yaml.in/yaml/v4"

	"otelrunner/runner/workflow"
)

// Using says what runs an action.
type Using string

// The kinds of actions. NodeJS stands for every nodeNN.
const (
	Composite   Using = "composite"
	NodeJS      Using = "node"
	DockerImage Using = "docker"
	WASMModule  Using = "wasm"
)

// supportedUsing is told to the author of an action that needs another.
const supportedUsing = "supported are composite, node12 to node24, docker and wasm"

// Metadata is what an action.yml says. Texts keep their expressions; whoever
// runs the action evaluates them. It is read-only once parsed.
//
// The source of its rules is GitHub's "Metadata syntax for GitHub Actions".
type Metadata struct {
	// File is where it was read, as errors name it.
	File        string
	Name        string
	Description string
	Inputs      []Input
	Outputs     []Output
	Runs        Runs
	// Warnings are sentences for the job's log, with positions.
	Warnings []string
}

// Input is one entry of inputs, in the order of the file.
type Input struct {
	Name        string
	Description string
	Required    bool
	// Default is the text that stands where the step gives none; it may
	// hold expressions over the github context and its like.
	Default    string
	HasDefault bool
	// DeprecationMessage is shown when the step gives the input.
	DeprecationMessage string
}

// Output is one entry of outputs. Value is set in composite actions only.
type Output struct {
	Name        string
	Description string
	Value       string
}

// Runs is the runs section.
type Runs struct {
	Using Using
	// Node is the major version that a NodeJS action asks for: 20 of node20.
	Node int

	// Main, Pre and Post are programs of a NodeJS or WASMModule action:
	// paths relative to the action's folder, with forward slashes; they may
	// climb out of it, but not out of the repository.
	Main, Pre, Post string
	// PreIf and PostIf are conditions; "" is always().
	PreIf, PostIf string

	// Image of a DockerImage is docker://IMAGE or the Dockerfile's path
	// relative to the action's folder.
	Image                                     string
	Entrypoint, PreEntrypoint, PostEntrypoint string
	// Args and Env of a DockerImage or WASMModule.
	Args []string
	Env  workflow.Vars

	// Steps of a Composite, in the model of workflow files; their positions
	// are places in File.
	Steps []*workflow.Step
}

// A MetadataError says where an action.yml is wrong and what was expected. Line
// and Column are 1-based; 0 where the whole file is meant.
type MetadataError struct {
	File         string
	Line, Column int
	Msg          string
}

func (e *MetadataError) Error() string {
	if e.Line == 0 {
		return fmt.Sprintf("%s: %s", e.File, e.Msg)
	}
	return fmt.Sprintf("%s:%d:%d: %s", e.File, e.Line, e.Column, e.Msg)
}

// maxMetadata bounds an action.yml in bytes; the largest in the wild have less
// than 100 KiB.
const maxMetadata = 1 << 20

// ParseMetadata reads the text of an action.yml. file names it in errors; dir is
// the action's folder, relative to the top of its repository or workspace, which
// paths in the file must not leave. Errors are *MetadataError.
func ParseMetadata(file, dir string, data []byte) (*Metadata, error) {
	p := &metadataParser{file: file, dir: dir, meta: &Metadata{File: file}}
	if err := p.parse(data); err != nil {
		return nil, err
	}
	return p.meta, nil
}

// dockerfileMetadata is the action of a folder that has only a Dockerfile.
func dockerfileMetadata(file string) *Metadata {
	return &Metadata{File: file, Runs: Runs{Using: DockerImage, Image: "Dockerfile"}}
}

type metadataParser struct {
	file, dir string
	meta      *Metadata
	nodes     int
}

func (p *metadataParser) parse(data []byte) error {
	if len(data) > maxMetadata {
		return p.errorf(nil, "is %d bytes long, more than the %d that an action's metadata may have", len(data), maxMetadata)
	}
	root, err := p.document(data)
	if err != nil {
		return err
	}
	if root == nil || root.Kind != yaml.MappingNode {
		return p.errorf(root, "expected a mapping with name, description, inputs, outputs and runs, found %s", kindName(root))
	}
	var runs *yaml.Node
	err = p.eachKey(root, "the file", func(key string, k, v *yaml.Node) (err error) {
		switch key {
		case "name":
			p.meta.Name, err = p.text(v, key)
		case "description":
			p.meta.Description, err = p.text(v, key)
		case "inputs":
			err = p.inputs(v)
		case "outputs":
			err = p.outputs(v)
		case "runs":
			runs = v
			if v == nil {
				runs = k
			}
		case "author", "branding":
		default:
			p.warnUnknown(k, "")
		}
		return err
	})
	if err != nil {
		return err
	}
	if runs == nil {
		return p.errorf(root, "has no 'runs' section, which says how the action is run (using, main, steps or image)")
	}
	return p.runs(runs)
}

func (p *metadataParser) inputs(n *yaml.Node) error {
	seen := map[string]string{}
	return p.eachKey(n, "inputs", func(name string, k, v *yaml.Node) error {
		if old, ok := seen[strings.ToLower(name)]; ok {
			return p.errorf(k, "input %q is defined twice (as %q before); inputs are compared without regard to case", name, old)
		}
		seen[strings.ToLower(name)] = name
		in := Input{Name: name}
		err := p.eachKey(v, "input "+name, func(key string, k, v *yaml.Node) (err error) {
			switch strings.ToLower(key) {
			case "description":
				in.Description, err = p.text(v, key)
			case "required":
				in.Required, err = p.boolean(v, "required of input "+name)
			case "default":
				in.HasDefault = v != nil
				in.Default, err = p.text(v, "default of input "+name)
			case "deprecationmessage":
				in.DeprecationMessage, err = p.text(v, key)
			}
			return err
		})
		p.meta.Inputs = append(p.meta.Inputs, in)
		return err
	})
}

func (p *metadataParser) outputs(n *yaml.Node) error {
	return p.eachKey(n, "outputs", func(name string, _, v *yaml.Node) error {
		out := Output{Name: name}
		err := p.eachKey(v, "output "+name, func(key string, _, v *yaml.Node) (err error) {
			switch key {
			case "description":
				out.Description, err = p.text(v, key)
			case "value":
				out.Value, err = p.text(v, "value of output "+name)
			}
			return err
		})
		p.meta.Outputs = append(p.meta.Outputs, out)
		return err
	})
}

var nodeUsing = regexp.MustCompile(`^node(\d{1,3})$`)

func (p *metadataParser) runs(n *yaml.Node) error {
	if n.Kind != yaml.MappingNode {
		return p.errorf(n, "runs: expected a mapping with 'using', found %s", kindName(n))
	}
	fields := map[string]field{}
	err := p.eachKey(n, "runs", func(key string, k, v *yaml.Node) error {
		fields[key] = field{key: k, value: v}
		return nil
	})
	if err != nil {
		return err
	}
	if err := p.using(n, fields["using"]); err != nil {
		return err
	}
	r := &p.meta.Runs
	switch r.Using {
	case Composite:
		return p.composite(n, fields)
	case NodeJS:
		return p.program(n, fields, "pre", "post", "pre-if", "post-if")
	case WASMModule:
		return p.program(n, fields, "pre", "post", "pre-if", "post-if", "args", "env")
	default:
		return p.docker(n, fields)
	}
}

func (p *metadataParser) using(n *yaml.Node, f field) error {
	if f.key == nil {
		return p.errorf(n, "runs: has no 'using'; %s", supportedUsing)
	}
	text, err := p.text(f.value, "using")
	if err != nil {
		return err
	}
	r := &p.meta.Runs
	lower := strings.ToLower(text)
	switch Using(lower) {
	case Composite, DockerImage, WASMModule:
		r.Using = Using(lower)
		return nil
	}
	if m := nodeUsing.FindStringSubmatch(lower); m != nil {
		if _, err := fmt.Sscan(m[1], &r.Node); err == nil && r.Node >= 12 && r.Node <= 24 {
			r.Using = NodeJS
			return nil
		}
	}
	return p.errorf(f.at(), "runs: using %q is not supported; %s", text, supportedUsing)
}

func (p *metadataParser) composite(n *yaml.Node, fields map[string]field) error {
	steps := fields["steps"]
	if steps.key == nil {
		return p.errorf(n, "runs: a composite action needs 'steps'")
	}
	p.warnOthers(fields, "steps")
	if steps.value == nil {
		return nil
	}
	list, err := p.steps(steps.value)
	p.meta.Runs.Steps = list
	return err
}

// program reads what JavaScript and WebAssembly actions have in common.
func (p *metadataParser) program(n *yaml.Node, fields map[string]field, also ...string) error {
	r := &p.meta.Runs
	if fields["main"].value == nil {
		return p.errorf(n, "runs: has no 'main', the file that the action starts with")
	}
	p.warnOthers(fields, append(also, "main")...)
	for key, to := range map[string]*string{"main": &r.Main, "pre": &r.Pre, "post": &r.Post} {
		text, err := p.text(fields[key].value, key)
		if err != nil {
			return err
		}
		if text == "" {
			continue
		}
		if *to, err = p.inside(fields[key].value, key, text); err != nil {
			return err
		}
	}
	return p.fill(fields)
}

func (p *metadataParser) docker(n *yaml.Node, fields map[string]field) (err error) {
	r := &p.meta.Runs
	f := fields["image"]
	if f.value == nil {
		return p.errorf(n, "runs: a docker action needs 'image': Dockerfile or docker://IMAGE")
	}
	p.warnOthers(fields, "image", "args", "env", "entrypoint", "pre-entrypoint", "post-entrypoint", "pre-if", "post-if")
	if r.Image, err = p.text(f.value, "image"); err != nil {
		return err
	}
	if name, ok := cutPrefixFold(r.Image, "docker://"); ok {
		if name == "" {
			return p.errorf(f.value, "runs: image names nothing after docker://")
		}
		r.Image = "docker://" + name
	} else if r.Image, err = p.inside(f.value, "image", r.Image); err != nil {
		return err
	}
	return p.fill(fields)
}

// fill reads the keys that need no rule of their own.
func (p *metadataParser) fill(fields map[string]field) (err error) {
	r := &p.meta.Runs
	for key, to := range map[string]*string{
		"pre-if": &r.PreIf, "post-if": &r.PostIf,
		"entrypoint": &r.Entrypoint, "pre-entrypoint": &r.PreEntrypoint, "post-entrypoint": &r.PostEntrypoint,
	} {
		if *to, err = p.text(fields[key].value, key); err != nil {
			return err
		}
	}
	if r.Args, err = p.list(fields["args"].value, "args"); err != nil {
		return err
	}
	r.Env, err = p.vars(fields["env"].value, "env")
	return err
}

// inside cleans a path of the file and refuses one that leaves the repository.
// An action in a folder may climb (../dist/save.js), as many do.
func (p *metadataParser) inside(n *yaml.Node, key, text string) (string, error) {
	text = strings.ReplaceAll(text, `\`, "/")
	full := path.Join("/", p.dir, text)
	climbed := path.Join(p.dir, text)
	if strings.HasPrefix(text, "/") || climbed == ".." || strings.HasPrefix(climbed, "../") ||
		strings.Contains(text, "\x00") || hasDriveLetter(text) {
		return "", p.errorf(n, "runs: %s: %q is outside the action's repository; expected a path relative to the action's folder", key, text)
	}
	if full == path.Join("/", p.dir) {
		return "", p.errorf(n, "runs: %s: %q is the action's folder, not a file in it", key, text)
	}
	return path.Clean(text), nil
}

func hasDriveLetter(s string) bool { return len(s) > 1 && s[1] == ':' }

func cutPrefixFold(s, prefix string) (string, bool) {
	if len(s) < len(prefix) || !strings.EqualFold(s[:len(prefix)], prefix) {
		return s, false
	}
	return s[len(prefix):], true
}
