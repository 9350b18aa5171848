package main_test

import (
	"strings"
	"testing"

	"otelrunner/runner/gitea/giteatest"
)

// Settings that are well-formed and cannot be used: a code that tells a service
// manager not to try again, and one sentence.
func TestUnusableSettings(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct{ env, want string }{
		"no web config file":     {"OTELRUNNER_METRICS_ENABLED=true OTELRUNNER_METRICS_WEB_CONFIG_FILE=none.yaml", "web config file none.yaml"},
		"a bad web config file":  {"OTELRUNNER_METRICS_ENABLED=true OTELRUNNER_METRICS_WEB_CONFIG_FILE=bad.yaml", "web config file bad.yaml"},
		"a bad OTLP protocol":    {"OTEL_EXPORTER_OTLP_ENDPOINT=http://127.0.0.1:1 OTEL_EXPORTER_OTLP_PROTOCOL=smoke", "smoke"},
		"a bad OTLP endpoint":    {"OTEL_EXPORTER_OTLP_ENDPOINT=127.0.0.1:4318", "OTEL_EXPORTER_OTLP_ENDPOINT"},
		"no secret of a webhook": {"OTELRUNNER_POLL_WAKE=127.0.0.1:0 OTELRUNNER_POLL_WAKE_SECRET_FILE=none", "poll.wake_secret_file: open none"},
		"a short secret":         {"OTELRUNNER_POLL_WAKE=127.0.0.1:0 OTELRUNNER_POLL_WAKE_SECRET_FILE=bad.yaml", "has 9 bytes, fewer than 16"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := newRig(t).withServer(giteatest.Options{})
			r.register()
			r.write("bad.yaml", "smoke: [}")
			r.env = append(r.env, strings.Fields(c.env)...)
			_, stderr, code := r.run("serve")
			if code != 2 || !strings.Contains(stderr, c.want) {
				t.Errorf("exit code %d, want 2 and %q:\n%s", code, c.want, stderr)
			}
			if n := strings.Count(stderr, "\nrunner: "); n != 1 && !strings.HasPrefix(stderr, "runner: ") {
				t.Errorf("not one sentence:\n%s", stderr)
			}
		})
	}
}
