package main

import (
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"otelrunner/runner/workflow/expr"

	"github.com/urfave/cli/v2"
)

func (p *program) exprCommand() *cli.Command {
	return &cli.Command{
		Name:      "expr",
		Usage:     "evaluate an expression of a workflow",
		ArgsUsage: "EXPRESSION",
		Description: "Prints {\"kind\": …, \"value\": …}. EXPRESSION is written with or without ${{ }}.\n" +
			"A syntax or evaluation error goes to the standard error with its position; exit code 2.\n\n" +
			"The contexts are a JSON object: {\"github\": {\"ref\": \"refs/heads/main\"}, \"matrix\": …}.\n" +
			"job.status in it decides success(), failure() and cancelled(); without it, success() holds.",
		Flags: []cli.Flag{
			&cli.StringFlag{Name: "context", Usage: "read the contexts from the JSON `FILE`; - is the standard input"},
		},
		Action: p.expr,
	}
}

func (p *program) expr(c *cli.Context) error {
	if c.Args().Len() != 1 {
		return usagef("expr takes one expression, found %d; put it in single quotes", c.Args().Len())
	}
	values, err := p.contexts(c.String("context"))
	if err != nil {
		return err
	}
	src := c.Args().First()
	if inner, ok := expr.Whole(src); ok {
		src = inner
	}
	result, err := expr.Eval(src, exprContext(values))
	if err != nil {
		return &usageError{withContextHint(err, values)}
	}
	_, err = fmt.Fprintf(p.stdout, "%s\n", expr.MarshalResult(result))
	return err
}

// withContextHint says how contexts are given, to whom has given none.
func withContextHint(err error, values map[string]any) error {
	var e *expr.Error
	if values == nil && errors.As(err, &e) && strings.Contains(e.Msg, "named-value") {
		return fmt.Errorf("%w; give the contexts as a JSON file by --context FILE, like {\"github\": {\"ref\": \"refs/heads/main\"}}", err)
	}
	return err
}

// contexts reads the contexts' file; "" is none.
func (p *program) contexts(file string) (map[string]any, error) {
	if file == "" {
		return nil, nil
	}
	var data []byte
	var err error
	if file == "-" {
		data, err = io.ReadAll(p.stdin)
	} else {
		data, err = os.ReadFile(file)
	}
	if err != nil {
		return nil, usagef("read the contexts: %w", err)
	}
	decoded, err := expr.DecodeJSON(data)
	if err != nil {
		return nil, &usageError{fmt.Errorf("read the contexts: %s: %w", file, err)}
	}
	object, ok := decoded.(*expr.Object)
	if !ok {
		return nil, usagef("read the contexts: %s holds %s, expected an object like {\"github\": {…}}", file, expr.KindOf(decoded))
	}
	return topLevel(object), nil
}

// topLevel is the object as the evaluator wants its contexts; what is below keeps
// the order of its keys.
func topLevel(o *expr.Object) map[string]any {
	values := map[string]any{}
	for key, value := range o.All() {
		values[key] = value
	}
	return values
}

// exprContext adds the status functions, by job.status.
func exprContext(values map[string]any) *expr.Context {
	status := "success"
	if s, err := expr.Eval("job.status", &expr.Context{Values: values}); err == nil && expr.Text(s) != "" {
		status = expr.Text(s)
	}
	is := func(want string) func() bool { return func() bool { return status == want } }
	return &expr.Context{
		Values: values, Success: is("success"), Failure: is("failure"), Cancelled: is("cancelled"),
		HashFiles: func([]string) (string, error) {
			return "", errors.New("hashFiles needs a job's workspace, which `runner expr` does not have")
		},
	}
}
