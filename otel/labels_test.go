package otel

import (
	"slices"
	"strings"
	"testing"
)

// TestLabelsOfOperators: what may be a label of every family, and that each family is
// there with it.
func TestLabelsOfOperators(t *testing.T) {
	clearEnv(t)
	for name, ok := range map[string]bool{
		"site": true, "_a1": true, "_": true, "Zone_2": true,
		"": false, "a-b": false, "a b": false, "1a": false, "__a": false, "é": false, "a\n": false, "status": false, "version": false, "le": false,
	} {
		if err := ValidateLabel(name); (err == nil) != ok {
			t.Errorf("%q gives %v", name, err)
		}
	}
	p, in, url := started(t, ProvidersOptions{Labels: map[string]string{"site": "berlin"}})
	record(t.Context(), in)
	families, err := p.Gatherer().Gather()
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range families {
		for _, m := range f.GetMetric() {
			for _, l := range m.GetLabel() {
				if l.GetName() != "site" && !slices.Contains(ownLabels(), l.GetName()) {
					t.Errorf("%s has the label %s, which an operator may choose, too", f.GetName(), l.GetName())
				}
			}
		}
	}
	for name, f := range scrape(t, url) {
		for series := range f.Series {
			if !strings.Contains(series, `site="berlin"`) {
				t.Errorf("%s%s has not the operator's label", name, series)
			}
		}
	}
}
