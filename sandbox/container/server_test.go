package container_test

import (
	"context"
	"fmt"
	"os"
	"testing"

	"github.com/moby/moby/client"

	"otelrunner/sandbox"
	"otelrunner/sandbox/container"
)

// server answers HTTP, and asks itself whether it does when it gets an argument.
const server = `package main

import (
	"io"
	"net/http"
	"os"
	"time"
)

func main() {
	if len(os.Args) > 1 {
		res, err := http.Get("http://127.0.0.1:8080/")
		if err != nil || res.StatusCode != http.StatusOK {
			os.Exit(1)
		}
		return
	}
	time.Sleep(time.Second)
	panic(http.ListenAndServe(":8080", http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { io.WriteString(w, "from scratch") })))
}
`

// TestServiceOfOneProgram: a service whose image has one program and a health check of
// its own is found by its name, and healthy when the first step begins.
func TestServiceOfOneProgram(t *testing.T) {
	l := engine(t)
	name := fmt.Sprintf("otelrunner-test-server-%d:1", os.Getpid())
	err := l.importFiles(t.Context(), name, map[string]string{"server": goProgram(t, server)},
		`ENTRYPOINT ["/server"]`, `HEALTHCHECK --interval=100ms --retries=100 CMD ["/server", "healthy"]`)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_, _ = l.engine.ImageRemove(context.Background(), name, client.ImageRemoveOptions{Force: true})
	})
	spec := newSpec()
	var log lines
	spec.Log = log.log
	spec.Services = []sandbox.Service{{Name: "web", Container: sandbox.Container{Image: name}}}
	s := open(t, l.provider(t, container.Options{}), spec)
	contains(t, "log", log.String(), "Service web is healthy after")
	same(t, "its answer", sh(t, s, "wget -q -O - http://web:8080/"), "from scratch")
}
