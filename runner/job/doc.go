// Package job turns a task into a plan and a plan into a result: it reads the
// workflow, opens a sandbox, runs step by step, and tells a Sink what happens.
//
// The journey of one task:
//
//	Runner.Run         reads the job, evaluates what belongs to it     runner.go
//	setup              sandbox, event file, actions                    setup.go
//	runSteps           pre steps, steps, post steps                    steps.go
//	runStep            condition, environment, outcome                 step.go
//	  script           a shell step                                    script.go
//	  useAction        composite.go, node.go
//	program            one command in the sandbox: files in, effects out   program.go
//
// What a step may change goes one way: a program gives effects (effects.go), and
// the step that ran it applies them to the job's state (state.go).
package job
