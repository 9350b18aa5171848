// Command demo shows a job's whole journey on this machine: a Gitea server in
// this process that speaks the real protocol over loopback, and the real runner,
// which registers, takes a job, runs it in the WASM sandbox, reports it and
// measures all that. It needs no container engine and no privileges.
package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"otelrunner/runner"
	"otelrunner/runner/config"
	"otelrunner/runner/gitea"
	"otelrunner/runner/gitea/giteatest"
	"otelrunner/runner/label"
	"otelrunner/runner/task"
	"otelrunner/sandbox/wasm"
	"otelrunner/sandbox/wasm/toolbox"
	"otelrunner/sandbox/wasm/worker"
)

const workflow = `name: Demo
on: push
jobs:
  greet:
    runs-on: demo
    outputs:
      answer: ${{ steps.think.outputs.answer }}
    steps:
      - name: Look around
        run: |
          echo "$GITHUB_REPOSITORY at $GITHUB_REF_NAME, on $RUNNER_OS $RUNNER_ARCH"
          echo "the password is $PASSWORD"
          seq 3 | sed 's/^/line /' | sort -r
        env: {PASSWORD: "${{ secrets.PASSWORD }}"}
      - name: Look further
        run: |
          echo "the whole machine: $(ls / | xargs)"
          cat /etc/passwd || echo "and no more than that"
      - name: Run away
        continue-on-error: true
        env: {SANDBOX_LIMIT_CPU: 300ms}
        run: while true; do true; done
      - name: Think
        id: think
        run: |
          echo "::group::thinking"
          for i in 1 2 3; do echo "$i…"; sleep 0.1; done
          echo "::endgroup::"
          echo "answer=$(( 6 * 7 ))" >> "$GITHUB_OUTPUT"
      - name: Only after a failure
        if: failure()
        run: echo "never seen"
      - name: Answer
        if: steps.think.outputs.answer == 42
        run: echo "the answer is ${{ steps.think.outputs.answer }}"
`

func main() {
	if len(os.Args) > 1 && os.Args[1] == worker.Argument {
		os.Exit(wasm.WorkerMain()) // a process of the WASM sandbox is this program again
	}
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Minute) // the shell is compiled the first time
	defer cancel()
	if err := demo(ctx, os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, "demo:", err)
		cancel()
		os.Exit(1) //nolint:gocritic // cancel has been called
	}
}

// shared lets the runner's log and the demo write to one place.
type shared struct {
	mu  sync.Mutex
	out io.Writer
}

func (s *shared) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.out.Write(p)
}

func demo(ctx context.Context, out io.Writer) (err error) {
	out = &shared{out: out}
	if !toolbox.There() {
		return errors.New("this program was built without the shell of the WASM sandbox: `make demo` builds it first")
	}
	dir, err := os.MkdirTemp("", "runner-demo-")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	server := giteatest.New(giteatest.Options{})
	defer server.Close()
	url, err := server.Start()
	if err != nil {
		return err
	}
	title(out, "A Gitea server is at %s; the runner registers", url)
	cfg, err := register(ctx, dir, url)
	if err != nil {
		return err
	}
	r := serve(ctx, cfg, out)
	defer func() { _ = r.stop() }() // where the demo ends early; its own error is the one to tell
	address, err := r.ready(ctx)
	if err != nil {
		return err
	}
	title(out, "The server gets a workflow; the runner takes its job")
	id := server.AddWorkflow(workflow, giteatest.TaskOptions{Secrets: map[string]string{"PASSWORD": "correct-horse"}})
	done, err := server.WaitResult(ctx, id)
	if err != nil {
		return err
	}
	title(out, "The job's log, as the server got it")
	fmt.Fprint(out, indent(server.Log(id)))
	title(out, "Its result, as the server got it")
	fmt.Fprintf(out, "  result %s in %s, outputs %v\n", done.Result, done.Stopped.Sub(done.Started).Round(time.Millisecond), done.Outputs)
	for i, s := range done.Steps {
		fmt.Fprintf(out, "  step %d: %-8s %4d rows of the log\n", i, s.Result, s.LogLength)
	}
	fmt.Fprintf(out, "  %d requests: %s\n", server.Stats("").Calls, calls(server))
	title(out, "What the runner measured: http://%s/metrics", address)
	if err := metrics(ctx, out, "http://"+address.String()+"/metrics"); err != nil {
		return err
	}
	if err := r.stop(); err != nil {
		return err
	}
	return check(done, server.Log(id))
}

func title(out io.Writer, format string, args ...any) {
	fmt.Fprintf(out, "\n── "+format+"\n", args...)
}

// register makes the runner known to the server and returns its configuration.
func register(ctx context.Context, dir, url string) (*config.Config, error) {
	cfg := config.Default()
	cfg.Runner.File = filepath.Join(dir, ".runner")
	cfg.Runner.ActionsDir = filepath.Join(dir, "actions")
	cfg.Runner.FetchInterval = 200 * time.Millisecond
	cfg.Host.WorkdirParent = filepath.Join(dir, "work")
	cfg.Metrics.Enabled, cfg.Metrics.Addr = true, "127.0.0.1:0"
	labels, err := label.ParseList([]string{"demo:wasm"})
	if err != nil {
		return nil, err
	}
	reg, err := runner.Register(ctx, runner.Registration{
		Instance: url, Token: giteatest.DefaultToken, Name: "demo-runner", Labels: labels, Version: "demo", HTTP: gitea.HTTPOptions{},
	})
	if err != nil {
		return nil, err
	}
	return &cfg, reg.Save(cfg.Runner.File)
}

// served is a runner at work.
type served struct {
	address chan net.Addr
	ended   chan struct{}
	cancel  context.CancelFunc
	err     error
}

func serve(ctx context.Context, cfg *config.Config, out io.Writer) *served {
	ctx, cancel := context.WithCancel(ctx)
	r := &served{address: make(chan net.Addr, 1), ended: make(chan struct{}), cancel: cancel}
	go func() {
		defer close(r.ended)
		r.err = runner.Serve(ctx, runner.ServeOptions{
			Config: cfg, Version: "demo", Environ: os.Environ(), Log: slog.NewTextHandler(indented{out}, nil),
			Ready: func(metrics net.Addr) { r.address <- metrics },
		})
	}()
	return r
}

// ready waits for the runner's first word with the server.
func (r *served) ready(ctx context.Context) (net.Addr, error) {
	select {
	case address := <-r.address:
		return address, nil
	case <-r.ended:
		return nil, fmt.Errorf("serve: %w", r.err)
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	}
}

// stop stops the runner and returns how it ended.
func (r *served) stop() error {
	r.cancel()
	<-r.ended
	return r.err
}

type indented struct{ w io.Writer }

func (i indented) Write(p []byte) (int, error) {
	_, err := io.WriteString(i.w, indent(string(p)))
	return len(p), err
}

func indent(text string) string {
	var b strings.Builder
	for line := range strings.Lines(text) {
		b.WriteString("  " + line)
	}
	return b.String()
}

func calls(s *giteatest.Server) string {
	var parts []string
	for _, m := range s.Methods() {
		parts = append(parts, fmt.Sprintf("%s %d", m, s.Stats(m).Calls))
	}
	return strings.Join(parts, ", ")
}

// metrics prints the runner's own families, without the buckets of histograms
// and what has not happened.
func metrics(ctx context.Context, out io.Writer, url string) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return err
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return err
	}
	defer func() { _ = resp.Body.Close() }()
	lines := bufio.NewScanner(resp.Body)
	for lines.Scan() {
		line := lines.Text()
		if strings.HasPrefix(line, "act_runner_") && !strings.Contains(line, "_bucket{") && !strings.HasSuffix(line, " 0") {
			fmt.Fprintln(out, "  "+line)
		}
	}
	return lines.Err()
}

// check makes the demo fail where it did not show what it should.
func check(done giteatest.Task, log string) error {
	switch {
	case done.Result != task.Success:
		return fmt.Errorf("the job's result is %s", done.Result)
	case done.Outputs["answer"] != "42":
		return fmt.Errorf("the job's outputs are %v", done.Outputs)
	case !strings.Contains(log, "the answer is 42"):
		return errors.New("the log is incomplete")
	case strings.Contains(log, "correct-horse"):
		return errors.New("a secret is in the log")
	}
	return nil
}
