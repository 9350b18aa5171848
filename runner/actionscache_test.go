package runner

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"otelrunner/runner/config"
	"otelrunner/runner/job/jobtest"
)

// cachePackage is the client of actions/cache, of setup-node and others.
const cachePackage = "@actions/cache@4.1.0"

// cacheClient gives the archive of the client and of what it needs, kept in the user's
// cache.
func cacheClient(t *testing.T) string {
	t.Helper()
	for _, program := range []string{"node", "npm", "tar", "gzip"} {
		if _, err := exec.LookPath(program); err != nil {
			t.Skipf("SKIP: the client of actions/cache needs %s: %v", program, err)
		}
	}
	user, err := os.UserCacheDir()
	if err != nil {
		t.Fatal(err)
	}
	dir := filepath.Join(user, "otelrunner", "test-actions-cache")
	archive := filepath.Join(dir, regexp.MustCompile(`[^a-z0-9.]+`).ReplaceAllString(cachePackage, "-")+".tgz")
	if data, err := os.ReadFile(archive); err == nil {
		return string(data)
	}
	work := t.TempDir()
	install := exec.CommandContext(t.Context(), "npm", "install", "--silent", "--ignore-scripts", "--no-audit", "--no-fund", "--prefix", work, cachePackage)
	if out, err := install.CombinedOutput(); err != nil {
		t.Skipf("SKIP: npm does not install %s: %v\n%s", cachePackage, err, out)
	}
	packed := filepath.Join(work, "client.tgz")
	if out, err := exec.CommandContext(t.Context(), "tar", "-czf", packed, "--exclude=*.map", "--exclude=*.ts", "-C", work, "node_modules").CombinedOutput(); err != nil {
		t.Fatalf("tar: %v\n%s", err, out)
	}
	data, err := os.ReadFile(packed)
	if err == nil {
		err = errors.Join(os.MkdirAll(dir, 0o700), os.WriteFile(archive+".part", data, 0o600), os.Rename(archive+".part", archive))
	}
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}

// cacheScript saves a folder that is larger than a chunk (32 MiB), restores it by a
// prefix, and saves it again in vain; or only restores it. It says where the cache is.
const cacheScript = `
const cache = require('@actions/cache'), crypto = require('crypto'), fs = require('fs');
const sum = () => crypto.createHash('sha256').update(fs.readFileSync('data/file')).digest('hex');
const want = (what, got, good) => { if (!good) throw new Error(what + ': ' + got); };
(async () => {
  console.log('the cache is at ' + process.env.ACTIONS_CACHE_URL);
  want('available', cache.isFeatureAvailable(), cache.isFeatureAvailable());
  if (process.argv[2] === 'save') {
    const miss = await cache.restoreCache(['data'], 'deps-1', ['deps-']);
    want('an empty cache', miss, miss === undefined);
    fs.mkdirSync('data');
    fs.writeFileSync('data/file', crypto.randomBytes(40 << 20));
    fs.writeFileSync('sum', sum());
    const id = await cache.saveCache(['data'], 'deps-1');
    want('saved', id, id > 0);
    want('saved again', 0, await cache.saveCache(['data'], 'deps-1') === -1);
    fs.rmSync('data', {recursive: true});
  }
  const found = await cache.restoreCache(['data'], 'deps-2', ['deps-'], {lookupOnly: true});
  want('looked up', found, found === 'deps-1' && !fs.existsSync('data'));
  const hit = await cache.restoreCache(['data'], 'deps-2', ['deps-']);
  want('restored', hit, hit === 'deps-1');
  fs.appendFileSync(process.env.GITHUB_OUTPUT, 'sum=' + sum() + '\n');
  if (process.argv[2] === 'save') want('content', sum(), sum() === fs.readFileSync('sum', 'utf8'));
  else want('content', sum(), sum() === process.argv[2]);
})().catch(e => { console.error(e); process.exit(1); });
`

// cacheCase has a job that saves and restores, and one that restores what the first has
// saved.
func cacheCase(t *testing.T) *jobtest.Case {
	t.Helper()
	return &jobtest.Case{
		Name:  "actions-cache",
		Files: map[string]string{"client.tgz": cacheClient(t), "script.js": cacheScript},
		Workflow: `
on: push
jobs:
  save:
    runs-on: host
    outputs: {sum: "${{ steps.s.outputs.sum }}"}
    steps:
      - run: tar -xzf client.tgz
      - id: s
        run: node script.js save
  restore:
    needs: save
    runs-on: host
    steps:
      - run: tar -xzf client.tgz
      - run: node script.js ${{ needs.save.outputs.sum }}
      - env: {ACTIONS_CACHE_URL: mine}
        run: test "$ACTIONS_CACHE_URL" = mine
`, Want: jobtest.Want{Result: "success", Jobs: map[string]jobtest.Want{
			"save":    {Result: "success", Steps: []string{"success", "success"}, Log: []string{"Cache saved successfully", "Cache restored successfully"}},
			"restore": {Result: "success", Steps: []string{"success", "success", "success"}, Log: []string{"Cache restored successfully"}},
		}},
	}
}

// runCacheCase runs the case; what it leaves in the cache is one entry.
func runCacheCase(t *testing.T, c *jobtest.Case, cfg *config.Config, change func(*ExecOptions)) {
	t.Helper()
	r := newRecorders(c)
	o := execOptions(t, c, cfg, r, nil)
	change(&o)
	result, err := Exec(t.Context(), o)
	jobs := r.outcomes(t)
	checkWorkflow(t, c, result, err, jobs)
	for name, outcome := range jobs {
		if log := strings.Join(outcome.Rows, "\n"); !regexp.MustCompile(`the cache is at http://127\.0\.0\.1:\d+/\*\*\*/`).MatchString(log) {
			t.Errorf("the log of %s does not hide the path of the cache", name)
		}
	}
	entries, _ := filepath.Glob(filepath.Join(cfg.Cache.Dir, "entries", "*", "*", "*", "*"))
	uploads, _ := filepath.Glob(filepath.Join(cfg.Cache.Dir, "uploads", "*"))
	if len(entries) != 1 || len(uploads) != 0 {
		t.Errorf("%d entries and %d uploads are in the cache's folder, want one and none", len(entries), len(uploads))
	}
}

// TestActionsCache saves and restores by the client that actions use, in jobs on the
// host.
func TestActionsCache(t *testing.T) {
	t.Parallel()
	c := cacheCase(t)
	runCacheCase(t, c, suiteConfig(t, t.TempDir()), func(*ExecOptions) {})
}

// TestActionsCacheInContainer is TestActionsCache in containers without a network.
func TestActionsCacheInContainer(t *testing.T) { // not in parallel: who ends first removes the image
	c := cacheCase(t)
	there := makeSuiteImage(t)
	if !there["node"] || !there["tar"] || !there["gzip"] {
		t.Skip("SKIP: the image has no node, tar or gzip")
	}
	cfg := suiteConfig(t, t.TempDir())
	cfg.Container.DockerHost, cfg.Container.DockerTimeout, cfg.Container.Pull = "", 10*time.Second, "never"
	cfg.Container.Network = "none"
	runCacheCase(t, c, cfg, func(o *ExecOptions) { o.Labels = suiteLabels(t) })
}
