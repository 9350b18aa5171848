package giteatest

import (
	"embed"
	"fmt"
	"path"
	"slices"
	"strings"

	"otelrunner/runner/gitea"

	runnerv1 "code.gitea.io/actions-proto-go/runner/v1"
	"go.yaml.in/yaml/v4"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"
)

//go:embed testdata/wire/*.json
var recorded embed.FS

// Recorded are the names of the tasks that a real server sent, for AddRecorded.
func Recorded() []string {
	entries, err := recorded.ReadDir("testdata/wire")
	if err != nil {
		return nil
	}
	var names []string
	for _, e := range entries {
		names = append(names, strings.TrimSuffix(e.Name(), ".json"))
	}
	return names
}

// The addresses of the server on which the tasks were recorded.
var recordedAddresses = []string{"http://127.0.0.1:3000", "http://localhost:3000"}

// ReadRecorded returns a recorded task as that server sent it.
func ReadRecorded(name string) (*runnerv1.Task, error) { return readRecorded(name, "") }

func readRecorded(name, url string) (*runnerv1.Task, error) {
	data, err := recorded.ReadFile(path.Join("testdata/wire", name+".json"))
	if err != nil {
		return nil, fmt.Errorf("giteatest: there is no recorded task %q; there are %s", name, strings.Join(Recorded(), ", "))
	}
	text := string(data)
	if url != "" {
		for _, a := range recordedAddresses {
			text = strings.ReplaceAll(text, a, url)
		}
	}
	t := &runnerv1.Task{}
	if err := protojson.Unmarshal([]byte(text), t); err != nil {
		return nil, fmt.Errorf("giteatest: recorded task %q: %w", name, err)
	}
	return t, nil
}

// AddRecorded adds a recorded task: the addresses in its context are made this
// server's, all else is as it was sent. It returns the task's id, which is a new
// one if the recorded one is taken.
func (s *Server) AddRecorded(name string) (int64, error) {
	t, err := readRecorded(name, s.URL())
	if err != nil {
		return 0, err
	}
	return s.AddWire(t), nil
}

// AddWire adds a copy of t for runners with all of the labels of its payload's
// runs-on (or with these labels, if any are given). It returns the task's id,
// which is a new one if t's is 0 or taken.
func (s *Server) AddWire(t *runnerv1.Task, labels ...string) int64 {
	t = proto.CloneOf(t)
	if len(labels) == 0 {
		_, labels = readJob(t.GetWorkflowPayload())
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if t.Id == 0 || s.tasks[t.Id] != nil {
		t.Id = s.nextID
	}
	s.add(t, labels)
	return t.Id
}

// add queues a task that the caller gives up; the lock is held.
func (s *Server) add(t *runnerv1.Task, labels []string) {
	s.nextID = max(s.nextID, t.Id+1)
	fields := t.GetContext().GetFields()
	r := &record{
		wire: t, labels: slices.Clone(labels), added: s.now(), done: make(chan struct{}),
		runID: fields["run_id"].GetStringValue(),
		steps: map[int64]*runnerv1.StepState{}, outputs: map[string]string{}, summaries: map[int]string{},
	}
	if id, err := gitea.RuntimeTokenJobID(fields["gitea_runtime_token"].GetStringValue()); err == nil {
		r.jobID = id
	}
	s.tasks[t.Id] = r
	s.order = append(s.order, r)
	s.waiting = append(s.waiting, r)
	s.version++
	s.notify()
}

// readJob finds the id and the runs-on of a payload's first job. A payload that
// cannot be read (tests send such) has none, and any runner takes it.
func readJob(payload []byte) (id string, labels []string) {
	var file struct {
		Jobs yaml.Node `yaml:"jobs"`
	}
	if yaml.Unmarshal(payload, &file) != nil || file.Jobs.Kind != yaml.MappingNode || len(file.Jobs.Content) < 2 {
		return "", nil
	}
	id = file.Jobs.Content[0].Value
	var job struct {
		RunsOn yaml.Node `yaml:"runs-on"`
	}
	if file.Jobs.Content[1].Decode(&job) != nil {
		return id, nil
	}
	return id, runsOn(&job.RunsOn)
}

func runsOn(n *yaml.Node) []string {
	switch n.Kind {
	case yaml.ScalarNode:
		if n.Value != "" && !strings.Contains(n.Value, "${{") {
			return []string{n.Value}
		}
	case yaml.SequenceNode:
		var labels []string
		for _, e := range n.Content {
			labels = append(labels, runsOn(e)...)
		}
		return labels
	case yaml.MappingNode:
		for i := 0; i+1 < len(n.Content); i += 2 {
			if n.Content[i].Value == "labels" {
				return runsOn(n.Content[i+1])
			}
		}
	}
	return nil
}
