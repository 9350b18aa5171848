package otel

import (
	"fmt"
	"regexp"
	"slices"
)

// ownLabels are those of the families on /metrics, the standard collectors' too. One
// of the same name for all would make the family invalid, and Prometheus' library
// would leave it out.
func ownLabels() []string {
	return []string{
		"cache", "error_type", "le", "limit", "method", "name", "otel_metric_overflow", "phase",
		"quantile", "result", "sandbox", "signal", "status", "cicd_system_component", "cicd_worker_state", "version",
	}
}

var labelName = regexp.MustCompile("^[a-zA-Z_][a-zA-Z0-9_]*$")

// ValidateLabel says whether name may be a key of ProvidersOptions.Labels: every
// Prometheus takes it (it has the form of the text format, and does not begin with
// the two underscores of Prometheus' own), and no family has one of that name.
func ValidateLabel(name string) error {
	switch {
	case !labelName.MatchString(name), len(name) > 1 && name[:2] == "__":
		return fmt.Errorf("%q cannot be the name of a label: expected letters, digits and _, no digit first and not two _", name)
	case slices.Contains(ownLabels(), name):
		return fmt.Errorf("%q is a label of the runner's own families: choose another name", name)
	}
	return nil
}
