package container

import (
	"os"
	"strings"
	"testing"

	"github.com/docker/go-units"
	"github.com/google/go-cmp/cmp"
	"github.com/moby/moby/api/types/container"
	"github.com/moby/moby/api/types/mount"
)

var testPolicy = volumePolicy{valid: []string{"cache-*", "/data/**", "/srv/one", "**/any"}, sockets: []string{"/var/run/docker.sock"}}

// TestRefusedOptions is the exploit corpus: what a hostile workflow would write
// into options. Each must be refused with the name of what is wrong.
func TestRefusedOptions(t *testing.T) {
	for _, c := range []struct{ options, names string }{
		{"--privileged", "--privileged"},
		{"--privileged=true", "--privileged"},
		{"--privileged=false", "--privileged"},
		{"--pid=host", "--pid"},
		{"--pid host", "--pid"},
		{"--pid container:other", "--pid"},
		{"--ipc=host", "--ipc"},
		{"--uts host", "--uts"},
		{"--userns=host", "--userns"},
		{"--cgroupns host", "--cgroupns"},
		{"--cap-add SYS_ADMIN", "--cap-add"},
		{"--cap-add=ALL", "--cap-add"},
		{"--device /dev/sda", "--device"},
		{"--device-cgroup-rule 'c *:* rwm'", "--device-cgroup-rule"},
		{"--gpus all", "--gpus"},
		{"--security-opt seccomp=unconfined", "--security-opt"},
		{"--security-opt apparmor=unconfined", "--security-opt"},
		{"--security-opt seccomp=/etc/shadow", "--security-opt"},
		{"--env-file /etc/shadow", "--env-file"},
		{"--env-file=/proc/self/environ", "--env-file"},
		{"--label-file /etc/passwd", "--label-file"},
		{"--cidfile /etc/cron.d/x", "--cidfile"},
		{"--env SECRET_OF_THE_RUNNER", "NAME=value"},
		{"-e SECRET_OF_THE_RUNNER", "NAME=value"},
		{"-eSECRET_OF_THE_RUNNER", "NAME=value"},
		{"--env =x", "NAME=value"},
		{"--runtime runc", "--runtime"},
		{"--volumes-from other", "--volumes-from"},
		{"--volume-driver nfs", "--volume-driver"},
		{"--mount type=bind,src=/,dst=/host", "--mount"},
		{"-v /:/host", "socket"},
		{"-v/:/host", "valid_volumes"},
		{"-v /etc:/e", "valid_volumes"},
		{"-v /data/../etc:/e", "/etc"},
		{"-v /data/x/../../etc/shadow:/e", "/etc/shadow"},
		{"-v //etc:/e", "/etc"},
		{"-v ./data:/e", "neither"},
		{"-v ../data:/e", "neither"},
		{"-v ~/x:/e", "neither"},
		{"-v /var/run/docker.sock:/s", "socket"},
		{"-v /run/docker.sock:/s", "socket"},
		{"-v /var/run:/s", "socket"},
		{"-v /data/../run:/s", "socket"},
		{"-v other-jobs-volume:/e", "valid_volumes"},
		{"-v otelrunner-helper-0123:/e", "runner's own"},
		{"-v cache-x:/.otelrunner", "belongs to the runner"},
		{"-v cache-x:/.otelrunner/sub/..", "belongs to the runner"},
		{"-v cache-x:/workspace", "mounted over"},
		{"-v cache-x:/", "mounted over"},
		{"-v cache-x:/proc", "mounted over"},
		{"-v /data/x:/e:rshared", "rshared"},
		{"-v /data/x:/e:ro,Z", "Z"},
		{"-v a:b:c:d", "SOURCE:TARGET"},
		{"--tmpfs /.otelrunner", "belongs to the runner"},
		{"--tmpfs /t:mpol=bind", "mpol"},
		{"--network host", "host"},
		{"--network=container:other", "container:other"},
		{"--net host", "--net"},
		{"--link other", "--link"},
		{"--ip 10.0.0.1", "--ip"},
		{"--mac-address 02:42:ac:11:00:02", "--mac-address"},
		{"--cgroup-parent /", "--cgroup-parent"},
		{"--oom-kill-disable", "--oom-kill-disable"},
		{"--oom-score-adj -1000", "--oom-score-adj"},
		{"--sysctl kernel.core_pattern=x", "--sysctl"},
		{"--storage-opt size=1t", "--storage-opt"},
		{"--log-driver syslog", "--log-driver"},
		{"--log-opt syslog-address=tcp://x", "--log-opt"},
		{"--restart always", "--restart"},
		{"--name otelrunner-x", "--name"},
		{"--pull always", "--pull"},
		{"--use-api-socket", "--use-api-socket"},
		{"--isolation process", "--isolation"},
		{"--group-add docker", "--group-add"},
		{"--ulimit rtprio=99", "rtprio"},
		{"--ulimit nice=40", "nice"},
		{"--pids-limit -1", "-1"},
		{"--pids-limit 0", "0"},
		{"--memory -1", "-1"},
		{"--cpus NaN", "NaN"},
		{"--cpus -1", "-1"},
		{"--cpu-quota -1", "-1"},
		{"--label otelrunner.runner=other", "runner's own"},
		{"--label OtelRunner.task=1", "runner's own"},
		{"--user 'a b'", "a b"},
		{"--add-host evil", "NAME:ADDRESS"},
		{"--entrypoint sh", "--entrypoint"},
		{"--read-only", "--read-only"},
		{"--publish-all", "--publish-all"},
		{"-P", "--publish-all"},
		{"-it", "--interactive"},
		{"-d", "--detach"},
		{"-X", "-X"},
		{"--PRIVILEGED", "--PRIVILEGED"},
		{"--privilege", "--privilege"},
		{"-privileged", "publish"},
		{"---privileged", "privileged"},
		{"image:latest", "image:latest"},
		{"--", "--"},
		{"-", "-"},
		{"--cpus", "no value"},
		{"--env 'unclosed", "unclosed"},
		{"--init=maybe", "true or false"},
		{"--hostname 'x;y'", "x;y"},
		{"--stop-timeout 100000", "100000"},
		{"--health-interval 9999h", "9999h"},
		{"-p 1-65535:1-65535", "1024"},
		{"-p 80:80/raw", "raw"},
	} {
		s := newSettings(testPolicy)
		err := s.parse(c.options, anywhere)
		if err == nil {
			t.Errorf("%s is accepted: %+v", c.options, s.host)
			continue
		}
		if !strings.Contains(err.Error(), c.names) {
			t.Errorf("%s: %v, which does not name %q", c.options, err, c.names)
		}
	}
}

func TestAcceptedOptions(t *testing.T) {
	t.Setenv("HOME", "/somewhere")
	s := newSettings(testPolicy)
	err := s.parse(`--cpus 1.5 -m 512m --memory-swap=-1 --pids-limit 100 --shm-size=1g --ulimit nofile=1024:2048 --ulimit nofile=4096
		-e "A=a b" --env=B='$HOME' -eC=c -l x=y --hostname box -u 1000:1000 -w /src --tmpfs /t:size=64m,noexec
		-v cache-1:/cache -v /data/deep/er:/data:ro -v /anonymous --add-host db:10.0.0.1 --dns 10.0.0.2
		--health-cmd "curl -f http://127.0.0.1/" --health-interval 5s --health-retries 3
		-p 8080:80 -p 127.0.0.1:5353:53/udp -p 90 --network none --network-alias also --rm --init --cap-drop ALL --stop-signal SIGINT`, anywhere)
	if err != nil {
		t.Fatal(err)
	}
	equal(t, "env", s.config.Env, []string{"A=a b", "B=$HOME", "C=c"})
	equal(t, "cpus", s.host.NanoCPUs, int64(1.5e9))
	equal(t, "memory", s.host.Memory, int64(512<<20))
	equal(t, "swap", s.host.MemorySwap, int64(-1))
	equal(t, "shm", s.host.ShmSize, int64(1<<30))
	equal(t, "ulimits", s.host.Ulimits, []*container.Ulimit{{Name: "nofile", Soft: 4096, Hard: 4096}})
	equal(t, "labels", s.config.Labels, map[string]string{"x": "y"})
	equal(t, "user", s.config.User, "1000:1000")
	equal(t, "mounts", s.host.Mounts, []mount.Mount{
		{Type: mount.TypeVolume, Source: "cache-1", Target: "/cache"},
		{Type: mount.TypeBind, Source: "/data/deep/er", Target: "/data", ReadOnly: true},
		{Type: mount.TypeVolume, Target: "/anonymous"},
	})
	equal(t, "health", s.config.Healthcheck.Test, []string{"CMD-SHELL", "curl -f http://127.0.0.1/"})
	equal(t, "tmpfs", s.host.Tmpfs, map[string]string{"/t": "size=64m,noexec"})
	equal(t, "network", s.network, "none")
	ports := map[string]string{}
	for port, bindings := range s.host.PortBindings {
		for _, b := range bindings {
			ip := ""
			if b.HostIP.IsValid() {
				ip = b.HostIP.String() + ":"
			}
			ports[port.String()] += ip + b.HostPort
		}
	}
	equal(t, "ports", ports, map[string]string{"80/tcp": "8080", "53/udp": "127.0.0.1:5353", "90/tcp": ""})
}

func TestOperatorsOptions(t *testing.T) {
	s := newSettings(volumePolicy{all: true})
	if err := s.parse("--privileged --cap-add NET_ADMIN --device /dev/kvm --security-opt no-new-privileges -v /var/run/docker.sock:/var/run/docker.sock --runtime runsc", operator); err != nil {
		t.Fatal(err)
	}
	equal(t, "privileged", s.host.Privileged, true)
	equal(t, "runtime", s.host.Runtime, "runsc")
	equal(t, "mounts", s.host.Mounts[0].Source, "/var/run/docker.sock")
	for _, o := range []string{"--env-file /x", "--security-opt seccomp=/etc/profile.json", "-v otelrunner-helper-1:/x"} {
		if err := newSettings(volumePolicy{all: true}).parse(o, operator); err == nil {
			t.Errorf("%s is accepted", o)
		}
	}
}

func TestServicesOptions(t *testing.T) {
	s := newSettings(testPolicy)
	if err := s.parse("--entrypoint /bin/x --read-only", services); err != nil {
		t.Fatal(err)
	}
	if err := s.parse("--privileged", services); err == nil {
		t.Error("a service may be privileged")
	}
}

// TestSocketOnlyByItsName: no pattern with a wildcard gives the socket away.
func TestSocketOnlyByItsName(t *testing.T) {
	for _, c := range []struct {
		valid, volume string
		ok            bool
	}{
		{"**", "/var/run/docker.sock:/s", false},
		{"/var/run/*", "/var/run/docker.sock:/s", false},
		{"**", "/var:/v", false},
		{"**", "/:/v", false},
		{"**", "/home/x:/v", true},
		{"/var/run/docker.sock", "/var/run/docker.sock:/s", true},
		{"/var/run/docker.sock", "/var/run/docker.sock:/s:ro", true},
		{"/var/run/docker.sock", "/run/docker.sock:/s", false},
		{"/var/run/docker.sock", "/var/run:/s", false},
		{"/", "/:/host", true}, // the operator says it in as many words
	} {
		p := volumePolicy{valid: []string{c.valid}, sockets: []string{"/var/run/docker.sock"}}
		if _, err := p.volume(c.volume); (err == nil) != c.ok {
			t.Errorf("valid_volumes %q, volume %q: %v", c.valid, c.volume, err)
		}
	}
}

// TestLinkOutOfAValidVolume: an earlier job has put a link below a valid path.
func TestLinkOutOfAValidVolume(t *testing.T) {
	p := testPolicy
	p.resolve = func(path string) (string, error) {
		switch path {
		case "/data/link":
			return "/etc", nil
		case "/data/gone":
			return "", os.ErrNotExist
		}
		return path, nil
	}
	for volume, ok := range map[string]bool{"/data/link:/x": false, "/data/gone:/x": false, "/data/fine:/x": true} {
		if _, err := p.volume(volume); (err == nil) != ok {
			t.Errorf("%s: %v", volume, err)
		}
	}
}

func TestLower(t *testing.T) {
	n := func(i int64) *int64 { return &i }
	most := container.Resources{NanoCPUs: 2e9, Memory: 1 << 30, PidsLimit: n(100), CpusetCpus: "0-1", Ulimits: []*container.Ulimit{{Name: "nofile", Soft: 1024, Hard: 2048}}}
	for _, c := range []struct {
		name  string
		wish  container.Resources
		want  container.Resources
		lines int
	}{
		{name: "nothing wished", want: most},
		{
			name: "less",
			wish: container.Resources{NanoCPUs: 1e9, Memory: 1 << 20, PidsLimit: n(5), CpusetCpus: "0-1", Ulimits: []*container.Ulimit{{Name: "nofile", Soft: 1, Hard: 2}}},
			want: container.Resources{NanoCPUs: 1e9, Memory: 1 << 20, PidsLimit: n(5), CpusetCpus: "0-1", Ulimits: []*container.Ulimit{{Name: "nofile", Soft: 1, Hard: 2}}},
		},
		{
			name:  "more",
			wish:  container.Resources{NanoCPUs: 64e9, Memory: 1 << 40, MemorySwap: -1, PidsLimit: n(1 << 20), CpusetCpus: "0-63", Ulimits: []*container.Ulimit{{Name: "nofile", Soft: -1, Hard: -1}}},
			want:  container.Resources{NanoCPUs: 2e9, Memory: 1 << 30, MemorySwap: 2 << 30, PidsLimit: n(100), CpusetCpus: "0-1", Ulimits: []*container.Ulimit{{Name: "nofile", Soft: 2048, Hard: 2048}}},
			lines: 6,
		},
		{
			name:  "by quota",
			wish:  container.Resources{CPUQuota: 1_000_000_000, CPUPeriod: 1000, MemoryReservation: 1 << 40},
			want:  container.Resources{NanoCPUs: 2e9, Memory: 1 << 30, MemoryReservation: 1 << 30, PidsLimit: n(100), CpusetCpus: "0-1", Ulimits: most.Ulimits},
			lines: 1,
		},
	} {
		lines := lower(&c.wish, most)
		if d := cmp.Diff(c.want, c.wish, cmp.AllowUnexported(units.Ulimit{})); d != "" {
			t.Errorf("%s: %s", c.name, d)
		}
		equal(t, c.name+": lines", len(lines), c.lines)
	}
	free := container.Resources{CPUQuota: 50_000}
	if lower(&free, container.Resources{}); free.NanoCPUs != 5e8 || free.Memory != 0 {
		t.Errorf("without an operator's limits: %+v", free)
	}
}

func FuzzOptions(f *testing.F) {
	f.Add("--cpus 1 -e A=b -v cache-1:/x")
	f.Add("-p [::1]:1-2:3-4/udp --tmpfs /t:size=1g")
	f.Fuzz(func(t *testing.T, options string) {
		s := newSettings(testPolicy)
		if s.parse(options, anywhere) != nil {
			return
		}
		h := s.host
		if h.Privileged || len(h.CapAdd)+len(h.Devices)+len(h.SecurityOpt)+len(h.Binds)+len(h.VolumesFrom) > 0 || h.Runtime != "" ||
			h.PidMode != "" || h.IpcMode != "" || h.UsernsMode != "" || h.NetworkMode != "" || h.CgroupParent != "" {
			t.Errorf("%q opens the sandbox: %+v", options, h)
		}
	})
}

func equal[T any](t *testing.T, what string, got, want T) {
	t.Helper()
	if d := cmp.Diff(want, got); d != "" {
		t.Errorf("%s: (-want +got)\n%s", what, d)
	}
}
