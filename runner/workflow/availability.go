package workflow

import (
	"slices"
	"strings"

	"otelrunner/runner/workflow/expr"
)

// Availability says which contexts and special functions the expressions at a
// key of a workflow may use. Keys are written as in GitHub's table of context
// availability ("jobs.<job_id>.steps.if"); `gitea` may stand wherever `github`
// may. The keys that begin with "action." are those of an action's metadata
// file. An unknown key allows no context. The result is shared: do not change
// it.
//
// Gitea's own runner has no such table: it knows all contexts everywhere. A
// workflow that works there works here too, so what the table leaves out is
// tolerated at every key that takes expressions.
func Availability(key string) *expr.Allow {
	if a := availability[key]; a != nil {
		return a
	}
	return &expr.Allow{Key: key}
}

// The groups of contexts that the table is made of.
const (
	ctxEvent    = "github gitea inputs vars"
	ctxNeeds    = ctxEvent + " needs"
	ctxMatrix   = ctxNeeds + " strategy matrix"
	ctxJobEnv   = ctxMatrix + " secrets"
	ctxRegistry = ctxMatrix + " env secrets"
	ctxRunning  = ctxMatrix + " env secrets job runner"
	ctxStep     = ctxRunning + " steps"
	ctxStepIf   = ctxMatrix + " env job runner steps"
	ctxAction   = "github gitea inputs strategy matrix env job runner steps"

	ctxAll = "github gitea inputs vars needs strategy matrix secrets env job runner steps jobs"

	fnStatus = "success failure cancelled always"
	fnHash   = "hashFiles"
)

// availability is GitHub's table, plus what it leaves unsaid: the keys it does
// not list take texts without expressions.
var availability = table([][3]string{
	{"run-name", ctxEvent, ""},
	{"concurrency", ctxEvent, ""},
	{"env", ctxEvent + " secrets", ""},
	{"defaults.run", ctxEvent, ""},
	{"on.workflow_call.inputs.<inputs_id>.default", ctxEvent, ""},
	{"on.workflow_call.outputs.<output_id>.value", ctxEvent + " jobs", ""},

	{"jobs.<job_id>.concurrency", ctxMatrix, ""},
	{"jobs.<job_id>.container", ctxMatrix, ""},
	{"jobs.<job_id>.container.credentials", ctxRegistry, ""},
	{"jobs.<job_id>.container.env.<env_id>", ctxRunning, ""},
	{"jobs.<job_id>.container.image", ctxMatrix, ""},
	{"jobs.<job_id>.continue-on-error", ctxMatrix, ""},
	{"jobs.<job_id>.defaults.run", ctxMatrix + " env", ""},
	{"jobs.<job_id>.env", ctxJobEnv, ""},
	{"jobs.<job_id>.environment", ctxMatrix, ""},
	{"jobs.<job_id>.environment.url", ctxStepIf, ""},
	{"jobs.<job_id>.if", ctxNeeds, fnStatus},
	{"jobs.<job_id>.name", ctxMatrix, ""},
	{"jobs.<job_id>.outputs.<output_id>", ctxStep, ""},
	{"jobs.<job_id>.runs-on", ctxMatrix, ""},
	{"jobs.<job_id>.secrets.<secrets_id>", ctxJobEnv, ""},
	{"jobs.<job_id>.services", ctxMatrix, ""},
	{"jobs.<job_id>.services.<service_id>.credentials", ctxRegistry, ""},
	{"jobs.<job_id>.services.<service_id>.env.<env_id>", ctxRunning, ""},
	{"jobs.<job_id>.strategy", ctxNeeds, ""},
	{"jobs.<job_id>.timeout-minutes", ctxMatrix, ""},
	{"jobs.<job_id>.with.<with_id>", ctxMatrix, ""},

	{"jobs.<job_id>.steps.continue-on-error", ctxStep, fnHash},
	{"jobs.<job_id>.steps.env", ctxStep, fnHash},
	{"jobs.<job_id>.steps.if", ctxStepIf, fnStatus + " " + fnHash},
	{"jobs.<job_id>.steps.name", ctxStep, fnHash},
	{"jobs.<job_id>.steps.run", ctxStep, fnHash},
	{"jobs.<job_id>.steps.shell", ctxStep, fnHash},
	{"jobs.<job_id>.steps.timeout-minutes", ctxStep, fnHash},
	{"jobs.<job_id>.steps.with", ctxStep, fnHash},
	{"jobs.<job_id>.steps.working-directory", ctxStep, fnHash},

	{"action.inputs.<input_id>.default", "github gitea strategy matrix job runner", fnHash},
	{"action.outputs.<output_id>.value", ctxAction, ""},
	{"action.runs.args", "inputs", ""},
	{"action.runs.env", "inputs", ""},
	{"action.runs.pre-if", ctxAction, fnStatus + " " + fnHash},
	{"action.runs.post-if", ctxAction, fnStatus + " " + fnHash},
	{"action.runs.steps", ctxAction, fnHash},
	{"action.runs.steps.if", ctxAction, fnStatus + " " + fnHash},
})

func table(rows [][3]string) map[string]*expr.Allow {
	m := make(map[string]*expr.Allow, len(rows))
	for _, r := range rows {
		a := &expr.Allow{Key: r[0], Contexts: strings.Fields(r[1]), Functions: strings.Fields(r[2])}
		all := strings.Fields(ctxAll)
		if strings.Contains(r[2], fnHash) { // a step's: the status is known there
			all = append(all, strings.Fields(fnStatus)...)
		}
		for _, name := range all {
			if !slices.Contains(a.Contexts, name) && !slices.Contains(a.Functions, name) {
				a.Tolerated = append(a.Tolerated, name)
			}
		}
		m[r[0]] = a
	}
	return m
}
