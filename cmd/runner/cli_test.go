package main_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestCommandLine(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.write("good.yaml", "runner: {capacity: 3}\n")
	r.write("bad.yaml", "runner:\n  capacity: 0\n  capacty: 1\n")
	r.write("ctx.json", `{"github": {"ref": "refs/heads/main"}, "job": {"status": "failure"}}`)
	r.write("broken.json", `{"github": `)
	for _, c := range []struct {
		name   string
		args   string // separated by |
		code   int
		stdout string
		stderr string
	}{
		{"help", "--help", 0, "run the jobs of Gitea Actions", ""},
		{"no command", "", 0, "COMMANDS:", ""},
		{"help of a command", "serve|--help", 0, "SIGTERM", ""},
		{"help of an alias", "daemon|-h", 0, "SIGTERM", ""},
		{"version", "version", 0, "runner 1.2.3-test (go", ""},
		{"version flag", "--version", 0, "runner 1.2.3-test", ""},
		{"unknown command", "serv", 2, "", `"serv" is no command, did you mean "serve"?`},
		{"unlike any command", "frobnicate", 2, "", `"frobnicate" is no command (see`},
		{"unknown subcommand", "config|shw", 2, "", `"shw" is no command, did you mean "show"?`},
		{"a group alone", "config", 0, "validate", ""},
		{"unknown flag", "serve|--onec", 2, "", "runner serve has no flag --onec, did you mean --once?"},
		{"flag without value", "config|show|-c", 2, "", "flag -c needs a value"},
		{"superfluous argument", "version|x", 2, "", `takes no arguments, found "x"`},
		{"flag before the command", "-c|good.yaml|config|show", 0, "capacity: 3 # good.yaml:1", ""},
		{"flag in the command", "config|-c|good.yaml|show", 0, "capacity: 3", ""},
		{"flag behind the command", "config|show|--config=good.yaml", 0, "capacity: 3", ""},
		{"log level before", "--log-level|debug|config|show", 0, "level: debug # --log-level", ""},
		{"log level behind", "config|show|--log-level=debug", 0, "level: debug # --log-level", ""},
		{"bad log level", "config|show|--log-level|laud", 2, "", `--log-level: log.level: "laud" is not one of`},
		{"validate", "config|validate|good.yaml", 0, "good.yaml can be used, no warnings", ""},
		{"validate a bad one", "config|validate|bad.yaml", 2, "", "bad.yaml:3: runner.capacty: unknown key, did you mean runner.capacity?"},
		{"all problems", "config|validate|bad.yaml", 2, "", "bad.yaml:2: runner.capacity: 0 is out of bounds"},
		{"validate none", "config|validate|none.yaml", 2, "", "none.yaml does not exist; write one with"},
		{"init", "config|init", 0, "OTELRUNNER_RUNNER_CAPACITY", ""},
		{"serve with a bad file", "serve|-c|bad.yaml", 2, "", "configuration: 2 problems"},
		{"expression", "expr|1 + 1 == 2 || 'a'", 2, "", "position"},
		{"expression, value", "expr|fromJSON('[1,2]')[1]", 0, `{"kind":"Number","value":2}`, ""},
		{"expression, whole", "expr|${{ 'a' }}", 0, `{"kind":"String","value":"a"}`, ""},
		{"negative number", "expr|-1", 0, `{"kind":"Number","value":-1}`, ""},
		{"negative infinity", "expr|-Infinity", 0, `{"kind":"Number","value":"-Infinity"}`, ""},
		{"no expression, no flag", "expr|--1", 2, "", "Unexpected symbol: '--1'. Located at position 1"},
		{"flag behind argument", "expr|github.ref|--context|ctx.json", 0, `{"kind":"String","value":"refs/heads/main"}`, ""},
		{"flag before argument", "expr|--context=ctx.json|failure()", 0, `{"kind":"Boolean","value":true}`, ""},
		{"broken contexts", "expr|--context|broken.json|1", 2, "", "read the contexts: broken.json"},
		{"two expressions", "expr|1|2", 2, "", "takes one expression, found 2"},
		{"expression behind --", "expr|--|-1", 0, `"value":-1`, ""},
		{"completion", "completion|bash", 0, "complete -o bashdefault", ""},
		{"completion zsh", "completion|zsh", 0, "#compdef runner", ""},
		{"completion fish", "completion|fish", 0, "complete -c runner", ""},
		{"completion powershell", "completion|powershell", 0, "Register-ArgumentCompleter", ""},
		{"unknown shell", "completion|bahs", 2, "", "did you mean bash?"},
		{"completes commands", "--generate-bash-completion", 0, "serve", ""},
		{"completes subcommands", "config|--generate-bash-completion", 0, "validate", ""},
		{"completes flags", "serve|--on|--generate-bash-completion", 0, "--once", ""},
		{"expr without contexts", "expr|github.ref", 2, "", "give the contexts as a JSON file by --context FILE"},
		{"expr, no contexts' file", "expr|1|--context|none.json", 2, "", "read the contexts: open none.json"},
		{"no registration", "serve", 3, "", "run `runner register` first"},
		{"register without a token", "register|--instance|http://127.0.0.1:1|--no-interactive", 2, "", "the registration token is missing: give --token"},
		{"register without an instance", "register", 2, "", "URL of the Gitea server is missing"},
		{"register with two tokens", "register|--instance|http://x|--token|a|--token-file|b", 2, "", "not both"},
		{"bad labels", "register|--instance|http://x|--token|a|--labels|x:dokcer://y", 2, "", `unknown scheme "dokcer"`},
		{"bad instance", "register|--instance|ftp://x|--token|a", 2, "", "URL of the Gitea server: "},
		{"unreachable", "register|--instance|http://127.0.0.1:1|--token|a", 1, "", "refused the connection"},
		{"simulate nothing", "simulate|--runners|0", 2, "", "--runners takes 1 to 10000"},
		{"simulate a bad share", "simulate|--writing|1.5", 2, "", "--writing is a share from 0 to 1, found 1.5"},
		{"drain nobody", "drain", 1, "", "no runner is running with the journal .runner.journal"},
		{"exec without a file", "exec", 2, "", "exec takes one workflow file, found 0"},
		{"exec of nothing", "exec|none.yml", 2, "", "none.yml"},
		{"exec, no event", "exec|x.yml|--event|none.json", 2, "", "read the event: open none.json"},
		{"exec, bad secret", "exec|x.yml|--secret|NOT_SET_ANYWHERE", 2, "", "there is no environment variable NOT_SET_ANYWHERE"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			var args []string
			if c.args != "" {
				args = strings.Split(c.args, "|")
			}
			if strings.Contains(c.args, "||") { // an expression with an operator
				args = []string{"expr", strings.TrimPrefix(c.args, "expr|")}
			}
			r := *r
			r.t = t
			stdout, stderr, code := r.run(args...)
			if code != c.code {
				t.Errorf("exit code %d, want %d", code, c.code)
			}
			contains(t, "standard output", stdout, c.stdout)
			contains(t, "standard error", stderr, c.stderr)
			if c.code != 0 && c.code != 1 && strings.Count(strings.TrimSpace(stderr), "\n") > 2 {
				t.Errorf("the error is not short:\n%s", stderr)
			}
		})
	}
}

func TestConfigInit(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	if _, stderr, code := r.run("config", "init", "-o", "c.yaml"); code != 0 {
		t.Fatal(stderr)
	}
	if stdout, stderr, code := r.run("config", "validate", "c.yaml"); code != 0 || stderr != "" {
		t.Errorf("exit code %d: %s%s", code, stdout, stderr)
	}
	if _, stderr, code := r.run("config", "init", "-o", "c.yaml"); code != 1 || !strings.Contains(stderr, "--force replaces it") {
		t.Errorf("exit code %d: %s", code, stderr)
	}
	info, err := os.Stat(filepath.Join(r.dir, "c.yaml"))
	if err != nil || info.Size() == 0 {
		t.Errorf("%v, %v", info, err)
	}
	if _, _, code := r.run("config", "init", "-o", "c.yaml", "--force"); code != 0 {
		t.Errorf("--force: exit code %d", code)
	}
}
