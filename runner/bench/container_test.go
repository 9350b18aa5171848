//go:build bench

package bench

import (
	"archive/tar"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"otelrunner/runner/config"
	"otelrunner/sandbox/container/enginetest"

	"github.com/moby/moby/api/types/container"
	"github.com/moby/moby/client"
)

const benchImage = "otelrunner-bench:1"

// containerSteps is what a job and a step cost in a container, with the calls of
// the engine's API, beside what others pay for a step.
func containerSteps(t *testing.T, row printer) {
	engine, err := client.New(client.FromEnv)
	must(t, err)
	defer func() { _ = engine.Close() }()
	if _, err := engine.Ping(t.Context(), client.PingOptions{}); err != nil {
		row("container job | not measured: no container engine here (%v) | | ", err)
		return
	}
	if err := importBusybox(t.Context(), engine, benchImage); err != nil {
		row("container job | not measured: %v | | ", err)
		return
	}
	defer func() {
		_, _ = engine.ImageRemove(context.Background(), benchImage, client.ImageRemoveOptions{Force: true})
	}()
	fork := median(20, func() time.Duration { return timed(t, exec.Command("/bin/busybox", "sh", "-c", "true")) })
	docker := dockerExec(t, engine)
	for _, standby := range []int{0, 1} {
		containerJobs(t, row, standby, fork, docker)
	}
}

// containerJobs measures with a number of containers that are kept ready.
func containerJobs(t *testing.T, row printer, standby int, fork, docker time.Duration) {
	engine := enginetest.New(t)
	d := newDaemonOf(t, "docker://"+benchImage, func(c *config.Config) {
		c.Container.DockerHost, c.Container.Standby, c.Container.Pull = engine.Host(), standby, "never"
	})
	defer d.stop()
	how, target := "cold", 400*time.Millisecond
	if standby > 0 {
		how, target = "a container is ready", 100*time.Millisecond
	}
	measure := func(n int) (took time.Duration, calls int) {
		text := steps(repeat("true", n)...)
		took = median(7, func() time.Duration {
			if standby > 0 { // the next one is made while the last job's is removed
				engine.Quiet(time.Second)
			}
			before := len(engine.Since(0))
			took, _ := d.job(t, strings.Replace(text, "steps:", "defaults: {run: {shell: sh}}\n    steps:", 1))
			engine.Quiet(500 * time.Millisecond)
			calls = len(engine.Since(0)) - before
			return took
		})
		return took, calls
	}
	measure(1) // the first job brings the helper to the engine
	one, oneCalls := measure(1)
	many, manyCalls := measure(21)
	each := (many - one) / 20
	row("container job, 1 step, %s, hand-out to final state | %v, %d API calls with its end | ≤ %v | %.2f", how, round(one), oneCalls, target, ratio(one, target))
	row("each further container step, %s | %v, %.1f API calls | %v (docker exec true), %v (sh -c true) | %.3f, %.1f",
		how, round(each), float64(manyCalls-oneCalls)/20, round(docker), round(fork), ratio(each, docker), ratio(each, fork))
}

func timed(t *testing.T, cmd *exec.Cmd) time.Duration {
	t.Helper()
	start := time.Now()
	must(t, cmd.Run())
	return time.Since(start)
}

// dockerExec is what `docker exec CONTAINER true` takes; 0 where there is no docker
// program.
func dockerExec(t *testing.T, engine *client.Client) time.Duration {
	t.Helper()
	if _, err := exec.LookPath("docker"); err != nil {
		return 0
	}
	made, err := engine.ContainerCreate(t.Context(), client.ContainerCreateOptions{
		Config: &container.Config{Image: benchImage, Cmd: []string{"sleep", "600"}}, HostConfig: &container.HostConfig{NetworkMode: "none"},
	})
	must(t, err)
	defer func() {
		_, _ = engine.ContainerRemove(context.Background(), made.ID, client.ContainerRemoveOptions{Force: true})
	}()
	_, err = engine.ContainerStart(t.Context(), made.ID, client.ContainerStartOptions{})
	must(t, err)
	return median(9, func() time.Duration { return timed(t, exec.Command("docker", "exec", made.ID, "true")) })
}

// importBusybox makes an image of Debian's static busybox.
func importBusybox(ctx context.Context, engine *client.Client, name string) error {
	program, err := os.ReadFile("/bin/busybox")
	if err != nil {
		return fmt.Errorf("install busybox-static: %w", err)
	}
	var archive bytes.Buffer
	w := tar.NewWriter(&archive)
	for _, h := range []tar.Header{
		{Name: "bin/", Typeflag: tar.TypeDir, Mode: 0o755},
		{Name: "tmp/", Typeflag: tar.TypeDir, Mode: 0o777},
		{Name: "bin/sh", Typeflag: tar.TypeSymlink, Linkname: "busybox", Mode: 0o777},
		{Name: "bin/true", Typeflag: tar.TypeSymlink, Linkname: "busybox", Mode: 0o777},
		{Name: "bin/sleep", Typeflag: tar.TypeSymlink, Linkname: "busybox", Mode: 0o777},
		{Name: "bin/busybox", Typeflag: tar.TypeReg, Mode: 0o755, Size: int64(len(program))},
	} {
		if err := w.WriteHeader(&h); err != nil {
			return err
		}
	}
	if _, err := w.Write(program); err != nil {
		return err
	}
	if err := w.Close(); err != nil {
		return err
	}
	answer, err := engine.ImageImport(ctx, client.ImageImportSource{Source: &archive, SourceName: "-"}, name, client.ImageImportOptions{Changes: []string{"ENV PATH=/bin"}})
	if err != nil {
		return err
	}
	_, err = io.Copy(io.Discard, answer)
	return errors.Join(err, answer.Close())
}
