package config

import (
	"bytes"
	"fmt"
	"io"
	"slices"
	"strings"

	"go.yaml.in/yaml/v4"
)

// WriteDefault writes a configuration file that has every key with its default
// and a comment that says what it means, its bounds and its variable.
func WriteDefault(w io.Writer) error {
	var b bytes.Buffer
	b.WriteString("# Configuration of `runner serve`. Every key is optional; what stands here is its default.\n" +
		"# Durations have a unit: 500ms, 90s, 5m, 1h30m.\n" +
		"# Each key can be overridden by the environment variable that is named with it.\n")
	c := Default()
	sections(&b, func(k *key, indent string) {
		for _, line := range wrap(k.doc, 92) {
			b.WriteString(indent + "# " + line + "\n")
		}
		fmt.Fprintf(&b, "%s# %s\n", indent, k.facts(&c))
		fmt.Fprintf(&b, "%s%s: %s\n", indent, lastPart(k.path), flow(k.node(&c)))
	})
	_, err := w.Write(b.Bytes())
	return err
}

// facts are a key's bounds or values, an example, and its variable.
func (k *key) facts(c *Config) string {
	var facts []string
	switch {
	case k.oneOf != nil:
		facts = append(facts, "One of "+strings.Join(k.oneOf, ", ")+".")
	case k.max > 0:
		unit := ""
		if k.unit != "" {
			unit = " " + k.unit
		}
		facts = append(facts, "F"+k.bounds(c)[1:]+unit+".")
	}
	if k.example != "" {
		facts = append(facts, "Example: "+k.example)
	}
	return strings.Join(append(facts, "["+k.env()+"]"), " ")
}

// Show writes the effective configuration as YAML, with the place that set it
// behind each value that is not a default. What looks like a secret is blanked.
func (l *Loaded) Show(w io.Writer) error {
	c := l.Config
	c.Runner.Envs = redacted(c.Runner.Envs)
	c.Container.Options = redactOptions(c.Container.Options)
	var b bytes.Buffer
	sections(&b, func(k *key, indent string) {
		node := k.node(&c)
		blank(node)
		fmt.Fprintf(&b, "%s%s: %s", indent, lastPart(k.path), flow(node))
		if from, ok := l.from[k.path]; ok {
			b.WriteString(" # " + from.String())
		}
		b.WriteString("\n")
	})
	_, err := w.Write(b.Bytes())
	return err
}

// blank blanks the passwords of the URLs in n.
func blank(n *yaml.Node) {
	n.Value = Redact(n.Value)
	for _, child := range n.Content {
		blank(child)
	}
}

// sections calls each for every key, with the headers of its sections before it.
func sections(b *bytes.Buffer, each func(k *key, indent string)) {
	table := schema()
	var open []string // the sections that the last key was in
	for i := range table {
		parts := strings.Split(table[i].path, ".")
		in := parts[:len(parts)-1]
		for depth, section := range in {
			if depth < len(open) && slices.Equal(open[:depth+1], in[:depth+1]) {
				continue
			}
			if depth == 0 && b.Len() > 0 {
				b.WriteString("\n")
			}
			b.WriteString(strings.Repeat("  ", depth) + section + ":\n")
			open = in[:depth+1]
		}
		open = in
		each(&table[i], strings.Repeat("  ", len(in)))
	}
}

// flow is a node on one line.
func flow(n *yaml.Node) string {
	out, err := yaml.Dump(n, yaml.WithLineWidth(-1))
	if err != nil {
		return fmt.Sprintf("# %v", err) // a tree of scalars that we built cannot fail
	}
	return strings.TrimSpace(string(out))
}

// wrap breaks text into lines of at most width characters.
func wrap(text string, width int) []string {
	var lines []string
	line := ""
	for word := range strings.FieldsSeq(text) {
		if line != "" && len(line)+1+len(word) > width {
			lines = append(lines, line)
			line = ""
		}
		if line != "" {
			line += " "
		}
		line += word
	}
	return append(lines, line)
}
