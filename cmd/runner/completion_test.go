package main_test

import (
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// What bash offers for a command line, the last word of which is being typed.
func TestBashCompletion(t *testing.T) {
	t.Parallel()
	bash, err := exec.LookPath("bash")
	if err != nil {
		t.Skip("there is no bash")
	}
	r := newRig(t)
	script := `
source <(runner completion bash)
COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1))
_runner_completion
echo "${COMPREPLY[@]}"
`
	r.write("try", script)
	for _, c := range []struct{ line, want string }{
		{"runner|se", "serve"},
		{"runner|-c|x.yaml|se", "serve"},
		{"runner|config|", "init show validate"},
		{"runner|completion|", "bash zsh fish powershell"},
		{"runner|exec|--se", "--secret"},
		{"runner|exec|x.yml|--la", "--label"},
		{"runner|version|--", "--config --log-level --log-format --help"},
		{"runner|version|-", "--config -c --log-level --log-format --help -h"},
		{"runner|--ver", "--version"},
	} {
		cmd := exec.Command(bash, append([]string{"try"}, strings.Split(c.line, "|")...)...)
		cmd.Dir = r.dir
		cmd.Env = append([]string{"PATH=" + filepath.Dir(binary)}, "HOME="+r.dir)
		out, err := cmd.CombinedOutput()
		if got := strings.TrimSpace(string(out)); err != nil || got != c.want {
			t.Errorf("%s: offered %q, want %q; %v", c.line, got, c.want, err)
		}
	}
}
