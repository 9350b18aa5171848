package config

import (
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"go.yaml.in/yaml/v4"
)

// set stores what node says in k's field of c.
func (k *key) set(c *Config, node *yaml.Node) error {
	switch field := k.field(c).(type) {
	case *[]string:
		list, err := k.list(node)
		if err != nil {
			return err
		}
		*field = list
		return nil
	case *map[string]string:
		dict, err := k.dictionary(node)
		if err != nil {
			return err
		}
		*field = dict
		return nil
	}
	if node.Kind != yaml.ScalarNode {
		return fmt.Errorf("expected %s, found %s", k.expected(c), nodeKind(node))
	}
	if k.bare(c) && node.Style&(yaml.SingleQuotedStyle|yaml.DoubleQuotedStyle) != 0 {
		return fmt.Errorf("expected %s, found the text %q; write it without quotes", k.expected(c), node.Value)
	}
	return k.setScalar(c, node.Value)
}

// setText stores a value that has the form of an environment variable: lists
// and dictionaries are separated by commas, or written as in YAML.
func (k *key) setText(c *Config, text string) error {
	switch field := k.field(c).(type) {
	case *[]string, *map[string]string:
		if t := strings.TrimSpace(text); strings.HasPrefix(t, "[") || strings.HasPrefix(t, "{") {
			var doc yaml.Node
			if err := yaml.Unmarshal([]byte(t), &doc); err != nil {
				return fmt.Errorf("expected %s: %w", k.expected(c), err)
			}
			return k.set(c, doc.Content[0])
		}
		if list, ok := field.(*[]string); ok {
			*list = splitComma(text)
			return k.checkList(*list)
		}
		return k.setPairs(field.(*map[string]string), splitComma(text))
	}
	return k.setScalar(c, text)
}

// bare reports whether k's value stands without quotes.
func (k *key) bare(c *Config) bool {
	switch k.field(c).(type) {
	case *bool, *int:
		return true
	}
	return false
}

func (k *key) setScalar(c *Config, text string) error {
	switch field := k.field(c).(type) {
	case *string:
		if k.oneOf != nil {
			text = strings.ToLower(text)
		}
		if err := k.checkText(text); err != nil {
			return err
		}
		*field = text
	case *bool:
		v, ok := truth[strings.ToLower(text)]
		if !ok {
			return fmt.Errorf("expected true or false, found %q", text)
		}
		*field = v
	case *int:
		v, err := strconv.Atoi(text)
		if err != nil {
			return fmt.Errorf("expected %s, found %q", k.expected(c), text)
		}
		if err := k.bounded(c, int64(v)); err != nil {
			return err
		}
		*field = v
	case *Size:
		v, err := ParseSize(text)
		if err != nil {
			return err
		}
		if err := k.bounded(c, int64(v)); err != nil {
			return err
		}
		*field = v
	case *time.Duration:
		v, err := time.ParseDuration(text)
		if err != nil {
			if _, numErr := strconv.ParseFloat(text, 64); numErr == nil {
				return fmt.Errorf("%s has no unit: write %ss for seconds, or use ms, m or h", text, text)
			}
			return fmt.Errorf("expected %s, found %q", k.expected(c), text)
		}
		if err := k.bounded(c, int64(v)); err != nil {
			return err
		}
		*field = v
	default:
		panic(fmt.Sprintf("config: %s has a type that the schema does not know: %T", k.path, field))
	}
	return nil
}

// truth are the booleans of YAML 1.1, which act_runner's parser took.
var truth = map[string]bool{
	"true": true, "yes": true, "on": true, "y": true,
	"false": false, "no": false, "off": false, "n": false,
}

func (k *key) checkText(s string) error {
	if k.oneOf != nil && !slices.Contains(k.oneOf, s) {
		return fmt.Errorf("%q is not one of %s%s", s, strings.Join(k.oneOf, ", "), didYouMean(s, k.oneOf))
	}
	if k.check != nil {
		return k.check(s)
	}
	return nil
}

func (k *key) checkList(list []string) error {
	for _, s := range list {
		if err := k.checkText(s); err != nil {
			return err
		}
	}
	if k.checkAll != nil {
		return k.checkAll(list)
	}
	return nil
}

func (k *key) bounded(c *Config, v int64) error {
	if v < k.min || v > k.max {
		return fmt.Errorf("%s is out of bounds: %s", k.number(c, v), k.bounds(c))
	}
	return nil
}

// bounds says the bounds in words.
func (k *key) bounds(c *Config) string {
	return fmt.Sprintf("from %s to %s", k.number(c, k.min), k.number(c, k.max))
}

// number writes v in the key's unit.
func (k *key) number(c *Config, v int64) string {
	switch k.field(c).(type) {
	case *time.Duration:
		return duration(time.Duration(v))
	case *Size:
		return Size(v).String()
	}
	return strconv.FormatInt(v, 10)
}

// duration is d as people write it: 3h and not 3h0m0s.
func duration(d time.Duration) string {
	s := d.String()
	if d >= time.Minute && strings.HasSuffix(s, "m0s") {
		s = strings.TrimSuffix(s, "0s")
	}
	if d >= time.Hour && strings.HasSuffix(s, "h0m") {
		s = strings.TrimSuffix(s, "0m")
	}
	return s
}

// expected says in words what k takes.
func (k *key) expected(c *Config) string {
	switch k.field(c).(type) {
	case *bool:
		return "true or false"
	case *int:
		return "a whole number of " + k.unit + " " + k.bounds(c)
	case *Size:
		return "a size " + k.bounds(c) + ", like 512m or 4g"
	case *time.Duration:
		return "a duration " + k.bounds(c) + ", like 90s, 5m or 1h30m"
	case *[]string:
		return "a list of texts"
	case *map[string]string:
		return "a mapping of names to texts"
	}
	if k.oneOf != nil {
		return "one of " + strings.Join(k.oneOf, ", ")
	}
	return "a text"
}

func (k *key) list(node *yaml.Node) ([]string, error) {
	if node.Kind != yaml.SequenceNode {
		return nil, fmt.Errorf("expected a list of texts, found %s", nodeKind(node))
	}
	list := make([]string, 0, len(node.Content))
	for _, item := range node.Content {
		item = resolve(item)
		if item.Kind != yaml.ScalarNode {
			return nil, fmt.Errorf("expected a list of texts, found %s in it (line %d)", nodeKind(item), item.Line)
		}
		list = append(list, item.Value)
	}
	return list, k.checkList(list)
}

func (k *key) dictionary(node *yaml.Node) (map[string]string, error) {
	if node.Kind != yaml.MappingNode {
		return nil, fmt.Errorf("expected a mapping of names to texts, found %s", nodeKind(node))
	}
	out := make(map[string]string, len(node.Content)/2)
	for name, value := range pairs(node) {
		if value.Kind != yaml.ScalarNode {
			return nil, fmt.Errorf("expected a text for %s, found %s (line %d)", name.Value, nodeKind(value), value.Line)
		}
		text := value.Value
		if isNull(value) {
			text = ""
		}
		if err := k.checkName(name.Value); err != nil {
			return nil, fmt.Errorf("%w (line %d)", err, name.Line)
		}
		if _, twice := out[name.Value]; twice {
			return nil, fmt.Errorf("%s is set twice (line %d)", name.Value, name.Line)
		}
		out[name.Value] = text
	}
	return out, nil
}

func (k *key) setPairs(out *map[string]string, list []string) error {
	dict := make(map[string]string, len(list))
	for _, pair := range list {
		name, value, ok := strings.Cut(pair, "=")
		if !ok {
			return fmt.Errorf("expected NAME=value, found no = in an entry that begins with %.8q", pair)
		}
		if err := k.checkName(name); err != nil {
			return err
		}
		dict[name] = value
	}
	*out = dict
	return nil
}

func (k *key) checkName(s string) error {
	if k.name != nil {
		return k.name(s)
	}
	return variableName(s)
}

func variableName(s string) error {
	if s == "" || strings.ContainsAny(s, "=\x00 \t\n") {
		return fmt.Errorf("%q cannot be the name of an environment variable", s)
	}
	return nil
}

func splitComma(text string) []string {
	out := []string{}
	for part := range strings.SplitSeq(text, ",") {
		if part = strings.TrimSpace(part); part != "" {
			out = append(out, part)
		}
	}
	return out
}

// node is what k's field of c holds, as YAML.
func (k *key) node(c *Config) *yaml.Node {
	scalar := func(s, tag string) *yaml.Node {
		return &yaml.Node{Kind: yaml.ScalarNode, Tag: tag, Value: s}
	}
	switch field := k.field(c).(type) {
	case *bool:
		return scalar(strconv.FormatBool(*field), "!!bool")
	case *int:
		return scalar(strconv.Itoa(*field), "!!int")
	case *time.Duration:
		return scalar(duration(*field), "!!str")
	case *Size:
		return scalar(field.String(), "!!str")
	case *[]string:
		n := &yaml.Node{Kind: yaml.SequenceNode, Tag: "!!seq", Style: yaml.FlowStyle}
		for _, s := range *field {
			n.Content = append(n.Content, scalar(s, "!!str"))
		}
		return n
	case *map[string]string:
		n := &yaml.Node{Kind: yaml.MappingNode, Tag: "!!map", Style: yaml.FlowStyle}
		for _, name := range slices.Sorted(maps.Keys(*field)) {
			n.Content = append(n.Content, scalar(name, "!!str"), scalar((*field)[name], "!!str"))
		}
		return n
	case *string:
		return scalar(*field, "!!str")
	}
	panic("config: " + k.path + " has a type that the schema does not know")
}
