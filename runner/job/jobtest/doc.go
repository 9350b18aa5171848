// Package jobtest holds workflow cases and what they must come to, in one form
// that every way of running a job can be tested with: the engine alone, the
// command that runs a file, and a whole runner against a server.
//
// A file of cases is a YAML list:
//
//   - name: outputs of a step            # unique in all files
//     os: linux                          # where it can run; default: anywhere
//     needs: [bash, node]                # programs that must be there
//     workflow: |                        # one job
//     on: push
//     jobs: {t: {runs-on: host, steps: [{run: echo hi}]}}
//     github: {ref_name: main}           # over the default github context
//     secrets: {TOKEN: s3cr3t-value}
//     vars: {COLOR: blue}
//     jobs: {build: {result: success, outputs: {v: "1"}}}   # the needs context
//     files: {a/action.yml: "..."}       # in the workspace when the job starts
//     repos: {octo/act@v1: {action.yml: "..."}}   # actions of a git server
//     want:
//     result: success
//     steps: [success]                 # conclusions, in order
//     outputs: {o: v}                  # all of them
//     summary: {0: "text"}             # by step
//     log: ["hi", "~^took \\d+ s$"]    # rows that come in this order, others between them;
//     # "~" begins a regular expression
//     absent: ["never", "~secret"]     # rows that do not come
//
// Cases of whole workflows, which need more than the engine, have also
//
//	inputs: {who: you}                 # those of a dispatch
//	parallel: 2                        # jobs at the same time
//	only: exec                         # or rpc: the one way in which it can run
//	want:
//	  result: success                  # of the whole
//	  jobs: {"build (1)": {result: …}} # all of them, by name, each a want
//	  error: "~no job"                 # nothing runs
package jobtest
