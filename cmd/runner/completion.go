package main

import (
	"fmt"
	"slices"

	"otelrunner/runner/config"

	"github.com/urfave/cli/v2"
)

// The scripts ask the program itself what may come next: it answers a command
// line that ends in completionFlag with one word a line, for zsh with ":" and a
// description behind it. What is typed of a flag is asked for as "-", which every
// flag begins with: behind "--" the program takes all for arguments.
const (
	bashCompletion = `# runner: completion for bash. Load it with: source <(runner completion bash)
_runner_completion() {
  local current="${COMP_WORDS[COMP_CWORD]}" line
  local -a words=("${COMP_WORDS[@]:0:COMP_CWORD}")
  [[ $current == -* ]] && words+=("-")
  COMPREPLY=()
  while IFS= read -r line; do
    line="${line%%:*}"
    [[ -n $line && $line == "$current"* ]] && COMPREPLY+=("$line")
  done < <("${words[@]}" ` + completionFlag + ` 2>/dev/null)
}
complete -o bashdefault -o default -F _runner_completion runner
`
	zshCompletion = `#compdef runner
# runner: completion for zsh. Load it with: source <(runner completion zsh)
_runner() {
  local current="${words[CURRENT]}"
  local -a line answers
  line=("${(@)words[1,CURRENT-1]}")
  [[ $current == -* ]] && line+=("-")
  answers=("${(@f)$(SHELL=zsh "${line[@]}" ` + completionFlag + ` 2>/dev/null)}")
  if [[ -n ${answers[1]} ]]; then
    _describe 'runner' answers
  else
    _files
  fi
}
compdef _runner runner
`
	powershellCompletion = `# runner: completion for PowerShell. Load it with: runner completion powershell | Out-String | Invoke-Expression
Register-ArgumentCompleter -Native -CommandName runner -ScriptBlock {
  param($word, $ast, $position)
  $line = @($ast.CommandElements | ForEach-Object { $_.Extent.Text })
  if ($word) { $line = @($line | Select-Object -SkipLast 1) }
  if ("$word".StartsWith('-')) { $line += '-' }
  $rest = @($line | Select-Object -Skip 1) + '` + completionFlag + `'
  & $line[0] @rest 2>$null | ForEach-Object { ($_ -split ':')[0] } | Where-Object { $_ -like "$word*" } | ForEach-Object {
    [System.Management.Automation.CompletionResult]::new($_, $_, 'ParameterValue', $_)
  }
}
`
)

func (p *program) completionCommand() *cli.Command {
	shells := map[string]func(*cli.Context) (string, error){
		"bash":       constant(bashCompletion),
		"zsh":        constant(zshCompletion),
		"fish":       func(c *cli.Context) (string, error) { return c.App.ToFishCompletion() },
		"powershell": constant(powershellCompletion),
	}
	names := []string{"bash", "zsh", "fish", "powershell"}
	return &cli.Command{
		Name:      "completion",
		Usage:     "print a script that completes commands and flags in a shell",
		ArgsUsage: "bash|zsh|fish|powershell",
		Description: "bash:        source <(runner completion bash)\n" +
			"zsh:         source <(runner completion zsh)\n" +
			"fish:        runner completion fish | source\n" +
			"powershell:  runner completion powershell | Out-String | Invoke-Expression",
		BashComplete: func(*cli.Context) {
			for _, n := range names {
				fmt.Fprintln(p.stdout, n)
			}
		},
		Action: func(c *cli.Context) error {
			shell := c.Args().First()
			if c.Args().Len() != 1 || !slices.Contains(names, shell) {
				hint := ""
				if s := config.Suggest(shell, names); s != "" {
					hint = ", did you mean " + s + "?"
				}
				return usagef("completion takes the name of one shell: bash, zsh, fish or powershell%s", hint)
			}
			script, err := shells[shell](c)
			if err != nil {
				return fmt.Errorf("print the completion of %s: %w", shell, err)
			}
			_, err = fmt.Fprint(p.stdout, script)
			return err
		},
	}
}

func constant(script string) func(*cli.Context) (string, error) {
	return func(*cli.Context) (string, error) { return script, nil }
}
