package config

import (
	"reflect"
	"strings"
)

// live are the keys that a running process takes from a new file, for jobs to come;
// what ends in a dot stands for all below it that restart does not name.
func live() []string {
	return []string{
		"log.level", "log.job.",
		"runner.capacity", "runner.envs", "runner.env_file", "runner.timeout", "runner.shutdown_timeout", "runner.labels",
		"runner.fetch_timeout", "runner.fetch_interval", "runner.fetch_interval_max",
		"runner.log_report_interval", "runner.log_report_max_latency", "runner.log_report_batch_size", "runner.state_report_interval",
		"runner.actions_dir", "runner.node_path", "runner.github_mirror",
		"host.docker_actions",
		"container.",
		"sandbox.",
		"journal.max_size", "journal.keep",
		"health.",
		"metrics.readiness_grace",
		"otel.propagate", "otel.trace_url_template", "otel.rpc_spans", "otel.job_logs", "otel.step_endpoint",
	}
}

// restart are the keys that need a new start, with why. They win over live.
func restart() map[string]string {
	const (
		registered = "the runner is locked to it"
		saving     = "jobs are saving there"
		leftovers  = "what a killed runner left is looked for there at the start"
		listens    = "it is opened at the start"
		instrument = "instruments are made once"
		connection = "running jobs report over the same connections"
		mode       = "what the start has not checked must not be trusted"
	)
	return map[string]string{
		"log.format":               "the log's reader would see two formats",
		"runner.file":              registered,
		"runner.insecure":          connection,
		"runner.ca_file":           connection,
		"host.workdir_parent":      leftovers,
		"container.docker_host":    leftovers,
		"container.require_docker": "it is a condition of the start",
		"container.bind_workdir":   leftovers,
		"container.workdir_parent": leftovers,
		"sandbox.mode":             mode,
		"sandbox.allow_weak":       mode,
		"sandbox.dir":              leftovers,
		"cache.enabled":            saving,
		"cache.dir":                saving,
		"cache.max_size":           saving,
		"cache.external_server":    saving,
		"journal.enabled":          registered,
		"journal.dir":              registered,
		"poll.wake":                listens,
		"poll.wake_secret_file":    listens,
		"metrics.enabled":          listens,
		"metrics.addr":             listens,
		"metrics.web_config_file":  listens,
		"metrics.namespace":        instrument,
		"metrics.labels":           instrument,
		"metrics.queue_threshold":  instrument,
		"metrics.job_buckets":      instrument,
		"metrics.step_buckets":     instrument,
		"metrics.queue_buckets":    instrument,
		"otel.endpoint":            connection,
		"otel.protocol":            connection,
	}
}

// isLive reports whether a running process takes a key.
func isLive(path string) bool {
	if _, ok := restart()[path]; ok {
		return false
	}
	for _, l := range live() {
		if l == path || strings.HasSuffix(l, ".") && strings.HasPrefix(path, l) {
			return true
		}
	}
	return false
}

// Reload returns old with those keys of next that a running process can take, and
// the names of the keys whose values it took and of those that differ but need a
// new start, in the order of the file. It changes neither of the two.
func Reload(old, next *Config) (merged *Config, taken, left []string) {
	copied := *old
	from := *next
	for _, k := range schema() {
		was, is := reflect.ValueOf(k.field(&copied)).Elem(), reflect.ValueOf(k.field(&from)).Elem()
		if reflect.DeepEqual(was.Interface(), is.Interface()) {
			continue
		}
		if !isLive(k.path) {
			left = append(left, k.path)
			continue
		}
		was.Set(is)
		taken = append(taken, k.path)
	}
	return &copied, taken, left
}
