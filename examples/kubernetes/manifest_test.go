// Package kubernetes_test checks the manifests: that their parts fit together, and
// that they need no privilege. Package schema, beside it, holds them against the types
// of Kubernetes' own API.
package kubernetes_test

import (
	"bytes"
	"errors"
	"io"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"otelrunner/runner/config"

	"go.yaml.in/yaml/v4"
)

const manifest = "runner.yaml"

// The parts of the API that the manifests use, as its reference of v1 and apps/v1
// has them: a key that is not here has no test yet.
type (
	object struct {
		APIVersion string            `yaml:"apiVersion"`
		Kind       string            `yaml:"kind"`
		Metadata   meta              `yaml:"metadata"`
		Data       map[string]string `yaml:"data"`
		Spec       yaml.Node         `yaml:"spec"`
	}
	meta struct {
		Name   string            `yaml:"name"`
		Labels map[string]string `yaml:"labels"`
	}
	service struct {
		Selector map[string]string `yaml:"selector"`
		Ports    []struct {
			Name       string `yaml:"name"`
			Port       int    `yaml:"port"`
			TargetPort string `yaml:"targetPort"`
		} `yaml:"ports"`
	}
	statefulSet struct {
		ServiceName         string `yaml:"serviceName"`
		Replicas            int    `yaml:"replicas"`
		PodManagementPolicy string `yaml:"podManagementPolicy"`
		Selector            struct {
			MatchLabels map[string]string `yaml:"matchLabels"`
		} `yaml:"selector"`
		Template struct {
			Metadata meta `yaml:"metadata"`
			Spec     pod  `yaml:"spec"`
		} `yaml:"template"`
		VolumeClaimTemplates []struct {
			Metadata meta `yaml:"metadata"`
			Spec     struct {
				AccessModes []string  `yaml:"accessModes"`
				Resources   resources `yaml:"resources"`
			} `yaml:"spec"`
		} `yaml:"volumeClaimTemplates"`
	}
	pod struct {
		AutomountServiceAccountToken  *bool       `yaml:"automountServiceAccountToken"`
		EnableServiceLinks            *bool       `yaml:"enableServiceLinks"`
		TerminationGracePeriodSeconds int         `yaml:"terminationGracePeriodSeconds"`
		SecurityContext               podSecurity `yaml:"securityContext"`
		InitContainers                []container `yaml:"initContainers"`
		Containers                    []container `yaml:"containers"`
		Volumes                       []struct {
			Name     string `yaml:"name"`
			EmptyDir *struct {
				SizeLimit string `yaml:"sizeLimit"`
			} `yaml:"emptyDir"`
			ConfigMap *struct {
				Name string `yaml:"name"`
			} `yaml:"configMap"`
			Secret *struct {
				SecretName  string `yaml:"secretName"`
				DefaultMode int    `yaml:"defaultMode"`
			} `yaml:"secret"`
		} `yaml:"volumes"`
	}
	podSecurity struct {
		RunAsNonRoot   bool  `yaml:"runAsNonRoot"`
		RunAsUser      int64 `yaml:"runAsUser"`
		RunAsGroup     int64 `yaml:"runAsGroup"`
		FSGroup        int64 `yaml:"fsGroup"`
		SeccompProfile struct {
			Type string `yaml:"type"`
		} `yaml:"seccompProfile"`
	}
	container struct {
		Name            string            `yaml:"name"`
		Image           string            `yaml:"image"`
		Args            []string          `yaml:"args"`
		Env             []variable        `yaml:"env"`
		Ports           []port            `yaml:"ports"`
		Lifecycle       lifecycle         `yaml:"lifecycle"`
		LivenessProbe   probe             `yaml:"livenessProbe"`
		ReadinessProbe  probe             `yaml:"readinessProbe"`
		SecurityContext containerSecurity `yaml:"securityContext"`
		Resources       resources         `yaml:"resources"`
		VolumeMounts    []mount           `yaml:"volumeMounts"`
	}
	variable struct {
		Name      string `yaml:"name"`
		Value     string `yaml:"value"`
		ValueFrom struct {
			FieldRef struct {
				FieldPath string `yaml:"fieldPath"`
			} `yaml:"fieldRef"`
		} `yaml:"valueFrom"`
	}
	port struct {
		Name          string `yaml:"name"`
		ContainerPort int    `yaml:"containerPort"`
	}
	lifecycle struct {
		PreStop struct {
			Exec struct {
				Command []string `yaml:"command"`
			} `yaml:"exec"`
		} `yaml:"preStop"`
	}
	probe struct {
		HTTPGet struct {
			Path string `yaml:"path"`
			Port string `yaml:"port"`
		} `yaml:"httpGet"`
		PeriodSeconds    int `yaml:"periodSeconds"`
		FailureThreshold int `yaml:"failureThreshold"`
	}
	containerSecurity struct {
		AllowPrivilegeEscalation *bool `yaml:"allowPrivilegeEscalation"`
		ReadOnlyRootFilesystem   bool  `yaml:"readOnlyRootFilesystem"`
		Capabilities             struct {
			Drop []string `yaml:"drop"`
		} `yaml:"capabilities"`
	}
	resources struct {
		Requests map[string]string `yaml:"requests"`
		Limits   map[string]string `yaml:"limits"`
	}
	mount struct {
		Name      string `yaml:"name"`
		MountPath string `yaml:"mountPath"`
		ReadOnly  bool   `yaml:"readOnly"`
	}
)

// manifests are the objects of a file, by their kinds.
type manifests struct {
	configMap   object
	service     service
	statefulSet statefulSet
}

// strictly decodes one YAML document that has no key unknown to into.
func strictly(data []byte, into any) error {
	d := yaml.NewDecoder(bytes.NewReader(data))
	d.KnownFields(true)
	return d.Decode(into)
}

func parse(data []byte) (*manifests, error) {
	m := &manifests{}
	d := yaml.NewDecoder(bytes.NewReader(data))
	d.KnownFields(true)
	for {
		var o object
		if err := d.Decode(&o); errors.Is(err, io.EOF) {
			return m, nil
		} else if err != nil {
			return nil, err
		}
		spec, err := yaml.Marshal(&o.Spec)
		if err != nil {
			return nil, err
		}
		switch o.APIVersion + " " + o.Kind {
		case "v1 ConfigMap":
			m.configMap = o
		case "v1 Service":
			err = strictly(spec, &m.service)
		case "apps/v1 StatefulSet":
			err = strictly(spec, &m.statefulSet)
		default:
			err = errors.New("an unknown kind of object: " + o.APIVersion + " " + o.Kind)
		}
		if err != nil {
			return nil, err
		}
	}
}

func read(t *testing.T) ([]byte, *manifests) {
	t.Helper()
	data, err := os.ReadFile(manifest)
	if err != nil {
		t.Fatal(err)
	}
	m, err := parse(data)
	if err != nil {
		t.Fatal(err)
	}
	return data, m
}

func TestNoUnknownKeys(t *testing.T) {
	data, _ := read(t)
	for _, change := range [][2]string{
		{"readOnlyRootFilesystem", "readOnlyRootFileSystem"},
		{"volumeClaimTemplates", "volumeClaimTemplate"},
		{"kind: Service", "kind: Servise"},
		{"sizeLimit", "size"},
		{"metadata:\n  name: otelrunner", "metadata:\n  nme: otelrunner"},
	} {
		if _, err := parse([]byte(strings.Replace(string(data), change[0], change[1], 1))); err == nil {
			t.Errorf("%s is not noticed", change[1])
		}
	}
}

func TestPartsFitTogether(t *testing.T) {
	_, m := read(t)
	s := &m.statefulSet
	labels := s.Template.Metadata.Labels
	if !maps.Equal(s.Selector.MatchLabels, labels) || !maps.Equal(m.service.Selector, labels) || s.ServiceName != "otelrunner" {
		t.Errorf("selectors %v and %v, labels %v", s.Selector.MatchLabels, m.service.Selector, labels)
	}
	volumes := map[string]bool{}
	for _, v := range s.Template.Spec.Volumes {
		kinds := 0
		for _, there := range []bool{v.EmptyDir != nil, v.ConfigMap != nil, v.Secret != nil} {
			if there {
				kinds++
			}
		}
		if kinds != 1 || v.ConfigMap != nil && v.ConfigMap.Name != m.configMap.Metadata.Name {
			t.Errorf("volume %+v", v)
		}
		volumes[v.Name] = true
	}
	for _, v := range s.VolumeClaimTemplates {
		volumes[v.Metadata.Name] = true
	}
	ports := map[string]int{}
	used := map[string]bool{}
	for _, c := range slices.Concat(s.Template.Spec.InitContainers, s.Template.Spec.Containers) {
		for _, v := range c.VolumeMounts {
			used[v.Name] = true
			if !volumes[v.Name] {
				t.Errorf("container %s mounts %s, which there is not", c.Name, v.Name)
			}
		}
		for _, p := range c.Ports {
			ports[p.Name] = p.ContainerPort
		}
		for _, p := range []probe{c.LivenessProbe, c.ReadinessProbe} {
			if name := p.HTTPGet.Port; name != "" && ports[name] == 0 {
				t.Errorf("container %s is asked at the port %s, which it has not", c.Name, name)
			}
		}
	}
	if !maps.Equal(used, volumes) {
		t.Errorf("volumes %v, mounted %v", volumes, used)
	}
	for _, p := range m.service.Ports {
		if ports[p.TargetPort] != p.Port {
			t.Errorf("the service's port %+v is not one of %v", p, ports)
		}
	}
}

func TestNoPrivilegeIsNeeded(t *testing.T) {
	_, m := read(t)
	p := &m.statefulSet.Template.Spec
	if s := p.SecurityContext; !s.RunAsNonRoot || s.RunAsUser == 0 || s.RunAsGroup == 0 || s.SeccompProfile.Type != "RuntimeDefault" {
		t.Errorf("the pod: %+v", s)
	}
	if p.AutomountServiceAccountToken == nil || *p.AutomountServiceAccountToken {
		t.Error("the pod gets a token of the API")
	}
	if p.EnableServiceLinks == nil || *p.EnableServiceLinks {
		t.Error("the runner is given variables that look like keys of its configuration (OTELRUNNER_PORT …)")
	}
	for _, c := range slices.Concat(p.InitContainers, p.Containers) {
		s := c.SecurityContext
		if s.AllowPrivilegeEscalation == nil || *s.AllowPrivilegeEscalation || !s.ReadOnlyRootFilesystem || !slices.Equal(s.Capabilities.Drop, []string{"ALL"}) {
			t.Errorf("container %s: %+v", c.Name, s)
		}
		if c.Resources.Limits["memory"] == "" || c.Resources.Requests["cpu"] == "" {
			t.Errorf("container %s has no bounds: %+v", c.Name, c.Resources)
		}
	}
}

// The runner's configuration is one that it takes, and says what the pod says.
func TestConfigurationFitsThePod(t *testing.T) {
	_, m := read(t)
	file := filepath.Join(t.TempDir(), "config.yaml")
	if err := os.WriteFile(file, []byte(m.configMap.Data["config.yaml"]), 0o600); err != nil {
		t.Fatal(err)
	}
	cfg, err := config.Load(file, nil)
	if err != nil || len(cfg.Warnings) > 0 {
		t.Fatalf("%v, warnings %q", err, cfg.Warnings)
	}
	c := m.statefulSet.Template.Spec.Containers[0]
	addresses := map[string]string{"metrics": cfg.Metrics.Addr, "wake": cfg.Poll.Wake}
	for _, p := range c.Ports {
		if !strings.HasSuffix(addresses[p.Name], ":"+strconv.Itoa(p.ContainerPort)) {
			t.Errorf("port %+v, the configuration says %q", p, addresses[p.Name])
		}
	}
	writable := func(file string) bool {
		return slices.ContainsFunc(c.VolumeMounts, func(v mount) bool { return !v.ReadOnly && strings.HasPrefix(file, v.MountPath+"/") })
	}
	if !writable(cfg.Runner.File) || !writable(c.Env[slices.IndexFunc(c.Env, func(v variable) bool { return v.Name == "HOME" })].Value+"/x") {
		t.Errorf("the registration and the journal beside it, or HOME, cannot be written to: %s", cfg.Runner.File)
	}
	if cfg.Sandbox.Mode != config.WASMOnly || !cfg.Metrics.Enabled {
		t.Errorf("mode %q", cfg.Sandbox.Mode)
	}
	if grace := m.statefulSet.Template.Spec.TerminationGracePeriodSeconds; float64(grace) < cfg.Runner.ShutdownTimeout.Seconds()+60 {
		t.Errorf("the pod gets %d s to end, its jobs %s", grace, cfg.Runner.ShutdownTimeout)
	}
	var collector map[string]any
	if err := yaml.Unmarshal([]byte(m.configMap.Data["collector.yaml"]), &collector); err != nil || collector["service"] == nil {
		t.Errorf("the collector's configuration: %v", err)
	}
}

// The command lines of the pod are ones that the program has.
func TestCommandLines(t *testing.T) {
	_, m := read(t)
	p := &m.statefulSet.Template.Spec
	binary := filepath.Join(t.TempDir(), "runner")
	if out, err := exec.CommandContext(t.Context(), "go", "build", "-o", binary, "../../cmd/runner").CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	for _, args := range [][]string{p.InitContainers[0].Args, p.Containers[0].Args, p.Containers[0].Lifecycle.PreStop.Exec.Command[1:]} {
		help := append(slices.Clone(args), "--help")
		if out, err := exec.CommandContext(t.Context(), binary, help...).CombinedOutput(); err != nil || !strings.Contains(string(out), "runner "+args[0]) {
			t.Errorf("%q: %v: %s", args, err, out)
		}
	}
}
