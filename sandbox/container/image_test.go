package container

import (
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/moby/moby/api/types/jsonstream"
	"go.opentelemetry.io/otel/attribute"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"
)

func TestPullProgress(t *testing.T) { synctest.Test(t, testPullProgress) }

func testPullProgress(t *testing.T) {
	var mu sync.Mutex
	var lines []string
	p := newPullProgress("img:1", func(line string) {
		mu.Lock()
		defer mu.Unlock()
		lines = append(lines, line)
	})
	said := func() []string {
		mu.Lock()
		defer mu.Unlock()
		return slices.Clone(lines)
	}
	at := func(after time.Duration, m jsonstream.Message) {
		time.Sleep(after)
		p.message(m)
		synctest.Wait()
	}
	at(0, jsonstream.Message{ID: "1", Status: "Pulling from library/img"})
	at(4*time.Second, jsonstream.Message{Status: "nothing of a layer"})
	equal(t, "within the first seconds", said(), nil)
	at(2*time.Second, jsonstream.Message{ID: "a", Status: "Already exists"})
	at(time.Second, jsonstream.Message{ID: "b", Status: "Downloading", Progress: &jsonstream.Progress{Current: 2_000_000, Total: 4_000_000}})
	at(time.Second, jsonstream.Message{ID: "b", Status: "Downloading", Progress: &jsonstream.Progress{Current: 3_000_000, Total: 4_000_000}})
	at(15*time.Second, jsonstream.Message{ID: "b", Status: "Pull complete"})
	at(time.Second, jsonstream.Message{Status: "Digest: sha256:…"})
	at(2*time.Second, jsonstream.Message{ID: "b", Status: "Pull complete"})
	equal(t, "lines", said(), []string{
		"Pulling image img:1: waiting for the registry for 1s",
		"Pulling image img:1: 1 of 2 layers, 3MB of 4MB",
		"Pulling image img:1: 1 of 2 layers, 3MB of 4MB; nothing new for 7s",
		"Pulling image img:1: 1 of 2 layers, 3MB of 4MB; nothing new for 12s",
		"Pulling image img:1: 2 of 2 layers, 4MB of 4MB",
	})

	rec := tracetest.NewSpanRecorder()
	ctx, span := sdktrace.NewTracerProvider(sdktrace.WithSpanProcessor(rec)).Tracer("").Start(t.Context(), "pull image")
	p.end(ctx)
	span.End()
	ended := rec.Ended()
	if len(ended) != 2 { // the one that was there took no time
		t.Fatalf("%d spans, want one of the layer that was pulled, and the pull's", len(ended))
	}
	layer := ended[0]
	if layer.Name() != "layer b" || layer.Parent().SpanID() != span.SpanContext().SpanID() || layer.EndTime().Sub(layer.StartTime()) != 16*time.Second ||
		len(layer.Attributes()) != 1 || layer.Attributes()[0] != attribute.Int64("otelrunner.layer.bytes", 4_000_000) {
		t.Errorf("%s took %v, with %v", layer.Name(), layer.EndTime().Sub(layer.StartTime()), layer.Attributes())
	}
}

func TestRegistryKey(t *testing.T) {
	for address, want := range map[string]string{
		"https://index.docker.io/v1/": "docker.io", "docker.io": "docker.io", "registry.example:5000": "registry.example:5000",
		"http://registry.example/v2/": "registry.example",
	} {
		equal(t, address, registryKey(address), want)
	}
}

func TestWorkspaceOf(t *testing.T) {
	for repository, want := range map[string]string{
		"octo/hello": "/workspace/octo/hello", "": "/workspace/repository/workspace", "../etc": "/workspace/repository/workspace",
		"_temp/x": "/workspace/repository/workspace", "a/b/c": "/workspace/repository/workspace", "a/..": "/workspace/repository/workspace",
	} {
		got := workspaceOf(repository)
		equal(t, repository, got, want)
	}
}

// TestOperatorStays: what the operator has decided, a workflow cannot undo.
func TestOperatorStays(t *testing.T) {
	parse := func(options string, as scope) *settings {
		s := newSettings(volumePolicy{all: true})
		if err := s.parse(options, as); err != nil {
			t.Fatal(err)
		}
		return s
	}
	base := parse("--user 1000 --network none --cap-drop ALL --label a=b --read-only -v here:/data --shm-size 1m", operator)
	lines, err := base.merge(parse("--label a=c --label d=e --cap-drop CHOWN --shm-size 1g", anywhere))
	if err != nil {
		t.Fatal(err)
	}
	equal(t, "lines", len(lines), 1)
	equal(t, "labels", base.config.Labels, map[string]string{"a": "b", "d": "e"})
	equal(t, "dropped", base.host.CapDrop, []string{"ALL", "CHOWN"})
	equal(t, "read-only", base.host.ReadonlyRootfs, true)
	equal(t, "network", base.network, "none")
	equal(t, "shm", base.host.ShmSize, int64(1<<20))
	for _, options := range []string{"--user root", "-v there:/data", "--tmpfs /data"} {
		if _, err := parse("--user 1000 -v here:/data", operator).merge(parse(options, anywhere)); err == nil {
			t.Errorf("%s is accepted", options)
		}
	}
}
