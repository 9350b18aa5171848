// Package job turns a task into a plan and a plan into a result: it reads the
// workflow, opens a sandbox, runs step by step, and tells a Sink what happens.
//
// The journey of one task:
//
//	Runner.Run     reads the job and decides whether it runs      runner.go, plan.go
//	setUp          env, sandbox, event file, actions              setup.go
//	runPres        pre steps of actions                           post.go
//	runSteps       the job's steps in order                       runner.go
//	  step         env, condition, limits, outcome, conclusion    step.go
//	    script     a shell step                                   script.go, shell.go
//	    useAction  an action, its inputs                          uses.go, composite.go, stage.go
//	      runStage its pre, main or post program                  node.go, docker.go, images.go
//	      run      one program: files in, effects out             program.go, output.go
//	runPosts       post steps, last registered first              post.go
//	setOutputs     the job's outputs                              runner.go
//
// What a step may change goes one way: a program gives effects (effects.go), and
// the step that ran it applies them to the job's state (state.go). How long
// things may run is a life (stop.go): its soft end lets cleanup run, its hard end
// does not.
package job
