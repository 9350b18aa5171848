package gitea

import (
	"maps"
	"slices"
	"strings"

	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/proto"
)

const (
	headerCapabilities = "X-Gitea-Actions-Capabilities"

	// capabilityCancelling tells the server that this runner cleans up after a
	// cancel, so that the task is not final before the runner says so.
	capabilityCancelling = "cancelling"

	// CapabilityJobSummary is declared by a server that takes step summaries.
	CapabilityJobSummary = "job-summary"
)

// The numbers of the field `capabilities` (repeated string). The messages of
// actions-proto-go v0.4.1 do not have it yet, v0.6.0's do.
const (
	registerCapabilities protowire.Number = 8
	declareCapabilities  protowire.Number = 3
)

// setCapabilities appends values as unknown fields of that number: the same
// bytes that a newer message would be encoded to.
func setCapabilities(m proto.Message, number protowire.Number, values []string) {
	var raw []byte
	for _, v := range values {
		raw = protowire.AppendTag(raw, number, protowire.BytesType)
		raw = protowire.AppendString(raw, v)
	}
	if len(raw) > 0 {
		r := m.ProtoReflect()
		r.SetUnknown(append(slices.Clip(r.GetUnknown()), raw...))
	}
}

// Capabilities is the set of features that a server declared.
type Capabilities map[string]struct{}

// Has reports whether the server declared name.
func (c Capabilities) Has(name string) bool { _, ok := c[name]; return ok }

// Names are in alphabetic order.
func (c Capabilities) Names() []string { return slices.Sorted(maps.Keys(c)) }

// parseCapabilities reads the header's values: names, separated by commas or
// spaces, in one header or several.
func parseCapabilities(values []string) Capabilities {
	set := Capabilities{}
	for _, v := range values {
		for _, name := range strings.FieldsFunc(v, func(r rune) bool { return r == ',' || r == ' ' || r == '\t' }) {
			set[strings.ToLower(name)] = struct{}{}
		}
	}
	return set
}
