package runner

import (
	"archive/tar"
	"cmp"
	"context"
	"errors"
	"io"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/moby/moby/client"
	"golang.org/x/sync/semaphore"

	"otelrunner/runner/config"
	"otelrunner/runner/job/jobtest"
	"otelrunner/runner/label"
)

// mustHaveDocker in the environment makes a missing engine a failure.
const mustHaveDocker = "OTELRUNNER_TEST_DOCKER"

// suiteImage is made of this machine's own programs. sleepImage is the same and
// sleeps: a service.
const (
	suiteImage = "otelrunner-test-suite:1"
	sleepImage = "otelrunner-test-sleep:1"
)

// dockerFolder holds the cases that need a container, and hostDockerFolder those of
// Docker actions in host jobs.
const (
	dockerFolder     = "testdata/docker"
	hostDockerFolder = "testdata/hostdocker"
)

// sampled is which part of the cases runs where CI does not ask for all: a
// container for each takes minutes.
const sampled = 8

// suitePrograms are what the cases call. Those that this machine lacks are left
// out, and the cases that need them are skipped.
var suitePrograms = strings.Fields(`bash sh node git
	basename cat chmod cp cut date dirname echo env expr false grep head hostname id install ln ls md5sum mkdir mktemp mv
	nohup printf ps pwd readlink realpath rm rmdir sed seq setsid sha256sum sleep sort stat tail tee test touch tr true
	uname uniq wc xargs xxd find awk base64 kill tar gzip jq`)

// TestSuiteDocker runs every case in a container, by Exec: the labels that are the
// host's elsewhere name an image here. All run where mustHaveDocker is set.
func TestSuiteDocker(t *testing.T) {
	t.Parallel()
	there := makeSuiteImage(t)
	work := filepath.Join(t.TempDir(), "work")
	few := semaphore.NewWeighted(3) // jobs at a time, whatever -parallel says
	run := func(t *testing.T, c *jobtest.Case, labels label.List) {
		t.Parallel()
		if why := notInContainer(c, there); why != "" {
			t.Log("not in a container: " + why)
			return
		}
		if err := few.Acquire(t.Context(), 1); err != nil {
			t.Fatal(err)
		}
		defer few.Release(1)
		c.Serve(t)
		r := newRecorders(c)
		o := execOptions(t, c, dockerConfig(t, work), r, nil)
		if labels != nil {
			o.Labels = labels
		}
		result, err := Exec(t.Context(), o)
		checkWorkflow(t, c, result, err, r.outcomes(t))
	}
	t.Run("cases", func(t *testing.T) {
		for _, c := range dockerCases(t) {
			t.Run(c.Name, func(t *testing.T) { run(t, &c, suiteLabels(t)) })
		}
		for _, c := range hostDockerCases(t) {
			t.Run("host/"+c.Name, func(t *testing.T) { run(t, &c, nil) })
		}
	})
	t.Run("rpc", func(t *testing.T) {
		rig := newRig(t, func(r *suiteRig) {
			c := dockerConfig(t, r.cfg.Host.WorkdirParent)
			r.cfg.Container = c.Container
		}, "host:host")
		for _, c := range hostDockerCases(t) {
			t.Run(c.Name, func(t *testing.T) {
				if c.Only == "exec" || notInContainer(&c, there) != "" {
					return
				}
				c.Serve(t)
				got := rig.single(t, &c)
				checkWorkflow(t, &c, got.Result, nil, map[string]jobtest.Outcome{"": got})
			})
		}
	})
}

// dockerConfig is suiteConfig with the engine of this machine.
func dockerConfig(t *testing.T, work string) *config.Config {
	t.Helper()
	cfg := suiteConfig(t, work)
	cfg.Container.DockerHost, cfg.Container.DockerTimeout, cfg.Container.Pull = "", 10*time.Second, "never"
	return cfg
}

// hostDockerCases are those of Docker actions in host jobs.
func hostDockerCases(t *testing.T) []jobtest.Case {
	t.Helper()
	cases, err := jobtest.Load(os.DirFS(hostDockerFolder))
	if err != nil {
		t.Fatal(err)
	}
	return cases
}

// dockerCases are those that need a container, and the others or a sample of them.
func dockerCases(t *testing.T) []jobtest.Case {
	t.Helper()
	all, err := jobtest.Load(os.DirFS(dockerFolder))
	if err != nil {
		t.Fatal(err)
	}
	for i, c := range suiteCases(t) {
		if i%sampled == 0 || os.Getenv(mustHaveDocker) != "" {
			all = append(all, c)
		}
	}
	return all
}

// notInContainer says why a case cannot run in a container.
func notInContainer(c *jobtest.Case, there map[string]bool) string {
	if c.Only == "rpc" {
		return "is about what only a server sends"
	}
	if c.OS != "" && c.OS != "linux" {
		return "runs on " + c.OS + " only"
	}
	for _, program := range c.Needs {
		if !there[program] {
			return "needs " + program
		}
	}
	return hostOnly[c.Name]
}

func suiteLabels(t *testing.T) label.List {
	t.Helper()
	labels, err := label.ParseList([]string{"host:docker://" + suiteImage, "second:docker://" + suiteImage, "box:docker://box:1", "linux:docker://" + suiteImage})
	if err != nil {
		t.Fatal(err)
	}
	return labels
}

// makeSuiteImage imports the image, for this test, and says which programs are in
// it.
func makeSuiteImage(t *testing.T) map[string]bool {
	t.Helper()
	engine := testEngine(t)
	files, there := suiteFiles(t)
	importSuite(t, engine, suiteImage, files, "ENV PATH=/usr/bin")
	importSuite(t, engine, sleepImage, map[string]string{
		"usr/bin/sleep": files["usr/bin/sleep"], "usr/bin/true": files["usr/bin/true"], "usr/bin/sh": files["usr/bin/sh"],
	}, "ENV PATH=/usr/bin", `CMD ["sleep", "600"]`)
	t.Cleanup(func() { removeActions(t, engine) })
	return there
}

// testEngine is the container engine to test with.
func testEngine(t *testing.T) *client.Client {
	t.Helper()
	engine, err := client.New(client.FromEnv)
	if err == nil {
		_, err = engine.Ping(t.Context(), client.PingOptions{})
	}
	if err != nil {
		if os.Getenv(mustHaveDocker) != "" {
			t.Fatalf("no container engine to test with: %v", err)
		}
		t.Skipf("SKIP: no container engine to test with: %v", err)
	}
	t.Cleanup(func() { _ = engine.Close() })
	return engine
}

func importSuite(t *testing.T, engine *client.Client, name string, files map[string]string, changes ...string) {
	t.Helper()
	for _, from := range maps.Clone(files) {
		addLibraries(t, files, from)
	}
	reader, writer := io.Pipe()
	go func() { _ = writer.CloseWithError(packFiles(writer, files)) }() // it returns nil
	stream, err := engine.ImageImport(t.Context(), client.ImageImportSource{Source: reader, SourceName: "-"}, name, client.ImageImportOptions{Changes: changes})
	if err == nil {
		_, err = io.Copy(io.Discard, stream)
		err = errors.Join(err, stream.Close())
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { removeImage(t, engine, name) })
}

func removeImage(t *testing.T, engine *client.Client, name string) {
	t.Helper()
	_, err := engine.ImageRemove(context.WithoutCancel(t.Context()), name, client.ImageRemoveOptions{Force: true, PruneChildren: true})
	if err != nil {
		t.Log(err) // another test program may use it
	}
}

// removeActions removes what was built from the cases' Dockerfiles.
func removeActions(t *testing.T, engine *client.Client) {
	t.Helper()
	list, err := engine.ImageList(context.WithoutCancel(t.Context()), client.ImageListOptions{Filters: client.Filters{}.Add("label", "otelrunner.action")})
	if err != nil {
		t.Error(err)
	}
	for _, i := range list.Items {
		removeImage(t, engine, i.ID)
	}
}

// suiteFiles finds the programs: paths in the image, and where they are here.
func suiteFiles(t *testing.T) (files map[string]string, there map[string]bool) {
	t.Helper()
	files, there = map[string]string{}, map[string]bool{}
	for _, name := range suitePrograms {
		found, err := exec.LookPath(name)
		if err != nil {
			continue
		}
		if found, err = filepath.EvalSymlinks(found); err != nil {
			t.Fatal(err)
		}
		there[name] = true
		files["usr/bin/"+name] = found
	}
	return files, there
}

// addLibraries adds the libraries of a program.
func addLibraries(t *testing.T, files map[string]string, program string) {
	t.Helper()
	out, err := exec.CommandContext(t.Context(), "ldd", program).Output()
	if err != nil {
		return // a static one, or a script
	}
	for _, word := range strings.Fields(string(out)) {
		if strings.HasPrefix(word, "/") {
			files[strings.TrimPrefix(word, "/")] = word
		}
	}
}

// packFiles writes the image's archive.
func packFiles(to io.Writer, files map[string]string) error {
	w := tar.NewWriter(to)
	add := func(h *tar.Header, from io.Reader) error {
		if err := w.WriteHeader(h); err != nil {
			return err
		}
		_, err := io.Copy(w, from)
		return err
	}
	passwd := "root:x:0:0:root:/root:/bin/sh\n"
	errs := []error{
		add(&tar.Header{Name: "root/", Typeflag: tar.TypeDir, Mode: 0o700}, strings.NewReader("")),
		add(&tar.Header{Name: "tmp/", Typeflag: tar.TypeDir, Mode: 0o1777}, strings.NewReader("")),
		add(&tar.Header{Name: "bin", Typeflag: tar.TypeSymlink, Linkname: "usr/bin"}, strings.NewReader("")),
		add(&tar.Header{Name: "etc/passwd", Mode: 0o644, Size: int64(len(passwd))}, strings.NewReader(passwd)),
	}
	for name, from := range files {
		errs = append(errs, func() error {
			file, err := os.Open(from)
			if err != nil {
				return err
			}
			defer func() { _ = file.Close() }()
			info, err := file.Stat()
			if err != nil {
				return err
			}
			name, _ = strings.CutPrefix(name, "bin/")
			return add(&tar.Header{Name: name, Mode: 0o755, Size: info.Size()}, file)
		}())
	}
	return cmp.Or(errors.Join(errs...), w.Close())
}

// hostOnly are the cases that are about the host sandbox, and why.
var hostOnly = map[string]string{
	"runs-on in every form":                                              "looks for the host's name in the log",
	"actions of kinds that cannot run":                                   "docker actions run in containers",
	"docker actions are refused by a sentence":                           "docker actions run in containers",
	"docker actions without an engine fail by a sentence, when they run": "is about a host without an engine",
	"a container of the job is refused on the host":                      "is about a host without an engine",
	"a job's timeout ends it":                                            "a container takes longer to begin than the job may",
}

// TestHostOnly keeps the list above true.
func TestHostOnly(t *testing.T) {
	t.Parallel()
	namesCases(t, "hostOnly", hostOnly)
}
