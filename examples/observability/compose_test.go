package observability

import (
	"cmp"
	"fmt"
	"maps"
	"os"
	"path"
	"regexp"
	"slices"
	"strings"
	"testing"

	"go.yaml.in/yaml/v4"
)

// composeFile is what is checked of compose.yaml.
type composeFile struct {
	Services map[string]composeService
	Volumes  map[string]any
}

type composeService struct {
	Image          string
	Command        []string
	Volumes, Ports []string
	Environment    map[string]string
}

func compose(t *testing.T) (file composeFile) {
	t.Helper()
	content(t, "compose.yaml", &file)
	if len(file.Services) != 5 {
		t.Fatalf("%d services, want 5", len(file.Services))
	}
	return file
}

// content reads a YAML file; keys that are not known to its type are left out.
func content(t *testing.T, name string, into any) {
	t.Helper()
	if err := yaml.Unmarshal([]byte(read(t, name)), into); err != nil {
		t.Fatalf("%s: %v", name, err)
	}
}

// mount is a volume: a file or folder of ours, or a named one, at a place in the
// service's container.
type mount struct {
	from, at string
	readOnly bool
}

func (s *composeService) mounts() (all []mount) {
	for _, v := range s.Volumes {
		parts := strings.Split(v, ":")
		all = append(all, mount{parts[0], parts[1], len(parts) > 2 && parts[2] == "ro"})
	}
	return all
}

// within returns the mount that a path of the container lies in.
func (s *composeService) within(name string) (mount, bool) {
	for _, m := range s.mounts() {
		if name == m.at || strings.HasPrefix(name, m.at+"/") {
			return m, true
		}
	}
	return mount{}, false
}

// ours is the file of this folder that a path of the container is; "" if it is none.
func (s *composeService) ours(name string) string {
	m, ok := s.within(name)
	if !ok || !strings.HasPrefix(m.from, "./") {
		return ""
	}
	return path.Join(m.from, strings.TrimPrefix(name, m.at))
}

// TestComposeVolumes: what is mounted is there, ours cannot be written to, and what
// commands and variables name is one of the files that are mounted.
func TestComposeVolumes(t *testing.T) {
	file, used := compose(t), map[string]bool{}
	for name, s := range file.Services {
		for _, m := range s.mounts() {
			if strings.HasPrefix(m.from, "./") {
				if _, err := os.Stat(m.from); err != nil || !m.readOnly {
					t.Errorf("%s: %s is mounted, read-only: %v (%v)", name, m.from, m.readOnly, err)
				}
				continue
			}
			if _, ok := file.Volumes[m.from]; !ok {
				t.Errorf("%s: there is no volume %s", name, m.from)
			}
			used[m.from] = true
		}
		named := slices.Clone(s.Command)
		for _, value := range s.Environment {
			named = append(named, value)
		}
		for _, text := range named {
			if at := regexp.MustCompile(`/etc/\S+`).FindString(text); at != "" {
				if _, err := os.Stat(cmp.Or(s.ours(at), "nowhere")); err != nil {
					t.Errorf("%s: %s names a file that is not mounted: %v", name, text, err)
				}
			}
		}
	}
	if len(used) != len(file.Volumes) {
		t.Errorf("the volumes %v are there, and %v are used", file.Volumes, used)
	}
	// Exemplars, traces and log rows open in Explore, which Grafana keeps from viewers.
	if role := file.Services["grafana"].Environment["GF_AUTH_ANONYMOUS_ORG_ROLE"]; role != "Editor" {
		t.Errorf("who opens Grafana is a %s, who cannot follow the links between the signals", role)
	}
}

// TestComposeImages: each image has its version, and the collector's is the one that
// reads its configuration in TestCollectorConfig.
func TestComposeImages(t *testing.T) {
	file := compose(t)
	for name, s := range file.Services {
		if !regexp.MustCompile(`^[a-z./-]+:v?[0-9]+\.[0-9]+\.[0-9]+$`).MatchString(s.Image) {
			t.Errorf("the image of %s has no version of three numbers: %s", name, s.Image)
		}
	}
	_, version, _ := strings.Cut(file.Services["collector"].Image, ":")
	if tested := read(t, "../../.ci/otelcol/builder.yaml"); !strings.Contains(tested, "/otlpreceiver v"+version+"\n") {
		t.Errorf("the collector is %s, which is not the one of .ci/otelcol", version)
	}
}

// TestComposePorts: what names a service and a port names one at which that service
// listens; what is published is reached from this machine alone.
func TestComposePorts(t *testing.T) {
	file, listens := compose(t), listeners(t)
	for name, s := range file.Services {
		for _, p := range s.Ports {
			parts := strings.Split(p, ":")
			if len(parts) != 3 || parts[0] != "127.0.0.1" || parts[1] != parts[2] || !slices.Contains(listens[name], parts[2]) {
				t.Errorf("%s publishes %s; it listens at %v", name, p, listens[name])
			}
		}
	}
	found := 0
	for _, name := range []string{"compose.yaml", "collector.yaml", "prometheus.yaml", "tempo.yaml", "loki.yaml", "grafana/provisioning/datasources/datasources.yaml", "grafana/provisioning/dashboards/dashboards.yaml"} {
		for _, m := range regexp.MustCompile(`(?:http://|endpoint: |\[)([a-z]+):([0-9]{4,5})`).FindAllStringSubmatch(read(t, name), -1) {
			found++
			if m[1] == "localhost" { // as the operator is told: some service publishes it
				if !strings.Contains(read(t, "compose.yaml"), `"127.0.0.1:`+m[2]+":") {
					t.Errorf("%s names %s, which nobody publishes", name, m[0])
				}
			} else if !slices.Contains(listens[m[1]], m[2]) {
				t.Errorf("%s names %s; there it listens at %v", name, m[0], listens[m[1]])
			}
		}
	}
	if found < 8 {
		t.Errorf("only %d addresses were found", found)
	}
}

// listeners are the ports at which the services listen, by their configurations.
func listeners(t *testing.T) map[string][]string {
	t.Helper()
	type receivers struct {
		OTLP struct {
			Protocols map[string]struct{ Endpoint string }
		}
	}
	var collector struct {
		Receivers receivers
		Exporters struct{ Prometheus struct{ Endpoint string } }
	}
	content(t, "collector.yaml", &collector)
	type server struct {
		Port int `yaml:"http_listen_port"`
	}
	var tempo struct {
		Server      server
		Distributor struct{ Receivers receivers }
	}
	content(t, "tempo.yaml", &tempo)
	var loki struct{ Server server }
	content(t, "loki.yaml", &loki)

	all := map[string][]string{
		"prometheus": {"9090"}, "grafana": {"3000"}, // as they do without configuration
		"tempo": {fmt.Sprint(tempo.Server.Port)}, "loki": {fmt.Sprint(loki.Server.Port)},
	}
	add := func(service, endpoint string) {
		host, port, _ := strings.Cut(endpoint, ":")
		if host != "0.0.0.0" {
			t.Errorf("%s listens at %q, where no other container reaches it", service, endpoint)
		}
		all[service] = append(all[service], port)
	}
	add("collector", collector.Exporters.Prometheus.Endpoint)
	for _, p := range collector.Receivers.OTLP.Protocols {
		add("collector", p.Endpoint)
	}
	for _, p := range tempo.Distributor.Receivers.OTLP.Protocols {
		add("tempo", p.Endpoint)
	}
	return all
}

// TestComposeStorage: all that is written lies in a volume, and is not kept for ever.
func TestComposeStorage(t *testing.T) {
	file := compose(t)
	for name, config := range map[string]string{"tempo": "tempo.yaml", "loki": "loki.yaml"} {
		s, n := file.Services[name], 0
		for _, at := range regexp.MustCompile(`: (/[a-z/]+)`).FindAllStringSubmatch(read(t, config), -1) {
			n++
			if m, ok := s.within(at[1]); !ok || m.readOnly {
				t.Errorf("%s writes to %s, which is no volume", name, at[1])
			}
		}
		if n < 2 {
			t.Errorf("%s: only %d folders were found", config, n)
		}
	}
	var tempo struct {
		Compactor struct {
			Compaction struct {
				Retention string `yaml:"block_retention"`
			}
		}
	}
	content(t, "tempo.yaml", &tempo)
	var loki struct {
		Compactor struct {
			Enabled bool   `yaml:"retention_enabled"`
			Store   string `yaml:"delete_request_store"` // Loki does not start without it
		}
		Limits struct {
			Retention string `yaml:"retention_period"`
		} `yaml:"limits_config"`
	}
	content(t, "loki.yaml", &loki)
	if r := tempo.Compactor.Compaction.Retention; r == "" || r != loki.Limits.Retention || !loki.Compactor.Enabled || loki.Compactor.Store == "" {
		t.Errorf("traces are kept for %q, their log rows for %+v", r, loki)
	}
	if !slices.ContainsFunc(file.Services["prometheus"].Command, func(arg string) bool { return strings.HasPrefix(arg, "--storage.tsdb.retention.time=") }) {
		t.Error("Prometheus has no retention of ours")
	}
}

// TestProvisioning: Grafana reads the dashboards from where they are mounted, and no
// variable of its environment in the sources, where it would look for each $.
func TestProvisioning(t *testing.T) {
	var dashboards struct {
		Providers []struct{ Options struct{ Path string } }
	}
	content(t, "grafana/provisioning/dashboards/dashboards.yaml", &dashboards)
	grafana := compose(t).Services["grafana"]
	if len(dashboards.Providers) != 1 || grafana.ours(dashboards.Providers[0].Options.Path) != "grafana/dashboards" {
		t.Errorf("the dashboards are looked for in %+v", dashboards.Providers)
	}
	for _, kind := range []string{"dashboards", "datasources"} {
		if at := grafana.ours("/etc/grafana/provisioning/" + kind); at != "grafana/provisioning/"+kind {
			t.Errorf("Grafana's %s are in %q", kind, at)
		}
	}
	text := read(t, "grafana/provisioning/datasources/datasources.yaml")
	if alone := regexp.MustCompile(`(?:^|[^$])\$(?:\$\$)*(?:[^$]|$)`).FindString(text); alone != "" {
		t.Errorf("the sources have %q: a $ that is not doubled", alone)
	}
	types, _ := sources(t)
	if got := slices.Sorted(maps.Keys(types)); !slices.Equal(got, []string{"loki", "prometheus", "tempo"}) {
		t.Errorf("the sources are %v", got)
	}
}
