package job

import (
	"testing"

	"github.com/google/go-cmp/cmp"
)

// Actions reach the server's artifacts as the runner reaches the server, whatever
// the server calls itself.
func TestRuntimeVariables(t *testing.T) {
	urls := func(server string) map[string]string {
		return map[string]string{
			"ACTIONS_RUNTIME_URL":   server + "/api/actions_pipeline/",
			"ACTIONS_RESULTS_URL":   server,
			"ACTIONS_RUNTIME_TOKEN": "t",
		}
	}
	public := map[string]any{"server_url": "https://git.example.org/", "gitea_runtime_token": "t"}
	for name, c := range map[string]struct {
		instance string
		github   map[string]any
		want     map[string]string
	}{
		"by the registration": {"http://gitea:3000", public, urls("http://gitea:3000")},
		"by the server":       {"", public, urls("https://git.example.org")},
		"without a token":     {"http://gitea:3000", map[string]any{"server_url": "https://git.example.org"}, nil},
	} {
		t.Run(name, func(t *testing.T) {
			j := &jobRun{opts: &Options{Instance: c.instance}, github: c.github}
			if diff := cmp.Diff(c.want, j.runtimeVariables()); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}
