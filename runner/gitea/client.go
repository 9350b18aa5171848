// Package gitea is the runner's edge towards a Gitea server: the Connect
// clients, the registration file and the conversion of the wire's types. No
// other package but report sees those types.
package gitea

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"

	"otelrunner/runner/task"

	pingv1 "code.gitea.io/actions-proto-go/ping/v1"
	"code.gitea.io/actions-proto-go/ping/v1/pingv1connect"
	runnerv1 "code.gitea.io/actions-proto-go/runner/v1"
	"code.gitea.io/actions-proto-go/runner/v1/runnerv1connect"
	"connectrpc.com/connect"
)

// Bounds of one message, in bytes, uncompressed.
const (
	compressAbove = 1 << 10  // a smaller request costs more CPU than it saves
	maxAnswer     = 32 << 20 // the largest answer is a task with its event and secrets
)

// The headers that name the runner on every call but Ping and Register.
const (
	headerUUID  = "x-runner-uuid"
	headerToken = "x-runner-token"
)

// Options are what a Client is built from.
type Options struct {
	// Instance is the server's address as its users know it, e.g.
	// "https://gitea.example.org/git/". Required.
	Instance string
	// UUID and Token are the registration's; empty for Ping and Register.
	UUID, Token string
	// Version is this program's, sent in User-Agent.
	Version string
	// HTTPClient carries the calls, so that several Clients may share its
	// connections; nil is NewHTTPClient's with no options. Its Transport is
	// used, its Timeout kept, its redirects are refused.
	HTTPClient *http.Client
	// NoCancelling withholds the capability `cancelling`: a cancelled task is
	// then final at once for the server.
	NoCancelling bool
}

// Client calls one server in the name of one runner. It is safe for concurrent
// use. Every call ends with its context at the latest; the Client has no
// time-outs of its own but those of connecting (NewHTTPClient).
//
// Every error that a call returns is an *Error.
type Client struct {
	instance     string
	capabilities []string
	ping         pingv1connect.PingServiceClient
	runner       runnerv1connect.RunnerServiceClient
	http         *http.Client
}

// New builds a Client. It does no I/O; an unusable Instance is an error.
func New(o Options) (*Client, error) {
	instance, err := ParseInstance(o.Instance)
	if err != nil {
		return nil, err
	}
	base := o.HTTPClient
	if base == nil {
		if base, err = NewHTTPClient(HTTPOptions{}); err != nil {
			return nil, err
		}
	}
	c := &Client{instance: instance.Redacted(), http: guarded(base)}
	if !o.NoCancelling {
		c.capabilities = []string{capabilityCancelling}
	}
	options := []connect.ClientOption{
		connect.WithReadMaxBytes(maxAnswer),
		fastGzip(),
		connect.WithSendCompression("gzip"),
		connect.WithCompressMinBytes(compressAbove),
		connect.WithInterceptors(identify(o)),
	}
	api := instance.JoinPath("api", "actions").String()
	c.ping = pingv1connect.NewPingServiceClient(c.http, api, options...)
	c.runner = runnerv1connect.NewRunnerServiceClient(c.http, api, options...)
	return c, nil
}

// ParseInstance reads a server's address as an operator types it: http or https,
// any path below which the server lives, with or without a slash at its end. What
// it returns ends without one and has no query or fragment.
func ParseInstance(text string) (*url.URL, error) {
	bad := func(why string) (*url.URL, error) {
		return nil, fmt.Errorf("instance %q: %s; write the address of the server's start page, like https://gitea.example.org", redactText(text), why)
	}
	u, err := url.Parse(strings.TrimSpace(text))
	var urlErr *url.Error
	switch {
	case errors.As(err, &urlErr):
		return bad(urlErr.Err.Error())
	case err != nil:
		return bad(err.Error())
	case u.Scheme == "" && u.Host == "" && u.Path == "":
		return bad("it is empty")
	case u.Scheme != "http" && u.Scheme != "https":
		return bad("it does not begin with http:// or https://")
	case u.Hostname() == "":
		return bad("it names no host")
	}
	// The address of the API itself is an understandable thing to paste.
	u.Path = strings.TrimRight(strings.TrimSuffix(strings.TrimRight(u.Path, "/"), "/api/actions"), "/")
	u.RawPath, u.RawQuery, u.Fragment, u.RawFragment, u.ForceQuery = "", "", "", "", false
	return u, nil
}

// redactText hides a password in an address that may not even parse.
func redactText(text string) string {
	at := strings.LastIndexByte(text, '@')
	scheme := strings.Index(text, "://")
	if at < 0 || scheme < 0 || at < scheme {
		return text
	}
	return text[:scheme+3] + "…" + text[at:]
}

// Instance is the server's address without a slash at its end, without a password.
func (c *Client) Instance() string { return c.instance }

// CloseIdleConnections closes the connections that no call uses at the moment.
func (c *Client) CloseIdleConnections() { c.http.CloseIdleConnections() }

// identify puts the runner's credentials on every call that wants them.
func identify(o Options) connect.Interceptor {
	agent := "otelrunner/" + o.Version
	if o.Version == "" {
		agent = "otelrunner"
	}
	return connect.UnaryInterceptorFunc(func(next connect.UnaryFunc) connect.UnaryFunc {
		return func(ctx context.Context, req connect.AnyRequest) (connect.AnyResponse, error) {
			h := req.Header()
			h.Set("User-Agent", agent)
			switch req.Spec().Procedure {
			case pingv1connect.PingServicePingProcedure, runnerv1connect.RunnerServiceRegisterProcedure:
			default:
				h.Set(headerUUID, o.UUID)
				h.Set(headerToken, o.Token)
			}
			return next(ctx, req)
		}
	})
}

// call runs one call and gives its error the form that this package promises.
func call[Q, A any](ctx context.Context, c *Client, op string, req *Q,
	f func(context.Context, *connect.Request[Q]) (*connect.Response[A], error),
) (*connect.Response[A], error) {
	res, err := f(ctx, connect.NewRequest(req))
	if err != nil {
		return nil, newError(ctx, c.instance, op, err)
	}
	return res, nil
}

// Ping asks whether a Gitea with Actions answers. It needs no credentials.
func (c *Client) Ping(ctx context.Context) error {
	_, err := call(ctx, c, opPing, &pingv1.PingRequest{Data: "otelrunner"}, c.ping.Ping)
	return err
}

// NewRunner is what Register tells about the runner.
type NewRunner struct {
	Token     string // the registration token of an instance, organisation or repository
	Name      string
	Version   string
	Labels    []string // names only
	Ephemeral bool     // the server deletes the runner with the end of its first task
}

// Register makes a runner known to the server. The answer holds the runner's own
// credentials; its Address is the Client's instance and its Labels are those of
// the server (names only): the caller puts the full texts.
func (c *Client) Register(ctx context.Context, n NewRunner) (*Registration, error) {
	req := &runnerv1.RegisterRequest{
		Name: n.Name, Token: n.Token, Version: n.Version, Labels: n.Labels, Ephemeral: n.Ephemeral,
	}
	setCapabilities(req, registerCapabilities, c.capabilities)
	res, err := call(ctx, c, opRegister, req, c.runner.Register)
	if err != nil {
		return nil, err
	}
	r := res.Msg.GetRunner()
	if r.GetUuid() == "" || r.GetToken() == "" {
		return nil, newError(ctx, c.instance, opRegister, errors.New("the server answered without the runner's uuid and token"))
	}
	return &Registration{
		ID: r.GetId(), UUID: r.GetUuid(), Name: r.GetName(), Token: r.GetToken(),
		Address: c.instance, Labels: r.GetLabels(), Ephemeral: r.GetEphemeral(),
	}, nil
}

// Declare tells the server this program's version and labels (names only),
// overwriting what it held, and returns what the server can do. It is called at
// every start: a server forgets the capability `cancelling` otherwise.
func (c *Client) Declare(ctx context.Context, version string, labels []string) (Capabilities, error) {
	req := &runnerv1.DeclareRequest{Version: version, Labels: labels}
	setCapabilities(req, declareCapabilities, c.capabilities)
	res, err := call(ctx, c, opDeclare, req, c.runner.Declare)
	if err != nil {
		return nil, err
	}
	return parseCapabilities(res.Header().Values(headerCapabilities)), nil
}

// FetchTask asks for a task, telling the version of the server's task list that
// was seen last (0: look in any case). The server answers at once. The task is nil
// if there is none; the version is the server's at the time of the answer.
//
// From the moment in which the server has assigned a task it is this runner's:
// a call given up before its answer came loses the task (until the server's
// zombie sweep), so the context should outlive a slow server.
func (c *Client) FetchTask(ctx context.Context, tasksVersion int64) (*task.Task, int64, error) {
	res, err := call(ctx, c, opFetchTask, &runnerv1.FetchTaskRequest{TasksVersion: tasksVersion}, c.runner.FetchTask)
	if err != nil {
		return nil, 0, err
	}
	return TaskFromWire(res.Msg.GetTask()), res.Msg.GetTasksVersion(), nil
}

// UpdateLog sends rows of a task's log; the answer's AckIndex is the next index
// that the server wants.
func (c *Client) UpdateLog(ctx context.Context, req *runnerv1.UpdateLogRequest) (*runnerv1.UpdateLogResponse, error) {
	res, err := call(ctx, c, opUpdateLog, req, c.runner.UpdateLog)
	if err != nil {
		return nil, err
	}
	return res.Msg, nil
}

// UpdateTask sends a task's state, or a heartbeat if the state's result is
// unspecified. Any other result in the answer of a heartbeat means that the
// server has ended the task.
func (c *Client) UpdateTask(ctx context.Context, req *runnerv1.UpdateTaskRequest) (*runnerv1.UpdateTaskResponse, error) {
	res, err := call(ctx, c, opUpdateTask, req, c.runner.UpdateTask)
	if err != nil {
		return nil, err
	}
	return res.Msg, nil
}
