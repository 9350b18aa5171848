package config_test

import (
	"bytes"
	"strings"
	"testing"
)

func TestShowBlanksSecrets(t *testing.T) {
	l := mustLoad(t, `
runner:
  capacity: 4
  envs:
    HTTPS_PROXY: http://me:sesame@proxy:3128
    NPM_TOKEN: sesame
    PLAIN: shown
  github_mirror: https://bot:sesame@mirror
`, "OTELRUNNER_LOG_LEVEL=debug")
	var b bytes.Buffer
	if err := l.Show(&b); err != nil {
		t.Fatal(err)
	}
	if strings.Contains(b.String(), "sesame") {
		t.Errorf("a secret is shown:\n%s", b.String())
	}
	for _, want := range []string{
		"capacity: 4 # c.yaml:3\n", "level: debug # OTELRUNNER_LOG_LEVEL\n", "timeout: 3h\n",
		"PLAIN: shown", "http://me:********@proxy:3128",
	} {
		if !strings.Contains(b.String(), want) {
			t.Errorf("%q is not shown:\n%s", want, b.String())
		}
	}
	if l.Runner.Envs["NPM_TOKEN"] != "sesame" {
		t.Error("Show changed the configuration")
	}
	if _, err := load(t, b.String()); err != nil {
		t.Errorf("what Show writes does not load: %v", err)
	}
}

// Options of a container are text, in which variables may be given.
func TestShowBlanksSecretsInOptions(t *testing.T) {
	l := mustLoad(t, `container: {options: '--env API_TOKEN=s3cret -e "PASSWORD=two words" -e KEY="x y" --label team=ci --memory 4g'}`)
	var b strings.Builder
	if err := l.Show(&b); err != nil {
		t.Fatal(err)
	}
	want := "options: --env API_TOKEN=******** -e PASSWORD=******** -e KEY=******** --label team=ci --memory 4g #"
	if !strings.Contains(b.String(), want) {
		t.Errorf("want %s in:\n%s", want, b.String())
	}
}
