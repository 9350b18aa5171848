// Package workflow reads workflow files: a text becomes a model with
// positions, a matrix its combinations, a dispatch its inputs. It is pure: no
// I/O, no clock, no state; nothing in it evaluates an expression without being
// given the values.
//
// Everything that may hold an expression is kept as the raw text of the file
// (for example "${{ matrix.os }}"); package expr evaluates it, and Availability
// says with which contexts.
package workflow

// Pos is a place in the workflow file; lines and columns start at 1. The zero
// Pos means "unknown".
type Pos struct {
	Line, Column int
}

// Workflow is one workflow file. It is read-only after Parse and safe to share.
type Workflow struct {
	// File is the name that was given to Parse; it stands in every message.
	File string

	Name    string
	RunName string

	On          On
	Env         Vars
	Defaults    Defaults
	Permissions Permissions
	Concurrency *Concurrency

	// Jobs are in the order of the file.
	Jobs []*Job

	// Warnings are what Parse found odd but could go on with: unknown keys, an
	// `if:` that is always true. In the order of the file.
	Warnings []Problem
}

// Job returns the job with that id (compared without case, as GitHub does), or
// nil.
func (w *Workflow) Job(id string) *Job {
	for _, j := range w.Jobs {
		if equalFold(j.ID, id) {
			return j
		}
	}
	return nil
}

// Job is one entry of `jobs`. Either Steps or Uses is set.
type Job struct {
	ID   string
	Pos  Pos    // of the id
	Name string // "" when not given: the id is then shown

	// If is the text of `if:`, for expr.Condition. "" when not given.
	If    string
	IfPos Pos

	Needs  []string // ids as written
	RunsOn RunsOn

	Env      Vars
	Defaults Defaults
	Steps    []*Step

	Container *Container // nil: none
	Services  Services

	Strategy *Strategy // nil: none
	Outputs  []Var

	// TimeoutMinutes and ContinueOnError are texts that give a number
	// (fractions allowed) and a boolean when evaluated; "" when not given.
	TimeoutMinutes  string
	ContinueOnError string

	Permissions Permissions
	Concurrency *Concurrency
	Environment *Environment

	// Uses names a reusable workflow; With and Secrets are what it gets.
	Uses           string
	With           Vars
	Secrets        Vars
	SecretsInherit bool
}

// Step is one entry of `steps`. Exactly one of Run and Uses is set.
type Step struct {
	// Index is the position in the job's list, from 0.
	Index int
	Pos   Pos

	ID   string // "" when not given
	Name string

	If    string // as in Job
	IfPos Pos

	// Run is the script; IsRun tells an empty script from none.
	Run   string
	IsRun bool

	Uses string
	With Vars // the inputs of Uses, `args` and `entrypoint` among them

	Env              Vars
	Shell            string
	WorkingDirectory string
	ContinueOnError  string // as in Job
	TimeoutMinutes   string // as in Job
}

// Title is what the step is called where it has no evaluated name: its `name`,
// else "Run " and the first line of what it does.
func (s *Step) Title() string {
	switch {
	case s.Name != "":
		return s.Name
	case s.Uses != "":
		return "Run " + s.Uses
	}
	return "Run " + firstLine(s.Run)
}

// Var is one name with a text.
type Var struct {
	Name string
	// Value is the scalar's text ("" for null), usually with no or some
	// ${{ }}.
	Value string
	// Kind is what the scalar was in YAML: "String", "Number", "Boolean" or
	// "Null". A quoted number is a String.
	Kind string
	// Pos is the place of the value.
	Pos Pos
}

// Vars is a mapping of names to texts in the order of the file, or one
// expression that gives the whole mapping.
type Vars struct {
	List []Var
	// Expr is the text of an expression ("${{ fromJSON(…) }}") that stands for
	// the mapping; List is then empty. "" otherwise.
	Expr string
	Pos  Pos
}

// IsZero reports whether nothing was given.
func (v Vars) IsZero() bool { return len(v.List) == 0 && v.Expr == "" }

// Get returns the text of the first variable with exactly that name.
func (v Vars) Get(name string) (string, bool) {
	for _, x := range v.List {
		if x.Name == name {
			return x.Value, true
		}
	}
	return "", false
}

// Defaults is `defaults.run`; both are texts that may hold expressions.
type Defaults struct {
	Shell            string
	WorkingDirectory string
}

// RunsOn says which runner a job wants. A string or a list gives Labels; each
// label may hold expressions. A whole expression gives Expr alone (its value is
// a string, a list, or an object with group and labels).
type RunsOn struct {
	Labels []string
	Group  string
	Expr   string
	Pos    Pos
}

// IsZero reports whether `runs-on` was not given.
func (r RunsOn) IsZero() bool { return len(r.Labels) == 0 && r.Group == "" && r.Expr == "" }

// Container is `container` or one service. The short form (`container: image`)
// gives Image alone.
type Container struct {
	Image       string
	Credentials *Credentials // nil: none
	Env         Vars
	Ports       []string // "8080:80", "80", "53:53/udp"; may hold expressions
	Volumes     []string
	Options     string
	Command     string
	Entrypoint  string
	Pos         Pos

	// Expr is set when the whole mapping is one expression; it gives a string
	// (the image) or an object. ContainerFrom turns its value into a Container.
	Expr string
}

// Credentials of a registry; both are texts that may hold expressions.
type Credentials struct {
	Username, Password string
}

// Services is `services`: in the order of the file, or one expression.
type Services struct {
	List []Service
	Expr string
	Pos  Pos
}

// Service is one entry of `services`.
type Service struct {
	ID string
	Container
}

// Strategy is `strategy`. FailFast gives a boolean ("" means true), MaxParallel
// a number ("" means no bound) when evaluated.
type Strategy struct {
	Matrix      *Matrix // nil: none
	FailFast    string
	MaxParallel string
	Pos         Pos
}

// Matrix is `strategy.matrix` as written. See Expand.
type Matrix struct {
	// Expr is the text of an expression that gives the whole matrix; the other
	// fields are then empty.
	Expr string
	// Dimensions are in the order of the file.
	Dimensions []Dimension
	Include    Items
	Exclude    Items
	Pos        Pos
}

// Dimension is one variable of a matrix.
type Dimension struct {
	Name  string
	Items Items
}

// Items is a list of plain values (nil, bool, float64, string, []any,
// *expr.Object; strings may hold expressions), or one expression that gives the
// list.
type Items struct {
	Values []any
	Expr   string
	Pos    Pos
}

// Permissions is read and kept, not enforced here: the server issues the token.
type Permissions struct {
	// All is "read-all" or "write-all" when one word was given for all scopes.
	All    string
	Scopes map[string]string
}

// Concurrency is `concurrency`; it is the server's to enforce.
type Concurrency struct {
	Group            string
	CancelInProgress string
	Queue            string
}

// Environment is a job's `environment`.
type Environment struct {
	Name, URL string
}

// On is what starts the workflow.
type On struct {
	// Events are in the order of the file.
	Events []Event
	// Dispatch and Call are nil when the workflow has no such trigger.
	Dispatch *Dispatch
	Call     *Call
	Pos      Pos
}

// Has reports whether the workflow is started by that event.
func (o On) Has(event string) bool {
	for _, e := range o.Events {
		if e.Name == event {
			return true
		}
	}
	return false
}

// Event is one trigger. Filter is the plain value of its configuration
// (branches, types …; nil, []any or *expr.Object); the server applies it.
type Event struct {
	Name   string
	Filter any
	Pos    Pos
}

// Dispatch is `on.workflow_dispatch`.
type Dispatch struct {
	Inputs []Input
}

// Call is `on.workflow_call`.
type Call struct {
	Inputs  []Input
	Secrets []Secret
	Outputs []Output
}

// Input is one declared input of workflow_dispatch or workflow_call.
type Input struct {
	Name        string
	Description string
	// Type is "string", "boolean", "number", "choice" or "environment".
	Type     string
	Required bool
	// Default is the declared default: nil when there is none, else bool,
	// float64 or string as YAML has it. A string may hold expressions
	// (workflow_call).
	Default any
	// Options are the values a "choice" may have.
	Options     []string
	Deprecation string
	Pos         Pos
}

// Secret is one declared secret of workflow_call.
type Secret struct {
	Name        string
	Description string
	Required    bool
	Pos         Pos
}

// Output is one output of workflow_call; Value is an expression over `jobs`.
type Output struct {
	Name        string
	Description string
	Value       string
	Pos         Pos
}
