package giteatest

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"

	"otelrunner/runner/gitea"

	pingv1 "code.gitea.io/actions-proto-go/ping/v1"
	runnerv1 "code.gitea.io/actions-proto-go/runner/v1"
	"connectrpc.com/connect"
	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/proto"
)

// offlineAfter is how long a silent runner is shown as online.
const offlineAfter = time.Minute

// service are the RPC handlers, kept off the Server's own methods.
type service struct{ *Server }

// runner is what the server holds of one.
type runner struct {
	id         int64
	uuid       string
	token      string
	name       string
	version    string
	labels     []string
	ephemeral  bool
	cancelling bool
	disabled   bool
	deleted    bool
	lastOnline time.Time
	maxSilence time.Duration
	tasks      int // that it ever got
}

// Runner is a snapshot of a runner.
type Runner struct {
	ID                    int64
	UUID, Name, Version   string
	Labels                []string
	Ephemeral, Cancelling bool
	Disabled, Deleted     bool
	LastOnline            time.Time
	MaxSilence            time.Duration // the longest time between two of its calls, and until now
	Online                bool          // it called within the last minute
	Tasks                 int           // that it ever got
}

// RunnerOptions describe a runner that is there from the start.
type RunnerOptions struct {
	Name         string
	Labels       []string // names only
	Ephemeral    bool
	NoCancelling bool // does not have the capability `cancelling`
}

// AddRunner registers a runner without a call and returns its credentials.
func (s *Server) AddRunner(o RunnerOptions) (uuid, token string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	r := s.addRunner(o.Name, o.Labels, o.Ephemeral, !o.NoCancelling)
	return r.uuid, r.token
}

// NewClient returns a client of a new runner, connected through memory.
func (s *Server) NewClient(o RunnerOptions) (*gitea.Client, error) {
	uuid, token := s.AddRunner(o)
	return gitea.New(gitea.Options{
		Instance: s.URL(), UUID: uuid, Token: token, Version: "test", HTTPClient: s.client, NoCancelling: o.NoCancelling,
	})
}

func (s *Server) addRunner(name string, labels []string, ephemeral, cancelling bool) *runner {
	id := int64(len(s.runners) + 1)
	key := fmt.Appendf(nil, "runner %d", id)
	if s.opt.Seed != 0 { // tests that share a container engine must not share uuids
		key = fmt.Appendf(key, " %d", s.opt.Seed)
	}
	sum := sha256.Sum256(key)
	h := hex.EncodeToString(sum[:])
	r := &runner{
		id: id, name: name, labels: slices.Clone(labels), ephemeral: ephemeral, cancelling: cancelling,
		uuid:  fmt.Sprintf("%s-%s-4%s-8%s-%s", h[:8], h[8:12], h[13:16], h[17:20], h[20:32]),
		token: h[:40], lastOnline: s.now(),
	}
	s.runners[r.uuid] = r
	s.notify()
	return r
}

func (r *runner) snapshot(now time.Time) Runner {
	silence := now.Sub(r.lastOnline)
	return Runner{
		ID: r.id, UUID: r.uuid, Name: r.name, Version: r.version, Labels: slices.Clone(r.labels),
		Ephemeral: r.ephemeral, Cancelling: r.cancelling, Disabled: r.disabled, Deleted: r.deleted,
		LastOnline: r.lastOnline, MaxSilence: max(r.maxSilence, silence), Online: !r.deleted && silence <= offlineAfter, Tasks: r.tasks,
	}
}

// Runners returns all runners, deleted ones too, in the order of their ids.
func (s *Server) Runners() []Runner {
	s.mu.Lock()
	defer s.mu.Unlock()
	now := s.now()
	out := make([]Runner, 0, len(s.runners))
	for _, r := range s.runners {
		out = append(out, r.snapshot(now))
	}
	slices.SortFunc(out, func(a, b Runner) int { return int(a.ID - b.ID) })
	return out
}

// Runner returns one runner.
func (s *Server) Runner(uuid string) (Runner, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	r := s.runners[uuid]
	if r == nil {
		return Runner{}, false
	}
	return r.snapshot(s.now()), true
}

// DeleteRunner makes the server forget the runner: its calls are refused.
func (s *Server) DeleteRunner(uuid string) { s.change(uuid, func(r *runner) { r.deleted = true }) }

// DisableRunner makes FetchTask find nothing for the runner, or undoes that.
func (s *Server) DisableRunner(uuid string, disabled bool) {
	s.change(uuid, func(r *runner) {
		r.disabled = disabled
		if !disabled {
			s.version++
		}
	})
}

func (s *Server) change(uuid string, f func(*runner)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if r := s.runners[uuid]; r != nil {
		f(r)
		s.notify()
	}
}

// auth finds the runner that a call names; the lock is held.
func (s *Server) auth(h http.Header) (*runner, error) {
	r := s.runners[h.Get("x-runner-uuid")]
	if r == nil || r.deleted || r.token != h.Get("x-runner-token") {
		return nil, s.fail(connect.CodeUnauthenticated, "unregistered runner")
	}
	now := s.now()
	r.maxSilence = max(r.maxSilence, now.Sub(r.lastOnline))
	r.lastOnline = now
	s.sweepIfDue(now)
	return r, nil
}

// Ping answers.
func (s service) Ping(_ context.Context, req *connect.Request[pingv1.PingRequest]) (*connect.Response[pingv1.PingResponse], error) {
	return connect.NewResponse(&pingv1.PingResponse{Data: fmt.Sprintf("Hello, %s!", req.Msg.GetData())}), nil
}

// Register makes a runner known, for the right token.
func (s service) Register(_ context.Context, req *connect.Request[runnerv1.RegisterRequest]) (*connect.Response[runnerv1.RegisterResponse], error) {
	m := req.Msg
	s.mu.Lock()
	defer s.mu.Unlock()
	if m.GetToken() == "" || m.GetName() == "" {
		return nil, s.fail(connect.CodeInvalidArgument, "missing runner token, name")
	}
	if m.GetToken() != s.opt.Token {
		if s.opt.Errors == ErrorCode {
			return nil, connect.NewError(connect.CodeNotFound, errors.New("runner registration token not found"))
		}
		return nil, errors.New("runner registration token not found")
	}
	r := s.addRunner(m.GetName(), m.GetLabels(), m.GetEphemeral(), hasCapability(m, 8, "cancelling"))
	r.version = m.GetVersion()
	return connect.NewResponse(&runnerv1.RegisterResponse{Runner: &runnerv1.Runner{
		Id: r.id, Uuid: r.uuid, Token: r.token, Name: r.name, Version: r.version, Labels: r.labels, Ephemeral: r.ephemeral,
	}}), nil
}

// Declare overwrites what the server holds of the runner.
func (s service) Declare(_ context.Context, req *connect.Request[runnerv1.DeclareRequest]) (*connect.Response[runnerv1.DeclareResponse], error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	r, err := s.auth(req.Header())
	if err != nil {
		return nil, err
	}
	r.version, r.labels = req.Msg.GetVersion(), slices.Clone(req.Msg.GetLabels())
	r.cancelling = hasCapability(req.Msg, 3, "cancelling")
	s.notify()
	res := connect.NewResponse(&runnerv1.DeclareResponse{Runner: &runnerv1.Runner{
		Id: r.id, Uuid: r.uuid, Token: r.token, Name: r.name, Version: r.version, Labels: r.labels, Ephemeral: r.ephemeral,
	}})
	if len(s.opt.Capabilities) > 0 {
		res.Header().Set("X-Gitea-Actions-Capabilities", strings.Join(s.opt.Capabilities, ","))
	}
	return res, nil
}

// hasCapability looks for a string among the values of a field that the
// message's type does not know yet.
func hasCapability(m proto.Message, field protowire.Number, want string) bool {
	raw := m.ProtoReflect().GetUnknown()
	for len(raw) > 0 {
		number, typ, n := protowire.ConsumeTag(raw)
		if n < 0 {
			return false
		}
		raw = raw[n:]
		if number == field && typ == protowire.BytesType {
			if v, n := protowire.ConsumeString(raw); n >= 0 && v == want {
				return true
			}
		}
		if n = protowire.ConsumeFieldValue(number, typ, raw); n < 0 {
			return false
		}
		raw = raw[n:]
	}
	return false
}
