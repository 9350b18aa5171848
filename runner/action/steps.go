package action

import (
	"go.yaml.in/yaml/v4"

	"otelrunner/runner/workflow"
)

// steps reads the steps of a composite action. Their rules differ from those of
// a job's steps: a shell is required, and there is no timeout.
func (p *metadataParser) steps(n *yaml.Node) ([]*workflow.Step, error) {
	if n.Kind != yaml.SequenceNode {
		return nil, p.errorf(n, "runs: steps: expected a list, found %s", kindName(n))
	}
	steps := make([]*workflow.Step, 0, len(n.Content))
	ids := map[string]bool{}
	for i, item := range n.Content {
		v, err := p.deref(item)
		if err != nil {
			return nil, err
		}
		if v == nil {
			return nil, p.errorf(item, "steps: expected a mapping with run or uses, found nothing")
		}
		step, err := p.step(v)
		if err != nil {
			return nil, err
		}
		if step.ID != "" && ids[step.ID] {
			return nil, p.errorf(v, "steps: the id %q stands at two steps", step.ID)
		}
		ids[step.ID] = true
		step.Index = i
		steps = append(steps, step)
	}
	return steps, nil
}

func (p *metadataParser) step(n *yaml.Node) (*workflow.Step, error) {
	s := &workflow.Step{Pos: position(n)}
	err := p.eachKey(n, "step", func(key string, k, v *yaml.Node) (err error) {
		switch key {
		case "id":
			s.ID, err = p.text(v, key)
		case "name":
			s.Name, err = p.text(v, key)
		case "if":
			s.IfPos = position(field{key: k, value: v}.at())
			s.If, err = p.text(v, key)
		case "run":
			s.IsRun = true
			s.Run, err = p.text(v, key)
		case "uses":
			s.Uses, err = p.text(v, key)
		case "with":
			s.With, err = p.vars(v, key)
		case "env":
			s.Env, err = p.vars(v, key)
		case "shell":
			s.Shell, err = p.text(v, key)
		case "working-directory":
			s.WorkingDirectory, err = p.text(v, key)
		case "continue-on-error":
			s.ContinueOnError, err = p.text(v, key)
		case "timeout-minutes":
			s.TimeoutMinutes, err = p.text(v, key)
		default:
			p.warnUnknown(k, "step: ")
		}
		return err
	})
	if err != nil {
		return nil, err
	}
	switch {
	case s.IsRun && s.Uses != "":
		return nil, p.errorf(n, "step: has both 'run' and 'uses'; a step does one of them")
	case !s.IsRun && s.Uses == "":
		return nil, p.errorf(n, "step: has neither 'run' nor 'uses'")
	case s.IsRun && s.Shell == "":
		return nil, p.errorf(n, "step: a 'run' in a composite action needs 'shell', for instance shell: bash")
	}
	return s, nil
}
