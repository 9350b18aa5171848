package workflow_test

// problems are wrong files; want has "line:column: text" for each problem.
var problems = []struct {
	name, text string
	want       []string
}{
	{"empty", "", []string{" the file is empty"}},
	{"only a comment", "# nothing\n", []string{" the file is empty"}},
	{"no mapping", "- a\n", []string{"1:1: found a list"}},
	{"tab", "on: push\njobs:\n\ta: 1\n", []string{"3:1: a tab may not indent"}},
	{"broken flow", "on: [push\njobs: {}\n", []string{"2:5: not valid YAML"}},
	{"two documents", "on: push\njobs: {a: {runs-on: x, steps: [{run: x}]}}\n---\na: 1\n", []string{"3:1: a second one"}},
	{"nothing in it", "name: x\n", []string{"1:1: has no jobs"}},
	{"no on", "jobs: {a: {runs-on: x, steps: [{run: x}]}}\n", []string{`1:1: the key "on" is missing`}},
	{"a key of the file twice", "on: push\non: pull\njobs: {a: {runs-on: x, steps: [{run: x}]}}\n", []string{`2:1: the workflow: the key "on" is given twice`}},
	{"known keys leave out old readers' on", "on: push\nxyzzy: 1\njobs: {a: {runs-on: x}}\n", []string{"2:1: name, on, permissions, run-name", "3:8: jobs.a: the job has nothing to do"}},
	{"on twice", "on: push\ntrue: push\njobs: {a: {runs-on: x, steps: [{run: x}]}}\n", []string{"2:7: on: given twice"}},
	{"a misspelt key and its consequence", "on: push\njobs:\n  a:\n    runs-on: x\n    step:\n    - run: x\n",
		[]string{"3:3: jobs.a: the job has nothing to do", `5:5: warning: jobs.a: unknown key "step" is ignored; did you mean "steps"?`}},
	{"unknown keys are warnings", `on: push
naem: x
jobs:
  a:
    runs-on: x
    need: b
    steps:
    - run: x
      timeout-minute: 5
      xyz: 1
`, []string{
		`2:1: unknown key "naem" is ignored; did you mean "name"?`,
		`6:5: jobs.a: unknown key "need" is ignored; did you mean "needs"?`,
		`9:7: jobs.a.steps[0]: unknown key "timeout-minute" is ignored; did you mean "timeout-minutes"?`,
		`10:7: unknown key "xyz" is ignored; known here: continue-on-error, env,`,
	}},
	{"duplicate keys", "on: push\njobs:\n  a:\n    runs-on: x\n    runs-on: y\n    steps: [{run: x}]\n  a: {}\n",
		[]string{`5:5: jobs.a: the key "runs-on" is given twice; the first is in line 4`, `7:3: jobs: the key "a" is given twice`}},
	{"job ids without case", "on: push\njobs:\n  a: {runs-on: x, steps: [{run: x}]}\n  A: {runs-on: x, steps: [{run: x}]}\n", []string{`4:3: the job id "A" is given twice`}},
	{"shapes of jobs", `on: push
jobs:
  a:
    runs-on: x
  b:
    uses: ./x.yml
    steps: [{run: x}]
  c:
    steps: [{run: x}]
  d:
    runs-on: x
    steps: []
  e: nothing
  1f:
    runs-on: x
    steps: [{run: x}]
`, []string{
		"3:3: jobs.a: the job has nothing to do: expected steps, or uses",
		"5:3: jobs.b: a job has either steps or uses",
		`8:3: jobs.c: the key "runs-on" is missing`,
		"12:12: jobs.d.steps: expected at least one step",
		`13:6: jobs.e: expected a job (a mapping with runs-on and steps), found "nothing"`,
		`14:3: the job's id "1f" is not allowed`,
	}},
	{"shapes of steps", `on: push
jobs:
  a:
    runs-on: x
    steps:
    - run: x
      uses: y
    - name: z
    - uses:
    - id: s
      run: x
    - id: S
      run: x
    - id: a b
      run: x
    - text
    -
    - run: [x]
`, []string{
		"6:7: jobs.a.steps[0]: a step has either run or uses, this one has both",
		"8:7: jobs.a.steps[1]: the step has nothing to do",
		"9:7: jobs.a.steps[2].uses: expected an action",
		`12:7: jobs.a.steps[4]: the step id "S" is given twice; the first is in line 10`,
		`14:11: the step's id "a b" is not allowed`,
		`16:7: jobs.a.steps[6]: expected a step with run or uses, found "text"`,
		`17:6: jobs.a.steps[7]: expected a step with run or uses, found nothing`,
		"18:12: jobs.a.steps[8].run: expected a text, found a list",
	}},
	{"types", `on: push
jobs:
  a:
    runs-on: x
    timeout-minutes: soon
    continue-on-error: maybe
    strategy: {fail-fast: perhaps, max-parallel: -1}
    env: [a]
    steps: {run: x}
`, []string{
		`5:22: jobs.a.timeout-minutes: expected a number or an expression, found "soon"`,
		`6:24: jobs.a.continue-on-error: expected true, false or an expression`,
		"7:27: jobs.a.strategy.fail-fast: expected true, false",
		"7:50: jobs.a.strategy.max-parallel: expected a number",
		"8:10: jobs.a.env: expected a mapping, found a list",
		"9:12: jobs.a.steps: expected a list of steps, found a mapping",
	}},
	{"needs", `on: push
jobs:
  build: {runs-on: x, needs: [lint, tset], steps: [{run: x}]}
  test: {runs-on: x, needs: test, steps: [{run: x}]}
  lint: {runs-on: x, needs: pack, steps: [{run: x}]}
  pack: {runs-on: x, needs: build, steps: [{run: x}]}
`, []string{
		`3:37: jobs.build.needs: there is no job "tset"; did you mean "test"?`,
		"4:29: jobs.test.needs: the job waits for itself",
		"6:29: the jobs wait for each other: build → lint → pack → build",
	}},
	{"expressions", `on: push
env:
  A: ${{ secrets.X }} ${{ matrix.os }}
jobs:
  a:
    runs-on: ${{ env.X }}
    if: githbu.ref == 'x'
    steps:
    - if: ${{ secrets.X }}
      run: |
        echo one
        echo ${{ steps.x.outputs. }}
    - run: "echo ${{ nope }}"
      env:
        B: 'é ${{ github.sha | x }}'
    - run: >
        folded ${{ text }}
    - uses: x/y@v1
      with:
        a: ${{ hashFiles('x') }}
        b: ${{ failure() }}
    - uses: x/y@${{ github.sha }}
    - run: echo ${{ github.sha
`, []string{
		"3:6: warning: env.A: GitHub refuses matrix in env; this runner goes on",
		"6:14: warning: jobs.a.runs-on: GitHub refuses env in jobs.<job_id>.runs-on",
		"7:9: jobs.a.if: Unrecognized named-value: 'githbu'",
		"9:11: warning: jobs.a.steps[0].if: GitHub refuses secrets in jobs.<job_id>.steps.if",
		"12:33: jobs.a.steps[0].run: Unexpected end of expression: '.'",
		"13:22: jobs.a.steps[1].run: Unrecognized named-value: 'nope'",
		"15:30: jobs.a.steps[1].env.B: Unexpected symbol: '|'",
		"16:12: jobs.a.steps[2].run: Unrecognized named-value: 'text'",
		"21:12: warning: jobs.a.steps[3].with.b: GitHub refuses failure in jobs.<job_id>.steps.with",
		"22:21: jobs.a.steps[4].uses: Unrecognized named-value: 'github'",
		"23:17: jobs.a.steps[5].run: The expression is not closed",
	}},
	{"a condition that is always true", "on: push\njobs:\n  a:\n    runs-on: x\n    steps:\n    - run: x\n      if: |\n        ${{ false }}\n", []string{"7:11: this condition is always true"}},
	{"matrix", `on: push
jobs:
  a:
    runs-on: x
    strategy:
      matrix:
        os: linux
        n: []
        ok: [1, "${{ env.x }}"]
        include: [a]
        exclude: {os: x}
    steps: [{run: x}]
`, []string{
		`7:13: expected a list or an expression, found "linux"`,
		`8:9: jobs.a.strategy.matrix.n: expected at least one value`,
		"9:17: warning: jobs.a.strategy.matrix.ok: GitHub refuses env",
		"10:19: jobs.a.strategy.matrix.include[0]: expected a mapping of matrix keys",
		"11:18: exclude: expected a list or an expression, found a mapping",
	}},
	{"inputs", `on:
  workflow_dispatch:
    inputs:
      a: {type: strnig}
      b: {type: choice}
      c: {type: boolean, default: maybe}
      d: {type: number, default: x}
      e: {required: perhaps}
  workflow_call:
    inputs:
      f: {type: choice, options: [a]}
    outputs:
      g: {description: x}
jobs: {a: {runs-on: x, steps: [{run: x}]}}
`, []string{
		`4:17: expected one of string, boolean, number, choice, environment, found "strnig"`,
		"5:7: an input of type choice needs options",
		`6:35: expected true or false, found "maybe"`,
		`7:34: expected a number, found "x"`,
		`8:21: on.workflow_dispatch.inputs.e.required: expected true or false`,
		"11:17: expected one of string, boolean, number, found \"choice\"",
		`13:10: the key "value" is missing`,
	}},
	{"containers", `on: push
jobs:
  a:
    runs-on: x
    container: {env: {A: b}}
    services:
      a b: redis
      c: [x]
    steps: [{run: x}]
`, []string{
		`5:16: jobs.a.container: the key "image" is missing`,
		"7:7: the service's id",
		"8:10: jobs.a.services.c: expected a mapping, found a list",
	}},
	{"merge of no mapping", "on: push\njobs:\n  a:\n    <<: x\n    runs-on: x\n    steps: [{run: x}]\n", []string{`4:9: jobs.a.<<: expected a mapping, found "x"`}},
	{"unknown alias", "on: push\njobs: *x\n", []string{"2:7: unknown anchor"}},
	{"a list within itself", "on: {push: &a [*a]}\njobs: {a: {runs-on: x, steps: [{run: x}]}}\n", []string{"1:16: nested deeper"}},
}
