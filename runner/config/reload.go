package config

import (
	"reflect"
	"slices"
	"strings"
)

// live are the keys that a running process takes from a new file; what ends in a
// dot stands for all below it.
func live() []string {
	return []string{
		"log.level",
		"runner.capacity", "runner.envs", "runner.env_file", "runner.timeout", "runner.labels",
		"runner.fetch_interval", "runner.fetch_interval_max",
		"runner.log_report_interval", "runner.log_report_max_latency", "runner.log_report_batch_size", "runner.state_report_interval",
		"runner.node_path", "runner.github_mirror",
		"health.",
	}
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
		if !slices.ContainsFunc(live(), func(l string) bool { return l == k.path || strings.HasSuffix(l, ".") && strings.HasPrefix(k.path, l) }) {
			left = append(left, k.path)
			continue
		}
		was.Set(is)
		taken = append(taken, k.path)
	}
	return &copied, taken, left
}
