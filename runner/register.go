package runner

import (
	"context"
	"runtime"
	"time"

	"otelrunner/runner/gitea"
	"otelrunner/runner/label"
)

// Registration is what Register is asked for. All fields but Ephemeral and HTTP
// are required.
type Registration struct {
	Instance  string // the server's address
	Token     string // of the instance, organisation or repository
	Name      string
	Labels    label.List
	Ephemeral bool // the server forgets the runner after one task
	Version   string
	HTTP      gitea.HTTPOptions
}

// registerTimeout bounds each of Register's two calls.
const registerTimeout = 30 * time.Second

// Register makes a runner known to its server and returns the credentials, for
// the caller to save. Its error is one line that says what is wrong and what to
// do: unreachable, not a Gitea, a bad token, TLS.
func Register(ctx context.Context, r Registration) (*gitea.Registration, error) {
	httpClient, err := gitea.NewHTTPClient(r.HTTP)
	if err != nil {
		return nil, err
	}
	client, err := gitea.New(gitea.Options{Instance: r.Instance, Version: r.Version, HTTPClient: httpClient})
	if err != nil {
		return nil, err
	}
	defer client.CloseIdleConnections()

	pinging, cancel := context.WithTimeout(ctx, registerTimeout)
	defer cancel()
	if err := client.Ping(pinging); err != nil {
		return nil, &explained{"ping: " + gitea.Explain(err), err}
	}
	registering, cancel := context.WithTimeout(ctx, registerTimeout)
	defer cancel()
	reg, err := client.Register(registering, gitea.NewRunner{
		Token: r.Token, Name: r.Name, Version: r.Version, Labels: r.Labels.Names(), Ephemeral: r.Ephemeral,
	})
	if err != nil {
		return nil, &explained{"register: " + gitea.Explain(err), err}
	}
	reg.Labels = r.Labels.Strings()
	return reg, nil
}

// DefaultLabels are the labels of a runner whose operator names none: the
// operating system, on the host.
func DefaultLabels() []string {
	name := runtime.GOOS
	if name == "darwin" {
		name = "macos"
	}
	return []string{name + ":host"}
}
